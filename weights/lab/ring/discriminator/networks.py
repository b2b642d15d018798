from gan_zoo.plugins.lab.networks import PointDiscriminator
from gan_zoo.plugins.lab.networks import PointGenerator
