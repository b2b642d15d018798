"""The page and its API, built from the registry: header, one tab per plugin, one panel and one endpoint per task.

Nothing here knows a plugin by name. A task's arguments become components by their types, its endpoint is
`/<slug>_<task>`, and page, API and MCP go through `Plugin.infer(bounds="page")`, so all three refuse the same things
with the same words.

What strangers can send is bounded: numbers by `Arg.maximum`, files by `images.MAX_BYTES` and `images.MAX_PIXELS`,
requests and uploads by `gate.Gate`, calls by the queue's length, the time of a call by `time_limit`;
uploads and results are deleted after an hour.

A plugin draws its tab by `Plugin.tab`, which is handed a `Page`. Tasks it does not place keep their endpoints.
"""

from __future__ import annotations

import html
import importlib.util
import inspect
import json
import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

# Read by gradio and huggingface_hub when they are imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
import torch
import uvicorn.config
from gradio import processing_utils, utils
from gradio.context import Context
from gradio.data_classes import ImageData
from PIL import Image
from pydantic import ValidationError
from starlette.middleware import Middleware

from gan_zoo import gate, hub, images, registry
from gan_zoo.plugin import Film, ImageFile, Panel, Parameter, Plugin, Preset, Task, Text

if TYPE_CHECKING:
    from gradio.blocks import Block

log = logging.getLogger(__name__)

