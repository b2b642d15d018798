"""CycleGAN (Zhu et al. 2017): from one heap of pictures to another and back, without pairs."""

from gan_zoo.plugins.cyclegan.plugin import CycleGAN as plugin

__all__ = ["plugin"]
