"""Generators of other people's programs: the same layers in the same order, under names of our own.

The ResNet is Johnson et al. 2016 as Zhu et al. 2017 (arXiv:1703.10593, section 7.2) use it, the U-Net that of Isola et
al. 2017 (arXiv:1611.07004, section 6.1). Dropout, which does nothing once a network is trained, is left out.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from gan_zoo.norms import InstanceNorm2d

Norm = Literal["instance", "affine", "batch"]
Upsampling = Literal["transposed", "nearest"]


class ConvNorm(nn.Module):
    """A convolution and its norm. The plain instance norm learns no scale and no shift, which it leaves to a bias."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, norm: Norm):
        super().__init__()
        self.conv = conv
        channels = conv.out_channels
        self.norm = nn.BatchNorm2d(channels) if norm == "batch" else InstanceNorm2d(channels, affine=norm == "affine")

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class Block(nn.Module):
    """x + two 3x3 convolutions of x."""

    def __init__(self, channels: int, norm: Norm, bias: bool):
        super().__init__()
        kind = {"padding": 1, "padding_mode": "reflect", "bias": bias}
        self.first = ConvNorm(nn.Conv2d(channels, channels, 3, **kind), norm)
        self.second = ConvNorm(nn.Conv2d(channels, channels, 3, **kind), norm)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


class ResNet(nn.Module):
    """Two halvings, `depth` residual blocks at a quarter of the size, two doublings."""

    def __init__(self, width: int, depth: int, norm: Norm, upsampling: Upsampling, bias: bool):
        super().__init__()
        self.nearest = upsampling == "nearest"
        self.stem = ConvNorm(nn.Conv2d(3, width, 7, padding=3, padding_mode="reflect", bias=bias), norm)
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for i in (1, 2):
            self.downs.append(ConvNorm(nn.Conv2d(i * width, 2 * i * width, 3, 2, padding=1, bias=bias), norm))
        self.blocks = nn.ModuleList(Block(4 * width, norm, bias) for _ in range(depth))
        for i in (4, 2):
            if self.nearest:
                conv = nn.Conv2d(i * width, i * width // 2, 3, padding=1, bias=bias)
            else:
                conv = nn.ConvTranspose2d(i * width, i * width // 2, 3, 2, padding=1, output_padding=1, bias=bias)
            self.ups.append(ConvNorm(conv, norm))
        self.to_rgb = nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W); H and W multiples of 4, 8 or more."""
        for layer in (self.stem, *self.downs):
            x = F.relu(layer(x))
        for block in self.blocks:
            x = block(x)
        for up in self.ups:
            x = F.relu(up(F.interpolate(x, scale_factor=2, mode="nearest") if self.nearest else x))
        return torch.tanh(self.to_rgb(x))


class UNet(nn.Module):
    """`depth` halvings, and as many doublings that see what went down at their size."""

    def __init__(self, width: int, depth: int, norm: Norm, bias: bool):
        super().__init__()
        channels = [min(2**i, 8) * width for i in range(depth)]  # of each level, 1/2 of the picture's size first
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for i, (before, after) in enumerate(zip([3, *channels], channels)):
            conv = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=bias)
            self.downs.append(conv if i in (0, depth - 1) else ConvNorm(conv, norm))
        for i, (above, level) in enumerate(zip([3, *channels], channels)):
            both = level if i == depth - 1 else 2 * level  # what came up beside what went down
            conv = nn.ConvTranspose2d(both, above, 4, stride=2, padding=1, bias=bias or i == 0)
            self.ups.append(conv if i == 0 else ConvNorm(conv, norm))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W); H and W multiples of 2 ** depth."""
        levels: list[Tensor] = []
        for i, down in enumerate(self.downs):
            x = down(F.leaky_relu(x, 0.2) if i else x)
            levels.append(x)
        x = self.ups[-1](F.relu(levels.pop()))
        for up in reversed(self.ups[:-1]):
            x = up(F.relu(torch.cat([levels.pop(), x], dim=1)))
        return torch.tanh(x)


class ImportedGenerator(ModelMixin, ConfigMixin):
    """Pictures of one domain to pictures of another, (B, 3, H, W) in [-1, 1] both.

    Args:
        architecture: "resnet" or "unet".
        width: channels of the first layer.
        depth: residual blocks of a ResNet, halvings of a U-Net.
        normalisation: "instance", "affine" (an instance norm that learns a scale and a shift) or "batch".
        upsampling: of a ResNet: "transposed" convolutions, or "nearest" neighbours and a convolution.
        bias: of the convolutions before norms; None: where the norm has none.
    """

    @register_to_config
    def __init__(
        self,
        architecture: Literal["resnet", "unet"] = "resnet",
        width: int = 64,
        depth: int = 9,
        normalisation: Norm = "instance",
        upsampling: Upsampling = "transposed",
        bias: bool | None = None,
    ):
        super().__init__()
        biased = normalisation == "instance" if bias is None else bias
        if architecture == "unet":
            self.net = UNet(width, depth, normalisation, biased)
        else:
            self.net = ResNet(width, depth, normalisation, upsampling, biased)

    @property
    def multiple(self) -> int:
        """Of what number both sides of a picture must be multiples."""
        return 2 ** self.config["depth"] if self.config["architecture"] == "unet" else 4

    def forward(self, pictures: Tensor) -> Tensor:
        return self.net(pictures)
