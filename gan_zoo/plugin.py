"""The contract between a GAN and the zoo: what a plugin is, how it trains, how it loads, what it can do.

A plugin is one folder with a class derived from `Plugin`. It fills in

    what it is      slug, title, summary, paper, presets
    train           networks, data, generate, discriminator_loss, generator_loss, sample, pipeline, evaluate
    load            preset -> DiffusionPipeline holding the generators
    infer           one method per task, marked with @task
    tab             where the standard one will not do

and gets a trainer, weights on the Hub, a tab, API endpoints, command line flags and tests for it.
It imports `tasks.py` alone, and that nothing of gan_zoo: everything else may import both.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from gan_zoo.tasks import (
    MAX_SEED,
    MAX_TEXT,
    Arg,
    Bounds,
    Film,
    ImageFile,
    Json,
    Parameter,
    Seed,
    Task,
    Text,
    read_task,
    sign,
    task,
)  # fmt: skip

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

__all__ = [
    "MAX_SEED", "MAX_TEXT", "Arg", "Batch", "Bounds", "Data", "Evaluation", "Fakes", "Film", "Fixed", "ImageFile",
    "Json", "Licence", "Losses", "Networks", "Page", "Panel", "Parameter", "Plugin", "Preset", "Seed", "Stage", "Step",
    "Task", "Text", "task",
]  # fmt: skip

Batch = dict[str, Tensor]
Fakes = Any  # any pytree of tensors; the trainer detaches it for the discriminator's half
Licence = Literal["open", "research"]


# ---------------------------------------------------------------------------------------------------------------------
# What a plugin is


@dataclass(frozen=True)
class Preset:
    """A set of trained weights: `weights/<slug>/<name>/`, or `repo_id` at a pinned `revision` on the Hub.

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


# ---------------------------------------------------------------------------------------------------------------------
# The page: what a plugin that draws its own tab can place in it


class Panel(NamedTuple):
    """The Gradio components of a task: its arguments and its results by name, and the button between them.

    `then(function, inputs, outputs, **options)` is a follower: it runs after each result, whatever asked for it.
    `after(event)` runs the task, with what its inputs hold by then, when another event has succeeded; `fit=True` first
    puts an example that fits those inputs in the place of one that does not.
    """

    inputs: dict[str, Any]
    button: Any
    outputs: dict[str, Any]
    then: Callable[..., None]
    after: Callable[..., Any]
    editor: Any = None  # what the panel's editor gave


