"""Colours: hints as people give them, palettes as the generator takes them, differences as people see them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageColor
from torch import Tensor

from gan_zoo.parsing import parse_json

MAX_HINTS = 200
EXPECTED = 'a list such as [{"x": 40, "y": 60, "color": "#ff8800"}]'


class Hint(NamedTuple):
    """A dot of colour at pixel (x, y)."""

    x: float
    y: float
    color: tuple[int, int, int]


# ---------------------------------------------------------------------------------------------------------------------
# Hints


def parse_hints(text: str, size: tuple[int, int]) -> list[Hint]:
    """Hints from their JSON, for a picture of `size` (width, height). Raises ValueError of one line."""
    try:
        items = parse_json(text)
    except ValueError:
        raise ValueError(f"hints: not JSON; expected {EXPECTED}") from None
    if not isinstance(items, list) or len(items) > MAX_HINTS:
        found = f"{len(items)} of them" if isinstance(items, list) else type(items).__name__
        raise ValueError(f"hints: found {found}; expected {EXPECTED} of at most {MAX_HINTS}")
    return [_parse_hint(f"hints[{i}]", item, size) for i, item in enumerate(items)]


def _parse_hint(name: str, item: object, size: tuple[int, int]) -> Hint:
    if not isinstance(item, dict) or set(item) != {"x", "y", "color"}:
        raise ValueError(f"{name}: expected x, y and color, as in {EXPECTED}")
    for axis, length in zip("xy", size):
        value = item[axis]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < length:
            shown = f"{value:.6g}" if type(value) is float else repr(value)[:20]
            raise ValueError(f"{name}.{axis}: {shown} is not in the picture, expected a number from 0 to {length - 1}")
    try:
        color = ImageColor.getrgb(item["color"])[:3]
    except (ValueError, TypeError, AttributeError):
        shown = repr(item["color"])[:40]
        raise ValueError(f"{name}.color: {shown} is no colour, expected one such as #ff8800") from None
    return Hint(float(item["x"]), float(item["y"]), color)


def hint_map(hints: Sequence[Hint], height: int, width: int, radii: Sequence[float] | float = 3.0) -> Tensor:
    """(4, height, width): red, green and blue of the dots in [-1, 1], and 1 where a dot is; else 0. Later ones win."""
    out = torch.zeros(4, height, width)
    for i, (x, y, color) in enumerate(hints):
        radius = radii if isinstance(radii, (int, float)) else radii[i]
        top, left = max(0, int(y - radius)), max(0, int(x - radius))
        box = out[:, top : int(y + radius) + 2, left : int(x + radius) + 2]
        rows = torch.arange(top, top + box.shape[1]) - y
        columns = torch.arange(left, left + box.shape[2]) - x
        inside = rows[:, None].square() + columns.square() <= max(radius, 0.75) ** 2
        box[:, inside] = torch.tensor([*(c / 127.5 - 1 for c in color), 1.0])[:, None]
    return out


def dabs_to_hints(layer: Image.Image, limit: int = MAX_HINTS) -> list[Hint]:
    """The hints of brush marks on a transparent layer: one in each cell that paint covers, at the painted pixel nearest
    to its middle, so that a stroke becomes a row of dots.
    """
    pixels = np.asarray(layer.convert("RGBA"))
    painted = pixels[..., 3] > 127
    area = max(painted.shape)
    cell = max(6, area // 24)
    while True:
        hints = [hint for hint in _one_per_cell(pixels, painted, cell) if hint is not None]
        if len(hints) <= limit:
            return hints
        cell *= 2


def _one_per_cell(pixels: np.ndarray, painted: np.ndarray, cell: int) -> list[Hint | None]:
    rows, columns = np.nonzero(painted)
    places: dict[tuple[int, int], tuple[float, int, int]] = {}
    for y, x in zip(rows.tolist(), columns.tolist()):
        key = (y // cell, x // cell)
        away = math.hypot(y % cell - cell / 2, x % cell - cell / 2)
        if key not in places or away < places[key][0]:
            places[key] = (away, y, x)
    return [
        Hint(x, y, (int(pixels[y, x, 0]), int(pixels[y, x, 1]), int(pixels[y, x, 2]))) for _, y, x in places.values()
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Palettes

BINS = 6  # a side, of the chroma plane
PALETTE = BINS * BINS + 4


def palette(pictures: Tensor) -> Tensor:
    """How much of which colours pictures have, wherever: (B, 3, H, W) in [-1, 1] -> (B, PALETTE) uint8.

    A soft histogram over chroma (36 bins; square roots, so that rare colours count), then one over lightness (4 bins).
    """
    small = F.adaptive_avg_pool2d(pictures.float(), 48).flatten(2)  # (B, 3, N)
    r, g, b = small.unbind(1)
    light = (r + 2 * g + b) / 4
    red, blue = (r - light).clamp(-0.75, 0.75), (b - light).clamp(-0.75, 0.75)
    chroma = _tents(red / 0.75, BINS)[:, :, None] * _tents(blue / 0.75, BINS)[:, None]  # (B, BINS, BINS, N)
    shares = torch.cat([chroma.mean(3).flatten(1), _tents(light, 4).mean(2)], dim=1)
    return (shares.sqrt() * 255).round().to(torch.uint8)


def _tents(x: Tensor, bins: int) -> Tensor:
    """(B, N) in [-1, 1] -> (B, bins, N): how near each value is to each of the bins' centres, adding up to 1."""
    centres = torch.arange(bins, device=x.device).view(1, -1, 1)
    return (1 - ((x[:, None] + 1) * (bins - 1) / 2 - centres).abs()).clamp(min=0)


