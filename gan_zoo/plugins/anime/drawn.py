"""The built-in data: characters drawn on the fly in the style Lorelei (Lisa Wischofsky, CC0 1.0), no download.

DiceBear composes each character from a seed; its defaults are black hair on white skin, so the palette is ours.
"""

from __future__ import annotations

import io
import json
import random
from functools import cache
from importlib.resources import files
from typing import Any

from PIL import Image

HAIR = ("#1b1b1f", "#3b2a20", "#6b4226", "#a5682a", "#d9a441", "#f0d080", "#b5382a", "#c94f7c", "#7b5ea7", "#3f6fb5",
        "#4fa3a5", "#5a8f4e", "#d8d4cf")  # fmt: skip
SKIN = ("#fbe6d8", "#f6d7c3", "#eec1a0", "#d9a07a", "#b97b56", "#8d5a3c", "#6a4029")
BACKGROUND = ("#ffffff", "#f4efe6", "#dfe8f0", "#e8e0f0", "#e3f0e2", "#f5e1e1")


@cache
def _style() -> Any:
    from dicebear import Style

    return Style(json.loads(files("dicebear_styles").joinpath("lorelei.json").read_text("utf-8")))


def draw_character(seed: int, size: int) -> Image.Image:
    """The character of that seed, RGB, size x size. The same seed gives the same picture at every size."""
    import resvg_py
    from dicebear import Avatar

    choose = random.Random(seed).choice
    options = {
        "seed": str(seed),
        "scale": 1.2,
        "hairColor": [choose(HAIR)],
        "skinColor": [choose(SKIN)],
        "backgroundColor": [choose(BACKGROUND)],
    }
    svg = Avatar(_style(), options).to_string()
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size)
    return Image.open(io.BytesIO(bytes(png))).convert("RGB")
