"""The networks, and the pipeline that holds the generator: diffusers models, so that they save and load themselves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import DiffusionPipeline
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class TemplateGenerator(ModelMixin, ConfigMixin):
    """(B, latent) standard normal -> (B, 3, 32, 32) in [-1, 1]."""

    @register_to_config
    def __init__(self, latent: int = 16, width: int = 16):
        super().__init__()
        self.first = nn.Linear(latent, 4 * width * 4 * 4)
        self.blocks = nn.Sequential(
            nn.Unflatten(1, (4 * width, 4, 4)),
            *_up(4 * width, 2 * width),  # (B, 32, 8, 8)
            *_up(2 * width, width),  # (B, 16, 16, 16)
            *_up(width, width),  # (B, 16, 32, 32)
            nn.Conv2d(width, 3, 3, padding=1),
        )

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.blocks(self.first(z)))


class TemplateDiscriminator(ModelMixin, ConfigMixin):
    """(B, 3, 32, 32) in [-1, 1] -> logits (B, 1): real is positive."""

    @register_to_config
    def __init__(self, width: int = 16):
        super().__init__()
        self.blocks = nn.Sequential(
            *_down(3, width),  # (B, 16, 16, 16)
            *_down(width, 2 * width),  # (B, 32, 8, 8)
            *_down(2 * width, 4 * width),  # (B, 64, 4, 4)
            nn.Flatten(),
            nn.Linear(4 * width * 4 * 4, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


def _up(channels: int, out: int) -> list[nn.Module]:
    # nearest upsampling, then a convolution: transposed convolutions leave checkerboards (Odena et al. 2016);
    # GroupNorm, since BatchNorm would make a picture depend on its neighbours in the batch
    return [
        nn.Upsample(scale_factor=2),
        nn.Conv2d(channels, out, 3, padding=1),
        nn.GroupNorm(8, out),
        nn.LeakyReLU(0.2),
    ]


def _down(channels: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]


class TemplatePipeline(DiffusionPipeline):
    """Holds the generator; `pipeline(seeds)` draws one picture a seed."""

    generator: TemplateGenerator

    def __init__(self, generator: TemplateGenerator):
        super().__init__()
        self.register_modules(generator=generator)

    @torch.inference_mode()
    def __call__(self, seeds: Sequence[int]) -> Tensor:
        """(N, 3, 32, 32) in [-1, 1], on the CPU. Each picture depends on its own seed alone."""
        latent = self.generator.config["latent"]
        z = torch.stack([torch.randn(latent, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        return self.generator(z.to(self.device, self.generator.dtype)).float().cpu()
