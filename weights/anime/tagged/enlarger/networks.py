from gan_zoo.plugins.anime.networks import AnimeGenerator
from gan_zoo.plugins.anime.networks import Enlarger
