"""How it learns: real faces, or drawn characters to order, against a projected discriminator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_zoo import critics, data, images, losses, metrics
from gan_zoo.augment import diff_augment, diff_augment_together, policies
from gan_zoo.config import check_settings, setting
from gan_zoo.data import to_float
from gan_zoo.features import FeaturePyramid
from gan_zoo.labels import Vocabulary
from gan_zoo.plugin import Batch, Data, Evaluation, Fixed, Losses, Networks, Plugin, Step
from gan_zoo.plugins.anime import attributes, readback
from gan_zoo.plugins.anime.networks import AnimeGenerator, ResidualDiscriminator
from gan_zoo.plugins.anime.pipeline import AnimePipeline
from gan_zoo.plugins.anime.readback import draw_characters
from gan_zoo.plugins.anime.telling import codes_of

MOST_REAL = 10_000  # pictures held out that a score looks at, of a set too large for memory


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of the anime GAN; docs/decisions.md has the measurements behind the defaults."""

    resolution: int = setting(64, "of the pictures, in pixels: 4, doubled for each of `channels` after the first", 4)
    latent_dim: int = setting(128, "numbers of noise", 1)
    channels: tuple[int, ...] = setting((256, 256, 128, 64, 32), "of the generator, from 4 x 4 up")
    discriminator: Literal["projected", "residual"] = setting("projected", "'residual' needs no pretrained network")
    feature_size: int = setting(96, "pictures are resized to this before the frozen network", 32, multiple=32)
    augment: str = setting("translation,cutout", "no colour: characters differ by theirs")
    loss: losses.Loss = setting("hinge", "of both sides (gan_zoo/losses.py)")
    r1: float = setting(1.0, "weight of the R1 penalty; the projected discriminator goes without")
    r1_every: int = setting(16, "steps of D between two penalties, which weigh as much more (StyleGAN2's lazy R1)", 1)
    drawn: int = setting(2000, "characters of the built-in data", 20)
    told: int = setting(0, "numbers of the noise that tell real pictures, which half of all fakes are compared with", 0)
    likeness: float = setting(2.0, "weight of the distance from the picture told, of its pixels")
    perceptual: float = setting(2.0, "weight of the same distance in the frozen network's features")
    reading: float = setting(0.3, "weight of the labels read off the pictures, for both sides, where there are labels")

    def __post_init__(self) -> None:
        check_settings(self)
        start, rest = divmod(self.resolution, 2 ** (len(self.channels) - 1))
        if rest or not 4 <= start < 8:
            raise ValueError(
                f"resolution {self.resolution} does not fit {len(self.channels)} channel widths: expected 4 to 7 "
                f"times {2 ** (len(self.channels) - 1)} px"
            )
        policies(self.augment)
        if self.told > self.latent_dim:
            raise ValueError(f"told {self.told}: expected at most latent_dim, {self.latent_dim}")
        if self.told and (self.discriminator != "projected" or not self.likeness + self.perceptual > 0):
            raise ValueError("told: expected discriminator projected, and a weight: likeness, perceptual, or both")


class Faces(data.Pictures):
    """Square faces, their labels (N, L) and codes (2, N, told), mirrored ones second, if any; and the training split's,
    among which copies are looked for.
    """

    def __init__(
        self, pictures: Any, training_pictures: Any, seed: int, training: bool, labels: Tensor | None = None,
        codes: Tensor | None = None,
    ):  # fmt: skip
        super().__init__(pictures, seed, training)
        self.training_pictures, self.labels, self.codes = training_pictures, labels, codes

    def batch(self, samples: range) -> Batch:
        found = super().batch(samples)
        if self.labels is not None:
            found["labels"] = self.labels[self.rows(samples)]
        if self.codes is not None:
            found["codes"] = self.codes[self.mirrored(samples).long(), self.rows(samples)]
        return found

    @cached_property
    def all(self) -> tuple[Tensor, Tensor | None]:
        """The first MOST_REAL pictures, uint8 (N, 3, H, W), and their labels."""
        some = self.pictures if isinstance(self.pictures, Tensor) else self.pictures[:MOST_REAL]
        return some, None if self.labels is None else self.labels[: len(some)]


