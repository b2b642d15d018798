"""Colour for line art."""

from gan_zoo.plugins.colorize.plugin import Colorize as plugin

__all__ = ["plugin"]
