"""A minimal GAN, complete: it draws coloured discs, and trains in seconds. Begun by `python -m gan_zoo new`."""

from gan_zoo.template.plugin import Template as plugin

__all__ = ["plugin"]
