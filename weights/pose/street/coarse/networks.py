from gan_zoo.plugins.pose.networks import CoarseGenerator
from gan_zoo.plugins.pose.networks import RefiningGenerator
from gan_zoo.plugins.pose.networks import SeeingFinder
