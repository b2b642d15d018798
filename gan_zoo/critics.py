"""Discriminators that several plugins share: one that looks through a frozen network, and the 70 x 70 PatchGAN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_zoo.contract import Networks
from gan_zoo.layers import FeatureMixer, balanced, computed, halving_head, with_deviation
from gan_zoo.norms import InstanceNorm2d


def view(nets: Networks, pictures: Tensor, *beside: Any, graph: bool = True) -> tuple[Any, ...]:
    """The arguments of a discriminator: pictures (B, 3, H, W), what the frozen network "features" sees in them where
    there is one, and what else the discriminator is told. graph: may gradients reach the pictures?

    The frozen network is the dearest part of a step: each picture passes it once, for both halves.
    """
    if "features" not in nets.discriminators:
        return pictures, *beside
    with torch.set_grad_enabled(torch.is_grad_enabled() and graph):
        return pictures, nets["features"](pictures), *beside


class ProjectedDiscriminator(ModelMixin, ConfigMixin):
    """Small discriminators on frozen, randomly mixed features (Sauer et al. 2021, arXiv:2111.01007, section 3).

    Random 1x1 convolutions mix channels, random 3x3 ones carry coarse maps into finer ones; neither is trained.
    Three things differ from the paper, and without them faces became one (docs/decisions.md): group norm instead of
    batch norm, the deviation of the batch as a feature, and one more head that looks at the pixels themselves.

    Args:
        feature_channels: of the maps given to forward, finest first.
        sides: of what each head looks at, of their height if they are not square: 4 x 4 pixels made channels, the maps.
        widths: channels of each map after mixing.
        places: side to which every head halves what it looks at.
        patches: each head gives a map of logits, since a picture is translated place by place, and the mean of a finer
            map counts as much as a whole coarse one; else one logit.
        beside, told: channels of the two conditions given to forward; 0 for none.
        attributes: length of the conditioning vector y; 0 for none. Each head then also tells how well picture and y
            fit, as the inner product of their embeddings (Miyato & Koyama 2018, arXiv:1802.05637, eq. 4), and reads
            the attributes off the picture (Odena et al. 2017, arXiv:1610.09585). Not with patches.
    """

    @register_to_config
    def __init__(
        self,
        feature_channels: Sequence[int] = (24, 40, 112, 320),
        sides: Sequence[int] = (32, 32, 16, 8, 4),
        widths: Sequence[int] = (48, 64, 128, 256),
        head_width: int = 128,
        places: int = 4,
        patches: bool = True,
        beside: int = 0,
        told: int = 0,
        attributes: int = 0,
    ):
        super().__init__()
        if attributes and patches:
            raise ValueError("attributes are of whole pictures: expected patches False")
        self.mixer = FeatureMixer(feature_channels, widths)
        self.heads, self.ends = nn.ModuleList(), nn.ModuleList()
        self.looks = nn.ModuleList()  # embeddings of pictures, of attributes, and what the former tell of the latter
        self.wishes, self.readings = nn.ModuleList(), nn.ModuleList()
        for width, side in zip([(3 + beside) * 16, *widths], sides, strict=True):
            head, side = halving_head(width + told, side, head_width, places)
            self.heads.append(head)
            end = nn.Conv2d(2 * head_width, 1, 3, padding=1) if patches else nn.Conv2d(2 * head_width, 1, side)
            self.ends.append(spectral_norm(end))
            if attributes:
                self.looks.append(spectral_norm(nn.Conv2d(head_width, head_width, side)))
                self.wishes.append(spectral_norm(nn.Linear(attributes, head_width, bias=False)))
                self.readings.append(nn.Linear(head_width, attributes))

    def forward(
        self,
        pictures: Tensor,
        maps: Sequence[Tensor],
        beside: Tensor | None = None,
        told: Tensor | None = None,
        y: Tensor | None = None,
    ) -> Any:
        """Pictures (B, 3, H, W) in [-1, 1] and their feature maps, finest first -> logits (B, heads x places).

        beside: (B, beside, H, W), seen with the pixels. told: (B, told, h, w), brought to the size of what each head
        looks at. y: (B, attributes); then also the logits of the attributes read, (B, attributes).
        """
        pixels = computed(pictures if beside is None else torch.cat([pictures, beside], dim=1))
        inputs = [F.pixel_unshuffle(pixels, 4), *self.mixer(maps)]
        if told is not None:
            sizes = [(x.shape[2], x.shape[3]) for x in inputs]
            inputs = [torch.cat([x, seen.to(x.dtype)], dim=1) for x, seen in zip(inputs, shrunk(computed(told), sizes))]
        looked = [head(x) for head, x in zip(self.heads, inputs, strict=True)]
        ends = zip(self.ends, looked, strict=True)
        logits = balanced([end(with_deviation(x)).flatten(1).float() for end, x in ends])
        if y is None:
            return logits
        looks = [F.leaky_relu(look(x).flatten(1), 0.2) for look, x in zip(self.looks, looked, strict=True)]
        fits = [(wish(y) * look).mean(1, keepdim=True) for wish, look in zip(self.wishes, looks, strict=True)]
        readings = [reading(look) for reading, look in zip(self.readings, looks, strict=True)]
        return logits + torch.cat(fits, dim=1).float(), torch.stack(readings).float().mean(0)


def shrunk(x: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """x (B, C, H, W) at each size, by means; the mean of means where they divide each other, which is much cheaper."""
    made = [x]
    for h, w in sizes:
        fits = [y for y in made if not (x.shape[2] % h or x.shape[3] % w or y.shape[2] % h or y.shape[3] % w)]
        least = min(fits, key=lambda y: y.shape[2] * y.shape[3], default=x)
        made.append(least if least.shape[2:] == (h, w) else F.adaptive_avg_pool2d(least, (h, w)))
    return made[1:]


class PatchDiscriminator(ModelMixin, ConfigMixin):
    """The 70 x 70 PatchGAN of pix2pix and CycleGAN (Isola et al. 2017, section 6.1.2; Zhu et al. 2017, 7.2): C64-C512.

    Args:
        beside: channels of what it is shown beside the pictures; 0 for none.
        norm: CycleGAN's instance norm, or pix2pix's batch norm.
    """

    @register_to_config
    def __init__(self, width: int = 64, beside: int = 0, norm: Literal["instance", "batch"] = "instance"):
        super().__init__()
        normed = nn.BatchNorm2d if norm == "batch" else InstanceNorm2d
        layers: list[nn.Module] = [nn.Conv2d(3 + beside, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for i, (a, b) in enumerate(((1, 2), (2, 4), (4, 8))):
            conv = nn.Conv2d(a * width, b * width, 4, stride=2 if i < 2 else 1, padding=1)
            layers += [conv, normed(b * width), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, padding=1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(cast(Tensor, module.bias))

    def forward(self, pictures: Tensor, beside: Tensor | None = None) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1], (B, beside, H, W) -> logits (B, places)."""
        shown = pictures if beside is None else torch.cat([pictures, beside], dim=1)
        return self.layers(shown).flatten(1).float()
