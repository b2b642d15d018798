"""Building blocks of networks that several plugins share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_zoo.norms import GroupNorm
from gan_zoo.precision import computed_in


def computed(x: Tensor) -> Tensor:
    """In the type that networks compute in here: a cast before what moves much is half as dear as one after it."""
    return x.to(computed_in(x.device, x.dtype))


def doubled(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear")


def doubled_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Nearest-neighbour doubling, then a 3x3 convolution: (B, in, H, W), (out, in, 3, 3) -> (B, out, 2H, 2W).

    The two together are one transposed 4x4 convolution of stride 2, with 4 multiplications a pixel instead of 9: twice
    as fast from 8x8 up. In inference mode its kernel is made once.
    """
    if x.shape[-1] < 8:
        return F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, bias, padding=1)
    keeps = torch.is_inference_mode_enabled() and not torch.compiler.is_compiling()
    kernel = _kept_kernel(weight) if keeps and isinstance(weight, nn.Parameter) else _doubled_kernel(weight)
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)


def _doubled_kernel(weight: Tensor) -> Tensor:
    padded = F.pad(weight, (1, 1, 1, 1))  # doubling is a 2x2 kernel of ones: convolve the two kernels
    kernel = padded[:, :, 1:, 1:] + padded[:, :, 1:, :-1] + padded[:, :, :-1, 1:] + padded[:, :, :-1, :-1]
    return kernel.flip(2, 3).transpose(0, 1)


def _kept_kernel(weight: nn.Parameter) -> Tensor:
    """Kept with the parameter until its numbers change, which fused optimisers do without a new `_version`; of the type
    that is computed in.
    """
    dtype = computed_in(weight.device, weight.dtype)
    state = (int(torch.hash_tensor(weight).view(torch.int64)), dtype)
    kept = getattr(weight, "doubled", None)
    if kept is None or kept[0] != state:
        kept = (state, _doubled_kernel(weight.detach()).to(dtype).contiguous())
        weight.doubled = kept  # pyright: ignore[reportAttributeAccessIssue]
    return kept[1]


def with_deviation(x: Tensor, group: int = 8) -> Tensor:
    """(B, C, H, W) -> (B, 2C, H, W): beside each channel, how much it differs between neighbours in the batch.

    It shows a discriminator what no single picture can: that all fakes are alike. Karras et al. 2018 (section 3) give
    one number for all channels; a number for each tells in what they are alike.
    """
    group = math.gcd(len(x), group)
    grouped = x.float().reshape(-1, group, *x.shape[1:])
    centred = grouped - grouped.mean(dim=1, keepdim=True)
    deviation = (centred.square().mean(dim=1) + 1e-8).sqrt().mean(dim=(2, 3))  # (B / group, C)
    deviation = deviation.repeat_interleave(group, dim=0)[:, :, None, None].to(x.dtype)
    return torch.cat([x, deviation.expand(-1, -1, *x.shape[2:])], dim=1)


class FeatureMixer(nn.Module):
    """Frozen random projections of a feature pyramid (Sauer et al. 2021, arXiv:2111.01007, section 3.2).

    Random 1x1 convolutions mix channels, random 3x3 ones carry coarse maps into finer ones; neither is trained.
    forward: maps (B, channels[i], h, w), finest first -> (B, widths[i], h, w).
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int]):
        super().__init__()
        self.mix = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in zip(channels, widths))
        self.merge = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1, bias=False) for a, b in zip(widths, widths[1:]))
        for conv in [*self.mix, *self.merge]:
            assert isinstance(conv, nn.Conv2d)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
        self.requires_grad_(False)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        mixed = [mix(x) for mix, x in zip(self.mix, maps, strict=True)]
        for i in range(len(mixed) - 2, -1, -1):
            coarse = F.interpolate(self.merge[i](mixed[i + 1]), size=mixed[i].shape[2:], mode="nearest")
            mixed[i] = (mixed[i] + coarse) * math.sqrt(0.5)
        return mixed


def halving_head(channels: int, side: int, width: int, places: int) -> tuple[nn.Sequential, int]:
    """A discriminator's head on maps (B, channels, side, ...) -> (B, width, places or less, ...), and that last side.

    Spectral norm (Miyato et al. 2018) and group norm; where the map is small enough already, a 1x1 convolution.
    """
    layers: list[nn.Module] = []
    while side > places:
        conv = nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=False)
        layers += [spectral_norm(conv), nn.GroupNorm(8, width), nn.LeakyReLU(0.2)]
        channels, side = width, side // 2
    if not layers:
        layers += [spectral_norm(nn.Conv2d(channels, width, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers), side


def balanced(logits: Sequence[Tensor]) -> Tensor:
    """Maps of logits (B, N_i) -> (B, heads x max N_i), a smaller map as its mean: no head outvotes the others."""
    most = max(x.shape[1] for x in logits)
    return torch.cat([x if x.shape[1] == most else x.mean(1, keepdim=True).expand(-1, most) for x in logits], dim=1)


class NormBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), with 3x3 convolutions and group norm (Wu & He 2018): (B, width, H, W)."""

    def __init__(self, width: int, groups: int = 16):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm1 = GroupNorm(groups, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = GroupNorm(groups, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
