"""What a panel shows before anyone asks: an example in place and its result, or the result of the defaults."""

from __future__ import annotations

import html
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from gan_zoo.plugin import ImageFile, Plugin, Task, Text
from gan_zoo.ui import calls
from gan_zoo.ui.words import both

log = logging.getLogger(__name__)
NO_LOOK = Text("Nothing to show yet", "Aún no hay nada que mostrar")


class Looks:
    """First looks of a plugin's panels, each computed for the first visitor and kept."""

    def __init__(self, plugin: Plugin):
        self.plugin = plugin
        self.kept: dict[tuple[str, str | None], Any] = {}
        self.lock = threading.Lock()

    def examples(self, task: Task, preset: str | None = None) -> list[dict[str, Any]]:
        """A task's examples that fit a preset, without its name; of None, all."""
        found = self.plugin.examples(task.name)
        fitting = [each for each in found if preset is None or each.get("preset", preset) == preset]
        return [{name: value for name, value in each.items() if name != "preset"} for each in fitting]

    def possible(self, task: Task) -> bool:
        """Is there anything to look at? A task needs defaults, or examples, for all its arguments."""
        required = {parameter.name for parameter in task.parameters if parameter.required}
        shown = self.examples(task)
        return task.first_look and not task.streams and (not required or bool(shown and required <= shown[0].keys()))

    def first(self, task: Task, preset: str | None) -> tuple[dict[str, Any], Any]:
        """The arguments of a first look that are not defaults, and its result. Raises gr.Error."""
        arguments = next(iter(self.examples(task, preset)), {})
        with self.lock:
            if (task.name, preset) not in self.kept:
                self.kept[task.name, preset] = calls.infer(self.plugin.slug, task.name, preset, arguments)
        return arguments, self.kept[task.name, preset]

    def fitting(self, task: Task, preset: str | None, given: dict[str, Any]) -> dict[str, Any]:
        """What of `given`, the arguments that stand in a panel, becomes another value to fit a preset and each other.

        A picture that is an example, or missing, becomes the one for this preset and these arguments; a visitor's own
        stays.
        """
        pictures = [parameter.name for parameter in task.parameters if parameter.type is ImageFile]
        known = self.examples(task)
        own = [n for n in pictures if given.get(n) and not any(_same(given[n], each.get(n)) for each in known)]
        chosen = self.examples(task, preset)
        if own or not chosen:
            return {}
        words = [name for name in chosen[0] if name not in pictures]
        return next((each for each in chosen if all(each.get(n) == given.get(n) for n in words)), chosen[0])

    def again(self, task: Task, preset: str | None, given: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """Arguments that change, and the result, when another preset is chosen over `given`. Raises gr.Error.

        What this preset does not take becomes its default again, but for what has none.
        """
        changed = self.fitting(task, preset, given)
        if changed and changed == next(iter(self.examples(task, preset)), None) and _defaults(task, given, changed):
            return changed, self.first(task, preset)[1]
        try:
            return changed, calls.infer(self.plugin.slug, task.name, preset, given | changed)
        except gr.Error:
            kept = {p.name: given[p.name] for p in task.parameters if p.required}
            reset = {p.name: p.default for p in task.parameters if not p.required} | changed
            return reset, calls.infer(self.plugin.slug, task.name, preset, kept | reset)


def _defaults(task: Task, given: dict[str, Any], changed: dict[str, Any]) -> bool:
    """Are all arguments but those that change at their defaults?"""
    return all(p.name in changed or given.get(p.name) == p.default for p in task.parameters)


def _same(path: str, example: str | None) -> bool:
    """Are these the same picture? The page's copy has another name."""
    if example is None:
        return False
    a, b = Path(path), Path(example)
    return a.is_file() and a.stat().st_size == b.stat().st_size and a.read_bytes() == b.read_bytes()


@dataclass
class Shown:
    """A panel with a first look: its components, and the events that draw it."""

    task: Task
    seen: Any
    notice: Any
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    follow: Callable[[Any], Any]  # makes an event one of those that give results

    def components(self) -> list[Any]:
        return [self.seen, self.notice, *self.inputs.values(), *self.outputs.values()]

    def untouched(self) -> list[Any]:
        return [True, *[gr.skip()] * (1 + len(self.inputs) + len(self.outputs))]

    def of(self, look: Callable[[], tuple[dict[str, Any], Any]]) -> list[Any]:
        """The values of `components()` for a look; where it fails, the panel's notice says why."""
        try:
            arguments, result = look()
        except gr.Error as error:
            log.warning("no first look of %s: %s", self.task.name, error.message)
            return [True, gr.HTML(notice_of(error.message), visible=True), *self.untouched()[2:]]
        shown = calls.as_outputs(self.task, result)
        values = [arguments.get(name, gr.skip()) for name in self.inputs]
        return [True, gr.HTML(visible=False), *values, *(shown if len(self.outputs) > 1 else [shown])]


def notice_of(line: str) -> str:
    """The line as HTML, `commands` set as code."""
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(line, quote=False))
    return f"<h3>{both(NO_LOOK)}</h3><p>{code}</p>"
