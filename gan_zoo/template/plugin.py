"""Template: what it is, how it trains, how it loads, what it can do.

Begun by `python -m gan_zoo new`. Change the data first, then the networks, then the losses; `python -m gan_zoo check`
says after each change whether the contract still holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan_zoo import images, losses, metrics
from gan_zoo.config import check_settings, setting
from gan_zoo.plugin import (
    MAX_SEED,
    Arg,
    Batch,
    Data,
    Evaluation,
    Fixed,
    Losses,
    Networks,
    Plugin,
    Seed,
    Step,
    Text,
    task,
)
from gan_zoo.template.networks import TemplateDiscriminator, TemplateGenerator, TemplatePipeline


@dataclass(frozen=True)
class Settings:
    """Hyperparameters: each is a flag of `python -m gan_zoo train template`."""

    latent: int = setting(16, "numbers of noise", 1)
    width: int = setting(16, "channels", 1)
    loss: losses.Loss = setting("relativistic", "of both sides (gan_zoo/losses.py)")
    r1: float = setting(1.0, "weight of the gradient penalty on real pictures")

    def __post_init__(self) -> None:
        check_settings(self)


class Discs:
    """Coloured discs on coloured ground, drawn on the fly: sample i is a pure function of (seed, split, i)."""

    def __init__(self, split: str, seed: int):
        self.key = [seed, int(split == "validation")]

    def __len__(self) -> int:
        return 1000

    def batch(self, samples: range) -> Batch:
        """{"image": (B, 3, 32, 32) in [-1, 1]}"""
        drawn = [np.random.default_rng([*self.key, i % len(self)]).random(9, np.float32) for i in samples]
        values = torch.from_numpy(np.stack(drawn)) if drawn else torch.zeros(0, 9)
        x, y = values[:, 0:2].mul(16).add(8).view(-1, 2, 1, 1, 1).unbind(1)  # centre, (B, 1, 1, 1)
        radius = values[:, 2].mul(5).add(3).view(-1, 1, 1, 1)
        ink, ground = values[:, 3:9].mul(2).sub(1).view(-1, 2, 3, 1, 1).unbind(1)  # colours, (B, 3, 1, 1)
        grid = torch.arange(32.0)
        distance = ((grid.view(1, 1, 1, 32) - x).square() + (grid.view(1, 1, 32, 1) - y).square()).sqrt()
        inside = (radius - distance + 0.5).clamp(0, 1)  # a soft edge, one pixel wide
        return {"image": ground + (ink - ground) * inside}


class Template(Plugin[Settings, TemplatePipeline]):
    slug = "template"
    title = Text("Template", "Template")
    summary = Text("Coloured discs, drawn by a small GAN.", "Discos de colores, dibujados por una GAN pequeña.")
    paper = "https://arxiv.org/abs/1406.2661"
    Settings = Settings
    Pipeline = TemplatePipeline
    score = {"swd_x1000": 1.0}

    # Presets name trained weights. A finished run becomes one when its folder RUN/weights is copied to
    # weights/template/NAME, or pushed to the Hub (repo_id=..., revision=...):
    #
    #   presets = (Preset("discs", Text("Discs", "Discos"), "open", data=Text("Drawn discs", "Discos dibujados")),)

    # -- train -------------------------------------------------------------------------------------------------------

    def networks(self) -> Networks:
        s = self.settings
        return Networks(
            generators={"generator": TemplateGenerator(s.latent, s.width)},
            discriminators={"discriminator": TemplateDiscriminator(s.width)},
        )

    def data(self, source: str | None, split: str, seed: int) -> Data:
        if source is not None:
            raise ValueError(f"template has only its built-in data, got {source!r}")  # gan_zoo.data reads real data
        return Discs(split, seed)

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Tensor:
        return nets["generator"](step.randn(self.settings.latent))

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Tensor, step: Step) -> Losses:
        s, real = self.settings, batch["image"].detach().requires_grad_(self.settings.r1 > 0)
        verdict = losses.d_loss(s.loss, nets["discriminator"], (real,), (fakes,))
        terms = {"adversarial": verdict.loss}
        if s.r1 > 0:
            terms["r1"] = s.r1 * losses.gradient_penalty(verdict.real, real)
        return Losses(terms, verdict.metrics)

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Tensor, step: Step) -> Losses:
        answer = losses.g_loss(self.settings.loss, nets["discriminator"], (fakes,), (batch["image"],))
        return Losses({"adversarial": answer.loss})

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        return nets["generator"](fixed.step.randn(self.settings.latent))

    def pipeline(self, nets: Networks) -> TemplatePipeline:
        generator = nets["generator"]
        assert isinstance(generator, TemplateGenerator)
        return TemplatePipeline(generator)

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation:
        """How far the pictures are from data held out; `score` above names the number that chooses the weights."""
        count = min(count, len(data))
        fake, real = pipeline(range(count)), data.batch(range(count))["image"]
        distances = metrics.sliced_wasserstein(images.to_uint8(real), images.to_uint8(fake))
        return Evaluation(
            {"swd_x1000": float(np.mean(list(distances.values())))},
            protocol=f"Sliced Wasserstein distance on pixels, mean over scales, {count} pictures against {count}.",
        )

    # -- load --------------------------------------------------------------------------------------------------------

    # -- infer -------------------------------------------------------------------------------------------------------

    @task(
        Text("New pictures", "Imágenes nuevas"),
        Text("Picture i comes from seed + i.", "La imagen i sale de la semilla + i."),
        name="generate",
    )
    def generate_task(
        self,
        pipeline: TemplatePipeline,
        *,
        seed: Seed = 0,
        count: Annotated[int, Arg(Text("Count", "Cantidad"), minimum=1, maximum=16, cli_maximum=10_000)] = 8,
    ) -> list[Image.Image]:
        return images.to_images(pipeline([(seed + i) % (MAX_SEED + 1) for i in range(count)]))
