"""A GAN small enough to train in a second: 8 x 8 pictures of coloured squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from PIL import Image
from torch import Tensor, nn

from gan_zoo import images, losses
from gan_zoo.plugin import (
    Arg,
    Batch,
    Data,
    Evaluation,
    Fakes,
    Fixed,
    Losses,
    Networks,
    Plugin,
    Preset,
    Seed,
    Step,
    Text,
    task,
)

TITLE = Text("Toy", "Juguete")


class ToyGenerator(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(self, width: int = 16, norm: bool = False, ballast: int = 0):
        super().__init__()
        self.start = nn.Linear(4, width * 16)
        self.middle = nn.BatchNorm2d(width) if norm else nn.Identity()
        self.out = nn.ConvTranspose2d(width, 3, 4, 2, 1)
        self.heavy = nn.Parameter(torch.zeros(ballast))  # makes checkpoints large enough to be killed in

    def forward(self, z: Tensor) -> Tensor:  # (B, 4) -> (B, 3, 8, 8)
        x = self.start(z).view(len(z), -1, 4, 4)
        return torch.tanh(self.out(self.middle(x).relu()) + self.heavy.sum())


class ToyDiscriminator(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(self, width: int = 16):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 4))

    def forward(self, x: Tensor) -> Tensor:  # (B, 3, 8, 8) -> (B, 1)
        return self.net(x).flatten(1)


class ToyPipeline(DiffusionPipeline):
    def __init__(self, generator: ToyGenerator):
        super().__init__()
        self.register_modules(generator=generator)

    @torch.inference_mode()
    def __call__(self, seed: int, count: int = 1) -> Tensor:
        z = torch.stack([torch.randn(4, generator=torch.Generator().manual_seed(seed + i)) for i in range(count)])
        return self.generator(z)


@dataclass(frozen=True)
class ToySettings:
    loss: str = "logistic"
    norm: bool = False
    ballast: int = 0
    width: int = 16


class Squares:
    def __len__(self) -> int:
        return 100

    def batch(self, samples: range) -> Batch:
        pictures = torch.full((len(samples), 3, 8, 8), -1.0)
        for i, sample in enumerate(samples):
            pictures[i, sample % 3, 2 : 4 + sample % 4, 2:6] = 1.0
        return {"image": pictures}


class Toy(Plugin):
    slug: ClassVar[str] = "toy"
    title: ClassVar[Text] = TITLE
    summary: ClassVar[Text] = TITLE
    paper: ClassVar[str] = "https://arxiv.org/abs/1406.2661"
    presets: ClassVar[tuple[Preset, ...]] = (Preset("squares", TITLE, "open", TITLE, licence_id="cc0-1.0"),)
    Settings: ClassVar[type] = ToySettings
    Pipeline: ClassVar[type] = ToyPipeline
    settings: ToySettings
    score: ClassVar[dict[str, float]] = {"distance": 1.0}

    def networks(self) -> Networks:
        s = self.settings
        frozen = nn.Conv2d(3, 3, 1).requires_grad_(False)  # stands for a pretrained feature network
        discriminators = {"discriminator": ToyDiscriminator(s.width), "features": frozen}
        return Networks({"generator": ToyGenerator(s.width, s.norm, s.ballast)}, discriminators)

    def data(self, source: str | None, split: str, seed: int) -> Data:
        return Squares()

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        return nets["generator"](step.randn(4))

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        adversarial = losses.adversarial(self.settings.loss)
        real, fake = nets["discriminator"](batch["image"]), nets["discriminator"](fakes)
        step.state["seen"] = step.state.get("seen", 0) + len(real)
        return Losses({"adversarial": adversarial.discriminator(real, fake)}, adversarial.metrics(real, fake))

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        real = nets["discriminator"](batch["image"])
        loss = losses.adversarial(self.settings.loss).generator(nets["discriminator"](fakes), real)
        return Losses({"adversarial": loss})

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        return nets["generator"](fixed.step.randn(4))

    def pipeline(self, nets: Networks) -> ToyPipeline:
        generator = nets["generator"]
        assert isinstance(generator, ToyGenerator)
        return ToyPipeline(generator)

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation:
        fake, real = pipeline(0, count), data.batch(range(count))["image"]
        distance = (fake.mean(0) - real.mean(0)).abs().mean()
        return Evaluation({"distance": float(distance)}, "mean absolute difference of the mean pictures")

    @task(TITLE, TITLE, name="generate")
    def generate_task(
        self,
        pipeline: ToyPipeline,
        *,
        seed: Seed = 0,
        count: Annotated[int, Arg(TITLE, minimum=1, maximum=4, cli_maximum=100)] = 2,
    ) -> list[Image.Image]:
        return images.to_images(pipeline(seed, count))
