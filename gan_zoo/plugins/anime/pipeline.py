"""Anime characters from noise, as a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from gan_zoo.plugins.anime.networks import AnimeGenerator

BATCH = 16  # pictures per forward pass; a picture does not depend on it


class AnimePipeline(DiffusionPipeline):
    """Holds the generator. `pipeline(seeds)` gives pictures, `latents` and `decode` the two halves of that."""

    generator: AnimeGenerator

    def __init__(self, generator: AnimeGenerator):
        super().__init__()
        self.register_modules(generator=generator)

    @torch.inference_mode()
    def latents(self, seeds: Sequence[int], truncation: float = 1.0) -> Tensor:
        """Latents w (N, C, 4, 4) of N seeds; truncation 1 is the model's full variety, 0 its mean face."""
        z = torch.stack([torch.randn(self.generator.config["latent_dim"], generator=_seeded(seed)) for seed in seeds])
        w = self.generator.map(z.to(self.device, self.generator.dtype))
        return self.generator.w_mean + truncation * (w - self.generator.w_mean)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1] of latents (N, C, 4, 4), on the CPU."""
        return torch.cat([self.generator.synthesize(w).clamp(-1, 1).cpu() for w in latents.split(BATCH)])

    def __call__(self, seeds: Sequence[int], truncation: float = 1.0) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1], one a seed; each depends on its own seed alone."""
        return self.decode(self.latents(seeds, truncation))


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
