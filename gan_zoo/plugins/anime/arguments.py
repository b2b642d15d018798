"""The arguments of the tasks, as people and programs are told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from gan_zoo.labels import ANY
from gan_zoo.plugin import MAX_SEED, Arg, ImageFile, Text
from gan_zoo.plugins.anime import attributes

FIRST_CHANGE = "hair_color=blue"
Truncation = Annotated[
    float,
    Arg(
        Text("Truncation", "Truncamiento"),
        info=Text("1: all the variety learned. Lower: tidier, more alike.", "1: toda la variedad. Menos: más pulcro."),
        minimum=0.0,
        maximum=1.2,
        step=0.05,
    ),
]
Wishes = Annotated[
    str,
    Arg(
        Text("Wishes", "Deseos"),
        info=Text(
            "For characters to order: hair_color=blue, glasses=round ... The rest is chance.",
            "Para personajes a medida: hair_color=blue, glasses=round ... Lo demás, al azar.",
        ),
    ),
]
OwnWishes = Annotated[
    str,
    Arg(
        Text("Wishes in words", "Deseos con palabras"),
        info=Text(
            "For weights that learned labels of their own: hair=aqua, eyes=red ... The rest is chance.",
            "Para pesos que aprendieron etiquetas propias: hair=aqua, eyes=red ... Lo demás, al azar.",
        ),
    ),
]
Raw = Annotated[
    bool,
    Arg(
        Text("As generated", "Tal como sale"),
        info=Text(
            "Without the network that enlarges what is smaller than 128 px.",
            "Sin la red que amplía lo que mide menos de 128 px.",
        ),
    ),
]
SeedA = Annotated[int, Arg(Text("From seed", "De la semilla"), minimum=0, maximum=MAX_SEED, component="Number")]
SeedB = Annotated[int, Arg(Text("To seed", "A la semilla"), minimum=0, maximum=MAX_SEED, component="Number")]
Count = Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=1, maximum=64, cli_maximum=100_000)]


def _choice(name: str) -> Any:
    """The type of a task's argument that asks for an attribute: one of its values, or "any"."""
    attribute = attributes.ATTRIBUTES[name]
    names = (Text("Any", "Cualquiera"), *(value.text for value in attribute.values.values()))
    return Annotated[Literal[(ANY, *attribute.values)], Arg(attribute.text, names=names)]


if TYPE_CHECKING:
    HairColor = HairStyle = Eyes = Skin = Expression = Glasses = str
else:
    HairColor, HairStyle, Eyes, Skin, Expression, Glasses = map(_choice, attributes.ATTRIBUTES)

To = Annotated[
    str,
    Arg(Text("Change", "Cambio"), Text("Such as hair_color=blue", "Como hair_color=blue"), example=FIRST_CHANGE),
]
Amount = Annotated[float, Arg(Text("Difference", "Diferencia"), minimum=0.0, maximum=1.0, step=0.05)]
Number = Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=2, maximum=64, cli_maximum=10_000)]
Frames = Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=2, maximum=60, cli_maximum=600)]
Direction = Annotated[int, Arg(Text("Direction", "Dirección"), minimum=1, maximum=32)]
Strength = Annotated[float, Arg(Text("Strength", "Fuerza"), minimum=0.0, maximum=1.0, step=0.05)]
Steps = Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=2, maximum=33, cli_maximum=600)]
Face = Annotated[
    ImageFile, Arg(Text("Face", "Cara"), info=Text("The middle square is used.", "Se usa el cuadrado central."))
]
FindSteps = Annotated[int, Arg(Text("Steps", "Pasos"), minimum=10, maximum=200, cli_maximum=5000)]
Columns = Annotated[int, Arg(Text("Columns", "Columnas"), minimum=1, maximum=8, cli_maximum=32)]
Rows = Annotated[int, Arg(Text("Rows", "Filas"), minimum=1, maximum=8, cli_maximum=32)]
Made = Annotated[ImageFile, Arg(Text("Picture", "Imagen"))]
