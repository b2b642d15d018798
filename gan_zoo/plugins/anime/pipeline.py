"""Anime characters from noise, or to order, as a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from gan_zoo.labels import ANY, Vocabulary
from gan_zoo.plugins.anime.attributes import BUILT_IN
from gan_zoo.plugins.anime.networks import AnimeGenerator, Enlarger

BATCH = 16  # pictures per forward pass; a picture does not depend on it


class Whole(nn.Module):
    """The generator as other programs want it: z (B, latent_dim), and y, -> pictures in [-1, 1], no more."""

    def __init__(self, generator: AnimeGenerator):
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.generator(z, y).clamp(-1, 1)


class AnimePipeline(DiffusionPipeline):
    """Holds the generator. `pipeline(seeds)` gives pictures, in the steps noise, codes, wishes, latents, decode.

    Where there is an enlarger, `enlarge` gives them two or four times the sides.
    """

    _optional_components = ["enlarger"]
    generator: AnimeGenerator
    enlarger: Enlarger | None

    def __init__(self, generator: AnimeGenerator, enlarger: Enlarger | None):
        super().__init__()
        self.register_modules(generator=generator, enlarger=enlarger)

    @property
    def conditional(self) -> bool:
        """Can attributes be asked for?"""
        return self.generator.config["attributes"] > 0

    @property
    def vocabulary(self) -> Vocabulary:
        """What can be asked for: the labels that the generator learned, or those of the drawn characters."""
        labels = self.generator.config["labels"]
        if not labels and self.conditional:
            return BUILT_IN
        return Vocabulary.of(labels or {})

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """z (N, latent_dim) of N seeds, each from its own seed alone."""
        size = self.generator.config["latent_dim"]
        z = torch.stack([torch.randn(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        return z.to(self.device, self.generator.dtype)

    def wishes(self, seeds: Sequence[int], asked: Mapping[str, str] | None = None) -> Tensor | None:
        """y (N, vocabulary.size): as asked, the rest by chance from each seed; None for an unconditional generator.

        Raises ValueError if something is asked of an unconditional generator, or there is no such attribute or value.
        """
        if not self.conditional:
            if asked and set(asked.values()) != {ANY}:
                raise ValueError("these weights take no attributes: choose a preset of characters to order")
            return None
        known = self.vocabulary
        return known.one_hot(known.drawn(seeds, asked)).to(self.device, self.generator.dtype)

    @torch.inference_mode()
    def codes(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Codes (N, latent_dim), which move in straight lines. Truncation of a conditional generator happens here."""
        return self.generator.encode(z, truncation if self.conditional else 1.0)

    @torch.inference_mode()
    def latents(self, codes: Tensor, y: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Latents w (N, C, side, side); truncation 1 is the model's full variety, 0 its mean face."""
        w = self.generator.map(codes, y)
        return w if self.conditional else self.generator.truncate(w, truncation)

    @torch.inference_mode()
    def decode(self, latents: Tensor, y: Tensor | None = None) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1] of latents (N, C, side, side) and their y, on the CPU."""
        parts = zip(latents.split(BATCH), [None] * len(latents) if y is None else y.split(BATCH))
        return torch.cat([self.generator.synthesize(w, part).clamp(-1, 1).cpu() for w, part in parts])

    @torch.inference_mode()
    def enlarge(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1], on the CPU, larger if there is an enlarger."""
        if self.enlarger is None:
            return pictures
        parts = pictures.to(self.device, self.enlarger.dtype).split(4)
        return torch.cat([self.enlarger(part).clamp(-1, 1).cpu() for part in parts])

    def __call__(self, seeds: Sequence[int], truncation: float = 1.0, asked: Mapping[str, str] | None = None) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1], one a seed; each depends on its own seed and what is asked alone."""
        y = self.wishes(seeds, asked)
        return self.decode(self.latents(self.codes(self.noise(seeds), truncation), y, truncation), y)
