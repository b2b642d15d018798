"""A minimal pix2pix, complete: pictures in, pictures out, learned from pairs. Begun by `new --template paired`."""

from gan_zoo_pix2pix.plugin import Pix2pix as plugin

__all__ = ["plugin"]
