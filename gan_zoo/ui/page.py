"""The page and its API, built from the registry: header, one tab per plugin, one panel and one endpoint per task.

Nothing here knows a plugin by name. A task's arguments become components by their types, its endpoint is
`/<slug>_<task>`, and page, API and MCP go through `Plugin.infer(bounds="page")`, so all three refuse the same things
with the same words.

What strangers can send is bounded: numbers by `Arg.maximum`, files by `images.MAX_BYTES` and `images.MAX_PIXELS`,
requests and uploads by `gate.Gate`, calls by the queue's length, the time of a call by `calls.time_limit`;
uploads and results are deleted after an hour.

A plugin draws its tab by `Plugin.tab`, which is handed a `Page`. Tasks it does not place keep their endpoints.
"""

from __future__ import annotations

import gc
import html
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import utils
from starlette.middleware import Middleware

from gan_zoo import gate, images, registry
from gan_zoo.crowd import Crowd
from gan_zoo.plugin import Plugin, Text
from gan_zoo.ui import calls, patches
from gan_zoo.ui.tabs import Page
from gan_zoo.ui.theme import theme
from gan_zoo.ui.words import LANGUAGES, Words, both

QUEUE_LENGTH = 64
KEEP_SECONDS = 3600  # uploads and results
SWEEP_SECONDS = 600  # between two looks for those older than that
ASSETS = Path(__file__).parent / "assets"

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
                dark = gr.Button("◐", size="sm", min_width=0, scale=0, elem_id="zoo-theme")
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
        dark.click(None, js="() => zoo.flip()")
        page.load(None, None, words.components(), js=words.script("null"))
        page.load(None, None, tabs, js="() => ({__type__: 'update', ...zoo.tab()})")
    page.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=calls.AT_ONCE, api_open=False)
    return page


def _plugin_tab(plugin: Plugin, words: Words) -> None:
    calls.plugins[plugin.slug] = plugin
    calls.load_on_gpu(plugin)
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
        "mcp_server": patches.MCP,
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
    crowd = Crowd()
    crowd.guard(page._queue)
    guard = Middleware(
        gate.Gate,
        folder=utils.get_upload_folder,
        hosts=gate.allowed_hosts(gate.address(host)),
        alive=lambda: not page._queue.stopped,
        endpoints=cache(lambda: gate.endpoints_of(page)),
        crowd=crowd,
    )
    patches.install(page)
    settings: Mapping[str, Any] = launch_settings() | {"server_name": host, "server_port": port} | options
    if not gc.isenabled():  # put off by who starts a program with this
        gc.freeze()
        gc.enable()
    return page.launch(**settings, app_kwargs={"middleware": [guard]})


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
