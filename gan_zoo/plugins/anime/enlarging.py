"""Training of the enlarger: pictures made small again, as softly as a generator paints, are to come back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_zoo import data, images, metrics
from gan_zoo.augment import Rand
from gan_zoo.features import FeaturePyramid
from gan_zoo.plugin import Data, Evaluation, Networks
from gan_zoo.plugins.anime.networks import AnimeGenerator, Enlarger, ProjectedDiscriminator
from gan_zoo.plugins.anime.pipeline import AnimePipeline
from gan_zoo.plugins.anime.readback import draw_labelled

CROP = 128  # of the large pictures
PROTOCOL = (
    "Pictures kept apart, 256 px, made small by averaging 4 x 4 pixels and enlarged again, against themselves: KID "
    '(EfficientNet-Lite2) x1000 and SSIM; "of bicubic" is plain bicubic enlargement.'
)


def networks(generator: AnimeGenerator, feature_size: int) -> Networks:
    """The enlarger against a projected discriminator; the generator whose pictures it will enlarge stays as it is."""
    features = FeaturePyramid(feature_size)
    critic = ProjectedDiscriminator(CROP, features.channels, features.sizes)
    generators = {"enlarger": Enlarger(), "generator": generator.requires_grad_(False)}
    return Networks(generators, {"discriminator": critic, "features": features})


def read(source: str | None, split: str, seed: int) -> Data:
    """Crops of pictures of 256 px; of drawn characters without a source."""
    if source is not None:
        pictures = data.read_pictures(source, split, 256)
    else:
        pictures, _ = draw_labelled(range(200) if split == "train" else range(200, 220), 256)
    return data.Pictures(pictures, seed, split == "train", crop=CROP)


def shrunk(pictures: Tensor, rand: Rand) -> Tensor:
    """A quarter of the sides, (B, 3, H, W) -> (B, 3, H / 4, W / 4), blurred and roughened by chance."""
    small = F.avg_pool2d(pictures, Enlarger.scale)
    soft, rough = rand(2, 1, 1, 1).unbind(1)
    blurred = F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    noise = rand(*small.shape[1:]) * 2 - 1
    return torch.lerp(small, blurred, 0.7 * soft) + 0.06 * rough * noise


def evaluate(pipeline: AnimePipeline, kept: Data, count: int) -> Evaluation:
    """What PROTOCOL says."""
    assert isinstance(kept, data.Pictures)
    real, judge, scores = kept.pictures[:count], metrics.Judge(), {}
    small = F.avg_pool2d(data.to_float(real), Enlarger.scale)
    bicubic = F.interpolate(small, scale_factor=Enlarger.scale, mode="bicubic").clamp(-1, 1)
    for name, large in (("", pipeline.enlarge(small)), ("_of_bicubic", bicubic)):
        made = images.to_uint8(large)
        scores[f"kid_x1000{name}"] = 1000 * metrics.kid(judge(made), judge.of_real(kept.pictures)[:count])
        scores[f"ssim{name}"] = float(metrics.ssim(made / 255, real / 255).mean())
    return Evaluation(scores, PROTOCOL)
