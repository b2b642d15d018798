from gan_zoo.plugins.colorize.pipeline import ColorizePipeline
