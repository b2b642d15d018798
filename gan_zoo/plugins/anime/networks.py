"""Networks of the anime faces: a light FastGAN generator; projected and residual discriminators."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_zoo.labels import Vocabulary
from gan_zoo.layers import NormBlock, doubled_conv, with_deviation

SHARPNESS = 32.0  # of the softmax over a group of z: the largest by 0.15, as most are, weighs 99 to 1


class UpBlock(nn.Module):
    """Twice the resolution, then 3x3 convolutions, each with batch norm and leaky ReLU.

    Nearest-neighbour upsampling followed by a convolution: no checkerboard (Odena et al. 2016). Attributes scale and
    shift the first batch norm's channels (Dumoulin et al. 2017, conditional normalisation).
    """

    def __init__(self, in_channels: int, out_channels: int, convs: int, attributes: int = 0):
        super().__init__()
        self.style = nn.Linear(attributes, 2 * out_channels, bias=False) if attributes else None
        self.convs = nn.ModuleList()
        self.norms = nn.ModuleList()
        for i in range(convs):
            self.convs.append(nn.Conv2d(out_channels if i else in_channels, out_channels, 3, padding=1, bias=False))
            self.norms.append(nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, in, H, W) and attributes y (B, attributes) -> (B, out, 2H, 2W)."""
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(conv(x) if i else doubled_conv(x, cast(Tensor, conv.weight)))
            if i == 0 and self.style is not None:
                scale, shift = self.style(y)[:, :, None, None].to(x.dtype).chunk(2, dim=1)
                x = torch.addcmul(shift, x, 1 + scale)
            x = F.leaky_relu(x, 0.2)
        return x


