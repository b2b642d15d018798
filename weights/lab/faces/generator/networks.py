from gan_zoo.plugins.lab.networks import FaceDiscriminator
from gan_zoo.plugins.lab.networks import FaceGenerator
