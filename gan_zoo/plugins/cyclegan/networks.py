"""Networks of CycleGAN: a light generator that repaints a picture, and two kinds of discriminators.

The paper's own generators, a ResNet and a U-Net, are in `imported.py`, since most weights in the world are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from gan_zoo.features import FeaturePyramid, eyes
from gan_zoo.layers import NormBlock, doubled, doubled_conv
from gan_zoo.norms import GroupNorm
from gan_zoo.plugins.cyclegan.gates import Gate, opening, patterned, smoothed
from gan_zoo.precision import computed_in


class Block(NormBlock):
    """A residual block whose change begins small."""

    def __init__(self, width: int, groups: int):
        super().__init__(width, groups)
        nn.init.normal_(self.conv2.weight, std=0.02)


class TranslationGenerator(ModelMixin, ConfigMixin):
    """Pictures (B, 3, H, W) in [-1, 1], H and W multiples of 4 -> the same of another domain, about [-1, 1].

    It adds a difference to the picture: nearly all of it is there from the first step, which saves days. All but the
    last layers work at a quarter of the size, on 4 x 4 pixels made channels.

    Args:
        width, blocks: channels and residual blocks at a quarter of the size.
        groups: of the group norms.
    """

    multiple = 4  # of what number both sides must be multiples

    @register_to_config
    def __init__(self, width: int = 128, blocks: int = 6, groups: int = 16):
        super().__init__()
        self.stem = nn.Conv2d(48, width, 3, padding=1)
        self.stem_norm = GroupNorm(groups, width)
        self.body = nn.Sequential(*(Block(width, groups) for _ in range(blocks)))
        self.up1 = nn.Conv2d(width, width // 2, 3, padding=1)
        self.up2 = nn.Conv2d(width // 2, width // 4, 3, padding=1)
        self.out = nn.Conv2d(width // 4, 3, 3, padding=1)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.pixel_unshuffle(pictures.to(self.dtype), 4)  # (B, 48, H / 4, W / 4)
        x = self.body(F.relu(self.stem_norm(self.stem(x))))
        for conv in (self.up1, self.up2):
            x = F.leaky_relu(doubled_conv(x, conv.weight, conv.bias), 0.2)
        return pictures + self.out(x).to(pictures.dtype)


class SeeingGenerator(ModelMixin, ConfigMixin):
    """Pictures (B, 3, H, W) in [-1, 1], H and W multiples of 32 -> the same of another domain, about [-1, 1].

    It looks at the picture through the frozen EfficientNet-Lite0, which knows from ImageNet what is a horse and what is
    grass, so that all that is to be learned is to paint. Pixels join again at a quarter and at half the size, and the
    last layers work at full size, so that no blocks show.

    Args:
        width: channels at a quarter of the size; half of it and a quarter above.
        deep: channels below it; None: a third more than `width`.
        gated: the difference counts only where a gate, smooth and at a quarter of the size, sees what is to change.
            The gate learns where things are from Lite0's own classifier, and nothing from D: a mask that D can close
            dies at zero within a few hundred steps.
        smooth: of a gated one: within the gate, the difference is added to `smoothed` colours. A pattern that is to go
            need not be cancelled stripe by stripe.
        edges: of a gated one: how far the gate looks for edges of the picture to end at, in quarter pixels (`guided`);
            0 for none. It has nothing to learn, and may be told to weights that are there. Of a smooth one, edges of
            its pattern are none.
    """

    multiple = 32

    @register_to_config
    def __init__(
        self, width: int = 96, gated: bool = False, deep: int | None = None, smooth: bool = False, edges: int = 0
    ):
        super().__init__()
        channels = FeaturePyramid.channels  # of the maps at 1/4, 1/8, 1/16 and 1/32
        if (smooth or edges) and not gated:
            raise ValueError("smooth and edges: expected a gated generator, since they are of its gate")
        deep = width * 4 // 3 if deep is None else deep
        self.see4 = nn.Conv2d(channels[0], width, 1)
        self.see8, self.see16, self.see32 = (nn.Conv2d(c, deep, 1) for c in channels[1:])
        self.pixels4 = nn.Conv2d(48, width, 3, padding=1)
        self.pixels2 = nn.Conv2d(12, width // 2, 3, padding=1)
        self.body16 = nn.Sequential(NormBlock(deep), NormBlock(deep))
        self.body8 = nn.Sequential(NormBlock(deep), NormBlock(deep))
        self.narrow = nn.Conv2d(deep, width, 1)
        self.body4 = nn.Sequential(*(NormBlock(width) for _ in range(3)))
        self.up2 = nn.Conv2d(width, width // 2, 3, padding=1)
        self.sharp = nn.Conv2d(width // 2, width // 2, 3, padding=1)
        self.up1 = nn.Conv2d(width // 2, width // 4, 3, padding=1)
        self.out = nn.Conv2d(width // 4, 3, 3, padding=1)
        self.gate, self.smooth, self.edges = Gate(channels[:3]) if gated else None, smooth, edges
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def see(self, pictures: Tensor) -> list[Tensor]:
        """Feature maps of pictures, finest first, in the type that the networks compute in."""
        dtype = computed_in(pictures.device, self.dtype)
        return [m.to(dtype) for m in eyes(pictures.device)(pictures)]

    def where(self, maps: Sequence[Tensor]) -> Tensor:
        """Feature maps -> logits (B, 1, H / 4, W / 4) of what is to change."""
        assert self.gate is not None, "this generator has no gate"
        return self.gate([m.detach() for m in maps[:3]])

    def forward(self, pictures: Tensor, only_gate: bool = False) -> Tensor:
        """The translation; or, for the gate to learn from, its logits alone."""
        if only_gate:
            with torch.no_grad():
                maps = self.see(pictures)
            return self.where(maps)
        m4, m8, m16, m32 = maps = self.see(pictures)
        x = pictures.to(m4.dtype)
        t = self.body16(doubled(F.relu(self.see32(m32))) + self.see16(m16))
        t = self.body8(doubled(t) + self.see8(m8))
        t = self.body4(doubled(self.narrow(t)) + self.see4(m4) + self.pixels4(F.pixel_unshuffle(x, 4)))
        t = doubled_conv(t, self.up2.weight, self.up2.bias) + self.pixels2(F.pixel_unshuffle(x, 2))
        t = F.leaky_relu(self.sharp(F.leaky_relu(t, 0.2)), 0.2)
        change = self.out(F.leaky_relu(doubled_conv(t, self.up1.weight, self.up1.bias), 0.2)).to(pictures.dtype)
        if self.gate is not None:
            with torch.no_grad():
                logits = self.where(maps).float()
                opened = self.opening(logits, pictures).to(change.dtype)
            if self.smooth:
                change = change + smoothed(pictures, F.avg_pool2d(opened, 4)) - pictures
            change = change * opened
        return pictures + change

    def opened(self, pictures: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1]: how far the gate is open."""
        return self.opening(self(pictures, only_gate=True).float(), pictures)

    def opening(self, logits: Tensor, pictures: Tensor) -> Tensor:
        """The gate's logits (B, 1, H / 4, W / 4) -> how far it is open, (B, 1, H, W) in [0, 1]."""
        guide = patterned(pictures.float()) if self.smooth and self.edges else pictures.float()
        return opening(logits, guide, self.edges)
