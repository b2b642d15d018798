"""A pipeline of tiny networks, in a module of its own since diffusers' custom code imports it by name."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from torch import Tensor, nn


class TinyGenerator(ModelMixin, ConfigMixin):
    """(B, latent) -> (B, 3, 8, 8) in [-1, 1]; the BatchNorm has buffers, one of them an integer."""

    @register_to_config
    def __init__(self, latent: int = 4, width: int = 6) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(latent, width, 8)
        self.norm = nn.BatchNorm2d(width)
        self.paint = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        return self.paint(self.norm(self.grow(z[:, :, None, None]))).tanh()


class TinyEvaluator(ModelMixin, ConfigMixin):
    """(B, 3, 8, 8) -> (B, 1); as many letters as TinyGenerator, see the comment in `hub.save`."""

    @register_to_config
    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, width, 8)
        self.say = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.say(self.look(x).flatten(1))


class TinyPipeline(DiffusionPipeline):
    """A generator, a judge that may be left out, and a setting that is no network."""

    _optional_components = ["judge"]

    def __init__(self, generator: TinyGenerator, judge: TinyEvaluator | None = None, scale: float = 1.0) -> None:
        super().__init__()
        self.register_modules(generator=generator, judge=judge)
        self.register_to_config(scale=scale)

    @torch.no_grad()
    def __call__(self, seed: int = 0) -> Tensor:
        z = torch.randn(2, self.generator.config["latent"], generator=torch.Generator().manual_seed(seed))
        return self.config["scale"] * self.generator(z.to(self.generator.dtype))


class OtherPipeline(DiffusionPipeline):
    """Of another plugin."""

    def __init__(self, generator: TinyEvaluator) -> None:
        super().__init__()
        self.register_modules(generator=generator)


def tiny(seed: int = 0, judge: bool = True, scale: float = 0.5) -> TinyPipeline:
    """A TinyPipeline with weights that are no half-precision numbers, and a BatchNorm that has seen data."""
    torch.manual_seed(seed)
    pipeline = TinyPipeline(TinyGenerator(), TinyEvaluator() if judge else None, scale)
    pipeline.generator.train()(torch.randn(5, 4))
    pipeline.generator.eval()
    return pipeline
