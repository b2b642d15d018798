"""Line art: extracted from colour pictures in many hands, and read from what people scan and photograph.

Lines are float (1, H, W) in [0, 1]: 1 is paper, 0 is ink. Widths are meant for pictures of about 256 pixels.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

LUMA = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)


def luminance(picture: Tensor) -> Tensor:
    """(3, H, W) in [0, 1] -> (1, H, W)."""
    return (picture * LUMA).sum(0, keepdim=True)


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (C, H, W), edges repeated."""
    radius = max(1, math.ceil(2.5 * sigma))
    taps = torch.exp(-torch.arange(-radius, radius + 1).float().square() / (2 * sigma**2))
    taps = taps / taps.sum()
    padded = F.pad(x[:, None], (radius,) * 4, mode="replicate")  # (C, 1, H + 2r, W + 2r)
    return F.conv2d(F.conv2d(padded, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))[:, 0]


# ---------------------------------------------------------------------------------------------------------------------
# From colour to lines


def difference_of_gaussians(gray: Tensor, sigma: float = 0.8, gain: float = 14.0, threshold: float = 0.01) -> Tensor:
    """Ink where a picture is darker than its surroundings (Marr & Hildreth 1980), with a soft threshold."""
    return 1 - (gain * (blur(gray, 1.6 * sigma) - blur(gray, sigma) - threshold)).clamp(0, 1)


def xdog(gray: Tensor, sigma: float = 0.8, p: float = 16.0, epsilon: float = 0.55, phi: float = 8.0) -> Tensor:
    """Winnemoeller et al. 2012, eq. 7 and 5: sharpened, then a soft threshold, which fills what is dark with black."""
    sharp = (1 + p) * blur(gray, sigma) - p * blur(gray, 1.6 * sigma)
    return 1 + torch.tanh(phi * (sharp - epsilon)).clamp(max=0)