class Page(Protocol):
    """A plugin's tab while it is drawn, inside the context of its `gr.Tab`."""

    preset: Any  # the picker's component; its value is the preset's name. None before header(), and without presets

    def header(self) -> None:
        """Title, summary, paper, and the picker of trained models with licence and data."""
        ...

    def panel(
        self,
        name: str,
        *,
        editor: Callable[[], Any] | None = None,
        result: Callable[[], Any] | None = None,
        behind: Sequence[str] = (),
        hidden: Sequence[str] = (),
    ) -> Panel:
        """A task's arguments, its button and its results, joined by the endpoint `/<slug>_<task>`; once a task.

        editor: draws what fills some of the arguments by other means, over them. behind: names of arguments that it
        fills, which are then put into a drawer. result: draws over the results what shows them by other means. hidden:
        arguments and results that stand there in such another form alone.
        """
        ...

    def opening(self, function: Callable[[str | None], list[Any]], outputs: Sequence[Any]) -> None:
        """Once a visit, when the `gr.Tab` that is being drawn is first open: the values of `outputs`, from the name of
        the preset. For a tab whose first sight is no panel's.
        """
        ...

    def infer(self, task: str, preset: str | None = None, **arguments: Any) -> Any:
        """A task's result, within the bounds of strangers; what fails is a gr.Error."""
        ...

    def standard(self) -> None:
        """The tab of a plugin that draws none: the header, and a panel for each task."""
        ...

    def make(self, component: Callable[..., Any], **properties: Any) -> Any:
        """A Gradio component whose properties may be Texts, which follow the language switch."""
        ...

    def answering(self, function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """The function as a `server_functions` of a gr.HTML: with the time limit of tasks; what fails is answered as
        {"error": line}.
        """
        ...


# ---------------------------------------------------------------------------------------------------------------------
# A plugin


class Plugin(ABC):
    """Base class of all GANs of the zoo. `settings` are its hyperparameters, a frozen dataclass `Settings`."""

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
    columns: ClassVar[int | None] = None  # of the progress grid, where its rows mean something
    caption: ClassVar[str] = "Uncurated: fixed noise, no choice made."  # of that grid on the card

    def __init__(self, settings: Any = None):
        self.settings = self.Settings() if settings is None else settings
        self._pipelines: dict[str, DiffusionPipeline] = {}
        self._loading = threading.Lock()

    # -- train -------------------------------------------------------------------------------------------------------

    def train(self, **options: Any) -> Path:
        """Trains, and returns the folder of the finished weights; `options` are those of `trainer.train`."""
        from gan_zoo import trainer

        return trainer.train(self, **options)

    @abstractmethod
    def networks(self) -> Networks:
        """Fresh networks, `diffusers` ModelMixin + ConfigMixin; frozen helpers have requires_grad False throughout."""

    @abstractmethod
    def data(self, source: str | None, split: str, seed: int) -> Data:
        """The split ("train" or "validation") of a source, or of the built-in data where `source` is None."""

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
    def pipeline(self, nets: Networks) -> DiffusionPipeline:
        """The generators as the pipeline that is saved, loaded and used."""

    def evaluate(self, pipeline: DiffusionPipeline, data: Data, count: int) -> Evaluation:
        """Scores of `count` pictures against data kept apart; those of `self.score` among them. None by default."""
        return Evaluation({}, "")

    def worth(self, scores: Mapping[str, float]) -> float:
        """The weighted sum of `scores` that chooses the best weights: less is better; infinity without scores.

        A weight below 0 is of a score that is better the higher it is. Raises ValueError for one that is missing.
        """
        if missing := [name for name in self.score if name not in scores] if scores else []:
            raise ValueError(f"weights are chosen by {missing[0]!r}, but `evaluate` gave {', '.join(scores)}")
        return sum(weight * scores[name] for name, weight in self.score.items()) if scores else math.inf

    def check_evaluation(self) -> None:  # noqa: B027
        """Raises ImportError if `evaluate` lacks a package: asked before a run, not after it."""

    @property
    def feature_networks(self) -> str:
        """Frozen pretrained networks that training looks through, and what those were trained on; for the card."""
        return ""

    # -- load --------------------------------------------------------------------------------------------------------

    def load(self, preset: str | None = None, **options: Any) -> Any:
        """The pipeline, a `Pipeline`, of what `presets.find` finds by that name, or of the default preset."""
        from gan_zoo import presets

        return presets.load(self, preset, **options)

    def ready(self, preset: str | None = None) -> DiffusionPipeline:
        """The pipeline of a preset (name, or path of a weights folder), loaded once and kept; on a GPU if there is one.

        Raises ValueError for an unknown preset, and what `load` raises.
        """
        key = self.preset(preset).name if preset is None else preset
        if key in self._pipelines:  # a preset that is slow to come holds up nobody who uses another
            return self._pipelines[key]
        with self._loading:
            if key not in self._pipelines:
                self._pipelines[key] = self.load(key, device="cuda" if torch.cuda.is_available() else "cpu")
            return self._pipelines[key]

    def import_weights(self, format: str, files: Sequence[Path], out: Path) -> Path:
        """Converts weights of one of `formats` into the weights folder `out`, whose path it returns.

        Raises ValueError that says which part of which file does not fit.
        """
        raise NotImplementedError(f"{type(self).__name__} names formats, but imports none")

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

    # -- infer -------------------------------------------------------------------------------------------------------

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

    def infer(
        self, task: str | None = None, preset: str | None = None, *, bounds: Bounds = "cli", **arguments: Any
    ) -> Any:
        """Runs a task (the first by default) with a preset (name, or path of a weights folder; loaded once, kept).

        A task that streams gives an iterator of results. Raises ValueError on an unknown task, preset or argument, a
        value out of bounds, or a preset for a task that needs no weights.
        """
        tasks = self.tasks()
        name = next(iter(tasks), None) if task is None else task
        if name not in tasks:
            raise ValueError(f"{self.slug} has no task {name!r}; there are: {', '.join(tasks)}")
        chosen = tasks[name]
        checked = chosen.check(arguments, bounds)
        given = {p.name: checked[p.name] for p in chosen.parameters if p.type is not ImageFile}
        if chosen.needs_weights:
            from gan_zoo import presets

            if bounds == "page":
                preset = self.preset(preset).name  # a stranger may not name folders of this machine
            result = chosen.function(self, self.ready(preset), **checked)
            preset = presets.name_of(self, preset)
        else:
            if preset is not None:
                raise ValueError(f"{name} needs no weights, so it takes no preset; got {str(preset)[:80]!r}")
            result = chosen.function(self, **checked)
        if chosen.streams:
            return (sign(each, self.slug, name, preset, given) for each in result)
        return sign(result, self.slug, name, preset, given)

    # -- the page ----------------------------------------------------------------------------------------------------

    def tab(self, page: Page) -> None:
        """Draws the plugin's tab, once, when the page is built; override it where the standard tab will not do.

        What it adds itself (a brush, a viewer) should be an adaptor in front of a task's plain arguments, filling the
        `inputs` of its panel. Tasks that it places with no `page.panel` keep their endpoints all the same.
        """
        page.standard()
