from gan_zoo.plugins.colorize.networks import ColorizeGenerator
