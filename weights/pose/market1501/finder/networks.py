from gan_zoo.plugins.pose.networks import CoarseGenerator
from gan_zoo.plugins.pose.networks import JointFinder
from gan_zoo.plugins.pose.networks import RefiningGenerator
