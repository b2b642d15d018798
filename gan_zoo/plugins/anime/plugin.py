"""Anime characters from noise: a style-based generator against a projected discriminator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_zoo import data, hub, images, losses, metrics, trainer
from gan_zoo.augment import diff_augment, policies
from gan_zoo.data import to_float
from gan_zoo.features import FeaturePyramid
from gan_zoo.plugin import (
    MAX_SEED,
    Arg,
    Batch,
    Data,
    Evaluation,
    Fakes,
    Film,
    Fixed,
    Losses,
    Networks,
    Plugin,
    Preset,
    Seed,
    Step,
    Text,
    task,
)
from gan_zoo.plugins.anime.drawn import draw_character
from gan_zoo.plugins.anime.networks import AnimeGenerator, ProjectedDiscriminator, ResidualDiscriminator
from gan_zoo.plugins.anime.pipeline import AnimePipeline

Truncation = Annotated[
    float,
    Arg(
        Text("Truncation", "Truncamiento"),
        info=Text("1: all the variety learned. Lower: tidier, more alike.", "1: toda la variedad. Menos: más pulcro."),
        minimum=0.0,
        maximum=1.2,
        step=0.05,
    ),
]
SeedA = Annotated[int, Arg(Text("From seed", "De la semilla"), minimum=0, maximum=MAX_SEED, component="Number")]
SeedB = Annotated[int, Arg(Text("To seed", "A la semilla"), minimum=0, maximum=MAX_SEED, component="Number")]


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of the anime GAN; docs/decisions.md has the measurements behind the defaults."""

    resolution: int = 64
    latent_dim: int = 128
    channels: tuple[int, ...] = (256, 256, 128, 64, 32)  # of the generator, from 4 x 4 up
    discriminator: str = "projected"  # or "residual", which needs no pretrained network
    feature_size: int = 96  # pictures are resized to this before the frozen network
    augment: str = "translation,cutout"  # no colour: characters differ by theirs
    loss: str = "hinge"
    r1: float = 1.0  # weight of the R1 penalty; the projected discriminator goes without
    r1_every: int = 16
    drawn: int = 2000  # characters of the built-in data

    def __post_init__(self) -> None:
        if self.discriminator not in ("projected", "residual"):
            raise ValueError(f"discriminator: expected projected or residual, got {self.discriminator!r}")
        if self.resolution != 4 * 2 ** (len(self.channels) - 1):
            raise ValueError(
                f"resolution {self.resolution} does not fit {len(self.channels)} channel widths, which end at "
                f"{4 * 2 ** (len(self.channels) - 1)} px"
            )
        if self.feature_size % 32 or self.feature_size < 32:
            raise ValueError(f"feature_size: expected a multiple of 32, got {self.feature_size}")
        if self.r1_every < 1 or self.drawn < 20:
            raise ValueError(f"expected r1_every >= 1 and drawn >= 20, got {self.r1_every} and {self.drawn}")
        policies(self.augment)
        losses.adversarial(self.loss)


class Faces:
    """Square pictures held in memory as uint8, flipped at random; samples are numbered over seeded epochs."""

    def __init__(self, pictures: Tensor, training: Tensor, seed: int, flip: bool):
        self.pictures = pictures  # (N, 3, H, W) uint8: this split
        self.training = training  # the training split, against which copies are looked for
        self.seed, self.flip = seed, flip
        self.features: Tensor | None = None  # the judge's, of `pictures`: computed once a run

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, samples: range) -> Batch:
        numbers = torch.arange(samples.start, samples.stop)
        pictures = self.pictures[data.sample_rows(numbers, len(self), self.seed)]
        if self.flip:
            pictures = data.flip(pictures, data.sample_flips(numbers, self.seed))
        return {"image": to_float(pictures)}


@lru_cache(maxsize=2)  # both splits of a run look at the training pictures
def read_pictures(source: str | None, split: str, size: int, drawn: int) -> Tensor:
    """A split as uint8 (N, 3, size, size): of a data set, or of `drawn` built-in characters where `source` is None."""
    if source is not None:
        return data.images_to_tensor(data.load(source, split=split), size)
    rows = [row for row in range(drawn) if (row % 10 == 9) == (split == "validation")]
    return torch.stack([torch.from_numpy(np.array(draw_character(row, size))) for row in rows]).permute(0, 3, 1, 2)


