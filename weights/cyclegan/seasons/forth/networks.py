from gan_zoo.plugins.cyclegan.networks import SeeingGenerator
