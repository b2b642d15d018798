"""What the forger is to imitate: points (N, 2) in [-1, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

DRAWN = "drawn"


def _line(n: int, random: torch.Generator) -> Tensor:
    t = 1.4 * torch.rand(n, generator=random) - 0.7
    return torch.stack([t, 0.6 * t], 1) + 0.03 * torch.randn(n, 2, generator=random)


def _gaussians(n: int, random: torch.Generator) -> Tensor:
    side = (torch.rand(n, 1, generator=random) < 0.5).float() * 2 - 1
    return 0.1 * torch.randn(n, 2, generator=random) + side * torch.tensor([0.5, 0.35])


def _ring(n: int, random: torch.Generator) -> Tensor:
    angle = 2 * math.pi * torch.rand(n, generator=random)
    radius = 0.6 + 0.04 * torch.randn(n, generator=random)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def _disjoint(n: int, random: torch.Generator) -> Tensor:
    part = torch.randint(4, (n,), generator=random)
    centres = torch.tensor([[-0.6, -0.5], [-0.1, 0.6], [0.6, 0.3], [0.35, -0.6]])
    return centres[part] + 0.07 * torch.randn(n, 2, generator=random)


DISTRIBUTIONS: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    "line": _line,
    "gaussians": _gaussians,
    "ring": _ring,
    "disjoint": _disjoint,
}


def draw(name: str, n: int, random: torch.Generator, points: Sequence[Sequence[float]] = ()) -> Tensor:
    """n points of a distribution, (n, 2); of "drawn", points near those given."""
    if name == DRAWN:
        given = torch.tensor(points, dtype=torch.float32)
        return given[torch.randint(len(given), (n,), generator=random)] + 0.02 * torch.randn(n, 2, generator=random)
    return DISTRIBUTIONS[name](n, random)


def divergences(real: Tensor, fake: Tensor, cells: int = 20) -> tuple[float, float]:
    """Kullback-Leibler KL(real | fake) and Jensen-Shannon divergence in bits, of histograms of cells x cells.

    Jensen-Shannon lies between 0 and 1; the generator's optimum is 0 (Goodfellow et al. 2014, theorem 1). Empty cells
    count a thousandth of a point, so that KL stays finite.
    """

    def histogram(points: Tensor) -> Tensor:
        place = ((points.clamp(-0.999, 0.999) + 1) / 2 * cells).long()
        counts = torch.bincount(place[:, 1] * cells + place[:, 0], minlength=cells * cells).double() + 1e-3
        return counts / counts.sum()

    p, q = histogram(real), histogram(fake)
    middle = (p + q) / 2
    kl = (p * (p / q).log2()).sum()
    js = ((p * (p / middle).log2()).sum() + (q * (q / middle).log2()).sum()) / 2
    return float(kl), float(js)
