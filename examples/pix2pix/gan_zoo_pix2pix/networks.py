"""Networks of pix2pix: the U-Net of pix2pix, and the pipeline that is saved and loaded. D is gan_zoo's PatchGAN."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class Pix2pixGenerator(ModelMixin, ConfigMixin):
    """A U-Net (Isola et al. 2017, arXiv:1611.07004, section 6.1.1): (B, 3, H, W) in [-1, 1] -> the same.

    Args:
        width: channels at half the size.
        depth: halvings; H and W are multiples of 2 ** depth.
    """

    @register_to_config
    def __init__(self, width: int = 32, depth: int = 4):
        super().__init__()
        channels = [3, *(width * min(2**i, 8) for i in range(depth))]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, (a, b) in enumerate(zip(channels, channels[1:])):
            self.down.append(nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), nn.GroupNorm(8, b) if i else nn.Identity()))
            both = b if i == depth - 1 else 2 * b  # what came up, beside what went down
            self.up.append(nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(both, a, 3, padding=1)))

    def forward(self, pictures: Tensor) -> Tensor:
        x, levels = pictures, []
        for down in self.down:
            x = F.leaky_relu(down(x), 0.2)
            levels.append(x)
        x = self.up[-1](levels.pop())
        for up in reversed(self.up[:-1]):
            x = up(torch.cat([levels.pop(), F.relu(x)], dim=1))
        return torch.tanh(x)


class Pix2pixPipeline(DiffusionPipeline):
    """Holds the generator; `pipeline(pictures)` translates."""

    generator: Pix2pixGenerator

    def __init__(self, generator: Pix2pixGenerator):
        super().__init__()
        self.register_modules(generator=generator)

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1], any H and W -> the same, on the CPU."""
        height, width = pictures.shape[2:]
        multiple = 2 ** self.generator.config["depth"]
        padded = F.pad(pictures, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        made = self.generator(padded.to(self.device, self.generator.dtype)).float().cpu()
        return made[:, :, :height, :width]
