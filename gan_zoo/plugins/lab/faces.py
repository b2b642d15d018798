"""Faces that the lab draws itself, 32 x 32: few enough kinds that a small GAN learns them while one looks."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

SIDE = 32
HEAP = 4096  # faces in a fight: enough that D cannot learn them by heart
SKINS = ("#fbe0cc", "#f3c9a5", "#d9a06f", "#a9714b", "#6f4630")
HAIRS = ("#2b2326", "#5b3a29", "#a5562b", "#e3b55a", "#c9474f", "#4a6fb5", "#7d4fa0", "#e58fb1")
SHIRTS = ("#3f6fb5", "#c8506e", "#3f9a6d", "#e0a23c", "#57506b")
WALLS = ("#f4efe6", "#dfe8f0", "#e8e0f0", "#e3f0e2", "#f7e4e4")
INK, WHITE, RED = "#2a2228", "#ffffff", "#b5394a"


def draw_faces(count: int, random: torch.Generator) -> Tensor:
    """(count, 3, 32, 32) in [-1, 1]: skin, hair, its style, shirt, wall, gaze, mouth, place and size by chance."""

    def chance(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(count, generator=random)).view(-1, 1, 1)

    def one_of(colours: tuple[str, ...]) -> Tensor:
        return _rgb(*colours)[torch.randint(len(colours), (count,), generator=random)]

    axis = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    size = chance(0.92, 1.08)
    x = (axis.view(1, 1, -1) - chance(-0.08, 0.08)) / size
    y = (axis.view(1, -1, 1) - chance(-0.05, 0.05)) / size  # down
    skin, hair, shirt, wall = (one_of(some) for some in (SKINS, HAIRS, SHIRTS, WALLS))
    style = torch.randint(4, (count, 1, 1), generator=random)  # short, bob, long, bun
    sweep, fringe, gaze = chance(-0.5, 0.5), chance(-0.3, -0.12), chance(-0.03, 0.03)
    smile, wide = chance(-0.6, 1.4), chance(0.1, 0.17)
    long = torch.tensor([0.0, 0.45, 0.95, 0.0])[style]  # how far down the hair falls

    def ellipse(cx: float | Tensor, cy: float, rx: float | Tensor, ry: float | Tensor) -> Tensor:
        """Coverage (count, 32, 32) in [0, 1], its edge a pixel wide."""
        reach = (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2).sqrt()
        return _edge((reach - 1) * (rx + ry) / 2)

    picture = wall.expand(count, 3, SIDE, SIDE)
    fall = _edge(torch.maximum((x.abs() - 0.56), y - long)) * _edge(-0.2 - y) + ellipse(0, -0.12, 0.57, 0.55)
    fall = torch.maximum(fall, _edge(torch.maximum(x.abs() - 0.55, torch.maximum(y - long, -0.1 - y))) * (long > 0))
    bun = ellipse(0, -0.78, 0.24, 0.2) * (style == 3)
    cap = ellipse(0, -0.1, 0.54, 0.56)
    parts = [
        (torch.maximum(fall, bun), 0.85 * hair),
        (ellipse(0, 1.08, 0.72, 0.42), shirt),
        (_edge(torch.maximum(x.abs() - 0.15, (y - 0.6).abs() - 0.2)), 0.88 * skin),
        (ellipse(0, 0.1, 0.44, 0.5), skin),
        (cap * _edge(y - fringe - sweep * x) * (y < 0.2), hair),
        (0.3 * (ellipse(-0.26, 0.3, 0.1, 0.07) + ellipse(0.26, 0.3, 0.1, 0.07)), _rgb(RED)),
        (ellipse(-0.18, 0.12, 0.1, 0.13) + ellipse(0.18, 0.12, 0.1, 0.13), _rgb(WHITE)),
        (ellipse(gaze - 0.18, 0.13, 0.07, 0.1) + ellipse(gaze + 0.18, 0.13, 0.07, 0.1), _rgb(INK)),
        (_edge(torch.maximum((y - 0.4 + smile * (x**2 - 0.01)).abs() - 0.025, x.abs() - wide)), _rgb(RED)),
    ]  # fmt: skip
    for cover, colour in parts:
        picture = picture + cover.clamp(0, 1)[:, None] * (colour - picture)
    return picture * 2 - 1


def _edge(distance: Tensor) -> Tensor:
    """Coverage of a shape by the signed distance to its edge, negative inside."""
    return (0.5 - distance * SIDE / 2).clamp(0, 1)


def _rgb(*colours: str) -> Tensor:
    """(n, 3, 1, 1) in [0, 1]."""
    levels = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours]
    return torch.tensor(levels)[:, :, None, None]


@cache
def heap() -> Tensor:
    """The faces of all fights, (HEAP, 3, 32, 32) in [-1, 1]."""
    return draw_faces(HEAP, torch.Generator().manual_seed(0))
