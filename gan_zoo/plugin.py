"""The contract between a GAN and the zoo: what a plugin is, how it trains, how it loads, what it can do.

A plugin is one folder with a class derived from `Plugin`. It fills in

    what it is      slug, title, summary, paper, presets
    train           networks, data, generate, discriminator_loss, generator_loss, sample, pipeline, evaluate
    load            preset -> DiffusionPipeline holding the generators
    infer           one method per task, marked with @task
    tab             where the standard one will not do

and gets a trainer, weights on the Hub, a tab, API endpoints, command line flags and tests for it.
All but train, load, infer and tab is declared in `contract.py`, on which also the trainer stands.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gan_zoo import images, memory, precision
from gan_zoo.contract import (
    GAN,
    Batch,
    Data,
    Evaluation,
    Exported,
    Fakes,
    Fixed,
    Licence,
    Losses,
    Networks,
    P,
    Preset,
    S,
    Stage,
    Step,
)
from gan_zoo.pages import Page, Panel
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
    sign,
    task,
)

__all__ = [
    "GAN", "MAX_SEED", "MAX_TEXT", "Arg", "Batch", "Bounds", "Data", "Evaluation", "Exported", "Fakes", "Film", "Fixed",
    "ImageFile", "Json", "Licence", "Losses", "Networks", "Page", "Panel", "Parameter", "Plugin", "Preset", "Seed",
    "Stage", "Step", "Task", "Text", "task",
]  # fmt: skip


MISSING = object()


class Plugin(GAN[S, P]):
    """Base class of all GANs of the zoo: a GAN with what is the same for all of them."""

    def __init__(self, settings: S | None = None):
        super().__init__(settings)
        self._pipelines: dict[str, P] = {}
        self._loading = threading.Lock()

    def train(self, **options: Any) -> Path:
        """Trains, and returns the folder of the finished weights; `options` are those of `trainer.train`."""
        from gan_zoo import trainer

        return trainer.train(self, **options)

    def load(self, preset: str | None = None, **options: Any) -> P:
        """The pipeline, a `Pipeline`, of what `presets.find` finds by that name, or of the default preset."""
        from gan_zoo import presets

        return presets.load(self, preset, **options)

    def ready(self, preset: str | None = None) -> P:
        """The pipeline of a preset (name, or path of a weights folder), on a GPU if there is one; loaded once and kept,
        while there is room (memory.py).

        Raises ValueError for an unknown preset, and what `load` raises.
        """
        key = self.preset(preset).name if preset is None else preset
        pipeline: Any = self._pipelines.get(key, MISSING)
        if pipeline is MISSING:  # a preset that is slow to come holds up nobody who uses another
            with self._loading:
                pipeline = self._pipelines.get(key, MISSING)
                if pipeline is MISSING:
                    pipeline = self.load(key, device="cuda" if torch.cuda.is_available() else "cpu")
                    self._pipelines[key] = pipeline
        memory.used(self._pipelines, key)
        return pipeline

    def import_weights(self, format: str, files: Sequence[Path], out: Path) -> Path:
        """Converts weights of one of `formats` into the weights folder `out`, whose path it returns.

        Raises ValueError that says which part of which file does not fit.
        """
        raise NotImplementedError(f"{type(self).__name__} names formats, but imports none")

    def infer(
        self, task: str | None = None, preset: str | None = None, *, bounds: Bounds = "cli", **arguments: Any
    ) -> Any:
        """Runs a task (the first by default) with a preset (name, or path of a weights folder; loaded once, kept).

        A task that streams gives an iterator of results. Raises ValueError on an unknown task, preset or argument, a
        value out of bounds, or a preset for a task that needs no weights.
        """
        if bounds == "cli":
            with images.owners_limits():
                return self._infer(task, preset, bounds, arguments)
        return self._infer(task, preset, bounds, arguments)

    def _infer(self, task: str | None, preset: str | None, bounds: Bounds, arguments: dict[str, Any]) -> Any:
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
            pipeline = self.ready(preset)
            device = getattr(pipeline, "device", torch.device("cpu"))
            with precision.answering(device, self.rough):
                result = chosen.function(self, pipeline, **checked)
            result = precision.each(result, device, self.rough) if chosen.streams else result
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