class Characters:
    """The built-in data: of `drawn` characters every tenth is held out. Each is drawn once, when asked for.

    vocabulary: of the labels that they are given, a part of BUILT_IN; all of it if empty.
    """

    def __init__(
        self, split: str, size: int, drawn: int, seed: int, vocabulary: Vocabulary
    ):  # fmt: skip
        self.seeds = torch.tensor(data.rows_of(split, drawn))
        self.size, self.seed, self.vocabulary = size, seed, vocabulary

    def __len__(self) -> int:
        return len(self.seeds)

    def batch(self, samples: range) -> Batch:
        rows = data.sample_rows(torch.arange(samples.start, samples.stop), len(self), self.seed)
        seeds = self.seeds[rows].tolist()
        pictures, labels = self.labelled(seeds)
        details = torch.tensor([list(attributes.draw_details(seed).values()) for seed in seeds])
        return {"image": to_float(pictures), "labels": labels, "details": details}

    @cached_property
    def all(self) -> tuple[Tensor, Tensor]:
        """Every picture, uint8 (N, 3, H, W), and its labels (N, L)."""
        return self.labelled(self.seeds.tolist())

    def labelled(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        known = self.vocabulary if self.vocabulary.size else attributes.BUILT_IN
        labels = torch.stack([known.numbers(attributes.BUILT_IN.draw(seed)) for seed in seeds])
        return draw_characters(seeds, self.size), labels


class Fakes(NamedTuple):
    """What D is shown, as its arguments: augmented, and through the frozen network where it looks through one."""

    fake: tuple[Any, ...]
    real: tuple[Any, ...]


class AnimeTraining(Plugin[Settings, AnimePipeline]):
    """Noise against faces; noise and labels, where there is a vocabulary of them."""

    Settings: ClassVar[type] = Settings
    Pipeline: ClassVar[type] = AnimePipeline

    @property
    def vocabulary(self) -> Vocabulary:
        """Of the labels that the generator is given."""
        return Vocabulary({})

    def networks(self) -> Networks:
        s, labels = self.settings, self.vocabulary.size
        generator = self.generator()
        if s.discriminator == "residual":
            return Networks({"generator": generator}, {"discriminator": ResidualDiscriminator(s.resolution)})
        return Networks({"generator": generator}, projected(s.resolution, s.feature_size, labels))

    def generator(self, **options: Any) -> AnimeGenerator:
        s = self.settings
        return AnimeGenerator(resolution=s.resolution, latent_dim=s.latent_dim, channels=s.channels, **options)

    def data(self, source: str | None, split: str, seed: int) -> Data:
        s = self.settings
        if source is None:
            if s.told:
                raise ValueError("told: expected data, got none; the built-in characters are told by their attributes")
            return Characters(split, s.resolution, s.drawn, seed, self.vocabulary)
        pictures = {name: data.read_pictures(source, name, s.resolution) for name in {split, "train"}}
        codes = codes_of(pictures[split], s.told) if s.told and split == "train" else None
        return Faces(pictures[split], pictures["train"], seed, split == "train", self.labels(source, split), codes)

    def labels(self, source: str, split: str) -> Tensor | None:
        """Of the rows of a split, (N, L), as places in the vocabulary; None where there is none."""
        return None

    def wishes(self, batch: Batch) -> Tensor | None:
        """y (B, vocabulary.size) of a batch; a real and a fake picture of one row have the same."""
        return self.vocabulary.one_hot(batch["labels"]) if self.vocabulary.size else None

    def noise(self, batch: Batch, step: Step) -> Tensor:
        """z (B, latent_dim). Of every second picture it tells the real one, where there are codes."""
        z = step.randn(self.settings.latent_dim)
        if "codes" in batch:
            z[_of_half(step), : batch["codes"].shape[1]] = batch["codes"][_of_half(step)]
        return z

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        made, policy = nets["generator"](self.noise(batch, step), y=self.wishes(batch)), self.settings.augment
        if "codes" in batch:  # what is compared stays comparable
            real, fake = diff_augment_together([batch["image"], made], policy, step.rand)
        else:
            real, fake = (diff_augment(pictures, policy, step.rand) for pictures in (batch["image"], made))
        return Fakes(real=critics.view(nets, real), fake=critics.view(nets, fake))

    def critic(self, nets: Networks, batch: Batch) -> losses.Critic:
        """D: its logits (B, heads), and with labels those that it reads, (B, vocabulary.size)."""
        y = self.wishes(batch)
        return nets["discriminator"] if y is None else partial(nets["discriminator"], y=y)

    def reading(self, answer: Any, batch: Batch) -> dict[str, Tensor]:
        """The term by which D learns to read labels and G to write them, if there are any."""
        if not self.vocabulary.size:
            return {}
        return {"reading": self.settings.reading * self.vocabulary.cross_entropy(answer[1], batch["labels"])}

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s, (fake, real) = self.settings, fakes
        penalise = s.discriminator == "residual" and s.r1 > 0 and step.index % s.r1_every == 0
        if penalise:
            real = (real[0].detach().requires_grad_(True),)
        verdict = losses.d_loss(s.loss, self.critic(nets, batch), real, fake)
        terms = {"adversarial": verdict.loss} | self.reading(verdict.real, batch)
        if penalise:
            terms["r1"] = s.r1 * s.r1_every * losses.gradient_penalty(verdict.real, real[0])
        return Losses(terms, verdict.metrics)

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        answer = losses.g_loss(self.settings.loss, self.critic(nets, batch), fakes.fake, fakes.real)
        terms = {"adversarial": answer.loss} | self.reading(answer.fake, batch)
        return Losses(terms | (likeness(self.settings, fakes, _of_half(step)) if "codes" in batch else {}))

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        return nets["generator"](self.noise(fixed.batch, fixed.step), y=self.wishes(fixed.batch)).clamp(-1, 1)

    def pipeline(self, nets: Networks) -> AnimePipeline:
        generator = nets["generator"]
        assert isinstance(generator, AnimeGenerator)
        generator.measure_mean()
        return AnimePipeline(generator, None)

    def evaluate(self, pipeline: AnimePipeline, data: Faces | Characters, count: int) -> Evaluation:
        """KID and its companions of seeds 0 .. count - 1 against pictures held out.

        Against real pictures also a search for copies; where there are labels, those that are read back.
        """
        fake, judge = images.to_uint8(pipeline(range(count))), metrics.Judge()
        real, labels = data.all
        fake_features, real_features = judge(fake), judge.of_real(real)
        scores = metrics.score_images(fake, real, fake_features, real_features)
        _, strangeness = metrics.nearest_neighbours(fake_features, real_features)
        strangest = strangeness[:, 0].argsort(descending=True)[:16]
        pictures = {"Failures: the 16 farthest from any real picture, by the judge's features.": _grid(fake[strangest])}
        protocol = f"{metrics.PROTOCOL} Seeds from 0, truncation 1, against pictures held out."
        if isinstance(data, Faces):
            nearness, nearest = metrics.copies(fake, real, data.training_pictures)
            scores |= nearness
            protocol += f" {metrics.COPIES_PROTOCOL}"
            pictures["The 16 that come nearest to a training picture."] = _grid(fake[nearest[:16]])
        if labels is not None and (judged := self.judge_of_labels()) is not None:
            reader, taught = judged
            scores |= readback.scores(reader, fake, self.vocabulary.drawn(range(count)), real, labels)
            protocol += f" {readback.PROTOCOL.format(taught=taught)}"
        return Evaluation(scores, protocol, pictures)

    def judge_of_labels(self) -> tuple[readback.Reader, str] | None:
        """What reads the labels back, and what it was taught on; None where nobody orders by them."""
        return None

    def check_evaluation(self) -> None:
        metrics.Judge()

    @property
    def feature_networks(self) -> str:
        if self.settings.discriminator != "projected":
            return ""
        return "the discriminator looks through EfficientNet-Lite0, frozen, trained on ImageNet"


def projected(resolution: int, feature_size: int, attributes: int = 0) -> dict[str, torch.nn.Module]:
    """A discriminator that gives a logit for each of its heads, and the frozen network that it looks through."""
    features = FeaturePyramid(feature_size)
    sides = (resolution // 4, *features.sizes)
    return {
        "discriminator": critics.ProjectedDiscriminator(
            feature_channels=features.channels, sides=sides, patches=False, attributes=attributes
        ),
        "features": features,
    }


def likeness(s: Any, fakes: Fakes, rows: slice = slice(None)) -> dict[str, Tensor]:
    """Where fakes (those rows of them) have a picture that they should be, how far they are from it: pix2pix (Isola et
    al. 2017, eq. 4), from attributes, a code or a small picture, instead of a sketch.
    """
    terms = {}
    if s.likeness > 0:
        terms["likeness"] = s.likeness * F.l1_loss(fakes.fake[0][rows], fakes.real[0][rows])
    if s.perceptual > 0:
        fake, real = ([seen[rows] for seen in looked[1]] for looked in fakes)
        terms["perceptual"] = s.perceptual * losses.feature_distance(fake, real)
    return terms


def _of_half(step: Step) -> slice:
    """Every second picture of the whole batch, whoever computes it; a part of one picture is never without."""
    alone = step.rows.stop - step.rows.start == 1
    return slice(0 if alone else step.rows.start % 2, None, 2)


def _grid(pictures: Tensor) -> Image.Image:
    return images.grid(images.to_images(to_float(pictures)), columns=8)
