"""GAN Zoo: a registry of GAN plugins that train, load and infer. Importing it loads nothing heavy."""

__version__ = "0.1.0"
