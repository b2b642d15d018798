"""A person in another pose, as a diffusers pipeline."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from gan_zoo.features import eyes
from gan_zoo.plugins.pose.networks import CoarseGenerator, JointFinder, RefiningGenerator, SeeingFinder
from gan_zoo.plugins.pose.warping import carry

BATCH = 8  # pictures per forward pass; a picture does not depend on it


class Made(NamedTuple):
    """Pictures (N, 3, H, W) in [-1, 1] of both stages, and how much of each pixel is the person, (N, 1, H, W)."""

    coarse: Tensor
    refined: Tensor
    person: Tensor


class Person(nn.Module):
    """Both generators as other programs want them: sources (B, 3, H, W) in [-1, 1], their poses and those wanted,
    (B, 18, 3) -> pictures (B, 3, H, W) in [-1, 1].
    """

    def __init__(self, coarse: CoarseGenerator, refining: RefiningGenerator):
        super().__init__()
        self.coarse, self.refining = coarse, refining

    def forward(self, source: Tensor, source_pose: Tensor, pose: Tensor) -> Tensor:
        seen = carry(source, source_pose, pose)
        return self.refining(self.coarse(source, seen).picture, source, seen).clamp(-1, 1)


class Finds(nn.Module):
    """A joint finder with all that it looks through: pictures (B, 3, H, W) in [-1, 1], sides multiples of 32 -> what
    its network gives.
    """

    def __init__(self, finder: JointFinder | SeeingFinder):
        super().__init__()
        self.finder = finder
        self.eyes = eyes(finder.device) if isinstance(finder, SeeingFinder) else None

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        return self.finder(picture)


class PosePipeline(DiffusionPipeline):
    """Holds the joint finder and both generators. `pipeline(source, pose)` gives what both stages make."""

    finder: JointFinder | SeeingFinder
    coarse: CoarseGenerator
    refining: RefiningGenerator

    def __init__(self, finder: JointFinder | SeeingFinder, coarse: CoarseGenerator, refining: RefiningGenerator):
        super().__init__()
        self.register_modules(finder=finder, coarse=coarse, refining=refining)

    @property
    def height(self) -> int:
        """Of the pictures that it was trained on, which are half as wide."""
        return self.coarse.config["height"]

    def find(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1] -> poses (N, 18, 3), on the CPU."""
        size = (self.finder.looks_at, self.finder.looks_at // 2)
        small = F.interpolate(pictures, size, mode="bilinear", antialias=True)
        return torch.cat([self.finder.find(some.to(self.device)).float().cpu() for some in small.split(BATCH)])

    @torch.inference_mode()
    def __call__(
        self, source: Tensor, pose: Tensor, source_pose: Tensor | None = None, source_mask: Tensor | None = None
    ) -> Made:
        """Pictures (N, 3, H, W) in [-1, 1] and poses (N, 18, 3) -> the persons in these poses, on the CPU.

        H is a multiple of 128, W half of it. Without its pose, a source is asked for its joints first.
        source_mask: (N, 1, H, W) in [0, 1], which of the source's pixels are the person's, where that is known.
        """
        if source_pose is None:
            source_pose = self.find(source)
        made = []
        masks = [None] * len(source) if source_mask is None else source_mask.split(BATCH)
        for *some, mask in zip(source.split(BATCH), source_pose.split(BATCH), pose.split(BATCH), masks):
            x, before, after = (tensor.to(self.device) for tensor in some)
            seen = carry(x, before, after, None if mask is None else mask.to(self.device))
            first, person = self.coarse(x, seen)
            made.append((first.clamp(-1, 1).cpu(), self.refining(first, x, seen).clamp(-1, 1).cpu(), person.cpu()))
        return Made(*(torch.cat(parts) for parts in zip(*made)))
