from gan_zoo.plugins.cyclegan.pipeline import CycleGANPipeline