# ---------------------------------------------------------------------------------------------------------------------
# Differences


def to_lab(pictures: Tensor) -> Tensor:
    """sRGB (..., 3) in [0, 1] -> CIELAB (..., 3), white point D65 (IEC 61966-2-1, CIE 15)."""
    rgb = pictures.double()
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    ).double()
    xyz = linear @ matrix.T / matrix.sum(1)
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-9) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def ciede2000(a: Tensor, b: Tensor) -> Tensor:
    """The colour difference of CIE 142-2001 between CIELAB colours (..., 3) -> (...). Formulas: Sharma et al. 2005."""
    (l1, a1, b1), (l2, a2, b2) = a.double().unbind(-1), b.double().unbind(-1)
    mean_c7 = ((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2) ** 7
    g = 0.5 * (1 - (mean_c7 / (mean_c7 + 25.0**7)).sqrt())
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = (torch.atan2(y, x) % (2 * math.pi) for y, x in ((b1, a1), (b2, a2)))
    gray = c1 * c2 == 0
    dh = h2 - h1
    dh = torch.where(gray, 0.0, dh - 2 * math.pi * torch.round(dh / (2 * math.pi)))
    delta_l, delta_c, delta_h = l2 - l1, c2 - c1, 2 * (c1 * c2).sqrt() * torch.sin(dh / 2)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    far = (h1 - h2).abs() > math.pi
    mean_h = torch.where(gray, h1 + h2, (h1 + h2 + torch.where(far, 2 * math.pi, 0.0)) / 2)
    t = (
        1
        - 0.17 * torch.cos(mean_h - math.radians(30))
        + 0.24 * torch.cos(2 * mean_h)
        + 0.32 * torch.cos(3 * mean_h + math.radians(6))
        - 0.20 * torch.cos(4 * mean_h - math.radians(63))
    )
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / (20 + (mean_l - 50) ** 2).sqrt()
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    turn = math.radians(30) * torch.exp(-(((torch.rad2deg(mean_h) - 275) / 25) ** 2))
    r_t = -torch.sin(2 * turn) * 2 * (mean_c**7 / (mean_c**7 + 25.0**7)).sqrt()
    l_term, c_term, h_term = delta_l / s_l, delta_c / s_c, delta_h / s_h
    return (l_term**2 + c_term**2 + h_term**2 + r_t * c_term * h_term).clamp(min=0).sqrt()
