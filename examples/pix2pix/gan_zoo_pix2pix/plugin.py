"""Pix2pix: what it is, how it trains, what it can do. Learned from pairs: a picture, and what is to become of it.

Begun by `python -m gan_zoo new --template paired`. Give it your own pairs, `--data FOLDER` with trainA/ and trainB/ of
equal names, or a data set with the columns `image` and `target`; then change networks and losses. `python -m gan_zoo
check` says after each change whether the contract still holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_zoo import critics, data, images, losses, metrics
from gan_zoo.config import check_settings, setting
from gan_zoo.plugin import (
    Arg,
    Batch,
    Data,
    Evaluation,
    Fixed,
    ImageFile,
    Losses,
    Networks,
    Plugin,
    Step,
    Text,
    task,
)
from gan_zoo_pix2pix.networks import Pix2pixGenerator, Pix2pixPipeline

MAX_SIDE = 1024  # of a picture that is translated; larger ones are shrunk


@dataclass(frozen=True)
class Settings:
    """Hyperparameters: each is a flag of `python -m gan_zoo train pix2pix`."""

    size: int = setting(64, "pictures are scaled and cropped to this; a multiple of 2 ** depth", 16)
    width: int = setting(32, "channels of the generator at half the size", 8)
    depth: int = setting(4, "halvings of the generator", 1, 8)
    loss: losses.Loss = setting("least-squares", "of both sides (gan_zoo/losses.py)")
    l1: float = setting(100.0, "weight of the distance from the target (Isola et al. 2017, eq. 4)")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.size % 2**self.depth:
            raise ValueError(f"size: expected a multiple of {2**self.depth}, got {self.size}")


class Outlines:
    """Drawn on the fly: the outlines of a coloured disc, which are to become the disc. Sample i is a pure function of
    (seed, split, i).
    """

    def __init__(self, split: str, size: int, seed: int):
        self.key, self.size = [seed, int(split == "validation")], size

    def __len__(self) -> int:
        return 1000

    def batch(self, samples: range) -> Batch:
        """{"image": outlines, "target": discs}, (B, 3, size, size) in [-1, 1] both."""
        made = [self._sample(i % len(self)) for i in samples]
        return {name: torch.stack([sample[name] for sample in made]) for name in ("image", "target")}

    def _sample(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([*self.key, number])
        grid = torch.arange(self.size) + 0.5
        x, y = (rng.uniform(0.3, 0.7, 2) * self.size).tolist()
        radius = float(rng.uniform(0.1, 0.25)) * self.size
        distance = ((grid - x).square() + (grid[:, None] - y).square()).sqrt()
        inside = (radius - distance + 0.5).clamp(0, 1)
        line = (1.5 - (radius - distance).abs()).clamp(0, 1)
        hue = torch.tensor([radius / self.size * 4, x / self.size, y / self.size], dtype=torch.float32).view(3, 1, 1)
        return {"image": (1 - 2 * line).expand(3, -1, -1).clone(), "target": 1 - 2 * inside * (1 - hue)}


class Pix2pix(Plugin[Settings, Pix2pixPipeline]):
    slug = "pix2pix"
    title = Text("Pix2pix")
    summary = Text("Outlines become coloured discs.")
    paper = "https://arxiv.org/abs/1611.07004"
    Settings = Settings
    Pipeline = Pix2pixPipeline
    score = {"ssim": -1.0}  # the higher the better
    pipeline_tag = "image-to-image"
    example = "--image outlines.png"
    columns = 6
    caption = "Uncurated, held out: what was given, and what was made of it."

    # -- train -------------------------------------------------------------------------------------------------------

    def networks(self) -> Networks:
        s = self.settings
        return Networks(
            generators={"generator": Pix2pixGenerator(width=s.width, depth=s.depth)},
            discriminators={"discriminator": critics.PatchDiscriminator(beside=3)},
        )

    def data(self, source: str | None, split: str, seed: int) -> Data:
        if source is None:
            return Outlines(split, self.settings.size, seed)
        return data.Pairs(*data.read_pairs(source, split, self.settings.size), seed, split == "train")

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Tensor:
        return nets["generator"](batch["image"])

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Tensor, step: Step) -> Losses:
        real, fake = (batch["target"], batch["image"]), (fakes, batch["image"])
        verdict = losses.d_loss(self.settings.loss, nets["discriminator"], real, fake)
        return Losses({"adversarial": verdict.loss}, verdict.metrics)

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Tensor, step: Step) -> Losses:
        real, fake = (batch["target"], batch["image"]), (fakes, batch["image"])
        answer = losses.g_loss(self.settings.loss, nets["discriminator"], fake, real)
        return Losses({"adversarial": answer.loss, "l1": self.settings.l1 * F.l1_loss(fakes, batch["target"])})

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        given = fixed.batch["image"][:12]
        return torch.stack([given, nets["generator"](given)], dim=1).flatten(0, 1)

    def pipeline(self, nets: Networks) -> Pix2pixPipeline:
        generator = nets["generator"]
        assert isinstance(generator, Pix2pixGenerator)
        return Pix2pixPipeline(generator)

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation:
        """SSIM and L1 of what is made to what should be."""
        batch = data.batch(range(min(count, len(data))))
        made, wanted = ((x + 1) / 2 for x in (pipeline(batch["image"]), batch["target"]))
        scores = {"ssim": float(metrics.ssim(made, wanted).mean()), "l1": float((made - wanted).abs().mean())}
        return Evaluation(scores, f"{len(made)} pairs held out; SSIM and mean distance in [0, 1] to the target.")

    # -- infer -------------------------------------------------------------------------------------------------------

    @task(Text("Translate"), Text("A picture of any size becomes another."))
    def translate(
        self, pipeline: Pix2pixPipeline, *, image: Annotated[ImageFile, Arg(Text("Picture", "Imagen"))]
    ) -> Image.Image:
        picture = images.at_most(images.read_image(image), MAX_SIDE)
        return images.to_images(pipeline(images.to_tensor(picture)))[0]
