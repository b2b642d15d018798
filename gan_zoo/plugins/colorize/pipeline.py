"""Colour for line art, as a diffusers pipeline."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from gan_zoo.plugins.colorize.colours import Hint, hint_map, palette
from gan_zoo.plugins.colorize.networks import ColorizeGenerator, Layers

WORKING = 256  # the generator's own resolution: larger drawings are coloured at it, under lines at theirs
REFINED = 1024  # the resolution up to which colours are kept from bleeding across lines
MULTIPLE = 64  # of the sides that both generators take
CANDIDATES = 16  # palettes among which hints choose


class Painter(nn.Module):
    """The generator as other programs want it: lines (B, 1, H, W) in [0, 1], hints (B, 4, H, W) and palettes
    (B, PALETTE) uint8 -> pictures (B, 3, H, W) in [-1, 1].
    """

    def __init__(self, generator: ColorizeGenerator):
        super().__init__()
        self.generator = generator

    def forward(self, lines: Tensor, hints: Tensor, palettes: Tensor) -> Tensor:
        return self.generator(lines, hints, palettes).under(lines).clamp(-1, 1)


class ColorizePipeline(DiffusionPipeline):
    """Holds the generator. `pipeline(lines, hints, seed)` gives the picture."""

    generator: ColorizeGenerator

    def __init__(self, generator: ColorizeGenerator):
        super().__init__()
        self.register_modules(generator=generator)

    @torch.inference_mode()
    def __call__(self, lines: Tensor, hints: Sequence[Hint] = (), seed: int = 0) -> Tensor:
        """Lines (1, H, W) in [0, 1] of any size, hints in its pixels -> picture (1, 3, H, W) in [-1, 1], on the CPU."""
        height, width = lines.shape[1:]
        scale = WORKING / math.sqrt(height * width)
        small = tuple(max(8, round(side * scale)) for side in (height, width))
        shrink = {"mode": "bilinear", "align_corners": False, "antialias": True}
        moved = [Hint((h.x + 0.5) * scale - 0.5, (h.y + 0.5) * scale - 0.5, h.color) for h in hints]
        dots = hint_map(moved, *small)
        drawn = F.interpolate(lines[None], small, **shrink)
        inputs = (_padded(drawn, 1.0), _padded(dots[None], 0.0), self._palette(drawn, dots, seed))
        layers = self.generator(*(x.to(self.device) for x in inputs))
        layers = Layers(*(x[:, :, : small[0], : small[1]].float().cpu() for x in layers))
        fine = min(1.0, REFINED / math.sqrt(height * width))
        if scale < 0.75 * fine:
            size = (round(height * fine), round(width * fine))
            guide = F.interpolate(lines[None], size, **shrink)
            layers = layers.resized(size)
            layers = Layers(refilled(layers.paper, guide, math.ceil(1.25 * fine / scale)), layers.ink)
        return layers.resized((height, width)).under(lines[None]).clamp(-1, 1)

    def _palette(self, lines: Tensor, dots: Tensor, seed: int) -> Tensor:
        """(1, PALETTE) uint8: one of those remembered, for lines (1, 1, h, w) and hints (4, h, w).

        The seed draws a random projection of the drawing's coarse shape, so that drawings get palettes of their own,
        and a stroke more seldom changes them. Of the best few, the one with most of the hints' colours is taken.
        """
        known = self.generator.palettes[: max(1, int(self.generator.known))].cpu()
        shape = F.adaptive_avg_pool2d(lines, 8).flatten()
        projection = torch.randn(len(known), len(shape), generator=torch.Generator().manual_seed(seed))
        best = known[(projection @ (shape - shape.mean())).argsort(descending=True, stable=True)[:CANDIDATES]]
        painted = dots[3] > 0
        if not painted.any():
            return best[:1]
        wanted = palette(dots[None, :3, painted][..., None]).float()  # (1, PALETTE)
        return best[(best.float() @ wanted.T).argmax(0)]


def refilled(colour: Tensor, lines: Tensor, reach: int) -> Tensor:
    """Colours (1, 3, H, W) that grew from fewer pixels, so that they bleed across lines (1, 1, H, W): made anew there.

    What is within `reach` pixels of ink is forgotten, and filled step by step from its neighbours, but through paper
    only. Both sides meet under the line. What no colour reaches, as between two close lines, stays as it was.
    """
    paper = (lines - 0.3).clamp(min=0)
    near_ink = F.max_pool2d((lines < 0.6).float(), 2 * reach + 1, 1, reach)
    known = 1 - near_ink
    filled = colour * known
    for _ in range(2 * reach):
        flow = paper * known  # ink gives nothing on
        total = _neighbours(flow)
        fresh = ((known == 0) & (total > 0)).float()
        filled = filled + fresh * _neighbours(filled * flow) / total.clamp(min=1e-6)
        known = known + fresh
    return torch.where(known > 0, filled, colour)


def _neighbours(x: Tensor) -> Tensor:
    """The sum of each pixel's four neighbours. No path of such steps crosses even a diagonal line of one pixel."""
    padded = F.pad(x, (1, 1, 1, 1))
    return padded[..., 1:-1, 2:] + padded[..., 1:-1, :-2] + padded[..., 2:, 1:-1] + padded[..., :-2, 1:-1]


def _padded(x: Tensor, value: float) -> Tensor:
    """(1, C, H, W), with room at the bottom and right up to multiples of MULTIPLE."""
    height, width = x.shape[2:]
    return F.pad(x, (0, -width % MULTIPLE, 0, -height % MULTIPLE), value=value)
