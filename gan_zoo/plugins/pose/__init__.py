"""A person, a pose, a film; and a finder of people in photos."""

from gan_zoo.plugins.pose.finding import PoseFinder
from gan_zoo.plugins.pose.photographing import PosePhotos
from gan_zoo.plugins.pose.plugin import Pose as plugin

__all__ = ["PoseFinder", "PosePhotos", "plugin"]
