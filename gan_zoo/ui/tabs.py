"""One plugin's tab: header, panels, first looks, and the endpoints behind them."""

from __future__ import annotations

import html
import inspect
import json
import logging
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import gradio as gr
from gradio.context import Context
from PIL import Image

from gan_zoo.plugin import Panel, Parameter, Plugin, Preset, Task, Text
from gan_zoo.ui import calls
from gan_zoo.ui.components import input_component, output_component
from gan_zoo.ui.words import Words, both

log = logging.getLogger(__name__)

PAPER = Text("Paper", "Artículo")
TRAINED = Text("Trained model", "Modelo entrenado")
RUN = Text("Generate", "Generar")
DICE = Text("Random", "Al azar")
EXAMPLES = Text("Examples", "Ejemplos")
BEHIND = Text("In words", "Con palabras")
LICENCES = {"open": Text("open", "abierto"), "research": Text("research only", "solo investigación")}
NO_LOOK = Text("Nothing to show yet", "Aún no hay nada que mostrar")


class Page:
    """A plugin's tab while it is drawn: what `plugin.Page` promises to `Plugin.tab`."""

    def __init__(self, plugin: Plugin, words: Words):
        self.plugin = plugin
        self.make = words.make
        self.words = words
        self.tasks = plugin.tasks()
        self.placed: list[str] = []
        self.hidden = False  # are panels being placed that nobody sees?
        self.begun = False  # has the header been drawn?
        self.preset: Any = None

    def standard(self) -> None:
        self.header()
        if len(self.tasks) == 1:
            self.panel(next(iter(self.tasks)))
            return
        with gr.Tabs(elem_classes="zoo-tasks"):
            for name, task in self.tasks.items():
                with self.words.make(gr.Tab, label=task.title, id=name):
                    self.panel(name)

    def complete(self) -> None:
        """Gives the tasks that a tab of its own did not place their endpoints."""
        self.hidden = True
        with gr.Column(visible=False):
            if not self.begun:
                self._preset_picker()
            for name in self.tasks:
                if name not in self.placed:
                    self.panel(name)

    def header(self) -> None:
        plugin = self.plugin
        paper = f'<a href="{html.escape(plugin.paper)}" target="_blank" rel="noopener">{both(PAPER)} ↗</a>'
        with gr.Row(equal_height=False, elem_classes="zoo-about"):
            with gr.Column(scale=3, min_width=280):
                gr.HTML(f"<h2>{both(plugin.title)}</h2><p>{both(plugin.summary)} {paper}</p>", padding=False)
            with gr.Column(scale=2, min_width=280):
                self._preset_picker()

    def _preset_picker(self) -> None:
        self.begun = True
        default = self.plugin.default_preset
        if default is None:
            return
        about = {preset.name: _about(preset) for preset in self.plugin.presets}
        if not any(task.needs_weights for task in self.tasks.values()):  # nothing to pick, but something to know
            gr.HTML("".join(about.values()), padding=False, elem_classes="zoo-preset")
            return
        self.preset = self.words.make(
            gr.Dropdown,
            label=TRAINED,
            choices=[(preset.title, preset.name) for preset in self.plugin.presets],
            value=default.name,
            interactive=len(self.plugin.presets) > 1,
        )
        self.preset.preprocess = lambda payload: payload
        shown = gr.HTML(about[default.name], padding=False, elem_classes="zoo-preset")
        script = f"(name) => ({json.dumps(about, ensure_ascii=False)})[name] ?? ''"
        self.preset.change(None, self.preset, shown, js=script)

    def answering(self, function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        return calls.answering(self.plugin, function)

    def panel(self, name: str, *, editor: Callable[[], Any] | None = None, behind: Sequence[str] = ()) -> Panel:
        if name in self.placed:
            raise ValueError(f"{self.plugin.slug}: the panel of {name!r} is placed twice")
        if not self.begun:
            raise ValueError(f"{self.plugin.slug}: place header() before the panel of {name!r}")
        task = self.tasks[name]
        self.placed.append(name)
        with gr.Row(equal_height=False, elem_classes="zoo-panel"):
            with gr.Column(scale=2, min_width=280, elem_classes="zoo-arguments"):
                gr.HTML(f"<p>{both(task.summary)}</p>", padding=False, elem_classes="zoo-hint")
                edited = None if editor is None else editor()
                inputs = self._arguments(task, behind)
                self._examples(name, inputs)
                button = self.words.make(gr.Button, value=RUN, variant="primary", elem_classes="zoo-run")
            with gr.Column(scale=3, min_width=280):
                notice = gr.HTML(visible=False, padding=False, elem_classes="zoo-notice")
                alone = list(task.outputs.values()).count(Image.Image) < 2  # pictures to compare stand side by side
                with nullcontext() if alone else gr.Row():
                    outputs = {name: output_component(self.words, name, kind) for name, kind in task.outputs.items()}
        picked = {"preset": self.preset} if task.needs_weights and self.preset is not None else {}
        call: dict[str, Any] = {
            "fn": _endpoint(self.plugin, task, bool(picked)),
            "inputs_kwargs": {**inputs, **picked},
            "outputs": list(outputs.values()),
            "concurrency_limit": calls.STREAMS if task.streams else calls.AT_ONCE,
            "concurrency_id": f"{self.plugin.slug}{'-streams' if task.streams else ''}",
        }
        click, seen = button.click(**call, api_name=f"{self.plugin.slug}_{name}"), None
        looks = task.first_look and not task.streams and not any(parameter.required for parameter in task.parameters)
        if looks and not self.hidden:
            seen = self._first_look(task, notice, list(outputs.values()))
            click.success(None, None, notice, js="() => ({__type__: 'update', visible: false})")

        def after(event: Any) -> Any:
            if seen is not None:  # a first look that comes later must not be drawn over what is asked for now
                event = event.success(lambda: True, None, seen, api_visibility="private", show_progress="hidden")
            return event.success(**call, api_visibility="private")

        return Panel(inputs, button, outputs, click, after, edited)

    def _arguments(self, task: Task, behind: Sequence[str]) -> dict[str, Any]:
        """The component of each argument, by name; those `behind` an editor in a drawer that is closed."""
        drawn: dict[str, Any] = {}
        for parameter in task.parameters:
            if parameter.name not in behind:
                drawn[parameter.name] = self._argument(parameter)
        if behind:
            with self.words.make(gr.Accordion, label=BEHIND, open=False):
                for parameter in task.parameters:
                    if parameter.name in behind:
                        drawn[parameter.name] = self._argument(parameter)
        return {parameter.name: drawn[parameter.name] for parameter in task.parameters}

    def _examples(self, name: str, inputs: dict[str, Any]) -> None:
        examples = self.plugin.examples(name)
        if not examples:
            return
        given = [parameter for parameter in inputs if parameter in examples[0]]
        rows = [[example[parameter] for parameter in given] for example in examples]
        shown = gr.Examples(rows, [inputs[parameter] for parameter in given], label=EXAMPLES.en, cache_examples=False)
        self.words.said.append((shown.dataset, {"label": EXAMPLES}))

    def _first_look(self, task: Task, notice: Any, outputs: list[Any]) -> gr.State:
        """Once a visit, when the panel's tab is first open: nobody waits for tabs that nobody looks at.

        Gives the state that says whether it was.
        """
        seen = gr.State(False)
        around = Context.block
        while around is not None and not isinstance(around, gr.Tab):
            around = around.parent
        look = _look_once(self.plugin, task)
        arguments: dict[str, Any] = {
            "fn": lambda again: [True, *([gr.skip()] * (1 + len(outputs)) if again else look())],
            "inputs": seen,
            "outputs": [seen, notice, *outputs],
            "api_visibility": "private",
            "show_progress": "minimal",
            "concurrency_limit": calls.AT_ONCE,
            "concurrency_id": self.plugin.slug,
        }
        if around is not None:
            around.select(**arguments)
        return seen

    def _argument(self, parameter: Parameter) -> Any:
        if parameter.arg.component != "Number" or parameter.type is not int or parameter.arg.maximum is None:
            return input_component(self.words, parameter)
        with gr.Group(), gr.Row(equal_height=True, elem_classes="zoo-seed"):
            number = input_component(self.words, parameter)
            dice = self.words.make(gr.Button, value=DICE, size="sm", min_width=84, scale=0, elem_classes="zoo-dice")
        low, high = int(parameter.arg.minimum or 0), int(parameter.arg.maximum)
        dice.click(None, None, number, js=f"() => {low} + Math.floor(Math.random() * {high - low + 1})")
        return number


def _about(preset: Preset) -> str:
    badge = f'<span class="zoo-badge zoo-{preset.licence}">{both(LICENCES[preset.licence])}</span>'
    return f"<p>{badge} {both(preset.data)}</p>"


def _endpoint(plugin: Plugin, task: Task, picks: bool) -> Callable[..., Any]:
    """The function behind `/<slug>_<task>`; its docstring is what API page and MCP tell of it. picks: a preset?"""

    def once(preset: str | None = None, **arguments: Any) -> Any:
        return calls.answer(plugin, task, preset, arguments)

    def again(preset: str | None = None, **arguments: Any) -> Any:
        yield from calls.stream(plugin, task, preset, arguments)

    run: Any = again if task.streams else once
    # MCP names its tools after the function, and both MCP and the API page describe its parameters by its docstring.
    run.__name__, run.parameters = f"{plugin.slug}_{task.name}", task.parameters
    keyword = inspect.Parameter.KEYWORD_ONLY
    names = [*((p.name, p.default) for p in task.parameters), *([("preset", None)] if picks else [])]
    run.__signature__ = inspect.Signature([inspect.Parameter(name, keyword, default=value) for name, value in names])
    told = [(p.name, f"{p.arg.label.en}. {p.arg.info.en if p.arg.info else ''}".strip()) for p in task.parameters]
    if picks:
        told.append(("preset", f"{TRAINED.en}: {', '.join(preset.name for preset in plugin.presets)}"))
    about = f"{plugin.title.en}. {task.title.en}: {task.summary.en}"
    run.__doc__ = "\n".join([about, "", "Args:", *(f"    {name}: {text}" for name, text in told)])
    return run


def _look_once(plugin: Plugin, task: Task) -> Callable[[], Any]:
    """What a panel shows before anyone asks: the task with its defaults, computed for the first visitor and kept.

    Where that fails, the panel's notice says why.
    """
    kept: list[Any] = []
    lock = threading.Lock()

    def look() -> list[Any]:
        with lock:
            if not kept:
                try:
                    kept.append(calls.infer(plugin.slug, task.name, None, {}))
                except gr.Error as error:
                    log.warning("no first look of %s.%s: %s", plugin.slug, task.name, error.message)
                    return [gr.HTML(_notice(error.message), visible=True), *[gr.skip()] * len(task.outputs)]
        shown = calls.as_outputs(task, kept[0])
        return [gr.skip(), *(shown if len(task.outputs) > 1 else [shown])]

    return look


def _notice(line: str) -> str:
    """The line as HTML, `commands` set as code."""
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(line, quote=False))
    return f"<h3>{both(NO_LOOK)}</h3><p>{code}</p>"
