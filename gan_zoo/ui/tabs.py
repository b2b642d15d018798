"""One plugin's tab: header, panels, first looks, and the endpoints behind them."""

from __future__ import annotations

import html
import inspect
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import gradio as gr
from gradio.context import Context
from PIL import Image

from gan_zoo import presets
from gan_zoo.plugin import Panel, Parameter, Plugin, Preset, Task, Text
from gan_zoo.ui import calls
from gan_zoo.ui.components import input_component, output_component
from gan_zoo.ui.looks import Looks, Shown, notice_of
from gan_zoo.ui.words import Words, both

log = logging.getLogger(__name__)

PAPER = Text("Paper", "Artículo")
TRAINED = Text("Trained model", "Modelo entrenado")
RUN = Text("Generate", "Generar")
DICE = Text("Random", "Al azar")
EXAMPLES = Text("Examples", "Ejemplos")
BEHIND = Text("In words", "Con palabras")
UNTRAINED = "{0} has no trained weights yet: train it by `python -m gan_zoo train {0}`, and make a preset of its run."
MORE = Text("More settings", "Más ajustes")
LICENCES = {"open": Text("open", "abierto"), "research": Text("research only", "solo investigación")}


class Page:
    """A plugin's tab while it is drawn: what `plugin.Page` promises to `Plugin.tab`."""

    def __init__(self, plugin: Plugin, words: Words):
        self.plugin = plugin
        self.make = words.make
        self.words = words
        self.tasks = plugin.tasks()
        self.looks = Looks(plugin)
        self.placed: list[str] = []
        self.shown: list[Shown] = []  # the panels with a first look
        self.hidden = False  # are panels being placed that nobody sees?
        self.begun = False  # has the header been drawn?
        self.preset: Any = None
        self.first_preset: str | None = None

    def infer(self, task: str, preset: str | None = None, **arguments: Any) -> Any:
        return calls.infer(self.plugin.slug, task, preset, arguments)

    def answering(self, function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        return calls.answering(self.plugin, function)

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
        """Gives the tasks that a tab of its own did not place their endpoints, and the picker its effect."""
        self.hidden = True
        with gr.Column(visible=False):
            if not self.begun:
                self._preset_picker()
            for name in self.tasks:
                if name not in self.placed:
                    self.panel(name)
        self._show_other_presets()

    # -- the header ----------------------------------------------------------------------------------------------------

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
        self.first_preset = default.name
        if (first := self.plugin.opens_on) and presets.is_here(self.plugin, first):
            self.first_preset = first
        self.preset = self.words.make(
            gr.Dropdown,
            label=TRAINED,
            choices=[(preset.title, preset.name) for preset in self.plugin.presets],
            value=self.first_preset,
            interactive=len(self.plugin.presets) > 1,
        )
        self.preset.preprocess = lambda payload: payload
        shown = gr.HTML(about[self.first_preset], padding=False, elem_classes="zoo-preset")
        script = f"(name) => ({json.dumps(about, ensure_ascii=False)})[name] ?? ''"
        self.preset.change(None, self.preset, shown, js=script)

    # -- a panel -------------------------------------------------------------------------------------------------------

    def panel(
        self,
        name: str,
        *,
        editor: Callable[[], Any] | None = None,
        result: Callable[[], Any] | None = None,
        behind: Sequence[str] = (),
        hidden: Sequence[str] = (),
    ) -> Panel:
        if name in self.placed:
            raise ValueError(f"{self.plugin.slug}: the panel of {name!r} is placed twice")
        if not self.begun:
            raise ValueError(f"{self.plugin.slug}: place header() before the panel of {name!r}")
        task = self.tasks[name]
        self.placed.append(name)
        with gr.Row(equal_height=False, elem_classes="zoo-panel"):
            with gr.Column(scale=2, min_width=280, elem_classes="zoo-arguments"):
                mark = f"{self.plugin.slug}/{name}"
                gr.HTML(f'<p data-zoo-panel="{mark}">{both(task.summary)}</p>', padding=False, elem_classes="zoo-hint")
                edited = None if editor is None else editor()
                inputs = self._arguments(task, behind, hidden)
                button = self.words.make(gr.Button, value=RUN, variant="primary", elem_classes="zoo-run")
                inputs |= self._drawer(BEHIND, [p for p in task.parameters if p.name in behind])
                inputs |= self._drawer(MORE, [p for p in task.parameters if p.name not in inputs])
                offered = self._examples(task, inputs)
            with gr.Column(scale=3, min_width=280, elem_classes="zoo-results"):
                bare = task.needs_weights and not self.plugin.presets
                why = notice_of(UNTRAINED.format(self.plugin.slug)) if bare else ""
                notice = gr.HTML(why, visible=bare, padding=False, elem_classes="zoo-notice")
                if result is not None:
                    result()
                seen = [kind for output, kind in task.outputs.items() if output not in hidden]
                with nullcontext() if seen.count(Image.Image) < 2 else gr.Row():  # to compare, they stand side by side
                    outputs = {
                        output: output_component(self.words, output, kind, output in hidden)
                        for output, kind in task.outputs.items()
                    }
        inputs = {parameter.name: inputs[parameter.name] for parameter in task.parameters}
        _need(button, [inputs[p.name] for p in task.parameters if p.required], never=bare)
        events = self._events(task, inputs, outputs, button)
        if self.looks.possible(task) and not self.hidden and not bare:
            self._first_look(task, notice, inputs, outputs, events)
        for load in offered:
            events.after(load)
        return Panel(inputs, button, outputs, events.then, events.after, edited)

    def _events(self, task: Task, inputs: dict[str, Any], outputs: dict[str, Any], button: Any) -> Events:
        """The task's endpoint, and the button that calls it."""
        refit = self._refit(task, inputs)
        picked = {"preset": self.preset} if task.needs_weights and self.preset is not None else {}
        call: dict[str, Any] = {
            "fn": _endpoint(self.plugin, task, bool(picked)),
            "inputs_kwargs": {**inputs, **picked},
            "outputs": list(outputs.values()),
            "concurrency_limit": calls.STREAMS if task.streams else calls.AT_ONCE,
            "concurrency_id": f"{self.plugin.slug}{'-streams' if task.streams else ''}",
        }
        name, default = f"{self.plugin.slug}_{task.name}", self.plugin.default_preset
        if picked and default is not None and self.first_preset != default.name:
            # Callers go on with the default preset, which is their component's value, whatever the page opens on.
            told = gr.Textbox(default.name, label=TRAINED.en, visible=False)
            told.preprocess = lambda payload: payload
            kept: dict[str, Any] = call | {"inputs_kwargs": {**inputs, "preset": told}}
            gr.Button(visible=False).click(**kept, api_name=name)
            return Events(button.click(**call, api_visibility="private"), call, refit)
        return Events(button.click(**call, api_name=name), call, refit)

    def _arguments(self, task: Task, behind: Sequence[str], hidden: Sequence[str]) -> dict[str, Any]:
        """The components of the arguments that stand before the button, by name."""
        drawn: dict[str, Any] = {}
        for parameter in task.parameters:
            if parameter.name in hidden:
                drawn[parameter.name] = input_component(self.words, parameter, hidden=True)
            elif parameter.name not in behind and not parameter.arg.rare:
                drawn[parameter.name] = self._argument(parameter)
        return drawn

    def _drawer(self, label: Text, parameters: Sequence[Parameter]) -> dict[str, Any]:
        """Arguments in a drawer that is closed."""
        if not parameters:
            return {}
        with self.words.make(gr.Accordion, label=label, open=False, elem_classes="zoo-later"):
            return {parameter.name: self._argument(parameter) for parameter in parameters}

    def _argument(self, parameter: Parameter) -> Any:
        if parameter.arg.component != "Number" or parameter.type is not int or parameter.arg.maximum is None:
            return input_component(self.words, parameter)
        with gr.Group(), gr.Row(equal_height=True, elem_classes="zoo-seed"):
            number = input_component(self.words, parameter)
            dice = self.words.make(gr.Button, value=DICE, size="sm", min_width=84, scale=0, elem_classes="zoo-dice")
        low, high = int(parameter.arg.minimum or 0), int(parameter.arg.maximum)
        dice.click(None, None, number, js=f"() => {low} + Math.floor(Math.random() * {high - low + 1})")
        return number

    # -- examples and first looks --------------------------------------------------------------------------------------

    def _examples(self, task: Task, inputs: dict[str, Any]) -> list[Any]:
        """The examples of each preset, of which those of the chosen one are seen; the events of a click on them."""
        presets = [preset.name for preset in self.plugin.presets] or [None]
        rows = {preset: self.looks.examples(task, preset) for preset in presets}
        in_place = int(self.looks.possible(task))  # the one of a first look stands in the fields already
        if not any(len(each) > in_place for each in rows.values()):
            return []
        if all(each == rows[presets[0]] for each in rows.values()):
            presets = presets[:1]
        events, groups = [], {}
        for preset in presets:
            if not rows[preset]:
                continue
            shown = len(presets) == 1 or preset == self.first_preset
            with gr.Column(visible=shown, elem_classes="zoo-later zoo-examples") as groups[preset]:
                given = [name for name in inputs if name in rows[preset][0]]
                picture = next((name for name in given if isinstance(inputs[name], gr.Image)), given[0])
                made = gr.Examples(
                    [[each[name] for name in given] for each in rows[preset]],
                    [inputs[name] for name in given],
                    label=EXAMPLES.en,
                    cache_examples=False,
                    example_labels=None
                    if isinstance(inputs[picture], gr.Image)
                    else [each[picture] for each in rows[preset]],
                )
            self.words.said.append((made.dataset, {"label": EXAMPLES}))
            events.append(made.load_input_event)
        if len(groups) > 1:
            script = (
                f"(name) => {json.dumps(list(groups))}.map((one) => ({{__type__: 'update', visible: one === name}}))"
            )
            self.preset.change(None, self.preset, list(groups.values()), js=script)
        return events

    def _first_look(
        self, task: Task, notice: Any, inputs: dict[str, Any], outputs: dict[str, Any], events: Events
    ) -> None:
        """Once a visit, when the panel's tab is first open: nobody waits for tabs that nobody looks at."""
        seen, around = gr.State(False), _tab_around()
        look = Shown(task, seen, notice, inputs, outputs, events.follow)

        def first(again: bool, preset: str | None = None) -> list[Any]:
            return look.untouched() if again else look.of(lambda: self.looks.first(task, preset))

        if around is not None:
            told = [seen, *self._picker(task)]
            events.follow(around.select(first, told, look.components(), **self._quiet(), show_progress="minimal"))
        events.seen = seen
        events.click.success(None, None, notice, js="() => ({__type__: 'update', visible: false})")
        self.shown.append(look)

    def opening(self, function: Callable[[str | None], list[Any]], outputs: Sequence[Any]) -> None:
        seen, around = gr.State(False), _tab_around()
        if around is None:
            raise ValueError(f"{self.plugin.slug}: opening() belongs inside a gr.Tab")

        def first(again: bool, preset: str | None = None) -> list[Any]:
            try:
                return [True, *([gr.skip()] * len(outputs) if again else function(preset))]
            except gr.Error as error:
                log.warning("no first look of %s: %s", self.plugin.slug, error.message)
                return [True, *[gr.skip()] * len(outputs)]

        picker = [] if self.preset is None else [self.preset]
        around.select(first, [seen, *picker], [seen, *outputs], **self._quiet(), show_progress="minimal")

    def _picker(self, task: Task) -> list[Any]:
        return [self.preset] if task.needs_weights and self.preset is not None else []

    def _quiet(self) -> dict[str, Any]:
        """Of an event that runs the plugin, and is no endpoint."""
        return {
            "api_visibility": "private",
            "concurrency_limit": calls.AT_ONCE,
            "concurrency_id": self.plugin.slug,
        }

    def _refit(self, task: Task, inputs: dict[str, Any]) -> dict[str, Any]:
        """An event that puts a fitting example in place of one that does not fit."""

        def refit(*values: Any) -> list[Any]:
            given = dict(zip(inputs, values))
            changed = self.looks.fitting(task, values[len(inputs)] if len(values) > len(inputs) else None, given)
            return [changed.get(name, gr.skip()) for name in inputs]

        return {
            "fn": refit,
            "inputs": [*inputs.values(), *self._picker(task)],
            "outputs": list(inputs.values()),
            "api_visibility": "private",
            "show_progress": "hidden",
        }

    def _show_other_presets(self) -> None:
        """When another preset is chosen, the open panel shows it, and the others will when they are opened."""
        looks = [look for look in self.shown if look.task.needs_weights]
        if self.preset is None or len(self.plugin.presets) < 2 or not looks:
            return
        sizes = [len(look.inputs) for look in looks]

        def changed(opened: str, preset: str, *values: Any) -> list[Any]:
            made: list[Any] = []
            left = list(values)
            for look, size in zip(looks, sizes):
                given, left = dict(zip(look.inputs, left[:size])), left[size:]
                if look.task.name == opened:
                    made += look.of(lambda look=look, given=given: self.looks.again(look.task, preset, given))
                else:
                    made += [False, *look.untouched()[1:]]
            return made

        opened = gr.Textbox(visible=False)
        opened.preprocess = lambda payload: payload
        which = f"(_, ...rest) => [zoo.opened({json.dumps(self.plugin.slug)}), ...rest]"
        event = self.preset.input(
            changed,
            [opened, self.preset, *(component for look in looks for component in look.inputs.values())],
            [component for look in looks for component in look.components()],
            js=which,
            **self._quiet(),
            show_progress="minimal",
        )
        for look in looks:
            look.follow(event)


class Events:
    """What runs a panel's task: its button, and other events after which it is run; and what follows each result."""

    def __init__(self, click: Any, call: dict[str, Any], refit: dict[str, Any]):
        self.click, self.call, self.refit = click, call, refit
        self.seen: Any = None  # the state of a first look, which must not be drawn over what is asked for now
        self.all, self.followers = [click], list[tuple[tuple[Any, ...], dict[str, Any]]]()

    def then(self, *given: Any, **options: Any) -> None:
        self.followers.append((given, options))
        for event in self.all:
            event.success(*given, **options)

    def follow(self, event: Any) -> Any:
        """From now on this event gives results, too."""
        self.all.append(event)
        for given, options in self.followers:
            event.success(*given, **options)
        return event

    def after(self, event: Any, fit: bool = False) -> Any:
        if fit:
            event = event.success(**self.refit)
        if self.seen is not None:
            event = event.success(lambda: True, None, self.seen, api_visibility="private", show_progress="hidden")
        return self.follow(event.success(**self.call, api_visibility="private"))


def _tab_around() -> Any:
    """The `gr.Tab` that is being drawn."""
    around = Context.block
    while around is not None and not isinstance(around, gr.Tab):
        around = around.parent
    return around


def _need(button: Any, needed: list[Any], never: bool) -> None:
    """The button waits for what its task cannot do without, or for ever where there are no weights: nobody is told off
    for what is not there yet.
    """
    button.interactive = not (never or needed)
    if never or not needed:
        return
    script = "(...given) => ({__type__: 'update', interactive: given.every((value) => value !== null && value !== '')})"
    gr.on([component.change for component in needed], None, needed, button, js=script)


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
