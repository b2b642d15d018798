from gan_zoo.plugins.pose.pipeline import PosePipeline