CALL_SECONDS = 60  # of computing, for one call
QUEUE_LENGTH = 32
AT_ONCE = max(1, (os.cpu_count() or 1) // 2)  # calls per plugin: one on two cores, since PyTorch uses both
KEEP_SECONDS = 3600  # uploads and results
SWEEP_SECONDS = 600  # between two looks for those older than that
LANGUAGES = {"en": "English", "es": "Español"}
ASSETS = Path(__file__).parent / "assets"


# ---------------------------------------------------------------------------------------------------------------------
# Two languages
#
# Both are in the page. Passages of HTML hold both and CSS shows one; labels, which are plain text to Gradio, are set in
# the browser. So switching asks nothing of the server and loses nothing that was typed.


def say(value: Any, language: str) -> Any:
    """The value with every Text in it, however deep in lists and tuples, said in one language."""
    if isinstance(value, Text):
        return value.es if language == "es" else value.en
    if isinstance(value, (list, tuple)):
        return type(value)(say(item, language) for item in value)
    return value


def both(text: Text, tag: str = "span") -> str:
    """HTML that holds both languages."""
    return "".join(
        f'<{tag} lang="{language}" data-say="{language}">{html.escape(say(text, language))}</{tag}>'
        for language in LANGUAGES
    )


class Words:
    """Makes components from properties that may hold Texts, and remembers them for the language switch."""

    def __init__(self) -> None:
        self.said: list[tuple[Block, dict[str, Any]]] = []

    def make(self, component: Callable[..., Any], **properties: Any) -> Any:
        english = {name: say(value, "en") for name, value in properties.items()}
        made = component(**english)
        if texts := {name: value for name, value in properties.items() if say(value, "es") != english[name]}:
            self.said.append((made, texts))
        return made

    def components(self) -> list[Any]:
        return [component for component, _ in self.said]

    def script(self, language: str) -> str:
        """JavaScript expression: a function that gives the updates of `components()` in the language it is told."""
        table = {
            code: [
                {"__type__": "update"} | {name: say(value, code) for name, value in texts.items()}
                for _, texts in self.said
            ]
            for code in LANGUAGES
        }
        return f"() => ({json.dumps(table, ensure_ascii=False)})[zoo.speak({language})]"


# ---------------------------------------------------------------------------------------------------------------------
# Calls


class _Deadline(threading.local):
    moment = float("inf")


_deadline = _Deadline()


class TooLong(RuntimeError):
    """A call that used up its time."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stops the networks of this thread at the first layer that begins after `seconds`, by raising TooLong.

    Threads cannot be stopped from outside, and a caller who gives up does not free the processor: so every module asks
    for the time before its forward pass.
    """
    _watch_modules()
    _deadline.moment = time.monotonic() + seconds
    try:
        yield
    finally:
        _deadline.moment = float("inf")


@cache
def _watch_modules() -> None:
    torch.nn.modules.module.register_module_forward_pre_hook(_check_time)


def _check_time(_module: Any, _inputs: Any) -> None:
    if time.monotonic() > _deadline.moment:
        raise TooLong


SPACES = importlib.util.find_spec("spaces") is not None  # the package that Hugging Face Spaces install


def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as ZeroGPU Spaces want it: decorated where the package `spaces` is, unchanged elsewhere."""
    if not SPACES:
        return function
    import spaces  # pyright: ignore[reportMissingImports]

    return spaces.GPU(duration=CALL_SECONDS)(function)


@on_gpu
def infer(slug: str, task: str, preset: str | None, arguments: dict[str, Any]) -> Any:
    """Runs a task for a stranger. Whatever fails becomes a gr.Error of one line.

    On ZeroGPU this runs in another process, once a call: so it takes names, not objects, and raises nothing but
    gr.Error, the only one whose text comes back from there.
    """
    try:
        with time_limit(CALL_SECONDS):
            return _plugins[slug].infer(task, preset, bounds="page", **arguments)
    except ValueError as error:  # ImageError and WeightsError among them: they say what to do
        raise gr.Error(_without_paths(str(error)), duration=20, print_exception=False) from error
    except TooLong:
        raise gr.Error(f"stopped after {CALL_SECONDS} seconds: ask for less", print_exception=False) from None
    except Exception as error:
        log.exception("%s.%s failed", slug, task)
        raise gr.Error(gate.what_went_wrong(error), print_exception=False) from error


_plugins: dict[str, Plugin] = {}  # those of the page, by slug


def load_on_gpu(plugin: Plugin) -> None:
    """Loads all presets of a plugin at once where a Space has a GPU.

    ZeroGPU wants models on "cuda" before the page opens: what a call loads is lost with the call's process. Elsewhere
    models wait for their first call.
    """
    if not (SPACES and torch.cuda.is_available()):
        return
    for preset in plugin.presets:
        try:
            plugin.ready(preset.name)
        except Exception as error:  # one preset must not take the others down; who asks for it is told why
            log.warning("%s/%s is not loaded: %s", plugin.slug, preset.name, error)


def _without_paths(line: str) -> str:
    """A message for strangers, who need not know where on this machine things are: `weights/...`, or a bare name."""
    if (root := hub.weights_root()).is_absolute():
        line = line.replace(str(root), "weights")
    return re.sub(r"(?<![\w/:.~-])(?:/[\w.@+~-]+)+/(?=[\w.@+-])", "", line)


def answer(plugin: Plugin, task: Task, preset: str | None, arguments: dict[str, Any]) -> Any:
    """The result of a call as Gradio's components take it. Raises gr.Error."""
    return _as_outputs(task, infer(plugin.slug, task.name, preset, arguments))


def _as_outputs(task: Task, result: Any) -> Any:
    shown = [_as_shown(value) for value in (result if len(task.outputs) > 1 else [result])]
    return shown if len(shown) > 1 else shown[0]


def _as_shown(value: Any) -> Any:
    if isinstance(value, list):  # a picture's caption is also what tells of it to who cannot see
        return [(picture, picture.info["caption"]) if "caption" in picture.info else picture for picture in value]
    if not isinstance(value, Film):
        return value
    with tempfile.TemporaryDirectory() as folder:
        path = images.save_film(value, Path(folder) / "film.mp4")
        return processing_utils.save_file_to_cache(path, utils.get_upload_folder())


# ---------------------------------------------------------------------------------------------------------------------
# Components


class PictureData(ImageData):
    """An uploaded file. Anything else that a client sends is refused with a reason, not with a validation report."""

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> PictureData:
        try:
            return super().model_validate(obj, **options)
        except ValidationError:
            raise gr.Error(f"{images.EXPECTED}, uploaded as a file", print_exception=False) from None


def input_component(words: Words, parameter: Parameter) -> Any:
    """The component of a task's argument.

    Values reach `Parameter.check` just as they were sent: components would round, clip or refuse each in its own way.
    """
    arg, kind = parameter.arg, parameter.type
    properties: dict[str, Any] = {"label": arg.label, "value": None if parameter.required else parameter.default}
    if kind is ImageFile:
        return _picture_input(words, parameter, properties)
    if arg.info is not None:
        properties["info"] = arg.info
    if arg.component is not None:
        component = getattr(gr, arg.component)
    elif parameter.choices is not None:
        component = gr.Dropdown
    elif kind is bool:
        component = gr.Checkbox
    elif kind in (int, float):
        component = gr.Number if arg.minimum is None or arg.maximum is None else gr.Slider
    else:
        component = gr.Textbox
    if parameter.choices is not None:
        properties["choices"] = list(zip(arg.names, parameter.choices) if arg.names else parameter.choices)
    if component is gr.Slider:
        properties |= {"minimum": arg.minimum, "maximum": arg.maximum}
        properties["step"] = arg.step or (1 if kind is int else 0.01)
    if component is gr.Number:
        properties |= {"precision": 0 if kind is int else None, "step": arg.step or 1}
    made = words.make(component, **properties)
    made.preprocess = lambda payload: payload
    return made


DROP = Text("Drop a picture here, or click to choose one", "Suelta aquí una imagen, o haz clic para elegirla")


def _picture_input(words: Words, parameter: Parameter, properties: dict[str, Any]) -> gr.Image:
    """A picture arrives as the path of an uploaded file, unopened: `images.read_image` alone opens it."""
    made = words.make(
        gr.Image, type="filepath", image_mode=None, sources=["upload", "clipboard"], placeholder=DROP, **properties
    )
    made.data_model = PictureData
    made.preprocess = lambda payload: payload.path if payload is not None else None

    async def only_uploads(path: str | Path | None) -> str | None:
        if path is not None and str(path).startswith(("http:", "https:")):  # a download would have no bounds
            raise gr.Error(f"{parameter.name}: expected an uploaded file, not an address", print_exception=False)
        return await gr.Image.async_move_resource_to_block_cache(made, path)

    made.async_move_resource_to_block_cache = only_uploads
    return made


RESULT = Text("Result", "Resultado")


def output_component(words: Words, name: str, kind: Any) -> Any:
    """The component that shows a result of this type."""
    alone = name == "result"  # a single result needs no name over it
    label = RESULT if alone else name.replace("_", " ").capitalize()
    common = {"label": label, "show_label": not alone, "elem_classes": "zoo-result"}
    if get_origin(kind) is list:
        return words.make(
            gr.Gallery, format="png", columns=4, height="auto", object_fit="contain", interactive=False,
            buttons=["download", "fullscreen"], **common,
        )  # fmt: skip
    if kind is Image.Image:
        return words.make(gr.Image, format="png", interactive=False, buttons=["download", "fullscreen"], **common)
    if kind is Film:
        return words.make(
            gr.Video,
            format="mp4",
            height=384,
            autoplay=True,
            loop=True,
            interactive=False,
            buttons=["download"],
            **common,
        )
    if kind is dict:
        return words.make(gr.JSON, **common)
    return words.make(gr.Textbox, interactive=False, **common)


# ---------------------------------------------------------------------------------------------------------------------
# One plugin

PAPER = Text("Paper", "Artículo")
TRAINED = Text("Trained model", "Modelo entrenado")
RUN = Text("Generate", "Generar")
DICE = Text("Random", "Al azar")
EXAMPLES = Text("Examples", "Ejemplos")
LICENCES = {"open": Text("open", "abierto"), "research": Text("research only", "solo investigación")}


class Page:
    """A plugin's tab while it is drawn: what `plugin.Page` promises to `Plugin.tab`."""

    def __init__(self, plugin: Plugin, words: Words):
        self.plugin = plugin
        self.make = words.make
        self.words = words
        self.tasks = plugin.tasks()
        self.placed: list[str] = []
        self.hidden = False  # are panels being placed that nobody sees?
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
            if self.preset is None:
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
        default = self.plugin.default_preset
        self.preset = self.words.make(
            gr.Dropdown,
            label=TRAINED,
            choices=[(preset.title, preset.name) for preset in self.plugin.presets],
            value=default.name if default else None,
            interactive=len(self.plugin.presets) > 1,
        )
        self.preset.preprocess = lambda payload: payload
        about = {preset.name: _about(preset) for preset in self.plugin.presets}
        shown = gr.HTML(about[default.name] if default else "", padding=False, elem_classes="zoo-preset")
        script = f"(name) => ({json.dumps(about, ensure_ascii=False)})[name] ?? ''"
        self.preset.change(None, self.preset, shown, js=script)

    def panel(self, name: str, *, editor: Callable[[], Any] | None = None) -> Panel:
        if name in self.placed:
            raise ValueError(f"{self.plugin.slug}: the panel of {name!r} is placed twice")
        if self.preset is None:
            raise ValueError(f"{self.plugin.slug}: place header() before the panel of {name!r}")
        task = self.tasks[name]
        self.placed.append(name)
        with gr.Row(equal_height=False, elem_classes="zoo-panel"):
            with gr.Column(scale=2, min_width=280, elem_classes="zoo-arguments"):
                gr.HTML(f"<p>{both(task.summary)}</p>", padding=False, elem_classes="zoo-hint")
                edited = None if editor is None else editor()
                inputs = {parameter.name: self._argument(parameter) for parameter in task.parameters}
                self._examples(name, inputs)
                button = self.words.make(gr.Button, value=RUN, variant="primary", elem_classes="zoo-run")
            with gr.Column(scale=3, min_width=280):
                notice = gr.HTML(visible=False, padding=False, elem_classes="zoo-notice")
                alone = list(task.outputs.values()).count(Image.Image) < 2  # pictures to compare stand side by side
                with nullcontext() if alone else gr.Row():
                    outputs = {name: output_component(self.words, name, kind) for name, kind in task.outputs.items()}
        call: dict[str, Any] = {
            "fn": _endpoint(self.plugin, task),
            "inputs_kwargs": {**inputs, "preset": self.preset},
            "outputs": list(outputs.values()),
            "concurrency_limit": AT_ONCE,
            "concurrency_id": self.plugin.slug,
        }
        click = button.click(**call, api_name=f"{self.plugin.slug}_{name}")
        if task.first_look and not self.hidden and not any(parameter.required for parameter in task.parameters):
            self._first_look(task, notice, list(outputs.values()))
            click.success(None, None, notice, js="() => ({__type__: 'update', visible: false})")

        def after(event: Any) -> Any:
            return event.success(**call, api_visibility="private")

        return Panel(inputs, button, outputs, click, after, edited)

    def _examples(self, name: str, inputs: dict[str, Any]) -> None:
        examples = self.plugin.examples(name)
        if not examples:
            return
        given = [parameter for parameter in inputs if parameter in examples[0]]
        rows = [[example[parameter] for parameter in given] for example in examples]
        shown = gr.Examples(rows, [inputs[parameter] for parameter in given], label=EXAMPLES.en, cache_examples=False)
        self.words.said.append((shown.dataset, {"label": EXAMPLES}))

    def _first_look(self, task: Task, notice: Any, outputs: list[Any]) -> None:
        """Once a visit, when the panel's tab is first open: nobody waits for tabs that nobody looks at."""
        seen = gr.State(False)
        around = Context.block
        while around is not None and not isinstance(around, gr.Tab):
            around = around.parent
        look = _first_look(self.plugin, task)
        arguments: dict[str, Any] = {
            "fn": lambda again: [True, *([gr.skip()] * (1 + len(outputs)) if again else look())],
            "inputs": seen,
            "outputs": [seen, notice, *outputs],
            "api_visibility": "private",
            "show_progress": "minimal",
            "concurrency_limit": AT_ONCE,
            "concurrency_id": self.plugin.slug,
        }
        if around is not None:
            around.select(**arguments)

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


def _endpoint(plugin: Plugin, task: Task) -> Callable[..., Any]:
    """The function behind `/<slug>_<task>`; its docstring is what API page and MCP tell of it."""

    def run(preset: str | None = None, **arguments: Any) -> Any:
        return answer(plugin, task, preset, arguments)

    # MCP names its tools after the function, and both MCP and the API page describe its parameters by its docstring.
    run.__name__ = f"{plugin.slug}_{task.name}"
    keyword = inspect.Parameter.KEYWORD_ONLY
    names = [*((p.name, p.default) for p in task.parameters), ("preset", None)]
    run.__signature__ = inspect.Signature([inspect.Parameter(name, keyword, default=value) for name, value in names])
    told = [(p.name, f"{p.arg.label.en}. {p.arg.info.en if p.arg.info else ''}".strip()) for p in task.parameters]
    told.append(("preset", f"{TRAINED.en}: {', '.join(preset.name for preset in plugin.presets)}"))
    about = f"{plugin.title.en}. {task.title.en}: {task.summary.en}"
    run.__doc__ = "\n".join([about, "", "Args:", *(f"    {name}: {text}" for name, text in told)])
    return run


NO_LOOK = Text("Nothing to show yet", "Aún no hay nada que mostrar")


def _first_look(plugin: Plugin, task: Task) -> Callable[[], Any]:
    """What a panel shows before anyone asks: the task with its defaults, computed for the first visitor and kept.

    Where that fails, the panel's notice says why.
    """
    kept: list[Any] = []
    lock = threading.Lock()

    def look() -> list[Any]:
        with lock:
            if not kept:
                try:
                    kept.append(infer(plugin.slug, task.name, None, {}))
                except gr.Error as error:
                    log.warning("no first look of %s.%s: %s", plugin.slug, task.name, error.message)
                    return [gr.HTML(_notice(error.message), visible=True), *[gr.skip()] * len(task.outputs)]
        shown = _as_outputs(task, kept[0])
        return [gr.skip(), *(shown if len(task.outputs) > 1 else [shown])]

    return look


def _notice(line: str) -> str:
    """The line as HTML, `commands` set as code."""
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(line, quote=False))
    return f"<h3>{both(NO_LOOK)}</h3><p>{code}</p>"