class Excitation(nn.Module):
    """Skip-layer excitation (Liu et al. 2021, FastGAN, arXiv:2101.04775, eq. 1): coarse features gate fine channels."""

    def __init__(self, coarse_channels: int, fine_channels: int):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(coarse_channels, fine_channels, 4),
            nn.SiLU(),
            nn.Conv2d(fine_channels, fine_channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return fine * self.gate(coarse).to(fine.dtype)


class AnimeGenerator(ModelMixin, ConfigMixin):
    """z (B, latent_dim) -> pictures (B, 3, resolution, resolution), about [-1, 1]; FastGAN, made light.

    z alone makes the 4x4 start: no constant is learned and batch norm keeps its variety, without which this generator
    fell to one face against a projected discriminator (docs/decisions.md). A linear end: a tanh saturates early on.

    Args:
        resolution: 4 to 7 times 2 ** (len(channels) - 1).
        channels: of each resolution from 4x4, or 5x5 to 7x7, up. Halving them as pixels quadruple keeps every layer
            equally dear.
        attributes: length of a conditioning vector y (B, attributes) given beside z; 0 for none. It joins z at the
            start, and styles each block after it.
        details: sizes of groups at the beginning of z, of each of which only the largest number counts: what differs
            by kind, as noses do, and not by degree.
        labels: what y tells, where the data said it: names, values and how often each comes, by the alphabet.
    """

    @register_to_config
    def __init__(
        self,
        resolution: int = 64,
        latent_dim: int = 128,
        channels: Sequence[int] = (256, 256, 128, 64, 32),
        attributes: int = 0,
        details: Sequence[int] = (),
        labels: Mapping[str, Mapping[str, float]] | None = None,
    ):
        super().__init__()
        if labels and Vocabulary(labels).size != attributes:
            raise ValueError(f"attributes {attributes}: expected one for each of {Vocabulary(labels).size} values")
        if sum(details) > latent_dim:
            raise ValueError(f"latent_dim {latent_dim}: the details {tuple(details)} need {sum(details)}")
        side, rest = divmod(resolution, 2 ** (len(channels) - 1))
        if rest or not 4 <= side < 8:
            fitting = 2 ** (len(channels) - 1)
            raise ValueError(f"resolution {resolution}: expected 4 to 7 times {fitting} for channels {channels}")
        self.side = side
        self.start = nn.Linear(latent_dim + attributes, side * side * channels[0], bias=False)
        self.start_norm = nn.BatchNorm2d(channels[0])
        pairs = list(zip(channels, channels[1:], strict=False))
        self.blocks = nn.ModuleList(
            UpBlock(a, b, 1 if i == len(pairs) - 1 else 2, attributes) for i, (a, b) in enumerate(pairs)
        )
        self.excitations = nn.ModuleList(  # three doublings reach across: 4x4 gates 32x32, 8x8 gates 64x64 ...
            Excitation(a, b) for a, b in zip(channels, channels[3:], strict=False)
        )
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.orthogonal_(module.weight)
        for block in self.blocks:
            if isinstance(block, UpBlock) and block.style is not None:
                nn.init.zeros_(block.style.weight)
        self.w_mean: Tensor
        self.register_buffer("w_mean", torch.zeros(channels[0], side, side))

    def encode(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """z (B, latent_dim) of any length -> codes (B, latent_dim): normalised, details nearly one-hot.

        Truncation shortens the normalised z: 1 is full variety, 0 the middle.
        """
        if z.ndim != 2 or z.shape[1] != self.config["latent_dim"]:
            raise ValueError(f"z of shape {tuple(z.shape)}: expected (B, {self.config['latent_dim']})")
        z = z * (truncation * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8))
        sizes = self.config["details"]
        if not sizes:
            return z
        *groups, rest = z.split([*sizes, z.shape[1] - sum(sizes)], dim=1)
        return torch.cat([*((SHARPNESS * group).softmax(dim=1).to(z) for group in groups), rest], dim=1)

    def map(self, codes: Tensor, y: Tensor | None = None) -> Tensor:
        """Codes (B, latent_dim) and y (B, attributes) -> latents w (B, C, side, side)."""
        attributes = self.config["attributes"]
        if (0 if y is None else y.shape[-1]) != attributes:
            raise ValueError(f"y {None if y is None else tuple(y.shape)}: expected {attributes} attributes a picture")
        x = self.start(codes if y is None else torch.cat([codes, y.to(codes)], dim=1))
        x = x.unflatten(1, (-1, self.side, self.side))
        return F.leaky_relu(self.start_norm(x.contiguous(memory_format=torch.channels_last)), 0.2)

    def truncate(self, w: Tensor, truncation: float) -> Tensor:
        """Latents w, as `map` gives them, drawn to their mean (see measure_mean): 1 is full variety, 0 the mean."""
        return w if truncation == 1.0 else self.w_mean + truncation * (w - self.w_mean)

    def synthesize(self, w: Tensor, y: Tensor | None = None) -> Tensor:
        """Latents w (B, C, side, side), and their y -> pictures (B, 3, H, W), float32, in [-1, 1] but for overshoot."""
        levels = [w]
        for i, block in enumerate(self.blocks):
            x = block(levels[-1], y)
            levels.append(self.excitations[i - 2](levels[i - 2], x) if i >= 2 else x)
        return self.to_rgb(levels[-1]).float()

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Pictures of z and y."""
        return self.synthesize(self.map(self.encode(z), y), y)

    @torch.no_grad()
    def measure_mean(self, count: int = 10_000) -> None:
        """Sets w_mean, the centre of truncation, from `count` fixed draws of z; not where each y has its own."""
        if self.config["attributes"]:
            return
        z = torch.randn(count, self.config["latent_dim"], generator=torch.Generator().manual_seed(0)).to(self.w_mean)
        training = self.training
        self.eval()  # batch norm must not learn from this
        self.w_mean.copy_(self.map(self.encode(z)).mean(dim=0))
        self.train(training)


class Enlarger(ModelMixin, ConfigMixin):
    """Pictures (B, 3, H, W) in [-1, 1] -> (B, 3, scale x H, scale x W), with crisp lines; H and W of any size.

    What it adds to the bicubically enlarged picture is thought out at H x W, where it is cheap. `scale` is 2 or 4.
    """

    @register_to_config
    def __init__(self, width: int = 48, depth: int = 6, scale: int = 4):
        super().__init__()
        if scale not in (2, 4):
            raise ValueError(f"scale: expected 2 or 4, got {scale}")
        self.scale = scale
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*[NormBlock(width) for _ in range(depth)])
        self.up1 = nn.Conv2d(width, 32, 3, padding=1)
        self.up2 = nn.Conv2d(32, 24, 3, padding=1) if scale == 4 else None
        self.out = nn.Conv2d(24 if scale == 4 else 32, 3, 3, padding=1)
        nn.init.normal_(self.out.weight, std=0.003)  # begins as bicubic enlargement

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.stem(pictures)
        x = x + self.blocks(x)
        for conv in (self.up1,) if self.up2 is None else (self.up1, self.up2):
            bias = cast(Tensor, conv.bias)[:, None, None].to(x.dtype)
            x = F.leaky_relu(doubled_conv(x, cast(Tensor, conv.weight)) + bias, 0.2)
        large = F.interpolate(pictures.float(), scale_factor=self.scale, mode="bicubic", align_corners=False)
        return large + self.out(x).float()


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a 1x1 shortcut, halving the resolution by average pooling."""

    def __init__(self, in_channels: int, out_channels: int, spectral: bool):
        super().__init__()
        self.conv1 = _conv(in_channels, in_channels, 3, spectral)
        self.conv2 = _conv(in_channels, out_channels, 3, spectral)
        self.skip = _conv(in_channels, out_channels, 1, spectral)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.conv1(x), 0.2)
        y = F.leaky_relu(self.conv2(F.avg_pool2d(y, 2)), 0.2)
        return (y + self.skip(F.avg_pool2d(x, 2))) * math.sqrt(0.5)