def thin_edges(picture: Tensor, sigma: float = 1.0, threshold: float = 0.06) -> Tensor:
    """One pixel of ink along each edge of (3, H, W): the maxima of the gradient across it (Canny 1986, section VI)."""
    x = F.pad(blur(picture, sigma), (1, 1, 1, 1), mode="replicate")
    dx = (x[:, 1:-1, 2:] - x[:, 1:-1, :-2]) / 2
    dy = (x[:, 2:, 1:-1] - x[:, :-2, 1:-1]) / 2
    strength, channel = (dx.square() + dy.square()).sqrt().max(0, keepdim=True)  # of the channel that shows it best
    dx, dy = dx.gather(0, channel), dy.gather(0, channel)
    near = F.pad(strength[None], (1, 1, 1, 1))[0]
    height, width = strength.shape[1:]

    def neighbours(down: int, right: int) -> Tensor:
        ahead = near[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
        behind = near[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width]
        return torch.maximum(ahead, behind)

    steep = 0.4142  # tan(pi / 8): the gradient points along one of four axes
    across = torch.where(dx * dy > 0, neighbours(1, 1), neighbours(1, -1))
    across = torch.where(dy.abs() < steep * dx.abs(), neighbours(0, 1), across)
    across = torch.where(dx.abs() < steep * dy.abs(), neighbours(1, 0), across)
    ink = ((strength / threshold - 1) * 2).clamp(0, 1) * (strength >= across)
    return (1 - 1.5 * blur(ink, 0.6)).clamp(0, 1)


def pencil(gray: Tensor, sigma: float = 3.0, gamma: float = 3.0) -> Tensor:
    """Colour dodge: a picture divided by its blurred self keeps what is darker than around it, as soft strokes."""
    return ((gray + 0.02) / (blur(gray, sigma) + 0.02)).clamp(0, 1) ** gamma


def line_art(picture: Tensor) -> Tensor:
    """The line art of a picture (3, H, W) in [0, 1]: dark strokes, and edges between colours that have none."""
    ink = 1 - difference_of_gaussians(luminance(picture))
    return inked(1 - torch.maximum(ink, 0.7 * (1 - thin_edges(picture))))


def draw(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """One line drawing of a picture (3, H, W) in [0, 1], by an extractor, a pen and a paper chosen by `rng`."""
    gray, hand = luminance(picture), rng.random()
    if hand < 0.3:
        lines = difference_of_gaussians(gray, rng.uniform(0.5, 1.3), rng.uniform(8, 25), rng.uniform(0.004, 0.02))
    elif hand < 0.45:
        black = rng.uniform(0.3, 0.8) * quantile(gray, 0.5)  # else dark pictures are all ink
        lines = xdog(gray, rng.uniform(0.5, 1.2), rng.uniform(10, 25), black, rng.uniform(4, 20))
    elif hand < 0.65:
        lines = thin_edges(picture, rng.uniform(0.7, 1.6), rng.uniform(0.03, 0.09))
    elif hand < 0.85:
        lines = pencil(gray, rng.uniform(1.5, 5), rng.uniform(2, 6))
    else:
        lines = line_art(picture)
    return on_paper(inked(lines), rng)


def inked(lines: Tensor) -> Tensor:
    """Scaled so that the darkest hundredth is black, unless there is nothing but paper."""
    ink = 1 - lines
    return 1 - (ink / max(quantile(ink, 0.99), 0.2)).clamp(0, 1)


def on_paper(lines: Tensor, rng: np.random.Generator) -> Tensor:
    """The same lines by another pen on other paper: width, darkness, hardness, grain."""
    width = rng.random()
    if width < 0.2:
        lines = -F.max_pool2d(-lines, 3, 1, 1)
    elif width < 0.35:
        lines = blur(lines, rng.uniform(0.5, 1.0))
    if rng.random() < 0.3:  # a technical pen: ink or no ink
        lines = torch.sigmoid((lines - rng.uniform(0.4, 0.75)) * rng.uniform(8, 25))
    lines = 1 - (1 - lines) * rng.uniform(0.65, 1.0)
    if rng.random() < 0.3:  # what is left of paper and light after `clean`
        grain = torch.from_numpy(rng.standard_normal((1, *lines.shape[1:]), dtype=np.float32))
        lines = lines + (grain if rng.random() < 0.5 else 2 * blur(grain, 1.0)) * rng.uniform(0.005, 0.04)
    return lines.clamp(0, 1)


# ---------------------------------------------------------------------------------------------------------------------
# From paper to lines


def clean(gray: Tensor) -> Tensor:
    """A drawing as people bring it, (1, H, W) in [0, 1], as lines: light and paper divided out, the ink made black.

    Paper is what is brightest nearby. Where all is dark nearby it is taken to be a black area, not shadow.
    """
    height, width = gray.shape[1:]
    cells = (max(1, min(24, height // 8)), max(1, min(24, width // 8)))
    brightest = F.adaptive_max_pool2d(blur(gray, 1.0), cells)
    paper = F.interpolate(blur(brightest, 1.5)[None], (height, width), mode="bilinear", align_corners=False)[0]
    flat = (gray / paper.clamp(min=max(0.3, 0.4 * float(paper.max())))).clamp(0, 1)
    darkest = min(quantile(flat, 0.005), 0.6)  # a blank sheet's grain is not ink
    return ((flat - darkest) / (0.96 - darkest)).clamp(0, 1)


def light_strokes(picture: Image.Image) -> bool:
    """Has an RGBA picture light strokes on a transparent ground?"""
    x = torch.from_numpy(np.array(picture)).float().permute(2, 0, 1) / 255
    ink = x[3:]
    return float(ink.mean()) < 0.7 and float((luminance(x[:3]) * ink).sum() / ink.sum().clamp(min=1e-6)) > 0.6


def dark_ground(gray: Tensor) -> bool:
    """Is (1, H, W) in [0, 1] dark, at its rim too, with lighter strokes on it: a negative, chalk, a blueprint?"""
    ground, light = quantile(gray, 0.5), quantile(gray, 0.995)
    rim = torch.cat(
        [gray[:, :2].flatten(), gray[:, -2:].flatten(), gray[:, :, :2].flatten(), gray[:, :, -2:].flatten()]
    )
    return ground < 0.45 and quantile(rim, 0.5) < 0.45 and light - ground > 0.25


def quantile(x: Tensor, q: float) -> float:
    """torch.quantile refuses large tensors; a sixteenth of them is enough."""
    flat = x.flatten()
    return cast(float, flat[:: max(1, len(flat) // 16384)].quantile(q).item())
