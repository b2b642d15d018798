"""The tab: directions by the names of the domains, before and after under a slider, the cycle beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_zoo import images
from gan_zoo.plugin import Page, Text

if TYPE_CHECKING:
    from gan_zoo.plugin import Plugin

EXAMPLES = Path(__file__).parent / "examples"  # CREDITS.md says whose they are
WHERE = Text("Direction", "Dirección")
COMPARED = Text("Before and after", "Antes y después")
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
    first = page.preset.value if page.preset.value in DIRECTIONS else next(iter(DIRECTIONS))
    # The language switch knows the texts of all presets, since it cannot know which one is chosen.
    words = {text.en: text.es for pairs in DIRECTIONS.values() for _, text in pairs}

    def directions() -> Any:
        ways = [(text, way) for way, text in DIRECTIONS[first]]
        return page.make(gr.Radio, label=WHERE, choices=ways, value=ways[0][1], elem_id=f"cyclegan-way-{name}")

    def slider() -> Any:
        nonlocal compared
        compared = page.make(gr.ImageSlider, label=COMPARED, interactive=False, format="png", max_height=480)
        return compared

    compared: Any = None
    with gr.Tabs(elem_classes="zoo-tasks"):
        for name, task in plugin.tasks().items():
            with page.make(gr.Tab, label=task.title, id=name):
                picture = name == "translate"
                hidden = ["direction", "translated"] if picture else ["direction"]
                panel = page.panel(name, editor=directions, result=slider if picture else None, hidden=hidden)
            chosen, direction = panel.editor, panel.inputs["direction"]
            if picture:
                image, result = panel.inputs["image"], panel.outputs["translated"]
                quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
                panel.then(images.before_and_after, [image, result], compared, **quiet)
            panel.after(chosen.input(None, chosen, direction, js="(way) => way ?? ''"), fit=True)
            direction.change(None, direction, chosen, js="(way) => way || undefined")
            table = {preset: [[text.en, way] for way, text in pairs] for preset, pairs in DIRECTIONS.items()}
            page.preset.input(
                None,
                page.preset,
                [chosen, direction],
                js=f"""(name) => {{
                    const words = {json.dumps(words, ensure_ascii=False)};
                    const said = (text) => document.documentElement.lang === 'es' ? words[text] : text;
                    const ways = ({json.dumps(table, ensure_ascii=False)})[name] ?? [];
                    const first = ways.length ? ways[0][1] : '';
                    const choices = ways.map(([text, way]) => [said(text), way]);
                    return [{{__type__: 'update', choices, value: first}}, first];
                }}""",
            )


def find_examples(task: str) -> list[dict[str, Any]]:
    """A horse, a zebra and landscapes, all drawn, and open photographs: each for what fits it."""
    if task != "translate":
        return []
    animals = [("horse2zebra", "horse.jpg"), ("zebra2horse", "zebra.jpg")]
    photos = ("lake.jpg", "tea-gardens.jpg", "colosseum.jpg", "seeding.jpg")
    seasons = [("summer2winter", "summer-2.jpg"), ("winter2summer", "winter-4.jpg"), ("summer2winter", "summer-9.jpg")]
    found = [(EXAMPLES / file, "seasons", way) for way, file in seasons]
    found += [(EXAMPLES / file, "horse2zebra", way) for way, file in animals]
    found += [(EXAMPLES / file, name, f"photo2{name}") for name in ("monet", "vangogh") for file in photos]
    return [{"image": str(path), "direction": way, "preset": preset} for path, preset, way in found]
