"""How it learns: a guided generator against a projected discriminator, or plain pix2pix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_zoo import critics, data, images, losses, metrics
from gan_zoo.augment import diff_augment_together, policies
from gan_zoo.config import check_settings, setting
from gan_zoo.features import FeaturePyramid
from gan_zoo.plugin import Batch, Data, Evaluation, Fixed, Losses, Networks, Plugin, Step
from gan_zoo.plugins.colorize.colours import Hint, ciede2000, hint_map, palette, to_lab
from gan_zoo.plugins.colorize.drawn import draw_character
from gan_zoo.plugins.colorize.lines import clean, draw, line_art, on_paper
from gan_zoo.plugins.colorize.networks import ColorizeGenerator
from gan_zoo.plugins.colorize.pipeline import MULTIPLE, ColorizePipeline

CONDITION = 5  # channels of what D is told: lines, and hints with where they are


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of the colouring GAN.

    The plain configuration, close to pix2pix as published: model = "pix2pix", loss = "least-squares", l1 = 100,
    channels = (64, 128, 256, 512, 512, 512), strangers = 0, augment = "".
    """

    model: Literal["guided", "pix2pix"] = setting("guided", "'pix2pix' is the plain configuration")
    resolution: int = setting(256, "of the pictures, in pixels", MULTIPLE, multiple=MULTIPLE)
    channels: tuple[int, ...] = setting((64, 96, 160, 224), "of the generator, at 1/4 ... 1/32; pix2pix: from 1/2")
    feature_size: int = setting(256, "pictures are resized to this before the frozen network", 32, multiple=32)
    augment: str = setting("translation,cutout", "of what the discriminator sees")
    loss: losses.Loss = setting("hinge", "of both sides (gan_zoo/losses.py)")
    l1: float = setting(10.0, "weight of the L1 distance; pix2pix: 100, with least-squares")
    feature: float = setting(2.0, "weight of the distance in the frozen network's features")
    near_hints: float = setting(2.0, "what the L1 distance within some 8 pixels of a hint counts beside the rest's 1")
    strangers: float = setting(0.25, "share of drawings that are given another picture's palette", 0, 0.99)
    drawn: int = setting(4000, "characters of the built-in data", 20)

    def __post_init__(self) -> None:
        check_settings(self)
        if not (len(self.channels) == 4 or (self.model == "pix2pix" and 2 <= len(self.channels) <= 6)):
            raise ValueError(f"channels: expected 4 widths (pix2pix: 2 to 6), got {self.channels}")
        policies(self.augment)


class Drawings:
    """Colour pictures with line art and hints made from them, all settled by the sample's number."""

    def __init__(self, pictures: Tensor | None, rows: range | list[int], size: int, seed: int, training: bool):
        self.pictures = pictures  # (N, 3, size, size) uint8; None: built-in characters, whose numbers are `rows`
        self.rows, self.size, self.seed, self.training = rows, size, seed, training

    def __len__(self) -> int:
        return len(self.rows)

    def picture(self, row: int) -> tuple[Tensor, Tensor | None]:
        """(3, H, W) in [0, 1], and its own lines (1, H, W) if it was drawn with some."""
        if self.pictures is not None:
            return self.pictures[row].float() / 255, None
        return draw_character(self.rows[row], self.size)

    @cached_property
    def all(self) -> Tensor:
        """Every picture, uint8 (N, 3, H, W)."""
        if self.pictures is not None:
            return self.pictures
        drawn = (self.picture(row)[0] for row in range(len(self)))
        return torch.stack([(picture * 255).round().to(torch.uint8) for picture in drawn])

    def batch(self, samples: range) -> Batch:
        numbers = torch.arange(samples.start, samples.stop)
        rows = data.sample_rows(numbers, len(self), self.seed) if self.training else numbers % len(self)
        made = [self._sample(int(number), int(row)) for number, row in zip(numbers, rows)]
        batch = {name: torch.stack([sample[name] for sample in made]) for name in made[0]}
        return batch | {"palette": palette(batch["image"])}

    def _sample(self, number: int, row: int) -> Batch:
        rng = np.random.default_rng([self.seed, int(self.training), number])
        picture, own = self.picture(row)
        if self.training:
            seen = _moved(picture if own is None else torch.cat([picture, own]), rng)
            picture, own = seen[:3], None if own is None else seen[3:]
        lines = draw(picture, rng) if own is None or rng.random() < 0.3 else on_paper(own, rng)
        return {"image": picture * 2 - 1, "lines": lines, "hints": _some_hints(picture, lines, rng)}


