"""A given face among those that a generator can draw: its codes, found by descent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_zoo.features import eyes
from gan_zoo.labels import Vocabulary
from gan_zoo.losses import feature_distance
from gan_zoo.plugins.anime.pipeline import AnimePipeline

CANDIDATES = 64  # faces of chance, from the nearest of which the search begins
SIDE = 96  # of what the frozen network is shown
RATE = 0.06
PIXELS, ODDNESS = 2.0, 0.05  # weights of the distance in pixels, and of what no code gives


class Found(NamedTuple):
    """codes (1, latent_dim), what is added to their latents, (1, C, side, side), and y (1, size) if there are labels;
    how far the picture is from the one looked for.
    """

    codes: Tensor
    added: Tensor
    y: Tensor | None
    distance: float

    def picture(self, pipeline: AnimePipeline, y: Tensor | None = None) -> Tensor:
        """(1, 3, H, W) in [-1, 1], with its own labels or with others."""
        y = self.y if y is None else y
        return pipeline.enlarge(pipeline.decode(pipeline.latents(self.codes, y) + self.added, y))

    def wished(self, vocabulary: Vocabulary, asked: dict[str, str]) -> Tensor | None:
        """Its y with these labels instead of its own."""
        if self.y is None or not asked:
            return self.y
        places = vocabulary.numbers(vocabulary.draw(0, asked))
        parts = list(self.y.split(vocabulary.counts, dim=1))
        for i, name in enumerate(vocabulary.shares):
            if name in asked:
                parts[i] = F.one_hot(places[i : i + 1], vocabulary.counts[i]).to(parts[i])
        return torch.cat(parts, dim=1)


def project(pipeline: AnimePipeline, picture: Tensor, steps: int) -> Iterator[Found]:
    """Codes whose picture comes near a given one, (1, 3, H, W) in [-1, 1] at the generator's size; after each step.

    As StyleGAN2's projector (Karras et al. 2020, arXiv:1912.04958, appendix D) does, from the nearest of some faces of
    chance: first the codes and labels alone are moved, then also what is added to the latents, as in its W+.
    """
    generator, vocabulary = pipeline.generator, pipeline.vocabulary
    look = eyes(picture.device)

    def seen(pictures: Tensor) -> list[Tensor]:
        return look(F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", antialias=True))

    def small(pictures: Tensor) -> Tensor:
        return F.interpolate(pictures, size=(SIDE // 2, SIDE // 2), mode="bilinear", antialias=True)

    with torch.no_grad():
        wanted, target = seen(picture), small(picture)
    z, numbers = _nearest(pipeline, wanted, seen)
    z = z.requires_grad_(True)
    logits = None if numbers is None else (4 * vocabulary.one_hot(numbers)).to(z).requires_grad_(True)
    added = torch.zeros_like(generator.w_mean)[None].requires_grad_(True)
    groups = [{"params": [z] if logits is None else [z, logits], "lr": RATE}, {"params": [added], "lr": RATE / 3}]
    descent = torch.optim.Adam(groups, betas=(0.9, 0.95))
    moved = [parameter for group in descent.param_groups for parameter in group["params"]]
    for step in range(steps):
        fade = min(1.0, 4 * (1 - step / steps))
        for group, rate in zip(descent.param_groups, (RATE, RATE / 3 * (step > steps // 3)), strict=True):
            group["lr"] = rate * fade
        with torch.enable_grad():
            codes, y = generator.encode(z), _soft(vocabulary, logits)
            made = generator.synthesize(generator.map(codes, y) + added, y)
            distance = feature_distance(seen(made), wanted) + PIXELS * F.l1_loss(small(made), target)
            loss = distance + ODDNESS * added.square().mean()
            gradients = torch.autograd.grad(loss, moved)
        for parameter, gradient in zip(moved, gradients, strict=True):
            parameter.grad = gradient
        yield Found(codes.detach(), added.detach().clone(), None if y is None else y.detach(), distance.item())
        descent.step()


def _soft(vocabulary: Vocabulary, logits: Tensor | None) -> Tensor | None:
    """y (1, size) between labels, from logits."""
    if logits is None:
        return None
    return torch.cat([part.softmax(1) for part in logits.split(vocabulary.counts, dim=1)], dim=1)


@torch.no_grad()
def _nearest(
    pipeline: AnimePipeline, wanted: list[Tensor], seen: Callable[[Tensor], list[Tensor]]
) -> tuple[Tensor, Tensor | None]:
    """Noise (1, latent_dim) and labels (1, L) of the face of chance that looks most like the one wanted."""
    seeds = range(CANDIDATES)
    z, vocabulary = pipeline.noise(seeds), pipeline.vocabulary
    numbers = vocabulary.drawn(seeds) if vocabulary.size else None
    y = None if numbers is None else vocabulary.one_hot(numbers).to(z)
    made = pipeline.generator(z, y)
    distances = [float(feature_distance(seen(one[None]), wanted)) for one in made]
    best = min(seeds, key=distances.__getitem__)
    return z[best : best + 1].clone(), None if numbers is None else numbers[best : best + 1]
