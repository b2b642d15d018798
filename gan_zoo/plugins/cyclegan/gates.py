"""Where a CycleGAN's seeing generator may paint: a gate that is learned, and the edges at which it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_zoo.layers import doubled

GAIN = 3.0  # of a gate's logits: open or shut, but at the outline
CORE = 3  # quarter pixels from a gate's end inward, farther than which it needs no edge of the picture
MEAN = partial(F.avg_pool2d, count_include_pad=False)


class Gate(nn.Module):
    """Feature maps (B, channels[i], h, w), finest first -> logits (B, 1, h, w) of the finest: coarse maps say what is
    there, fine ones where it ends.
    """

    def __init__(self, channels: Sequence[int], width: int = 48):
        super().__init__()
        self.see = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.join = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels[1:])
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = F.relu(self.see[-1](maps[-1]))
        for see, join, m in reversed(list(zip(self.see, self.join, maps))):
            x = F.relu(join(doubled(x) + see(m)))
        return self.out(x)


def opening(logits: Tensor, guide: Tensor, edges: int) -> Tensor:
    """A gate's logits (B, 1, H / 4, W / 4) -> how far it is open, (B, 1, H, W) in [0, 1].

    With `edges`, how far it looks for them in quarter pixels, it ends where the guide (B, 3, H, W) has one.
    """
    told = torch.sigmoid(GAIN * F.interpolate(logits, scale_factor=4, mode="bilinear"))
    if not edges:
        return told
    coarse = torch.sigmoid(GAIN * logits)
    fine = (2 * guided(coarse, guide, edges) - 0.5).clamp(0, 1)
    core = -F.max_pool2d(-coarse, 2 * CORE + 1, 1, CORE)  # edges within a thing are not its end
    return torch.minimum(told, torch.maximum(fine, F.interpolate(core, scale_factor=4, mode="bilinear")))


def guided(told: Tensor, pictures: Tensor, radius: int, variance: float = 0.05) -> Tensor:
    """A map (B, 1, H / 4, W / 4), made to end where colours of the pictures (B, 3, H, W) do -> (B, 1, H, W).

    The fast guided filter (He et al. 2013, Guided Image Filtering, eq. 14 to 16; He & Sun 2015, arXiv:1505.00996): in
    each square of `radius` quarter pixels to all sides the map is the linear function of the colours that fits best;
    `variance` is of colours in [-1, 1], and what differs by less counts as one.
    """
    mean = partial(_around, MEAN, radius)
    small = F.avg_pool2d(pictures, 4)
    colour, middle = mean(small), mean(told)
    slant = mean(small * told) - colour * middle  # (B, 3, h, w): covariance of colours and map
    slope = _solved(mean(_pairs(small)) - _pairs(colour), slant, variance)
    lines = mean(torch.cat([slope, middle - (slope * colour).sum(1, keepdim=True)], 1))
    lines = F.interpolate(lines, scale_factor=4, mode="bilinear")
    return (lines[:, :3] * pictures).sum(1, keepdim=True) + lines[:, 3:]


def patterned(pictures: Tensor, side: int = 15) -> Tensor:
    """(B, 3, H, W) -> the same shape: how far light and dark are apart within `side` pixels, made to end where the
    pattern does, and two mean hues. Stripes are even in it, and differ from what is plain.
    """
    most = partial(_around, F.max_pool2d, side // 2)
    mean = partial(_around, MEAN, side // 4)
    gray = pictures.mean(1, keepdim=True)
    return torch.cat([-most(-(most(gray) + most(-gray))), 2 * mean(mean(pictures[:, [0, 2]] - gray))], 1)


def _around(pool: Callable[..., Tensor], radius: int, x: Tensor) -> Tensor:
    """A pool over the square of `radius` pixels to all sides of each: along rows, then along columns."""
    return pool(pool(x, (1, 2 * radius + 1), 1, (0, radius)), (2 * radius + 1, 1), 1, (radius, 0))


def _pairs(x: Tensor) -> Tensor:
    """(B, 3, h, w) -> the six products of two channels, (B, 6, h, w)."""
    return x[:, [0, 0, 0, 1, 1, 2]] * x[:, [0, 1, 2, 1, 2, 2]]


def _solved(pairs: Tensor, right: Tensor, more: float) -> Tensor:
    """x of (A + more) x = right (B, 3, h, w), A symmetric, of those six, place by place: by cofactors, as ONNX can."""
    a, b, c, d, e, f = pairs.unbind(1)
    a, d, f = a + more, d + more, f + more
    rows = [[d * f - e * e, c * e - b * f, b * e - c * d], [a * f - c * c, b * c - a * e], [a * d - b * b]]
    (p, q, r), (s, t), (u,) = rows
    x, y, z = right.unbind(1)
    solved = torch.stack([p * x + q * y + r * z, q * x + s * y + t * z, r * x + t * y + u * z], 1)
    return solved / (a * p + b * q + c * r)[:, None]


def smoothed(pictures: Tensor, weight: Tensor, side: int = 9) -> Tensor:
    """Mean colours (B, C, H, W) around each pixel, of pixels that weigh (B, 1, H / 4, W / 4): what lies about a thing
    does not bleed into it. The mean is a tent of `side` quarter pixels to both hands.
    """
    weight = weight.to(pictures.dtype) + 1e-3
    mean = partial(_around, MEAN, side // 2)
    both = mean(mean(torch.cat([F.avg_pool2d(pictures, 4) * weight, weight], 1)))
    return F.interpolate(both[:, :-1] / both[:, -1:], scale_factor=4, mode="bilinear")