def _moved(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """A mirrored or slightly enlarged part of a picture (C, H, W), at its size."""
    size = picture.shape[1]
    if rng.random() < 0.5:
        picture = picture.flip(2)
    if rng.random() < 0.5:
        part = int(rng.uniform(0.8, 1.0) * size)
        top, left = rng.integers(0, size - part + 1, 2)
        part = picture[None, :, top : top + part, left : left + part]
        picture = F.interpolate(part, (size, size), mode="bilinear", align_corners=False)[0]
    return picture.contiguous()


def _some_hints(picture: Tensor, lines: Tensor, rng: np.random.Generator) -> Tensor:
    """None to 30 dots in colours of the picture (3, H, W) -> (4, H, W)."""
    height, width = picture.shape[1:]
    count = 0 if rng.random() < 0.35 else int(31 ** rng.random())
    hints = take_hints(picture, lines, count, rng)
    return hint_map(hints, height, width, rng.uniform(1.5, 5.0, len(hints)).tolist())


def take_hints(picture: Tensor, lines: Tensor, count: int, rng: np.random.Generator) -> list[Hint]:
    """`count` hints from random places of a picture (3, H, W) in [0, 1], where possible beside the lines.

    Each has the median colour of 5 x 5 pixels.
    """
    height, width = picture.shape[1:]
    hints = []
    for _ in range(count):
        for _ in range(4):
            y, x = int(rng.integers(2, height - 2)), int(rng.integers(2, width - 2))
            if float(lines[0, y, x]) > 0.6:
                break
        r, g, b = (picture[:, y - 2 : y + 3, x - 2 : x + 3].flatten(1).median(1).values * 255).round().tolist()
        hints.append(Hint(x, y, (int(r), int(g), int(b))))
    return hints


PROTOCOL = (
    "Pictures held out become line art by `extract`, are painted without hints, seed 0, and compared with those "
    "pictures. hints_ciede2000: the same drawings with 8 random hints, each the median colour of 5 x 5 "
    "pixels; mean CIEDE2000 between a hint and the painted pixels 4 to 8 pixels away whose original colour lies within "
    "10 of it."
)


def disobedience(painted: Tensor, original: Tensor, hints: list[Hint]) -> list[float]:
    """For each hint with a region around it the mean CIEDE2000, as PROTOCOL says; pictures (3, H, W) in [0, 1]."""
    rows, columns = (torch.arange(side) for side in painted.shape[1:])
    distances = []
    for x, y, color in hints:
        away = ((rows[:, None] - y).square() + (columns - x).square()).sqrt()
        ring = (away >= 4) & (away <= 8)
        wanted = to_lab(torch.tensor(color) / 255)
        region = ciede2000(to_lab(original[:, ring].T), wanted) <= 10
        if region.any():
            distances.append(float(ciede2000(to_lab(painted[:, ring].T[region]), wanted).mean()))
    return distances


class Fakes(NamedTuple):
    """Painted pictures, which of them had their own palette, (B, 1); and what D is shown, as its arguments."""

    painted: Tensor
    own: Tensor
    fake: tuple[Any, ...]
    real: tuple[Any, ...]


class ColorizeTraining(Plugin[Settings, ColorizePipeline]):
    """Drawings made of colour pictures are to become those pictures again."""

    Settings: ClassVar[type] = Settings
    Pipeline: ClassVar[type] = ColorizePipeline

    def networks(self) -> Networks:
        s = self.settings
        if s.model == "pix2pix":
            discriminator = critics.PatchDiscriminator(width=s.channels[0], beside=CONDITION, norm="batch")
            return Networks({"generator": ColorizeGenerator("unet", s.channels)}, {"discriminator": discriminator})
        features = FeaturePyramid(s.feature_size)
        sides = (s.resolution // 4, *features.sizes)
        discriminator = critics.ProjectedDiscriminator(
            feature_channels=features.channels, sides=sides, widths=(32, 64, 96, 128), head_width=64,
            places=s.feature_size // 32, beside=1, told=CONDITION,
        )  # fmt: skip
        nets = {"discriminator": discriminator, "features": features}
        return Networks({"generator": ColorizeGenerator("guided", s.channels)}, nets)

    def data(self, source: str | None, split: str, seed: int) -> Data:
        s, training = self.settings, split == "train"
        if source is None:
            return Drawings(None, data.rows_of(split, s.drawn), s.resolution, seed, training)
        pictures = data.read_pictures(source, split, s.resolution)
        return Drawings(pictures, range(len(pictures)), s.resolution, seed, training)

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        """Paints the batch; real and fake are augmented alike and pass the frozen network once, for both halves.

        Some drawings get the palette of a stranger: then no picture is the right one, and only D and the hints judge.
        """
        s, generator = self.settings, nets["generator"]
        memory: Any = getattr(generator, "module", generator)  # behind the wrapper of data parallelism
        if memory.training:
            memory.keep(batch["palette"])
        own = step.rand(1) >= s.strangers  # (B, 1)
        palettes = torch.where(own, batch["palette"], batch["palette"].roll(1, 0))
        painted = generator(batch["lines"], batch["hints"], palettes).under(batch["lines"])
        condition = torch.cat([batch["lines"] * 2 - 1, batch["hints"]], dim=1)
        pictures = (painted, batch["image"], condition)
        fake, real, condition = diff_augment_together(pictures, s.augment, step.rand)
        beside = (condition,) if s.model == "pix2pix" else (condition[:, :1], condition)
        fakes = critics.view(nets, fake, *beside), critics.view(nets, real, *beside, graph=False)
        return Fakes(painted, own, *fakes)

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        verdict = losses.d_loss(self.settings.loss, nets["discriminator"], fakes.real, fakes.fake)
        return Losses({"adversarial": verdict.loss}, verdict.metrics)

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s = self.settings
        own = fakes.own.float()[:, :, None, None]
        near = F.max_pool2d(F.max_pool2d(batch["hints"][:, 3:], 4), 5, 1, 2)  # within some 8 pixels of a dot
        near = F.interpolate(near, scale_factor=4, mode="nearest")
        apart = (fakes.painted - batch["image"]).abs() * (own + s.near_hints * near)
        terms = {
            "adversarial": losses.g_loss(s.loss, nets["discriminator"], fakes.fake, fakes.real).loss,
            "l1": s.l1 * apart.mean(),
        }
        if s.model == "guided":
            terms["feature"] = s.feature * losses.feature_distance(fakes.fake[1], fakes.real[1], own)
        return Losses(terms)

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        """Of 12 pictures held out: their lines with hints, painted without the hints, and with them.

        No original is among them: these grids go into cards.
        """
        generator = nets["generator"]
        assert isinstance(generator, ColorizeGenerator)
        batch = {name: tensor[:12] for name, tensor in fixed.batch.items()}
        lines, hints = batch["lines"], batch["hints"]
        strangers = generator.choose(fixed.step.rand()[: len(lines)])
        plain = generator(lines, torch.zeros_like(hints), strangers).under(lines)
        hinted = generator(lines, hints, batch["palette"]).under(lines)
        dotted = torch.where(hints[:, 3:] > 0, hints[:, :3], lines.expand(-1, 3, -1, -1) * 2 - 1)
        return torch.stack([dotted, plain, hinted], dim=1).flatten(0, 1).clamp(-1, 1)

    def pipeline(self, nets: Networks) -> ColorizePipeline:
        generator = nets["generator"]
        assert isinstance(generator, ColorizeGenerator)
        return ColorizePipeline(generator)

    def evaluate(self, pipeline: ColorizePipeline, data: Drawings, count: int) -> Evaluation:
        """KID of drawings painted without hints, and how well hints are obeyed, on pictures held out."""
        count, judge = min(count, len(data)), metrics.Judge()
        real = data.all[:count]
        painted, distances = [], []
        for row in range(count):
            picture = real[row].float() / 255
            lines = clean(line_art(picture))
            painted.append(images.to_uint8(pipeline(lines)))
            hints = take_hints(picture, lines, 8, np.random.default_rng([row]))
            distances += disobedience(images.to_uint8(pipeline(lines, hints))[0].float() / 255, picture, hints)
        fake = torch.cat(painted)
        scores = metrics.score_images(fake, real, judge(fake), judge.of_real(data.all)[:count])
        scores["hints_ciede2000"] = sum(distances) / max(1, len(distances))
        return Evaluation(scores, f"{metrics.PROTOCOL} {PROTOCOL}")

    def check_evaluation(self) -> None:
        metrics.Judge()

    @property
    def feature_networks(self) -> str:
        if self.settings.model != "guided":
            return ""
        return "the discriminator and one loss look through EfficientNet-Lite0, frozen, trained on ImageNet"
