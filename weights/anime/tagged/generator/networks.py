from gan_zoo.plugins.anime.networks import AnimeGenerator
