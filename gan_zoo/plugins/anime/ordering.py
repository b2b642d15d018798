"""Training of characters to order: those drawn here, with exact attributes, or pictures that have labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from torch import Tensor

from gan_zoo.config import setting
from gan_zoo.labels import Vocabulary, read_labels, read_vocabulary
from gan_zoo.plugin import Batch, Data, Losses, Networks, Step
from gan_zoo.plugins.anime import attributes, readback, training
from gan_zoo.plugins.anime.networks import AnimeGenerator
from gan_zoo.plugins.anime.plugin import Anime
from gan_zoo.plugins.anime.training import Characters, Faces, Fakes, likeness


@dataclass(frozen=True)
class CharacterSettings(training.Settings):
    """Hyperparameters of the drawn characters to order."""

    conditional: Literal[True] = setting(True, "attributes are given beside the noise; it tells this training apart")
    augment: str = setting("", "none: a picture is compared with its pair")
    reading: float = setting(1.0, "weight of the attributes read off the pictures, for both sides")
    likeness: float = setting(50.0, "weight of the distance from the picture of these attributes and details")
    perceptual: float = setting(0.0, "weight of the same distance in the frozen network's features")
    judged_by: int = setting(6000, "characters on which the classifier of attributes learns that scores them", 20)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.discriminator != "projected" or self.augment:
            raise ValueError(
                "conditional: expected discriminator projected and no augment (a picture is compared with its pair), "
                f"got {self.discriminator!r} and {self.augment!r}"
            )
        if self.latent_dim < sum(attributes.DETAILS.values()):
            raise ValueError(f"latent_dim {self.latent_dim}: details need {sum(attributes.DETAILS.values())}")


class AnimeCharacters(Anime, training="characters", known_by="conditional"):
    """Attributes and details tell the drawn picture wholly, so that a fake has one that it should be."""

    Settings: ClassVar[type] = CharacterSettings
    settings: CharacterSettings  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def vocabulary(self) -> Vocabulary:
        return attributes.BUILT_IN

    def generator(self, **options: Any) -> AnimeGenerator:
        details = tuple(attributes.DETAILS.values())
        return super().generator(attributes=self.vocabulary.size, details=details, **options)

    def data(self, source: str | None, split: str, seed: int) -> Data:
        if source is not None:
            raise ValueError(
                f"conditional: only the built-in data has these attributes, got the data {source!r}; pictures with "
                "labels of their own train anime.labelled"
            )
        return super().data(source, split, seed)

    def noise(self, batch: Batch, step: Step) -> Tensor:
        """z (B, latent_dim), noise that tells the details of the batch's pictures."""
        return attributes.settle(super().noise(batch, step), batch["details"])

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        return Losses(super().generator_loss(nets, batch, fakes, step).terms | likeness(self.settings, fakes))

    def judge_of_labels(self) -> tuple[readback.Reader, str]:
        count = self.settings.judged_by
        taught = f"{count:,} fresh characters of the definition"
        return readback.taught_reader(self.settings.resolution, count), taught


@dataclass(frozen=True)
class LabelledSettings(training.Settings):
    """Hyperparameters of faces to order, learned from pictures with labels."""

    labels: tuple[str, ...] = setting(("hair_color", "eyes"), "columns of the data that can be asked for, with commas")
    loss: training.losses.Loss = setting("relativistic", "of both sides (gan_zoo/losses.py)")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.discriminator != "projected":
            raise ValueError(f"labels: expected discriminator projected, got {self.discriminator!r}")
        if not self.labels:
            raise ValueError("labels: expected names of columns, such as hair,eyes; got none")


def _of_the_built_in(names: Sequence[str]) -> Vocabulary:
    known = attributes.BUILT_IN.shares
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"labels: the built-in data has no {unknown[0]!r}; it has: {', '.join(known)}")
    return Vocabulary.of({name: known[name] for name in names})


class AnimeLabelled(Anime, training="labelled", known_by="labels"):
    """Columns of the data become labels that can be asked for: which values there are, the data tells."""

    Settings: ClassVar[type] = LabelledSettings
    settings: LabelledSettings

    def __init__(self, settings: Any = None, source: str | None = None):
        super().__init__(settings)
        self.source = source

    @property
    def vocabulary(self) -> Vocabulary:
        names = self.settings.labels
        return _of_the_built_in(names) if self.source is None else read_vocabulary(self.source, names)

    def suited(self, source: str | None) -> Self:
        return type(self)(self.settings, source)

    def generator(self, **options: Any) -> AnimeGenerator:
        return super().generator(attributes=self.vocabulary.size, labels=self.vocabulary.shares, **options)

    def labels(self, source: str, split: str) -> Tensor:
        return read_labels(source, split, self.settings.labels)

    def judge_of_labels(self) -> tuple[readback.Reader, str]:
        taught = self.data(self.source, "train", 0)
        assert isinstance(taught, (Faces, Characters))
        pictures, labels = taught.all
        assert labels is not None
        told = f"{len(pictures):,} pictures of the training split"
        return readback.teach(pictures, labels, self.vocabulary), told
