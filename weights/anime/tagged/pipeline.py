from gan_zoo.plugins.anime.pipeline import AnimePipeline
