"""The arguments of the tasks, as people and programs are told of them."""

from __future__ import annotations

from typing import Annotated

from gan_zoo.plugin import MAX_SEED, Arg, ImageFile, Json, Text

Drawing = Annotated[ImageFile, Arg(Text("Line art", "Dibujo de líneas"))]
Hints = Annotated[
    Json,
    Arg(
        Text("Hints", "Pistas"),
        info=Text(
            'Dots of colour, in pixels of the drawing: [{"x": 40, "y": 60, "color": "#ff8800"}]',
            'Puntos de color, en píxeles del dibujo: [{"x": 40, "y": 60, "color": "#ff8800"}]',
        ),
    ),
]
PaintSeed = Annotated[
    int,
    Arg(
        Text("Seed", "Semilla"),
        info=Text(
            "Draws the palette: what hints do not settle, it does.",
            "Elige la paleta: decide lo que las pistas no dicen.",
        ),
        minimum=0,
        maximum=MAX_SEED,
        component="Number",
    ),
]
Coloured = Annotated[ImageFile, Arg(Text("Picture", "Imagen"))]