def _conv(in_channels: int, out_channels: int, kernel: int, spectral: bool) -> nn.Module:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight, 0.2)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return spectral_norm(conv) if spectral else conv


class ResidualDiscriminator(ModelMixin, ConfigMixin):
    """A plain residual discriminator on pixels, with a minibatch standard deviation (Karras et al. 2018).

    Args:
        resolution: of the pictures. Half of it, less one halving for each of channels[1:], must come to 4.
        channels: from half the resolution down to 4x4; None picks 64 ... 256.
        spectral: spectral norm on every layer, for training without R1.
    """

    @register_to_config
    def __init__(self, resolution: int = 64, channels: Sequence[int] | None = None, spectral: bool = False):
        super().__init__()
        if channels is None:
            channels = [min(64 * 2**i, 256) for i in range(int(math.log2(resolution)) - 2)]
        if resolution != 4 * 2 ** len(channels):
            raise ValueError(f"resolution {resolution}: expected {4 * 2 ** len(channels)} for channels {channels}")
        self.stem = _conv(12, channels[0], 3, spectral)
        self.blocks = nn.Sequential(*[ResidualBlock(a, b, spectral) for a, b in zip(channels, channels[1:])])
        self.last = _conv(2 * channels[-1], channels[-1], 3, spectral)
        out = nn.Linear(channels[-1] * 16, 1)  # as a 1x1 convolution it corrupts the heap (docs/decisions.md, AMX)
        nn.init.kaiming_normal_(out.weight, 0.2)
        nn.init.zeros_(out.bias)
        self.out = spectral_norm(out) if spectral else out

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> logits (B, 1)."""
        x = F.leaky_relu(self.stem(F.pixel_unshuffle(images, 2)), 0.2)
        x = self.blocks(x)
        x = F.leaky_relu(self.last(with_deviation(x)), 0.2)
        return self.out(x.flatten(1)).float()
