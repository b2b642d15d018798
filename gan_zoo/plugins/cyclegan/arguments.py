"""The arguments of the tasks, as people and programs are told of them."""

from __future__ import annotations

from typing import Annotated

from gan_zoo.plugin import Arg, ImageFile, Text

Picture = Annotated[ImageFile, Arg(Text("Picture", "Imagen"))]
Direction = Annotated[
    str,
    Arg(
        Text("Direction", "Dirección"),
        info=Text(
            "Such as horse2zebra or zebra2horse; empty: the preset's first.",
            "Por ejemplo horse2zebra o zebra2horse; vacío: la primera del modelo.",
        ),
    ),
]
Strength = Annotated[float, Arg(Text("Strength", "Fuerza"), minimum=0.0, maximum=1.0, step=0.05, rare=True)]
WorkingSize = Annotated[
    int,
    Arg(
        Text("Working size", "Tamaño de trabajo"),
        info=Text(
            "Shorter side in pixels at which the networks paint: smaller paints larger strokes.",
            "Lado menor en píxeles al que pintan las redes: cuanto menor, más grandes los trazos.",
        ),
        minimum=128,
        maximum=768,
        cli_maximum=4096,
        step=32,
        rare=True,
    ),
]

Fps = Annotated[
    int,
    Arg(
        Text("Pictures a second", "Imágenes por segundo"),
        info=Text("0: as in the animation.", "0: como en la animación."),
        minimum=0,
        maximum=30,
        rare=True,
    ),
]
