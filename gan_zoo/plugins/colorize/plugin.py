"""Colour for line art, following hints; and line art from colour."""

from __future__ import annotations

from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor

from gan_zoo import images
from gan_zoo.plugin import (
    Exported,
    Json,
    Page,
    Preset,
    Text,
    task,
)
from gan_zoo.plugins.colorize.arguments import Coloured, Drawing, Hints, PaintSeed
from gan_zoo.plugins.colorize.colours import Hint, parse_hints
from gan_zoo.plugins.colorize.lines import clean, dark_ground, light_strokes, line_art, luminance
from gan_zoo.plugins.colorize.pipeline import MULTIPLE, ColorizePipeline, Painter
from gan_zoo.plugins.colorize.tab import draw_tab
from gan_zoo.plugins.colorize.training import ColorizeTraining

BLANK = 0.9  # the darkest place of a sheet without lines
MIN_SIDE, MAX_SIDE = 16, 4096  # of what `paint` and `extract` give; larger pictures are shrunk


class Colorize(ColorizeTraining):
    slug: ClassVar[str] = "colorize"
    title: ClassVar[Text] = Text("Colour", "Color")
    summary: ClassVar[Text] = Text(
        "Drop in line art, dab a few colours if you like, and get it painted.",
        "Pon un dibujo de líneas, da unos toques de color si quieres y se pinta solo.",
    )
    paper: ClassVar[str] = "https://arxiv.org/abs/1611.07004"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            name="adventurer",
            title=Text("Drawn characters, 256 px", "Personajes dibujados, 256 px"),
            licence="open",
            licence_id="cc-by-4.0",
            data=Text(
                "Characters drawn on the fly: remixes of Adventurer (CC BY 4.0) and Lorelei (CC0 1.0), both by Lisa "
                "Wischofsky, by DiceBear, in colours of our own.",
                "Personajes dibujados sobre la marcha: variaciones de Adventurer (CC BY 4.0) y Lorelei (CC0 1.0), los "
                "dos de Lisa Wischofsky, con DiceBear y colores propios.",
            ),
        ),
        Preset(
            name="anime-faces-256",
            title=Text("Anime portraits, 256 px", "Retratos de anime, 256 px"),
            licence="research",
            data=Text(
                "3,200 portraits of anime characters, 256 x 256 pixels, collected from the web without a licence: "
                "research and teaching only.",
                "3200 retratos de personajes de anime, de 256 x 256 píxeles, reunidos de la web sin licencia: "
                "solo para investigación y enseñanza.",
            ),
        ),
    )
    pipeline_tag: ClassVar[str] = "image-to-image"
    example: ClassVar[str] = "--image lines.png"
    columns: ClassVar[int] = 6
    caption: ClassVar[str] = "Uncurated, of pictures held out: lines with hints, painted without them, and with them."

    # -- load and infer ----------------------------------------------------------------------------------------------

    @task(
        Text("Paint", "Pintar"),
        Text(
            "Line art becomes a picture: thin or thick lines, drawn, scanned or photographed.",
            "Un dibujo de líneas se convierte en imagen: líneas finas o gruesas, a mano, escaneadas o en una foto.",
        ),
    )
    def paint(
        self,
        pipeline: ColorizePipeline,
        *,
        image: Drawing,
        hints: Hints = Json("[]"),
        seed: PaintSeed = 0,
    ) -> Image.Image:
        drawing, scale = _read(image, sheet=True)
        lines = clean(luminance(drawing))
        if float(lines.min()) > BLANK:
            raise ValueError("image: an empty sheet; expected drawn lines, dark on light or light on dark")
        size = (round(drawing.shape[2] / scale), round(drawing.shape[1] / scale))  # hints count the file's own pixels
        dots = [Hint(dot.x * scale, dot.y * scale, dot.color) for dot in parse_hints(hints, size)]
        return images.to_images(pipeline(lines, dots, seed))[0]

    @task(
        Text("Line art", "Líneas"),
        Text(
            "The line art of a colour picture, to paint anew.",
            "Las líneas de una imagen en color, para pintarla de nuevo.",
        ),
    )
    def extract(
        self,
        pipeline: ColorizePipeline,
        *,
        image: Coloured,
    ) -> Image.Image:
        lines = line_art(_read(image)[0])
        return images.to_images(lines.expand(3, -1, -1)[None] * 2 - 1)[0]

    # -- the page ----------------------------------------------------------------------------------------------------

    def exports(self, pipeline: ColorizePipeline) -> dict[str, Exported]:
        inputs = {
            "lines": torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0)),
            "hints": torch.zeros(1, 4, 128, 128),
            "palettes": pipeline.generator.palettes[:1].cpu(),
        }
        told = {
            "lines": "line art in [0, 1], 0 is ink",
            "hints": "red, green and blue of dots in [-1, 1], and a 1 where a dot is; else 0",
            "palettes": "one of those that the weights remember, such as palettes.npy",
            "picture": "colour planes in [-1, 1]",
        }
        free = {name: {2: "height", 3: "width"} for name in ("lines", "hints")}
        return {"painter": Exported(Painter(pipeline.generator), inputs, ("picture",), told, free, MULTIPLE)}

    def tab(self, page: Page) -> None:
        draw_tab(page)


def _read(image: str, sheet: bool = False) -> tuple[Tensor, float]:
    """A picture file as (3, H, W) in [0, 1], on white, and by what it was shrunk to MAX_SIDE. A `sheet` has dark lines:
    light ones, on a dark or a transparent ground, are inverted.
    """
    picture = images.read_image(image)
    if min(picture.size) < MIN_SIDE:
        raise ValueError(f"image: {picture.width} x {picture.height} pixels, expected sides of at least {MIN_SIDE}")
    width, picture = picture.width, images.at_most(picture, MAX_SIDE)
    if sheet and picture.mode == "RGBA" and light_strokes(picture):
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
    drawing = (images.to_tensor(picture)[0] + 1) / 2
    inverted = 1 - drawing if sheet and dark_ground(luminance(drawing)) else drawing
    return inverted, picture.width / width