class Copies(NamedTuple):
    """How near generated pictures come to training pictures, and the nearest of the generated ones."""

    pictures: Image.Image
    scores: dict[str, float]
    protocol: str = (
        "Nearest training picture: root mean square distance over pixels at 32 px, in [0, 1], mirrored pictures "
        'included; "of real" is the same for real pictures kept apart, which are no copies.'
    )


def nearest_training_pictures(fake: Tensor, faces: Faces, size: int = 32) -> Copies:
    """Searches generated pictures, uint8 (N, 3, H, W), for copies of training pictures, as `Copies.protocol` says."""

    def small(pictures: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(pictures.float() / 255, size).flatten(1)

    training = torch.cat([small(faces.training), small(faces.training.flip(3))])

    def distances(pictures: Tensor) -> Tensor:  # (N,)
        return (
            torch.cat([torch.cdist(x, training).amin(1) for x in small(pictures).split(256)]) / training.shape[1] ** 0.5
        )

    made, kept_apart = distances(fake), distances(faces.pictures)
    return Copies(
        _grid(fake[made.argsort()[:16]]),
        {
            "nearest_training_min": float(made.min()),
            "nearest_training_median": float(made.median()),
            "nearest_training_min_of_real": float(kept_apart.min()),
            "nearest_training_median_of_real": float(kept_apart.median()),
        },
    )


def _grid(pictures: Tensor) -> Image.Image:
    return images.grid(images.to_images(to_float(pictures)), columns=8)


class Anime(Plugin):
    slug: ClassVar[str] = "anime"
    title: ClassVar[Text] = Text("Anime", "Anime")
    summary: ClassVar[Text] = Text(
        "Characters that nobody drew: every seed is a new face.",
        "Personajes que nadie dibujó: cada semilla es una cara nueva.",
    )
    paper: ClassVar[str] = "https://arxiv.org/abs/2111.01007"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            name="anime-faces-64",
            title=Text("Anime faces, 64 px", "Caras de anime, 64 px"),
            licence="research",
            data=Text(
                "20,968 anime character faces of 64 x 64 pixels, collected from the web without a licence: "
                "research and teaching only.",
                "20 968 caras de personajes de anime de 64 x 64 píxeles, reunidas de la web sin licencia: "
                "solo para investigación y enseñanza.",
            ),
        ),
    )
    Settings: ClassVar[type] = Settings
    settings: Settings

    # -- train -------------------------------------------------------------------------------------------------------

    def train(self, **options: Any) -> Path:
        return trainer.train(self, **options)

    def networks(self) -> Networks:
        s = self.settings
        generator = AnimeGenerator(s.resolution, s.latent_dim, s.channels)
        if s.discriminator == "residual":
            return Networks({"generator": generator}, {"discriminator": ResidualDiscriminator(s.resolution)})
        features = FeaturePyramid(s.feature_size)
        sizes = tuple(s.feature_size // stride for stride in (4, 8, 16, 32))
        discriminator = ProjectedDiscriminator(s.resolution, features.channels, sizes)
        return Networks({"generator": generator}, {"discriminator": discriminator, "features": features})

    def data(self, source: str | None, split: str, seed: int) -> Data:
        s = self.settings
        pictures = {name: read_pictures(source, name, s.resolution, s.drawn) for name in {split, "train"}}
        return Faces(pictures[split], pictures["train"], seed, flip=split == "train")

    def _look(self, nets: Networks, pictures: Tensor, step: Step) -> Any:
        """What D sees of pictures: augmented, and for the projected D through the frozen network."""
        pictures = diff_augment(pictures, self.settings.augment, step.rand)
        return (pictures, nets["features"](pictures)) if self.settings.discriminator == "projected" else (pictures,)

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        z = step.randn(self.settings.latent_dim)
        return self._look(nets, nets["generator"](z), step)  # the frozen network sees each fake once, for both halves

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s, adversarial = self.settings, losses.adversarial(self.settings.loss)
        penalise = s.discriminator == "residual" and s.r1 > 0 and step.index % s.r1_every == 0
        real = self._look(nets, batch["image"], step)
        if penalise:
            real[0].requires_grad_(True)
        real_logits, fake_logits = nets["discriminator"](*real), nets["discriminator"](*fakes)
        terms = {"adversarial": adversarial.discriminator(real_logits, fake_logits)}
        if penalise:
            terms["r1"] = s.r1 * s.r1_every * losses.gradient_penalty(real_logits, real[0])
        return Losses(terms, adversarial.metrics(real_logits, fake_logits))

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        adversarial = losses.adversarial(self.settings.loss)
        real_logits = None
        if adversarial.needs_real:
            with torch.no_grad():
                real_logits = nets["discriminator"](*self._look(nets, batch["image"], step))
        return Losses({"adversarial": adversarial.generator(nets["discriminator"](*fakes), real_logits)})

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        return nets["generator"](fixed.step.randn(self.settings.latent_dim)).clamp(-1, 1)

    def pipeline(self, nets: Networks) -> AnimePipeline:
        generator = nets["generator"]
        assert isinstance(generator, AnimeGenerator)
        generator.measure_mean()
        return AnimePipeline(generator)

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation:
        """KID and its companions of seeds 0 .. count - 1 against pictures kept apart, and a search for copies."""
        assert isinstance(data, Faces)
        fake, judge = images.to_uint8(pipeline(range(count))), metrics.Judge()
        fake_features = judge(fake)
        if data.features is None:
            data.features = judge(data.pictures)
        scores = metrics.score_images(fake, data.pictures, fake_features, data.features)
        copies = nearest_training_pictures(fake, data)
        _, strangeness = metrics.nearest_neighbours(fake_features, data.features)
        strangest = strangeness[:, 0].argsort(descending=True)[:16]
        pictures = {
            "Failures: the 16 farthest from any real picture, by the judge's features.": _grid(fake[strangest]),
            "The 16 that come nearest to a training picture.": copies.pictures,
        }
        protocol = f"{metrics.PROTOCOL} Seeds from 0, truncation 1, against real pictures kept apart. {copies.protocol}"
        return Evaluation(scores | copies.scores, protocol, pictures)

    def check_evaluation(self) -> None:
        metrics.Judge()

    @property
    def feature_networks(self) -> str:
        if self.settings.discriminator != "projected":
            return ""
        return "the discriminator looks through EfficientNet-Lite0, frozen, trained on ImageNet"

    # -- load and infer ----------------------------------------------------------------------------------------------

    def load(self, preset: str | None = None, **options: Any) -> AnimePipeline:
        return hub.load_preset(self, AnimePipeline, preset, **options)

    @task(
        Text("New faces", "Caras nuevas"),
        Text(
            "Picture i comes from seed + i: the same seed, the same face.",
            "La imagen i sale de la semilla + i: la misma semilla, la misma cara.",
        ),
        name="generate",
    )
    def generate_task(
        self,
        pipeline: AnimePipeline,
        *,
        seed: Seed = 0,
        count: Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=1, maximum=64, cli_maximum=100_000)] = 16,
        truncation: Truncation = 1.0,
    ) -> list[Image.Image]:
        return images.to_images(pipeline([(seed + i) % (MAX_SEED + 1) for i in range(count)], truncation))

    @task(
        Text("From one face to another", "De una cara a otra"),
        Text(
            "A film from the face of one seed to the face of another, and back.",
            "Una película de la cara de una semilla a la de otra, y vuelta.",
        ),
    )
    def interpolate(
        self,
        pipeline: AnimePipeline,
        *,
        seed_a: SeedA = 0,
        seed_b: SeedB = 1,
        frames: Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=2, maximum=60, cli_maximum=600)] = 24,
        truncation: Truncation = 1.0,
    ) -> Film:
        start, end = pipeline.latents([seed_a, seed_b], truncation)
        there = torch.linspace(0, 1, frames, device=start.device)[:, None, None, None]
        there = (1 - torch.cos(torch.pi * there)) / 2  # begins and ends at rest
        pictures = images.to_images(pipeline.decode(start + there.to(start.dtype) * (end - start)))
        return Film(pictures + pictures[-2:0:-1], fps=24)
