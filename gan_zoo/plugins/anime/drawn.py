"""The built-in data: characters drawn on the fly in the style Lorelei (Lisa Wischofsky, CC0 1.0), no download.

Its definition. DiceBear composes a character from parts; its own defaults are black hair on white skin. Here

- hair colour, hair style, eye colour, skin, expression and glasses are the labels, from the lists of `attributes.py`,
  all values of one equally often, but for "no glasses", which half of the characters wear;
- hair styles that hide the eyes, closed eyes, dark glasses and most mouths are left out: a label must be visible;
- the details vary by chance, all values of one equally often: head, shape of the eyes, eyebrows, nose and background
  from the lists below; the variant of hair, mouth and glasses and the undertone of the skin from those of the label;
- there are no beards, earrings, freckles or flowers;
- the picture is enlarged by 1.1 and lowered by 4 %, so that no hair is cut off.

Character i has labels and details from seed i: the definition is endless, and labels and details tell the picture.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from PIL import Image

from gan_zoo.plugins.anime.attributes import ATTRIBUTES, BUILT_IN, DETAILS, draw_details

BACKGROUNDS = ("#ffffff", "#f4efe6", "#dfe8f0", "#e8e0f0", "#e3f0e2", "#f7e4e4")
PARTS = {  # DiceBear's name and variants of
    "head": ("headVariant", (1, 2, 3, 4)),
    "eye_shape": ("eyesVariant", (2, 4, 9, 10, 14, 21, 23, 24)),
    "eyebrows": ("eyebrowsVariant", (1, 2, 7, 9, 10, 13)),
    "nose": ("noseVariant", (1, 4, 5)),
}
WITHIN = {  # the detail that chooses among the options of a label
    "hair_style": "hair_variant",
    "skin": "undertone",
    "expression": "mouth_variant",
    "glasses": "glasses_variant",
}
ABSENT = ("beard", "earrings", "freckles", "hairAccessories")


@cache
def _style() -> Any:
    from dicebear import Style

    return Style(json.loads(files("dicebear_styles").joinpath("lorelei.json").read_text("utf-8")))


@lru_cache(maxsize=50_000)  # a PNG has 5 kB, a tenth of its pixels, and is read 15 times faster than drawn
def _draw_png(size: int, chosen: tuple[tuple[str, str], ...], details: tuple[tuple[str, int], ...]) -> bytes:
    import resvg_py
    from dicebear import Avatar

    place = dict(details)
    options: dict[str, Any] = {"seed": "", "scale": 1.1, "translateY": 4}
    options["backgroundColor"] = [BACKGROUNDS[place["background"]]]
    options |= {f"{part}Probability": 0 for part in ABSENT}
    options["glassesProbability"] = 0 if ("glasses", "none") in chosen else 100
    for name, (option, variants) in PARTS.items():
        options[option] = [f"variant{variants[place[name]]:02d}"]
    for name, value in chosen:
        some = ATTRIBUTES[name].values[value].options
        if some:
            within = WITHIN.get(name)
            options[ATTRIBUTES[name].option] = [
                some[place[within] * len(some) // DETAILS[within]] if within else some[0]
            ]
    svg = Avatar(_style(), options).to_string()
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))


def draw_character(seed: int, size: int, asked: Mapping[str, str] | None = None) -> Image.Image:
    """The character of that seed, RGB, size x size; the same at every size; `asked` as in `Vocabulary.draw`."""
    png = _draw_png(size, tuple(BUILT_IN.draw(seed, asked).items()), tuple(draw_details(seed).items()))
    return Image.open(io.BytesIO(png)).convert("RGB")
