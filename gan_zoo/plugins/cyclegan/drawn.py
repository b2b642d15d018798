"""The built-in data: landscapes that nobody has seen, drawn in summer and in winter; ours, CC0.

Summer i and winter i are different landscapes, so that nothing is paired.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

SEASONS = ("summer", "winter")
SCALE = 2  # drawn larger, then reduced: Pillow's edges are jagged

Color = tuple[float, float, float]


def draw_landscape(seed: int, season: str, size: int = 256) -> Image.Image:
    """A landscape of hills, trees and perhaps a house, RGB, size x size."""
    if season not in SEASONS:
        raise ValueError(f"season: expected {' or '.join(SEASONS)}, got {season!r}")
    rng = np.random.default_rng([SEASONS.index(season), seed])
    winter, side = season == "winter", size * SCALE
    picture = _sky(rng, winter, side)
    horizon = rng.uniform(0.35, 0.6)
    layers = int(rng.integers(2, 5))
    for i in range(layers):
        near = (i + 1) / layers  # 0 at the horizon, 1 in front
        base = horizon + (1.05 - horizon) * i / layers
        picture.paste(*_hill(rng, winter, side, base, near))
        for _ in range(int(rng.integers(0, 5))):
            foot = (rng.uniform(0, 1), base + rng.uniform(0.02, 0.1))
            _tree(ImageDraw.Draw(picture), rng, winter, foot, rng.uniform(0.06, 0.16) * (0.4 + near), side)
        if i == layers // 2 and rng.random() < 0.5:
            _house(ImageDraw.Draw(picture), rng, winter, (rng.uniform(0.1, 0.8), base + 0.06), 0.1 * (0.6 + near), side)
    if winter and rng.random() < 0.5:
        pen = ImageDraw.Draw(picture)
        for x, y, r in rng.random((int(rng.integers(30, 120)), 3)):
            r = (0.002 + 0.004 * r) * side
            pen.ellipse((x * side - r, y * side - r, x * side + r, y * side + r), fill=(250, 252, 255))
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def draw_season(season: str, numbers: range, size: int) -> Tensor:
    """Landscapes as uint8 (N, 3, size, size)."""
    pictures = np.stack([np.asarray(draw_landscape(number, season, size)) for number in numbers])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


def _sky(rng: np.random.Generator, winter: bool, side: int) -> Image.Image:
    top, bottom = ((196, 206, 220), (236, 238, 242)) if winter else ((70, 140, 215), (190, 222, 245))
    if not winter and rng.random() < 0.25:  # evening
        top, bottom = (95, 105, 170), (250, 190, 130)
    t = np.linspace(0, 1.6, side)[:, None, None].clip(0, 1)
    sky = (np.array(top) * (1 - t) + np.array(bottom) * t) + rng.normal(0, 6, 3)
    picture = Image.fromarray(np.broadcast_to(sky, (side, side, 3)).clip(0, 255).astype(np.uint8))
    clouds, pen = Image.new("L", (side, side)), None
    pen = ImageDraw.Draw(clouds)
    for _ in range(int(rng.integers(0, 5))):
        x, y = rng.uniform(0, 1), rng.uniform(0.02, 0.3)
        for _ in range(6):
            dx, dy, r = rng.normal(0, 0.06), rng.normal(0, 0.012), rng.uniform(0.02, 0.05)
            box = [x + dx - 1.6 * r, y + dy - r, x + dx + 1.6 * r, y + dy + r]
            pen.ellipse([v * side for v in box], fill=190)
    white = Image.new("RGB", (side, side), (222, 226, 233) if winter else (255, 255, 255))
    picture.paste(white, mask=clouds.filter(ImageFilter.GaussianBlur(side / 90)))
    return picture


def _hill(
    rng: np.random.Generator, winter: bool, side: int, base: float, near: float
) -> tuple[Image.Image, Image.Image]:
    """A hill's colours and its mask."""
    x = np.linspace(0, 1, side)
    waves = ((rng.uniform(0.01, 0.05), rng.uniform(1, 3)), (rng.uniform(0.003, 0.012), rng.uniform(4, 9)))
    edge = base - sum(a * np.sin(2 * math.pi * (f * x + rng.random())) for a, f in waves)
    y = np.linspace(0, 1, side)[:, None]
    mask = ((y - edge) * side).clip(0, 1)
    far = np.array((205, 214, 228) if winter else (130, 165, 150))
    front = np.array((240, 244, 250) if winter else (75, 140, 50)) + rng.normal(0, 9, 3)
    color = far * (1 - near) + front * near
    shade = 1 - 0.25 * ((y - edge) / 0.5).clip(0, 1) * (0.4 if winter else 1)
    grain = rng.normal(0, 1, (side // 4, side // 4)) * (3 if winter else 11) * near
    grain = np.asarray(Image.fromarray(grain.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC))
    pixels = color * shade[..., None] + grain[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), Image.fromarray((mask * 255).astype(np.uint8))


def _tree(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, winter: bool, foot: tuple[float, float], tall: float, side: int
) -> None:
    x, y = foot[0] * side, foot[1] * side
    h = tall * side
    trunk = _shaded((95, 70, 50), rng)
    if rng.random() < 0.5:  # a fir
        pen.rectangle((x - h * 0.04, y - h * 0.2, x + h * 0.04, y), fill=trunk)
        green = _shaded((45, 80, 60) if winter else (35, 95, 45), rng)
        for i in range(3):
            top, low, wide = y - h * (1 - 0.22 * i), y - h * (0.55 - 0.2 * i), h * (0.16 + 0.08 * i)
            pen.polygon([(x, top), (x - wide, low), (x + wide, low)], fill=green)
            if winter:
                cap = [
                    (x, top),
                    (x - wide * 0.55, top + (low - top) * 0.55),
                    (x + wide * 0.35, top + (low - top) * 0.4),
                ]
                pen.polygon(cap, fill=(243, 246, 250))
        return
    pen.rectangle((x - h * 0.035, y - h * 0.5, x + h * 0.035, y), fill=trunk)
    if winter:  # bare branches
        for _ in range(9):
            angle, length, start = rng.uniform(-1.1, 1.1), h * rng.uniform(0.25, 0.5), y - h * rng.uniform(0.3, 0.5)
            end = (x + math.sin(angle) * length, start - math.cos(angle) * length)
            pen.line([(x, start), end], fill=trunk, width=max(1, round(h * 0.02)))
        return
    leaves = rng.choice([(70, 140, 45), (95, 155, 60), (60, 120, 55)])
    for _ in range(9):
        cx, cy, r = x + rng.normal(0, h * 0.14), y - h * 0.68 + rng.normal(0, h * 0.12), h * rng.uniform(0.12, 0.22)
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=_shaded(tuple(leaves), rng))


def _house(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, winter: bool, foot: tuple[float, float], tall: float, side: int
) -> None:
    x, y, h = foot[0] * side, foot[1] * side, tall * side
    wall = _shaded(tuple(rng.choice([(225, 205, 170), (190, 95, 75), (235, 230, 220)])), rng)
    roof = (240, 244, 249) if winter else _shaded((150, 70, 55), rng)
    pen.rectangle((x, y - 0.6 * h, x + 1.3 * h, y), fill=wall)
    pen.polygon([(x - 0.12 * h, y - 0.58 * h), (x + 0.65 * h, y - 1.1 * h), (x + 1.42 * h, y - 0.58 * h)], fill=roof)
    pen.rectangle(
        (x + 0.2 * h, y - 0.42 * h, x + 0.45 * h, y - 0.18 * h), fill=(255, 225, 130) if winter else (70, 90, 110)
    )
    pen.rectangle((x + 0.8 * h, y - 0.4 * h, x + 1.05 * h, y), fill=(90, 60, 45))


def _shaded(color: Color | tuple[int, ...], rng: np.random.Generator) -> tuple[int, int, int]:
    r, g, b = (np.array(color) * rng.uniform(0.85, 1.12) + rng.normal(0, 4, 3)).clip(0, 255).astype(int).tolist()
    return r, g, b
