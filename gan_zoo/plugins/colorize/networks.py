"""Networks of the colouring GAN: a guided generator and a projected discriminator; pix2pix's own pair."""

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from gan_zoo.layers import doubled
from gan_zoo.norms import GroupNorm
from gan_zoo.plugins.colorize.colours import PALETTE

KEPT = 1024  # palettes that a generator remembers


class Layers(NamedTuple):
    """What lies under the lines: the colour of the paper and that of the ink, (B, 3, H, W), about [-1, 1]."""

    paper: Tensor
    ink: Tensor

    def under(self, lines: Tensor) -> Tensor:
        """The picture (B, 3, H, W): `lines` (B, 1, H, W) in [0, 1] choose between ink (0) and paper (1)."""
        return self.ink + lines * (self.paper - self.ink)

    def resized(self, size: tuple[int, int]) -> "Layers":
        """Both are smooth, so they may grow; what is sharp is in the lines."""
        if self.paper.shape[2:] == size:
            return self
        return Layers(*(F.interpolate(x, size, mode="bicubic", align_corners=False) for x in self))


class Block(nn.Module):
    """x + conv(act(conv(act(x)) * scale + shift)), without normalisation, so that colours keep their absolute values.

    `code` gives scale and shift (Perez et al. 2018, FiLM).
    """

    def __init__(self, channels: int, code: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(code, 2 * channels)
        nn.init.kaiming_normal_(self.conv1.weight, 0.2)
        nn.init.normal_(self.conv2.weight, std=0.1 / math.sqrt(9 * channels))  # begins close to the identity
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """(B, channels, H, W) and (B, code) -> (B, channels, H, W)."""
        scale, shift = self.film(code).to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        y = self.conv1(F.leaky_relu(x, 0.2))
        y = torch.addcmul(shift, y, 1 + scale)
        return x + self.conv2(F.leaky_relu(y, 0.2))


class Attention(nn.Module):
    """Self-attention over all places (Zhang et al. 2019, SAGAN), so that both halves of a fringe get one colour."""

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm = GroupNorm(8, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).transpose(3, 4)
        y = F.scaled_dot_product_attention(*(t.contiguous() for t in qkv.unbind(1)))
        return x + self.out(y.transpose(2, 3).reshape(b, c, h, w))


class GuidedNet(nn.Module):
    """All but the last convolutions see a quarter of the resolution and less.

    A U-Net (Ronneberger et al. 2015) from 1/4 to 1/32, where attention and a mean over all places tell every place of
    the whole; then a light head at 1/2 that sees the lines again and gives four pixels at once. `code` is the length of
    the vector by which palette and bottleneck speak to all levels.
    """

    def __init__(self, channels: Sequence[int], head: int = 32, code: int = 128):
        super().__init__()
        self.stem = nn.Conv2d(16 + 4, channels[0], 3, padding=1)
        self.palette = nn.Sequential(nn.Linear(PALETTE, code), nn.LeakyReLU(0.2), nn.Linear(code, code))
        self.summary = nn.Linear(channels[-1], code)
        pairs = list(zip(channels, channels[1:]))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        self.hints = nn.ModuleList(nn.Conv2d(4, c, 1, bias=False) for c in channels[1:])
        self.encoder = nn.ModuleList(Block(c, code) for c in channels[:-1])
        self.middle = nn.ModuleList(Block(channels[-1], code) for _ in range(2))
        self.attention = Attention(channels[-1])
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.decoder = nn.ModuleList(Block(c, code) for c in channels[:-1])
        self.to_head = nn.Conv2d(channels[0], 4 * head, 1)
        self.head = nn.Conv2d(head, head, 3, padding=1)
        self.head_lines = nn.Conv2d(4, head, 3, padding=1, bias=False)  # apart: joining copies large maps
        self.to_layers = nn.Conv2d(head, 4 * 6, 3, padding=1)
        nn.init.normal_(self.to_layers.weight, std=0.01)
        with torch.no_grad():
            assert self.to_layers.bias is not None
            self.to_layers.bias.copy_(torch.tensor([0.0] * 12 + [-0.8] * 12))  # ink begins dark

    def forward(self, ink: Tensor, hints: Tensor, palette: Tensor) -> Tensor:
        """(B, 1, H, W), (B, 4, H, W), (B, PALETTE) -> (B, 6, H, W); H and W multiples of 32."""
        code = self.palette(palette)
        dots = F.avg_pool2d(hints, 4)
        x = self.stem(torch.cat([F.pixel_unshuffle(ink, 4), _full_strength(dots)], dim=1))
        skips = []
        for block, down, hint in zip(self.encoder, self.down, self.hints):
            skips.append(block(x, code))
            dots = F.avg_pool2d(dots, 2)
            x = down(F.leaky_relu(skips[-1], 0.2)) + hint(_full_strength(dots))
        x = self.attention(self.middle[0](x, code))
        code = code + self.summary(F.leaky_relu(x.mean(dim=(2, 3)), 0.2))
        x = self.middle[1](x, code)
        for block, up, skip in reversed(list(zip(self.decoder, self.up, skips))):
            x = block(doubled(up(x)) + skip, code)
        x = F.leaky_relu(F.pixel_shuffle(self.to_head(x), 2), 0.2)
        x = F.leaky_relu(self.head(x) + self.head_lines(F.pixel_unshuffle(ink, 2)), 0.2)
        return F.pixel_shuffle(self.to_layers(x), 2)


def _full_strength(dots: Tensor) -> Tensor:
    """Averaged hints (B, 4, H, W), as if a dot filled every cell in which it is."""
    return dots / (dots[:, 3:] + 0.02)


class UNet(nn.Module):
    """pix2pix's U-Net (Isola et al. 2017, section 6.1.1): 4x4 convolutions of stride 2, batch norm, skips by channels.

    Upsampled by nearest neighbours instead of transposed convolutions; the palette joins as constant planes.
    """

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        levels = len(widths)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, (a, b) in enumerate(zip([5 + PALETTE, *widths], widths)):
            norm = nn.BatchNorm2d(b) if 0 < i < levels - 1 else nn.Identity()
            self.down.append(nn.Sequential(nn.Conv2d(a, b, 4, stride=2, padding=1), norm))
        for i, b in enumerate(reversed(widths)):
            out = widths[-2 - i] if i < levels - 1 else 6
            norm = nn.BatchNorm2d(out) if i < levels - 1 else nn.Identity()
            self.up.append(nn.Sequential(nn.Conv2d(b if i == 0 else 2 * b, out, 3, padding=1), norm))

    def forward(self, ink: Tensor, hints: Tensor, palette: Tensor) -> Tensor:
        """As GuidedNet; H and W multiples of 2 ** len(widths)."""
        planes = palette[:, :, None, None].expand(-1, -1, *ink.shape[2:])
        x, skips = torch.cat([ink, hints, planes], dim=1), []
        for i, down in enumerate(self.down):
            x = down(x if i == 0 else F.leaky_relu(x, 0.2))
            skips.append(x)
        for i, up in enumerate(self.up):
            x = torch.cat([x, skips[-1 - i]], dim=1) if i else x
            x = up(F.interpolate(F.relu(x), scale_factor=2, mode="nearest"))
        return torch.tanh(x)


class ColorizeGenerator(ModelMixin, ConfigMixin):
    """Lines, hints and a palette -> layers; and the palettes of training pictures, from which seeds choose.

    Args:
        architecture: "guided" or "unet".
        channels: of the guided network at 1/4, 1/8, 1/16 and 1/32 of the resolution; of the U-Net at 1/2, 1/4 ...
    """

    @register_to_config
    def __init__(self, architecture: str = "guided", channels: Sequence[int] = (64, 96, 160, 224)):
        super().__init__()
        self.net = {"guided": GuidedNet, "unet": UNet}[architecture](channels)
        # Bytes: a running average of weights blends buffers of floats, and copies others.
        self.palettes: Tensor
        self.register_buffer("palettes", torch.zeros(KEPT, PALETTE, dtype=torch.uint8))
        self.known: Tensor
        self.register_buffer("known", torch.zeros((), dtype=torch.int64))

    def forward(self, lines: Tensor, hints: Tensor, palettes: Tensor) -> Layers:
        """lines (B, 1, H, W) in [0, 1], hints (B, 4, H, W), palettes (B, PALETTE) uint8; H and W multiples of 64."""
        codes = (palettes.float() / 64 - 0.5).to(self.dtype)  # of about unit size
        paper, ink = self.net(1 - lines, hints, codes).float().chunk(2, dim=1)
        return Layers(paper, ink)

    def keep(self, palettes: Tensor) -> None:
        """Remembers palettes (B, PALETTE) uint8 until there are KEPT of them."""
        start = int(self.known)
        some = palettes[: KEPT - start]
        self.palettes[start : start + len(some)] = some
        self.known += len(some)

    def choose(self, numbers: Tensor) -> Tensor:
        """Palettes (..., PALETTE) uint8 by numbers (...) in [0, 1)."""
        return self.palettes[(numbers.to(self.palettes.device) * max(1, int(self.known))).long()]
