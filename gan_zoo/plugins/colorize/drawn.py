"""The built-in data: characters of two styles by Lisa Wischofsky, drawn on the fly.

Adventurer (CC BY 4.0) and Lorelei (CC0 1.0), composed by DiceBear. Adventurer is flat fills under black outlines: the
same character with white fills is line art that fits its colours pixel by pixel. The palettes are ours.
"""

from __future__ import annotations

import io
import json
import random
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

HAIR = ("#2b2622", "#4a342a", "#6b4226", "#8f5a2b", "#b9772f", "#d9a441", "#f0d080", "#b5382a", "#d9603b", "#c94f7c",
        "#e79ab8", "#7b5ea7", "#3f6fb5", "#6fb1d6", "#4fa3a5", "#5a8f4e", "#9aa0a8", "#dcd8d2")  # fmt: skip
SKIN = ("#fbe6d8", "#f6d7c3", "#f2cdb0", "#eec1a0", "#d9a07a", "#b97b56", "#8d5a3c", "#6a4029")
BACKGROUND = ("#ffffff", "#f4efe6", "#dfe8f0", "#e8e0f0", "#e3f0e2", "#f5e1e1", "#bcd7e8", "#f2d9a8", "#c9b8dc",
              "#a9c9a4", "#7f9fc4", "#e8b4a0")  # fmt: skip
LIPS = ("#d31e1e", "#c4607a", "#a8483c", "#e08a86")
JEWELS = ("#000000", "#d9a441", "#b5382a", "#3f6fb5", "#4fa3a5", "#7b5ea7")
FREE = {  # what has a colour of its own in each style; all else is ink, or the white of eyes and teeth
    "adventurer": {"hair": HAIR, "skin": SKIN, "lips": LIPS, "earrings": JEWELS, "glasses": JEWELS},
    "lorelei": {"hair": HAIR, "skin": SKIN, "earrings": JEWELS, "glasses": JEWELS, "hairAccessories": JEWELS},
}
BLANK = ("hair", "skin", "lips", "tongue", "throat", "uvula")  # of Adventurer, white in its line art


@cache
def _style(name: str) -> Any:
    from dicebear import Style

    return Style(json.loads(files("dicebear_styles").joinpath(f"{name}.json").read_text("utf-8")))


def draw_character(seed: int, size: int) -> tuple[Tensor, Tensor | None]:
    """The character of that seed in colour, (3, size, size), and its line art (1, size, size), both in [0, 1].

    Lorelei's hair has no outline, so that it has no line art.
    """
    rng = random.Random(seed)
    name = rng.choices(("adventurer", "lorelei"), (2, 1))[0]
    colours = {f"{part}Color": [rng.choice(choices)] for part, choices in FREE[name].items()}
    shared = {"seed": str(seed), "scale": rng.uniform(0.95, 1.25)}
    coloured = _render(name, shared | colours | {"backgroundColor": [rng.choice(BACKGROUND)]}, size)
    if name == "lorelei":
        return _pixels(coloured), None
    white = {f"{part}Color": ["#ffffff"] for part in (*BLANK, "background")}
    return _pixels(coloured), _pixels(_render(name, shared | white, size)).mean(0, keepdim=True)


def _render(name: str, options: dict[str, Any], size: int) -> bytes:
    return _png(name, json.dumps(options), size)


@lru_cache(maxsize=16384)  # 10 kB each; drawing one takes ten times as long as reading it
def _png(name: str, options: str, size: int) -> bytes:
    import resvg_py
    from dicebear import Avatar

    svg = Avatar(_style(name), json.loads(options)).to_string()
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))


def _pixels(png: bytes) -> Tensor:
    pixels = np.array(Image.open(io.BytesIO(png)).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
