"""The tab: the fight as a moving picture with its controls, the lesson beside it, and the plain tasks."""

from __future__ import annotations

import dataclasses
import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_zoo import images
from gan_zoo.plugin import Page, Text
from gan_zoo.plugins.lab.game import MOVES, Game
from gan_zoo.plugins.lab.rules import FACES_RULES, MOST_POINTS, Rules
from gan_zoo.plugins.lab.runs import faces_are_trained
from gan_zoo.plugins.lab.subjects import FACES_SUBJECT

if TYPE_CHECKING:
    from gan_zoo.plugins.lab.plugin import Lab

HERE = Path(__file__).parent
WATCH = Text("Watch points", "Mirar puntos")
WATCH_FACES = Text("Watch faces", "Mirar caras")
MOST_AT_ONCE = 20  # moves of one call from the page ...
AT_ONCE_SECONDS = 0.4  # ... or as many as take so long


def draw_tab(page: Page, plugin: Lab) -> None:
    import gradio as gr

    from gan_zoo.plugins.lab.template import CSS, faces_template, points_template

    page.header()
    rules = dataclasses.asdict(Rules())
    watched = [("points", WATCH, rules, points_template())]
    if faces_are_trained():
        watched.append(("faces", WATCH_FACES, rules | FACES_RULES, faces_template()))
    with gr.Tabs(elem_classes="zoo-tasks"):
        for name, title, usual, template in watched:
            told = f"const RULES = {json.dumps(usual)}, MOST = {MOST_AT_ONCE}, MOST_POINTS = {MOST_POINTS};\n"
            with page.make(gr.Tab, label=title, id=f"watch-{name}"):
                page.make(
                    gr.HTML,
                    value="",
                    html_template=template,
                    css_template=CSS,
                    js_on_load=told + "".join((HERE / part).read_text("utf-8") for part in (f"{name}.js", "fight.js")),
                    server_functions=[page.answering(function) for function in (_player(plugin), _filmer(plugin))],
                    elem_id=f"lab-{name}",
                )
        for name, task in plugin.tasks().items():
            with page.make(gr.Tab, label=task.title, id=name):
                page.panel(name)


def _player(plugin: Lab) -> Any:
    """What the page calls for each picture; a stranger's values are checked as those of the tasks are."""

    def play(run: Any, what: Any = "both", times: Any = 1) -> dict[str, Any]:
        if what not in MOVES or type(times) is not int or not 0 <= times <= MOST_AT_ONCE:
            raise ValueError(f"expected one of {', '.join(MOVES)}, 0 to {MOST_AT_ONCE} times")
        after, seen = plugin.fights.take_up(plugin.read(str(run)), what, times, _look, seconds=AT_ONCE_SECONDS)
        return {"run": after, **seen}

    return play


def _look(fight: Game) -> dict[str, Any]:
    state, glimpse = fight.look()
    if fight.subject is not FACES_SUBJECT:  # points are drawn in the browser
        return {"state": state}
    data = io.BytesIO()
    fight.subject.draw(glimpse).save(data, "WEBP", quality=90)
    return {"state": state, "picture": images.data_address(data.getvalue(), "image/webp")}


def _filmer(plugin: Lab) -> Any:
    def film(run: Any) -> dict[str, Any]:
        _, made = plugin.fights.take_up(plugin.read(str(run)), "both", 0, Game.film)
        with tempfile.TemporaryDirectory() as folder:
            data = images.save_film(made, Path(folder) / "film.mp4").read_bytes()
        return {"film": images.data_address(data, "video/mp4")}

    return film
