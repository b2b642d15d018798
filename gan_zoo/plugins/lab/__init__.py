"""The lab: a GAN in two dimensions, small enough to watch (Kahng et al. 2019, GAN Lab)."""

from gan_zoo.plugins.lab.plugin import Lab as plugin

__all__ = ["plugin"]
