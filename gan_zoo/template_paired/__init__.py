"""A minimal pix2pix, complete: pictures in, pictures out, learned from pairs. Begun by `new --template paired`."""

from gan_zoo.template_paired.plugin import Template as plugin

__all__ = ["plugin"]
