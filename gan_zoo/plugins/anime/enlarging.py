"""Training of an enlarger: pictures made small again, as softly as a generator paints, are to come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_zoo import critics, data, images, losses, metrics
from gan_zoo.augment import Rand
from gan_zoo.config import check_settings, setting
from gan_zoo.plugin import Batch, Data, Evaluation, Fixed, Losses, Networks, Step
from gan_zoo.plugins.anime.networks import AnimeGenerator, Enlarger
from gan_zoo.plugins.anime.pipeline import AnimePipeline
from gan_zoo.plugins.anime.plugin import Anime
from gan_zoo.plugins.anime.readback import draw_characters
from gan_zoo.plugins.anime.training import Fakes, likeness, projected

CROP = 128  # of the large pictures
PROTOCOL = (
    "Pictures held out, {large} px, made small by averaging {s} x {s} pixels and enlarged again, against themselves: "
    'KID (EfficientNet-Lite2) x1000 and SSIM; "of bicubic" is plain bicubic enlargement.'
)


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of the enlarger."""

    enlarges: str = setting("anime-faces-64", "the preset, or weights, whose pictures it enlarges: its weights keep it")
    scale: Literal[2, 4] = setting(4, "times the sides")
    width: int = setting(48, "channels of the enlarger", 16, multiple=16)
    depth: int = setting(6, "residual blocks of the enlarger", 1)
    rough: float = setting(0.06, "noise, at most, on what is to be enlarged: generators leave some on flat places", 0)
    feature_size: int = setting(128, "pictures are resized to this before the frozen network", 32, multiple=32)
    loss: losses.Loss = setting("hinge", "of both sides (gan_zoo/losses.py)")
    likeness: float = setting(60.0, "weight of the distance from the large picture")
    perceptual: float = setting(6.0, "weight of the same distance in the frozen network's features")

    def __post_init__(self) -> None:
        check_settings(self)


class AnimeEnlarger(Anime, training="enlarger", known_by="enlarges"):
    """The enlarger against a projected discriminator; the generator whose pictures it will enlarge stays as it is."""

    Settings: ClassVar[type] = Settings
    settings: Settings  # pyright: ignore[reportIncompatibleVariableOverride]

    def networks(self) -> Networks:
        s = self.settings
        generator = self.load(s.enlarges).generator.requires_grad_(False)
        return Networks(
            {"enlarger": Enlarger(s.width, s.depth, s.scale), "generator": generator}, projected(CROP, s.feature_size)
        )

    def data(self, source: str | None, split: str, seed: int) -> Data:
        """Crops of pictures as large as the generator's enlarged; of drawn characters without a source."""
        large = max(CROP, self.settings.scale * self.ready(self.settings.enlarges).generator.config["resolution"])
        if source is not None:
            pictures = data.read_pictures(source, split, large)
        else:
            pictures = draw_characters(range(200) if split == "train" else range(200, 220), large)
        return data.Pictures(pictures, seed, split == "train", crop=CROP)

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        made = nets["enlarger"](shrunk(batch["image"], self.settings.scale, self.settings.rough, step.rand))
        return Fakes(real=critics.view(nets, batch["image"]), fake=critics.view(nets, made))

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        verdict = losses.d_loss(self.settings.loss, nets["discriminator"], fakes.real, fakes.fake)
        return Losses({"adversarial": verdict.loss}, verdict.metrics)

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        answer = losses.g_loss(self.settings.loss, nets["discriminator"], fakes.fake, fakes.real)
        return Losses({"adversarial": answer.loss} | likeness(self.settings, fakes))

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        pipeline = self.pipeline(nets)
        return pipeline.enlarge(pipeline(range(16)))

    def pipeline(self, nets: Networks) -> AnimePipeline:
        return AnimePipeline(cast(AnimeGenerator, nets["generator"]), cast(Enlarger, nets["enlarger"]))

    def evaluate(self, pipeline: AnimePipeline, data: Any, count: int) -> Evaluation:
        """What PROTOCOL says."""
        real, judge, scores, scale = data.pictures, metrics.Judge(), {}, self.settings.scale
        some = real[:count]
        small = F.avg_pool2d((some.float() / 127.5) - 1, scale)
        bicubic = F.interpolate(small, scale_factor=scale, mode="bicubic").clamp(-1, 1)
        for name, large in (("", pipeline.enlarge(small)), ("_of_bicubic", bicubic)):
            made = images.to_uint8(large)
            scores[f"kid_x1000{name}"] = 1000 * metrics.kid(judge(made), judge.of_real(real)[:count])
            scores[f"ssim{name}"] = float(metrics.ssim(made / 255, some / 255).mean())
        return Evaluation(scores, PROTOCOL.format(large=some.shape[-1], s=scale))

    @property
    def feature_networks(self) -> str:
        return "the discriminator looks through EfficientNet-Lite0, frozen, trained on ImageNet"


def shrunk(pictures: Tensor, scale: int, most: float, rand: Rand) -> Tensor:
    """(B, 3, H, W) -> (B, 3, H / scale, W / scale), blurred, and roughened by noise of `most` at most, by chance."""
    small = F.avg_pool2d(pictures, scale)
    soft, rough = rand(2, 1, 1, 1).unbind(1)
    blurred = F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    noise = rand(*small.shape[1:]) * 2 - 1
    return torch.lerp(small, blurred, 0.7 * soft) + most * rough * noise