# ---------------------------------------------------------------------------------------------------------------------
# The page

LEAD = Text(
    "Generative adversarial networks to try, call, train and extend.",
    "Redes generativas antagónicas para probar, llamar, entrenar y ampliar.",
)
CANNOT = Text("This plugin cannot be used here", "Esta extensión no se puede usar aquí")
NOTHING = Text("There are no plugins.", "No hay extensiones.")
FOOT = Text(
    "Every tab is also an API and a command line; pictures are made on this machine and deleted after an hour.",
    "Cada pestaña es también una API y una orden de terminal; las imágenes se hacen en esta máquina y se borran tras "
    "una hora.",
)
API = Text("Use via API or MCP", "Usar por API o MCP")


def build(zoo: registry.Registry | None = None) -> gr.Blocks:
    """The whole page of a registry (by default of all plugins there are), ready for `launch`."""
    zoo = registry.discover() if zoo is None else zoo
    words = Words()
    with gr.Blocks(title="GAN Zoo", analytics_enabled=False, delete_cache=(SWEEP_SECONDS, KEEP_SECONDS)) as page:
        with gr.Row(equal_height=True, elem_classes="zoo-header"):
            gr.HTML(f"{_asset('logo.svg')}<div><h1>GAN Zoo</h1>{both(LEAD, 'p')}</div>", padding=False)
            with gr.Row(elem_classes="zoo-switches"):
                switches = {
                    code: gr.Button(name, size="sm", min_width=0, scale=0, elem_id=f"zoo-{code}")
                    for code, name in LANGUAGES.items()
                }
                theme = gr.Button("◐", size="sm", min_width=0, scale=0, elem_id="zoo-theme")
        with gr.Tabs(elem_classes="zoo-plugins") as tabs:
            for plugin in zoo.plugins.values():
                with words.make(gr.Tab, label=plugin.title, id=plugin.slug) as tab:
                    _plugin_tab(plugin, words)
                tab.select(None, js=f"() => zoo.remember('tab', {json.dumps(plugin.slug)})")
            for broken in zoo.broken:
                with gr.Tab(broken.name, id=f"broken-{broken.name}", elem_id=f"zoo-broken-{broken.name}"):
                    gr.HTML(
                        f"<h3>{both(CANNOT)}</h3><pre>{html.escape(broken.reason)}</pre>", elem_classes="zoo-broken"
                    )
        if not zoo.plugins and not zoo.broken:
            gr.HTML(f"<p>{both(NOTHING)}</p>")
        gr.HTML(f'<p>{both(FOOT)} <a href="#" onclick="return zoo.api()">{both(API)}</a></p>', elem_classes="zoo-foot")

        for code, switch in switches.items():
            switch.click(None, None, words.components(), js=words.script(json.dumps(code)))
        theme.click(None, js="() => zoo.flip()")
        page.load(None, None, words.components(), js=words.script("null"))
        page.load(None, None, tabs, js="() => ({__type__: 'update', ...zoo.tab()})")
    page.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=AT_ONCE, api_open=False)
    gate.keep_alive(page._queue)
    return page


