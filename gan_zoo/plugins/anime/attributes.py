"""What can be ordered of a drawn character, six attributes with named values; and what chance decides, its details.

A character's attributes are labels (6,) of the vocabulary BUILT_IN. Details (9,), int64, are places in lists, too,
which z tells: see `settle`.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from torch import Tensor

from gan_zoo.labels import Vocabulary
from gan_zoo.plugin import Text


class Value(NamedTuple):
    """One value of an attribute: its name, and what DiceBear may choose from to draw it."""

    text: Text
    options: tuple[str, ...]


class Attribute(NamedTuple):
    """`option` is DiceBear's name of what the values set; the first value comes as often as `first` says."""

    text: Text
    option: str
    values: dict[str, Value]
    first: float | None = None  # share of the first value in the data; None: all come equally often


def _variants(*numbers: int, name: str = "variant") -> tuple[str, ...]:
    return tuple(f"{name}{number:02d}" for number in numbers)


ATTRIBUTES: dict[str, Attribute] = {
    "hair_color": Attribute(
        Text("Hair colour", "Color del pelo"),
        "hairColor",
        {
            "black": Value(Text("Black", "Negro"), ("#1f1d24",)),
            "brown": Value(Text("Brown", "Castaño"), ("#5a3a28",)),
            "ginger": Value(Text("Ginger", "Pelirrojo"), ("#c2632b",)),
            "blonde": Value(Text("Blonde", "Rubio"), ("#ecc35a",)),
            "silver": Value(Text("Silver", "Plateado"), ("#c9cdd6",)),
            "red": Value(Text("Red", "Rojo"), ("#b3263a",)),
            "pink": Value(Text("Pink", "Rosa"), ("#ee8fb4",)),
            "purple": Value(Text("Purple", "Morado"), ("#7b51ad",)),
            "blue": Value(Text("Blue", "Azul"), ("#3a6fc4",)),
            "green": Value(Text("Green", "Verde"), ("#4f9d69",)),
        },
    ),
    "hair_style": Attribute(
        Text("Hair style", "Peinado"),
        "hairVariant",
        {
            "short": Value(Text("Short", "Corto"), _variants(1, 3, 8)),
            "spiky": Value(Text("Spiky", "De punta"), _variants(4, 20, 27)),
            "curly": Value(Text("Curly", "Rizado"), _variants(5, 24, 39)),
            "bob": Value(Text("Bob", "Melena corta"), _variants(17, 19, 23)),
            "wavy": Value(Text("Wavy", "Ondulado"), _variants(18, 32, 35)),
            "long": Value(Text("Long", "Largo"), _variants(13, 15, 16)),
            "ponytail": Value(Text("Ponytail", "Coleta"), _variants(31, 33, 42)),
            "bun": Value(Text("Bun", "Moño"), _variants(14, 26, 38)),
            "shaved": Value(Text("Shaved", "Rapado"), _variants(25, 28, 47)),
        },
    ),
    "eyes": Attribute(
        Text("Eyes", "Ojos"),
        "eyesColor",
        {
            "black": Value(Text("Black", "Negros"), ("#1f1d24",)),
            "brown": Value(Text("Brown", "Marrones"), ("#522a12",)),
            "amber": Value(Text("Amber", "Ámbar"), ("#d99414",)),
            "green": Value(Text("Green", "Verdes"), ("#2f9a4e",)),
            "blue": Value(Text("Blue", "Azules"), ("#2c73d9",)),
            "violet": Value(Text("Violet", "Violetas"), ("#8a46c7",)),
            "red": Value(Text("Red", "Rojos"), ("#d0283f",)),
            "gray": Value(Text("Grey", "Grises"), ("#86909c",)),
        },
    ),
    "skin": Attribute(  # five depths, each rosy or golden
        Text("Skin", "Piel"),
        "skinColor",
        {
            "pale": Value(Text("Pale", "Muy clara"), ("#fdeee6", "#fcf1df")),
            "light": Value(Text("Light", "Clara"), ("#f6d3bf", "#f4d6b4")),
            "tan": Value(Text("Tan", "Bronceada"), ("#dfa983", "#dcae79")),
            "brown": Value(Text("Brown", "Morena"), ("#b98057", "#b4854f")),
            "deep": Value(Text("Deep", "Oscura"), ("#87553b", "#825b33")),
        },
    ),
    "expression": Attribute(
        Text("Expression", "Expresión"),
        "mouthVariant",
        {
            "smile": Value(Text("Smile", "Sonrisa"), _variants(1, 2, name="happy")),
            "laugh": Value(Text("Laugh", "Risa"), _variants(5, 6, name="happy")),
            "grin": Value(Text("Grin", "Dientes"), _variants(7, 16, name="happy")),
            "sad": Value(Text("Sad", "Tristeza"), _variants(4, 5, name="sad")),
            "gasp": Value(Text("Gasp", "Asombro"), _variants(1, name="sad")),
        },
    ),
    "glasses": Attribute(
        Text("Glasses", "Gafas"),
        "glassesVariant",
        {
            "none": Value(Text("None", "Sin gafas"), ()),
            "round": Value(Text("Round", "Redondas"), _variants(1)),
            "square": Value(Text("Square", "Cuadradas"), _variants(3, 4)),
            "narrow": Value(Text("Narrow", "Estrechas"), _variants(5)),
        },
        first=0.5,
    ),
}
DETAILS = {  # how many of each there are
    "head": 4, "eye_shape": 8, "eyebrows": 6, "nose": 3, "background": 6,
    "hair_variant": 3, "undertone": 2, "mouth_variant": 2, "glasses_variant": 2,
}  # fmt: skip


def _shares(attribute: Attribute) -> dict[str, float]:
    first = 1 / len(attribute.values) if attribute.first is None else attribute.first
    rest = (1 - first) / (len(attribute.values) - 1)
    return {value: rest if i else first for i, value in enumerate(attribute.values)}


BUILT_IN = Vocabulary({name: _shares(attribute) for name, attribute in ATTRIBUTES.items()})


def draw_details(seed: int) -> dict[str, int]:
    """The details of the character of a seed, all equally often."""
    chance = random.Random(f"details of {seed}")
    return {name: chance.randrange(count) for name, count in DETAILS.items()}


def settle(z: Tensor, details: Tensor) -> Tensor:
    """Noise z (B, D), standard normal, that tells these details, int64 (B, 9).

    Each detail has as many numbers of z as it has places, from the first on, and is where the largest of them stands.
    Here the largest changes places with the one where it should stand. All orders being equally likely, z stays
    standard normal over random details: a generator taught on such pairs can be given any noise.
    """
    z, start = z.clone(), 0
    for place, count in zip(details.unbind(1), DETAILS.values(), strict=True):
        part = z[:, start : start + count]  # (B, count)
        place = place[:, None]
        largest = part.argmax(dim=1, keepdim=True)
        low, high = part.gather(1, place), part.gather(1, largest)
        part.scatter_(1, largest, low).scatter_(1, place, high)
        start += count
    return z
