"""A person, a pose, a film."""

from gan_zoo.plugins.pose.plugin import Pose as plugin

__all__ = ["plugin"]
