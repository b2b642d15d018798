"""Anime characters from noise."""

from gan_zoo.plugins.anime.plugin import Anime as plugin

__all__ = ["plugin"]