def _plugin_tab(plugin: Plugin, words: Words) -> None:
    _plugins[plugin.slug] = plugin
    load_on_gpu(plugin)
    page = Page(plugin, words)
    plugin.tab(page)
    page.complete()


def launch_settings() -> dict[str, Any]:
    """The keyword arguments of `Blocks.launch` that belong to the page."""
    return {
        "theme": theme(),
        # Not as `css`: Gradio puts a prefix before each selector, which breaks those that begin with html or body.
        "head": f"<style>{_asset('page.css')}</style><script>{_asset('page.js')}</script>",
        "footer_links": ["api"],
        "favicon_path": str(ASSETS / "favicon.svg"),
        "max_file_size": images.MAX_BYTES,
        "mcp_server": importlib.util.find_spec("mcp") is not None,
        "share": False,
        "run_history": False,
        "enable_monitoring": False,
        "pwa": False,
        "ssr_mode": False,
    }


def launch(
    zoo: registry.Registry | None = None, *, host: str | None = None, port: int | None = None, **options: Any
) -> tuple[Any, str, str]:
    """Builds and opens the page; by default on GRADIO_SERVER_NAME (127.0.0.1) and GRADIO_SERVER_PORT (7860)."""
    page = build(zoo)
    bound = host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    guard = Middleware(
        gate.Gate,
        folder=utils.get_upload_folder,
        hosts=gate.allowed_hosts(bound),
        alive=lambda: not page._queue.stopped,
        endpoints=cache(lambda: gate.endpoints_of(page)),
    )
    gate.tell_errors()
    uvicorn.config.HTTP_PROTOCOLS["auto"] = "gan_zoo.gate:Impatient"
    settings: Mapping[str, Any] = launch_settings() | {"server_name": host, "server_port": port} | options
    return page.launch(**settings, app_kwargs={"middleware": [guard]})


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def theme() -> gr.themes.Base:
    """Paper and ink with one green, by day and by night. System fonts: nothing is fetched."""
    green = gr.themes.Color(
        "#effaf5", "#d8f2e6", "#b3e4cf", "#82d0b2", "#4fb591", "#2c9875", "#1f7a5d", "#1a624c", "#174e3e", "#134034",
        "#08251e",
    )  # fmt: skip
    ink = gr.themes.Color(
        "#faf9f6", "#f3f1ec", "#e6e3dc", "#d2cec5", "#a8a399", "#7d7870", "#5d5952", "#45423d", "#2c2a27", "#1d1c1a",
        "#131211",
    )  # fmt: skip
    fonts = ["Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "sans-serif"]
    mono = ["SF Mono", "Consolas", "Liberation Mono", "monospace"]
    base = gr.themes.Base(
        primary_hue=green, secondary_hue=green, neutral_hue=ink, font=fonts, font_mono=mono, radius_size="lg"
    )
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_900",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_border_width="1px",
        block_label_background_fill="*background_fill_primary",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_400",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_300",
        block_title_text_weight="500",
        block_shadow="none",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_950",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_width="1px",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_500",
        button_primary_background_fill_hover_dark="*primary_400",
        button_primary_text_color="white",
        button_primary_text_color_dark="*neutral_950",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_hover="*neutral_200",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        slider_color="*primary_600",
        slider_color_dark="*primary_500",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_400",
    )
