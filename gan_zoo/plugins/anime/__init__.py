"""Anime characters from noise, and an enlarger for small ones."""

from gan_zoo.plugins.anime.enlarging import AnimeEnlarger
from gan_zoo.plugins.anime.ordering import AnimeCharacters, AnimeLabelled
from gan_zoo.plugins.anime.plugin import Anime as plugin

__all__ = ["AnimeCharacters", "AnimeEnlarger", "AnimeLabelled", "plugin"]
