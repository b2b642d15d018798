"""Forgers and police, of points and of faces, small enough to train while one looks; the pipeline that holds both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from gan_zoo.layers import doubled_conv, with_deviation


def perceptron(inputs: int, width: int, layers: int, outputs: int) -> nn.Sequential:
    """`layers` hidden layers of `width` with leaky ReLU."""
    sizes, parts = [inputs, *[width] * layers], []
    for a, b in zip(sizes, sizes[1:]):
        parts += [nn.Linear(a, b), nn.LeakyReLU(0.1)]
    return nn.Sequential(*parts, nn.Linear(sizes[-1], outputs))


def noise(kind: str, count: int, dimensions: int, random: torch.Generator) -> Tensor:
    """z (count, dimensions): "uniform" in [-1, 1], or "gaussian", standard normal."""
    draw = torch.randn if kind == "gaussian" else torch.rand
    z = draw(count, dimensions, generator=random)
    return z if kind == "gaussian" else 2 * z - 1


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
        return noise(self.config["latent"], count, self.config["latent_dim"], random)


class PointDiscriminator(ModelMixin, ConfigMixin):
    """Points (B, 2) -> logits (B, 1): over 0 means real."""

    @register_to_config
    def __init__(self, width: int = 16, layers: int = 2):
        super().__init__()
        self.net = perceptron(2, width, layers, 1)

    def forward(self, points: Tensor) -> Tensor:
        return self.net(2 * points)


class FaceGenerator(ModelMixin, ConfigMixin):
    """z (B, latent_dim) -> faces (B, 3, 32, 32) in [-1, 1]: DCGAN's (Radford et al. 2016), doubling from 4 x 4."""

    @register_to_config
    def __init__(self, latent_dim: int = 32, width: int = 32, latent: str = "gaussian"):
        super().__init__()
        widths = (4 * width, 2 * width, width)
        self.first = nn.Linear(latent_dim, widths[0] * 16)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:]))
        self.norms = nn.ModuleList(nn.GroupNorm(4, w) for w in widths)
        self.fine = nn.Conv2d(widths[-1], 12, 3, padding=1)  # few channels at 32 x 32, where pictures cost most
        self.last = nn.Conv2d(12, 3, 3, padding=1)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # a third faster

    def forward(self, z: Tensor) -> Tensor:
        x = self.first(z).unflatten(1, (-1, 4, 4))
        x = F.leaky_relu(self.norms[0](x), 0.2)
        for conv, norm in zip(self.convs, list(self.norms)[1:]):
            assert isinstance(conv, nn.Conv2d)
            x = F.leaky_relu(norm(doubled_conv(x, conv.weight, conv.bias)), 0.2)
        x = F.leaky_relu(doubled_conv(x, self.fine.weight, self.fine.bias), 0.2)
        return self.last(x).tanh()

    def noise(self, count: int, random: torch.Generator) -> Tensor:
        """z (count, latent_dim), uniform in [-1, 1] or standard normal."""
        return noise(self.config["latent"], count, self.config["latent_dim"], random)


class FaceDiscriminator(ModelMixin, ConfigMixin):
    """Faces (B, 3, 32, 32) -> logits (B, 1): over 0 means real. Four convolutions; it sees how a batch varies."""

    @register_to_config
    def __init__(self, width: int = 32):
        super().__init__()
        widths = (width, 2 * width, 4 * width)
        self.first = nn.Conv2d(3, widths[0], 4, stride=2, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in zip(widths, widths[1:]))
        self.mix = nn.Conv2d(2 * widths[-1], widths[-1], 1)
        self.last = nn.Linear(widths[-1] * 16, 1)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, faces: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(faces), 0.2)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        x = F.leaky_relu(self.mix(with_deviation(x)), 0.2)
        return self.last(x.flatten(1))


class LabPipeline(DiffusionPipeline):
    """Holds forger and police. `pipeline(seed, count)` gives points (count, 2), or faces (count, 3, 32, 32)."""

    generator: PointGenerator | FaceGenerator
    discriminator: PointDiscriminator | FaceDiscriminator

    def __init__(
        self, generator: PointGenerator | FaceGenerator, discriminator: PointDiscriminator | FaceDiscriminator
    ):
        super().__init__()
        self.register_modules(generator=generator, discriminator=discriminator)

    @torch.inference_mode()
    def __call__(self, seed: int = 0, count: int = 500) -> Tensor:
        z = self.generator.noise(count, torch.Generator().manual_seed(seed))
        return self.generator(z.to(self.device)).float().cpu()
