"""The contract at the bottom: what a GAN is, how it trains and what it can do, and what it is handed for that.

It imports `tasks.py` alone, and that nothing of gan_zoo: everything else may import both. On top stands `plugin.py`,
where a `GAN` becomes a `Plugin` with train, load, infer and a tab; authors import from there.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, Self, TypeVar

import torch
from PIL import Image
from torch import Tensor, nn

from gan_zoo.tasks import Task, Text, read_task

Batch = dict[str, Tensor]
Fakes = Any  # any pytree of tensors; the trainer detaches it for the discriminator's half
Licence = Literal["open", "research"]


@dataclass(frozen=True)
class Preset:
    """A set of trained weights: `weights/<slug>/<name>/`, the same beside a package's plugin, or `repo_id` at a pinned
    `revision` on the Hub.

    `licence` is "open" for weights trained only on CC0, CC BY, public-domain or generated pictures,
    "research" for weights trained on data without a clear licence.
    """

    name: str
    title: Text
    licence: Licence
    data: Text  # what it was trained on, and under which terms
    licence_id: str = "other"  # as the Hub names it: "cc0-1.0", "cc-by-4.0" ...
    repo_id: str | None = None
    revision: str | None = None


# ---------------------------------------------------------------------------------------------------------------------
# Training: what the trainer hands to a plugin, and what it gets back


@dataclass
class Networks:
    """Two named groups of networks; either may hold several or none. `nets["name"]` finds one in either group."""

    generators: dict[str, nn.Module]
    discriminators: dict[str, nn.Module] = field(default_factory=dict)

    def __getitem__(self, name: str) -> nn.Module:
        return self.generators[name] if name in self.generators else self.discriminators[name]

    def items(self) -> Iterator[tuple[str, nn.Module]]:
        yield from self.generators.items()
        yield from self.discriminators.items()

    def map(self, change: Callable[[str, nn.Module], nn.Module]) -> Networks:
        """The same groups, each network changed: `change(name, network)`."""
        groups = (self.generators, self.discriminators)
        return Networks(*({name: change(name, net) for name, net in group.items()} for group in groups))


@dataclass(frozen=True)
class Losses:
    """Named terms, already weighted, whose sum is the objective; and named metrics, which are only reported.

    The names "d_real", "d_fake" (D's mean output as a probability) and "d_accuracy" are understood by the trainer.
    """

    terms: dict[str, Tensor]
    metrics: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        return torch.stack([term.float() for term in self.terms.values()]).sum()


@dataclass
class Step:
    """Where training stands, and its randomness.

    Random numbers are drawn for the whole global batch, from a seed made of the run's seed and the step's index, and
    each process (or accumulated micro-batch) keeps its own rows: N processes see what one would.
    """

    index: int  # generator updates made so far in this stage
    stage: str
    progress: float  # 0 at the start of the stage, 1 at its end
    rows: slice  # this batch's rows of the global batch
    global_batch: int
    generator: torch.Generator  # on the CPU
    device: torch.device
    state: dict[str, Any] = field(default_factory=dict)  # what the plugin keeps between steps; checkpointed

    def randn(self, *shape: int) -> Tensor:
        """(B, *shape), standard normal."""
        return torch.randn(self.global_batch, *shape, generator=self.generator)[self.rows].to(self.device)

    def rand(self, *shape: int) -> Tensor:
        """(B, *shape), uniform in [0, 1)."""
        return torch.rand(self.global_batch, *shape, generator=self.generator)[self.rows].to(self.device)


class Fixed(NamedTuple):
    """The fixed validation batch and the fixed noise from which every progress grid is drawn."""

    batch: Batch
    step: Step


@dataclass(frozen=True)
class Stage:
    """Which networks learn during a share of the run (PG2: first G1 alone, then G2 with D). None means all.

    Scores and the average of weights begin anew with each stage; what does not learn is frozen, at its average, in
    `eval()`. Only the last stage's weights are published.
    """

    name: str = "gan"
    share: float = 1.0
    generators: tuple[str, ...] | None = None
    discriminators: tuple[str, ...] | None = None
    lr_g: float | None = None  # this stage's learning rates and batch size, where they differ from the run's
    lr_d: float | None = None
    batch_size: int | None = None

    def learning(self, nets: Networks) -> set[str]:
        """Names of the networks that learn. Raises ValueError for one that there is not."""
        names = set(nets.generators if self.generators is None else self.generators)
        names |= set(nets.discriminators if self.discriminators is None else self.discriminators)
        if unknown := names - {name for name, _ in nets.items()}:
            raise ValueError(f"stage {self.name!r} names {sorted(unknown)[0]!r}, which is no network of the plugin")
        return names


class Data(Protocol):
    """Training data as a pure function of sample numbers 0, 1, 2, ...: the position in it is one integer."""

    def __len__(self) -> int:
        """Rows in one epoch."""
        ...

    def batch(self, samples: range) -> Batch:
        """The samples with these numbers, augmentation included: {name: (len(samples), ...)}, on the CPU."""
        ...


class Evaluation(NamedTuple):
    """Scores by name, how they were measured, and pictures for the card, {caption: picture}, generated ones only."""

    scores: dict[str, float]
    protocol: str
    pictures: dict[str, Image.Image] = {}


class Exported(NamedTuple):
    """A network for programs without torch: `module(*inputs)` gives `outputs`, float32 tensors (B, ...).

    inputs: examples by name, which also check what was written; noise is called z. free: sides of inputs that may be of
    any size besides the batch's, as {input: {dimension: name}}, multiples of `multiple`. told: each input and output
    in words, by name.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    told: dict[str, str]
    free: dict[str, dict[int, str]] = {}
    multiple: int = 1


# ---------------------------------------------------------------------------------------------------------------------
# A GAN


S = TypeVar("S")  # a plugin's settings
P = TypeVar("P")  # and its pipeline


class GAN(ABC, Generic[S, P]):
    """What a GAN is and how it trains: `class Anime(Plugin[Settings, AnimePipeline])`. `settings` are its
    hyperparameters, a frozen dataclass, and the pipeline, a diffusers one, holds its generators.

    What it can learn besides is a class derived from it, with settings of its own, that names itself:
    `class Enlarger(Anime, training="enlarger", known_by="enlarges")` is trained by `python -m gan_zoo train
    anime.enlarger`, and weights with the setting "enlarges" are its own.
    """

    slug: ClassVar[str]
    title: ClassVar[Text]
    summary: ClassVar[Text]
    paper: ClassVar[str]  # an address
    presets: ClassVar[tuple[Preset, ...]] = ()
    formats: ClassVar[Mapping[str, str]] = {}  # of weights that other programs trained: {name: which files it takes}
    Settings: ClassVar[type]
    Pipeline: ClassVar[type]  # the diffusers pipeline that `pipeline` makes and `load` gives
    score: ClassVar[Mapping[str, float]] = {"kid_x1000": 1.0}  # of `evaluate`, weighted: the least sum is the best
    pipeline_tag: ClassVar[str] = "unconditional-image-generation"  # as the Hub sorts models
    example: ClassVar[str] = ""  # flags that the first task needs, for the card: "--image photo.jpg"
    example_task: ClassVar[str] = ""  # or those of this one
    opens_on: ClassVar[str | None] = None  # the preset that the page shows first, where it is not the default one
    rough: ClassVar[bool] = False  # tasks may compute in bfloat16 where that is fast: some 5 of 255 levels apart
    columns: ClassVar[int | None] = None  # of the progress grid, where its rows mean something
    caption: ClassVar[str] = "Uncurated: fixed noise, no choice made."  # of that grid on the card

    trainings: ClassVar[dict[str, type[GAN]]] = {}
    known_by: ClassVar[str] = ""

    def __init_subclass__(cls, *, training: str = "", known_by: str = "", **options: Any):
        super().__init_subclass__(**options)
        if training:
            cls.trainings[training], cls.known_by = cls, known_by
        else:
            cls.trainings = {}

    @classmethod
    def training_of(cls, settings: Mapping[str, Any]) -> type[GAN]:
        """Which class trains by these settings: the plugin's own, or one of `trainings`."""
        return next((kind for kind in cls.trainings.values() if settings.get(kind.known_by)), cls)

    def __init__(self, settings: S | None = None):
        self.settings: S = self.Settings() if settings is None else settings

    # -- train -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def networks(self) -> Networks:
        """Fresh networks, `diffusers` ModelMixin + ConfigMixin; frozen helpers have requires_grad False throughout."""

    @abstractmethod
    def data(self, source: str | None, split: str, seed: int) -> Data:
        """The split ("train" or "validation") of a source, or of the built-in data where `source` is None."""

    def suited(self, source: str | None) -> Self:
        """The plugin that trains on this source: itself, unless its networks depend on what there is, as the number of
        labels.
        """
        return self

    def stages(self) -> tuple[Stage, ...]:
        """What trains when: one stage in which everything learns, unless a plugin says otherwise."""
        return (Stage(),)

    @abstractmethod
    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        """One generator pass. The same fakes serve D's half (detached) and G's half (with their graph)."""

    @abstractmethod
    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        """D's objective: real = 1, fake = 0. The fakes arrive detached and the generators frozen."""

    @abstractmethod
    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        """G's objective: fake = 1. The discriminators arrive frozen. Further passes (cycles, identity) belong here."""

    @abstractmethod
    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1] for the progress grid."""

    @abstractmethod
    def pipeline(self, nets: Networks) -> P:
        """The generators as the pipeline that is saved, loaded and used."""

    def evaluate(self, pipeline: P, data: Any, count: int) -> Evaluation:
        """Scores of `count` pictures against data held out; those of `self.score` among them. None by default."""
        return Evaluation({}, "")

    def worth(self, scores: Mapping[str, float]) -> float:
        """The weighted sum of `scores` that chooses the best weights: less is better; infinity without scores.

        A weight below 0 is of a score that is better the higher it is. Raises ValueError for one that is missing.
        """
        if missing := [name for name in self.score if name not in scores] if scores else []:
            raise ValueError(f"weights are chosen by {missing[0]!r}, but `evaluate` gave {', '.join(scores)}")
        return sum(weight * scores[name] for name, weight in self.score.items()) if scores else math.inf

    def check_evaluation(self) -> None:
        """Raises ImportError if `evaluate` lacks a package: asked before a run, not after it."""

    @property
    def feature_networks(self) -> str:
        """Frozen pretrained networks that training looks through, and what those were trained on; for the card."""
        return ""

    # -- load and infer ----------------------------------------------------------------------------------------------

    @abstractmethod
    def load(self, preset: str | None = None, **options: Any) -> P:
        """The pipeline, a `Pipeline`, of trained weights: of a preset by its name (None: the default), or of others."""

    def exports(self, pipeline: P) -> dict[str, Exported]:
        """What of a pipeline can be written as ONNX, by file name; none by default."""
        return {}

    @property
    def default_preset(self) -> Preset | None:
        """The first open preset, else the first."""
        return next((p for p in self.presets if p.licence == "open"), self.presets[0] if self.presets else None)

    def preset(self, name: str | None = None) -> Preset:
        """The preset of that name, or the default one. Raises ValueError that lists those there are."""
        if not self.presets:
            raise ValueError(f"{self.slug} has no presets yet: train it, and give the path of its weights folder")
        preset = self.default_preset if name is None else next((p for p in self.presets if p.name == name), None)
        if preset is None:
            names = ", ".join(p.name for p in self.presets)
            raise ValueError(f"{self.slug} has no preset {name!r}; there are: {names}")
        return preset

    @classmethod
    def home(cls) -> Path:
        """The folder of the plugin's module: a package may bring `weights/NAME` and `recipes/NAME.toml` in it."""
        return Path(sys.modules[cls.__module__].__file__ or "").resolve().parent

    @classmethod
    def tasks(cls) -> dict[str, Task]:
        """The tasks by name, in the order in which the class defines them."""
        methods = {n: f for base in reversed(cls.__mro__) for n, f in vars(base).items() if hasattr(f, "__task__")}
        tasks = [read_task(function) for function in methods.values()]
        return {task.name: task for task in tasks}

    def examples(self, task: str) -> list[dict[str, Any]]:
        """Arguments with which a task shows something, pictures as paths: the page opens on the first and offers all.

        One that holds "preset" is for that preset alone. None by default: then checks call the task with noise for each
        picture, and only if it needs no text.
        """
        return []
