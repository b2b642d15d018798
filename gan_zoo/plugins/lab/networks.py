"""Forger and police in two dimensions: two small perceptrons, and the pipeline that holds both."""

from __future__ import annotations

import torch
from diffusers import DiffusionPipeline
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


def perceptron(inputs: int, width: int, layers: int, outputs: int) -> nn.Sequential:
    """`layers` hidden layers of `width` with leaky ReLU."""
    sizes, parts = [inputs, *[width] * layers], []
    for a, b in zip(sizes, sizes[1:]):
        parts += [nn.Linear(a, b), nn.LeakyReLU(0.1)]
    return nn.Sequential(*parts, nn.Linear(sizes[-1], outputs))


class PointGenerator(ModelMixin, ConfigMixin):
    """z (B, latent_dim) -> points (B, 2), about [-1, 1]."""

    @register_to_config
    def __init__(self, latent_dim: int = 2, width: int = 16, layers: int = 2, latent: str = "uniform"):
        super().__init__()
        self.net = perceptron(latent_dim, width, layers, 2)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)

    def noise(self, count: int, random: torch.Generator) -> Tensor:
        """z (count, latent_dim), uniform in [-1, 1] or standard normal."""
        size = (count, self.config["latent_dim"])
        if self.config["latent"] == "gaussian":
            return torch.randn(size, generator=random)
        return 2 * torch.rand(size, generator=random) - 1


class PointDiscriminator(ModelMixin, ConfigMixin):
    """Points (B, 2) -> logits (B, 1): over 0 means real."""

    @register_to_config
    def __init__(self, width: int = 16, layers: int = 2):
        super().__init__()
        self.net = perceptron(2, width, layers, 1)

    def forward(self, points: Tensor) -> Tensor:
        return self.net(2 * points)


class LabPipeline(DiffusionPipeline):
    """Holds forger and police. `pipeline(seed, count)` gives points (count, 2)."""

    generator: PointGenerator
    discriminator: PointDiscriminator

    def __init__(self, generator: PointGenerator, discriminator: PointDiscriminator):
        super().__init__()
        self.register_modules(generator=generator, discriminator=discriminator)

    @torch.inference_mode()
    def __call__(self, seed: int = 0, count: int = 500) -> Tensor:
        z = self.generator.noise(count, torch.Generator().manual_seed(seed))
        return self.generator(z.to(self.device)).float().cpu()
