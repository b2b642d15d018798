"""What real pictures look like, told in noise: codes by which a generator can be asked for each of them.

A GAN makes what is easiest to forge, over and over. If a code tells each real picture, and half of what is generated is
compared with the picture whose code it has, no kind of picture can be left out; codes are as noise is, so that noise
asks for pictures in between (cf. VAE-GAN, Larsen et al. 2016, arXiv:1512.09300, whose encoder is learned, and Casanova
et al. 2021, Instance-Conditioned GAN, arXiv:2109.05070, whose generator is given features themselves).
"""

from __future__ import annotations

from collections.abc import Iterator
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
FARTHEST = 3.0  # a number of a code, in standard deviations


def codes_of(pictures: Any, count: int) -> Tensor:
    """Of pictures, uint8 (N, 3, H, W), as they are and mirrored: float32 (2, N, count); at most N numbers each."""
    codes = Codes(pictures, min(count, len(pictures)))
    return torch.stack([codes(pictures, mirrored) for mirrored in (False, True)])


class Codes:
    """The directions in which pictures differ most, all to one scale: principal components, whitened.

    A picture is seen as the last map of EfficientNet-Lite0, 2 x 2, each channel standardised, and as its colours on
    8 x 8 places; both weigh the same. The same pictures give the same codes, so that a run can go on.
    """

    def __init__(self, pictures: Any, count: int):
        """`count` directions among pictures, uint8 (N, 3, H, W)."""
        self.net = FeaturePyramid(LOOKED_AT).eval()
        some = torch.arange(0, len(pictures), -(-len(pictures) // MOST))
        seen = torch.cat([x for mirrored in (False, True) for x in self._seen(pictures, some, mirrored)])
        self.mean, self.scale = seen.mean(0), seen.std(0).clamp(min=1e-3)
        self.scale[:FEATURES] *= FEATURES**0.5
        self.scale[FEATURES:] = self.scale[FEATURES:].square().sum().sqrt()
        seen = (seen - self.mean) / self.scale
        values, vectors = torch.linalg.eigh(seen.T @ seen / len(seen))  # by rising values
        values, vectors = values[-count:], vectors[:, -count:]
        signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        self.basis = signs * vectors / values.clamp(min=1e-9).sqrt()

    def __call__(self, pictures: Any, mirrored: bool) -> Tensor:
        """uint8 (N, 3, H, W) -> codes, float32 (N, count): of mean 0 and deviation 1 over the pictures."""
        seen = self._seen(pictures, torch.arange(len(pictures)), mirrored)
        codes = torch.cat([((x - self.mean) / self.scale @ self.basis).float() for x in seen])
        return codes.clamp(-FARTHEST, FARTHEST)

    @torch.no_grad()
    def _seen(self, pictures: Any, rows: Tensor, mirrored: bool) -> Iterator[Tensor]:
        """Features and colours, float64 (B, FEATURES + 3 x COLOURS^2), of some rows after others."""
        for some in rows.split(128):
            x = to_float(pictures[some])
            x = x.flip(3) if mirrored else x
            features, colours = self.net(x)[-1].flatten(1), F.adaptive_avg_pool2d(x, COLOURS).flatten(1)
            yield torch.cat([features, colours], dim=1).double()
