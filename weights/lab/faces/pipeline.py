from gan_zoo.plugins.lab.networks import LabPipeline
