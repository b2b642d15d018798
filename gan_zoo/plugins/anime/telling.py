"""What real pictures look like, told in noise: codes by which a generator can be asked for each of them.

A GAN makes what is easiest to forge, over and over. If a code tells each real picture, and half of what is generated is
compared with the picture whose code it has, no kind of picture can be left out; codes are as noise is, so that noise
asks for pictures in between (cf. VAE-GAN, Larsen et al. 2016, arXiv:1512.09300, whose encoder is learned, and Casanova
et al. 2021, Instance-Conditioned GAN, arXiv:2109.05070, whose generator is given features themselves).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_zoo.data import to_float
from gan_zoo.features import FeaturePyramid

LOOKED_AT = 64  # px, by EfficientNet-Lite0
FEATURES = 320 * 2 * 2  # of its last map, at that size
COLOURS = 8  # places along each side
MOST = 5_000  # pictures, evenly taken, and their mirror images, that settle the directions
WAYS = (False, True)  # as it is, and mirrored
FARTHEST = 3.0  # a number of a code, in standard deviations


def codes_of(pictures: Any, count: int) -> Tensor:
    """Codes of pictures, uint8 (N, 3, H, W), as they are and mirrored: float32 (2, N, count); at most N numbers each.

    Principal components, whitened: the directions in which pictures differ most, each of mean 0 and deviation 1. A
    picture is seen as the last map of EfficientNet-Lite0, 2 x 2, each channel standardised, and as its colours on
    8 x 8 places; both weigh the same. The same pictures give the same codes, so that a run can go on.
    """
    look = partial(_seen, FeaturePyramid(LOOKED_AT).eval(), pictures)
    some = torch.arange(0, len(pictures), -(-len(pictures) // MOST))
    mean, basis = _whitening(torch.cat([x for way in WAYS for x in look(some, way)]), min(count, len(pictures)))
    every = torch.arange(len(pictures))
    codes = [torch.cat([((x - mean) @ basis).float() for x in look(every, way)]) for way in WAYS]
    return torch.stack(codes).clamp(-FARTHEST, FARTHEST)


@torch.no_grad()
def _seen(net: FeaturePyramid, pictures: Any, rows: Tensor, mirrored: bool) -> Iterator[Tensor]:
    """Features and colours, float64 (B, FEATURES + 3 x COLOURS^2), of some rows after others."""
    for some in rows.split(128):
        x = to_float(pictures[some])
        x = x.flip(3) if mirrored else x
        features, colours = net(x)[-1].flatten(1), F.adaptive_avg_pool2d(x, COLOURS).flatten(1)
        yield torch.cat([features, colours], dim=1).double()


def _whitening(seen: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """What was seen (N, D) -> its mean (D,) and the basis (D, count) that makes codes of what differs from it."""
    mean, scale = seen.mean(0), seen.std(0).clamp(min=1e-3)
    scale[:FEATURES] *= FEATURES**0.5
    scale[FEATURES:] = scale[FEATURES:].square().sum().sqrt()
    seen = (seen - mean) / scale
    values, vectors = torch.linalg.eigh(seen.T @ seen / len(seen))  # by rising values
    values, vectors = values[-count:], vectors[:, -count:]
    signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    return mean, signs * vectors / values.clamp(min=1e-9).sqrt() / scale[:, None]
