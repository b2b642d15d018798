"""The tab: directions by the names of the domains, before and after under a slider, the cycle beside it."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_zoo import images
from gan_zoo.plugin import Page, Text
from gan_zoo.plugins.cyclegan.drawn import draw_landscape

if TYPE_CHECKING:
    from gan_zoo.plugin import Plugin

WHERE = Text("Direction", "Dirección")
COMPARED = Text("Before and after", "Antes y después")
FORTH = Text("There", "Ida")
BACK = Text("And back", "Vuelta")
DIRECTIONS = {  # of each preset, forth and back, as people say them
    "seasons": (
        ("summer2winter", Text("Summer → winter", "Verano → invierno")),
        ("winter2summer", Text("Winter → summer", "Invierno → verano")),
    ),
    "horse2zebra": (
        ("horse2zebra", Text("Horse → zebra", "Caballo → cebra")),
        ("zebra2horse", Text("Zebra → horse", "Cebra → caballo")),
    ),
    "monet": (
        ("photo2monet", Text("Photo → Monet", "Foto → Monet")),
        ("monet2photo", Text("Monet → photo", "Monet → foto")),
    ),
    "vangogh": (
        ("photo2vangogh", Text("Photo → Van Gogh", "Foto → Van Gogh")),
        ("vangogh2photo", Text("Van Gogh → photo", "Van Gogh → foto")),
    ),
}


def draw_tab(page: Page, plugin: Plugin) -> None:
    import gradio as gr

    page.header()
    with gr.Tabs(elem_classes="zoo-tasks"):
        for name, task in plugin.tasks().items():
            with page.make(gr.Tab, label=task.title, id=name):
                ways = [(text, way) for pairs in DIRECTIONS.values() for way, text in pairs]
                chosen = page.make(gr.Radio, label=WHERE, choices=ways[:2], value=ways[0][1])
                panel = page.panel(name)
                if name == "translate":
                    compared = page.make(gr.ImageSlider, label=COMPARED, interactive=False, format="png")
                    image, result = panel.inputs["image"], panel.outputs["translated"]
                    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
                    panel.done.success(images.before_and_after, [image, result], compared, **quiet)
            direction = panel.inputs["direction"]
            chosen.change(None, chosen, direction, js="(way) => way ?? ''")
            table = {preset: [[text.en, way] for way, text in pairs] for preset, pairs in DIRECTIONS.items()}
            page.preset.change(
                None,
                page.preset,
                [chosen, direction],
                js=f"""(name) => {{
                    const ways = ({json.dumps(table, ensure_ascii=False)})[name] ?? [];
                    const first = ways.length ? ways[0][1] : '';
                    return [{{__type__: 'update', choices: ways, value: first}}, first];
                }}""",
            )


@cache
def draw_examples() -> list[Path]:
    """Pictures of our own: a drawn horse, and landscapes drawn once a process."""
    folder = Path(tempfile.mkdtemp(prefix="gan-zoo-examples-"))
    made = []
    for number, season in ((2, "summer"), (4, "winter"), (9, "summer"), (7, "winter")):
        path = folder / f"{season}-{number}.png"
        draw_landscape(number, season, 384).save(path)
        made.append(path)
    return [*made, Path(__file__).with_name("horse.jpg")]
