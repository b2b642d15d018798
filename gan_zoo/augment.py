"""DiffAugment (Zhao et al. 2020, arXiv:2006.10738): the same random, differentiable changes for real and fake.

`rand(*shape)` gives uniform numbers in [0, 1) of shape (B, *shape): pass `step.rand`, which N processes share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

Rand = Callable[..., Tensor]


def color(images: Tensor, rand: Rand) -> Tensor:
    """Brightness +-0.5, saturation x[0, 2], contrast x[0.5, 1.5], as one affine map of every pixel."""
    brightness, saturation, contrast = rand(3, 1, 1, 1).to(images).unbind(1)  # each (B, 1, 1, 1)
    saturation, contrast = 2 * saturation, contrast + 0.5
    gray = images.mean(dim=1, keepdim=True)  # (B, 1, H, W)
    mean = gray.mean(dim=(2, 3), keepdim=True)  # (B, 1, 1, 1), unchanged by saturation
    x = images * (saturation * contrast) + gray * ((1 - saturation) * contrast)
    return x + (mean * (1 - contrast) + brightness - 0.5)


def translation(images: Tensor, rand: Rand, ratio: float = 0.125) -> Tensor:
    """Moves each image by up to `ratio` of its size; what comes in is zero (middle grey)."""
    h, w = images.shape[-2:]
    dy, dx = int(h * ratio + 0.5), int(w * ratio + 0.5)
    shifts = (rand(2).cpu() * torch.tensor([2 * dy + 1, 2 * dx + 1])).long().tolist()
    padded = F.pad(images, (dx, dx, dy, dy)).unbind()
    return torch.stack([p[:, y : y + h, x : x + w] for p, (y, x) in zip(padded, shifts, strict=True)])


def cutout(images: Tensor, rand: Rand, ratio: float = 0.5) -> Tensor:
    """Zeroes one rectangle an image, `ratio` of each side, its centre anywhere in the image."""
    h, w = images.shape[-2:]
    cy, cx = rand(2, 1, 1, 1).to(images).unbind(1)  # each (B, 1, 1, 1)
    rows = torch.arange(h, device=images.device).view(1, 1, h, 1) + 0.5
    cols = torch.arange(w, device=images.device).view(1, 1, 1, w) + 0.5
    hole = ((rows - cy * h).abs() < h * ratio / 2) & ((cols - cx * w).abs() < w * ratio / 2)  # (B, 1, H, W)
    return images * ~hole


POLICIES = {"color": color, "translation": translation, "cutout": cutout}


def policies(policy: str) -> list[Callable[[Tensor, Rand], Tensor]]:
    """The policies of a comma-separated list, in order; none for "". Raises ValueError for an unknown one."""
    names = [name.strip() for name in policy.split(",") if name.strip()]
    for name in names:
        if name not in POLICIES:
            raise ValueError(f"augment {name!r}: expected some of {', '.join(POLICIES)}")
    return [POLICIES[name] for name in names]


def diff_augment(images: Tensor, policy: str, rand: Rand) -> Tensor:
    """Applies the named policies. images: (B, C, H, W) in [-1, 1]; the result may leave the range (color)."""
    for change in policies(policy):
        images = change(images, rand)
    return images


def diff_augment_together(pictures: Sequence[Tensor], policy: str, rand: Rand) -> list[Tensor]:
    """Applies the named policies to several pictures a sample, each (B, C, H, W), all of a sample in the same way.

    An input and what was made of it stay a pair: moved, cut and coloured alike.
    """
    changed = list(pictures)
    for change in policies(policy):
        drawn = cache(rand)  # a policy asks once a picture: the first draw serves all
        changed = [change(picture, drawn) for picture in changed]
    return changed
