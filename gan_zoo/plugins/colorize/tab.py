"""The tab: an editor in which lines are drawn and colours dabbed, in front of the plain arguments of `paint`."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from gan_zoo import images
from gan_zoo.plugin import MAX_SEED, Page, Text
from gan_zoo.plugins.colorize.colours import dabs_to_hints
from gan_zoo.plugins.colorize.drawn import draw_character

FIRST = 0  # the example that the tab opens with
SIZE = 512  # of the empty sheet and of the examples
BRUSHES = ["#000000", "#f6d7c3", "#8d5a3c", "#d9a441", "#b5382a", "#e79ab8", "#7b5ea7", "#3f6fb5", "#4fa3a5", "#5a8f4e",
           "#9aa0a8", "#ffffff"]  # fmt: skip
GUIDE = Text(
    "Draw in black, or drop a drawing on the sheet. Every other colour is a hint: a dab in a region colours all of it, "
    "and the picture follows.",
    "Dibuja en negro o suelta un dibujo en la hoja. Cualquier otro color es una pista: un toque colorea toda la "
    "zona, y la imagen va cambiando.",
)
SHEET = Text("Drawing", "Dibujo")
EXAMPLE = Text("An example", "Un ejemplo")
PAINT = Text("Paint it", "Pintarlo")
COMPARED = Text("Before and after", "Antes y después")
PAINT_TAB = Text("Draw and dab", "Dibujar y dar color")
FORM_TAB = Text("By file and numbers", "Con archivo y números")
EXTRACT_TAB = Text("Picture to line art", "De imagen a líneas")


def example(seed: int) -> Image.Image:
    """Line art of a built-in character, SIZE x SIZE."""
    while (lines := draw_character(seed, SIZE)[1]) is None:
        seed += 1
    return Image.fromarray((lines[0] * 255).round().byte().numpy()).convert("RGB")


def split_drawing(background: Image.Image | None, layers: Sequence[Image.Image]) -> tuple[Image.Image, str]:
    """What the editor holds as arguments of `paint`: line art, RGB, and hints as JSON.

    On the layers dark grey is ink, every other colour a hint.
    """
    size = background.size if background else layers[0].size if layers else (SIZE, SIZE)
    lines = images.on_white(background) if background else Image.new("RGB", size, "white")
    dabs = Image.new("RGBA", size)
    for layer in layers:
        pixels = np.array(layer.convert("RGBA"))
        rgb = pixels[..., :3].astype(int)
        is_ink = (rgb.max(2) < 80) & (np.ptp(rgb, axis=2) < 40)
        ink, paint = pixels.copy(), pixels
        ink[~is_ink, 3] = 0
        paint[is_ink, 3] = 0
        lines.paste(Image.fromarray(ink), mask=Image.fromarray(ink).getchannel("A"))
        dabs = Image.alpha_composite(dabs, Image.fromarray(paint))
    hints = dabs_to_hints(dabs)
    return lines, json.dumps([{"x": int(h.x), "y": int(h.y), "color": f"#{bytes(h.color).hex()}"} for h in hints])


def draw_tab(page: Page) -> None:
    """Header, and three tabs: the editor, the plain form of `paint`, and `extract`."""
    import gradio as gr

    page.header()
    with gr.Tabs(elem_classes="zoo-tasks"):
        with page.make(gr.Tab, label=PAINT_TAB, id="draw"):
            with gr.Row(equal_height=False, elem_classes="zoo-panel"):
                with gr.Column(scale=1, min_width=280):
                    page.make(gr.Markdown, value=GUIDE)
                    editor = _editor(page, gr)
                    with gr.Row():
                        other = page.make(gr.Button, value=EXAMPLE)
                        go = page.make(gr.Button, value=PAINT, variant="primary")
                with gr.Column(scale=1, min_width=280):
                    compared = page.make(
                        gr.ImageSlider, label=COMPARED, interactive=False, format="png", type="filepath"
                    )

            def opening(preset: str | None) -> list[Any]:
                art = example(FIRST)
                with tempfile.TemporaryDirectory() as folder:
                    art.save(path := f"{folder}/example.png")
                    return [art, (art, page.infer("paint", preset, image=path))]

            page.opening(opening, [editor, compared])
        with page.make(gr.Tab, label=FORM_TAB, id="form", render_children=True):
            panel = page.panel("paint")
        with page.make(gr.Tab, label=EXTRACT_TAB, id="extract"):
            page.panel("extract")

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    image, hints, result = panel.inputs["image"], panel.inputs["hints"], panel.outputs["result"]
    changed = [go.click, editor.input, page.preset.input]
    panel.after(gr.on(changed, _arguments, editor, [image, hints], trigger_mode="always_last", **private))

    def another() -> tuple[Image.Image, Image.Image, str]:
        art = example(random.randrange(MAX_SEED))
        return art, art, ""

    panel.after(other.click(another, None, [editor, image, hints], **private))
    panel.then(images.before_and_after, [image, result], compared, **private)


def _editor(page: Page, gr: Any) -> Any:
    return page.make(
        gr.ImageEditor, label=SHEET, type="pil", image_mode="RGBA", format="png", sources=["upload", "clipboard"],
        brush=gr.Brush(default_size=6, colors=BRUSHES, default_color=BRUSHES[0]), layers=False, transforms=[],
        canvas_size=(SIZE, SIZE),
    )  # fmt: skip


def _arguments(drawing: dict[str, Any] | None) -> tuple[Image.Image, str]:
    """The editor's value -> line art, which its component keeps as a file, and hints."""
    drawing = drawing or {"background": None, "layers": []}
    return split_drawing(drawing["background"], drawing["layers"])
