"""What forger and police fight about, points or faces: their networks, the real ones, and what one sees of a fight."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from gan_zoo import images, losses, metrics
from gan_zoo.data import rows_of
from gan_zoo.plugin import Data, Evaluation, Networks
from gan_zoo.plugins.lab import faces
from gan_zoo.plugins.lab.distributions import divergences, draw
from gan_zoo.plugins.lab.networks import FaceDiscriminator, FaceGenerator, PointDiscriminator, PointGenerator
from gan_zoo.plugins.lab.rules import FACES, Settings

SHOWN = 150  # points of each kind in a picture
CELLS = 24  # of D's heat map, each way
MESH = 11  # lines of G's manifold, each way
COLUMNS = 6  # of a picture of faces: a row of real ones, four of fakes
BINS = 20  # of D's answers
POINTS_PROTOCOL = (
    "Jensen-Shannon and Kullback-Leibler divergence in bits of 5,000 points each, in 20 x 20 cells of [-1, 1]^2. The "
    "floor is one half of the real points against the other."
)
NEAR = 0.12  # points: forgeries are good where the Jensen-Shannon divergence, in bits, is below this


class Limits(NamedTuple):
    """What keeps a fight small. Moves of points take some 4 ms, of faces some 50 ms, on one core."""

    moves: int  # of a fight
    replayed: int  # of a fight that has been forgotten: some 15 seconds
    kept: int  # fights


class Subject(Protocol):
    counted: int  # real ones, and fakes, by which a fight is judged
    penalty_every: int  # steps of D; the penalty weighs as much more (StyleGAN2, section 3.1)
    limits: Limits
    score: str  # of `evaluate`, by which weights are chosen: less is better

    def networks(self, settings: Settings) -> Networks: ...

    def heap(self, split: str) -> Tensor | None:
        """The real ones to train on, or those held out, (N, ...); None if they are endless."""
        ...

    def check_evaluation(self) -> None:
        """Raises ImportError if `evaluate` lacks a package."""
        ...

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation: ...

    def real(self, settings: Settings, count: int, random: torch.Generator) -> Tensor:
        """(count, ...), what both imitate."""
        ...

    def glimpse(self, fight: Any, fake: Tensor, on_real: Tensor, on_fake: Tensor) -> dict[str, Any]:
        """What a picture needs. fake: as many as are counted; on_real, on_fake (counted,): what D believes of them."""
        ...

    def details(self, fight: Any, fake: Tensor, on_real: Tensor, on_fake: Tensor) -> dict[str, Any]:
        """What else there is to see, as JSON; with `near`: are the forgeries good?"""
        ...

    def draw(self, glimpse: dict[str, Any]) -> Image.Image: ...


class Points:
    counted, penalty_every, limits, score = 2000, 1, Limits(20_000, 5_000, 64), "js"

    def networks(self, settings: Settings) -> Networks:
        s = settings
        generator = PointGenerator(latent_dim=s.latent_dim, width=s.width_g, layers=s.layers_g, latent=s.latent)
        discriminator = PointDiscriminator(width=s.width_d, layers=s.layers_d)
        return Networks({"generator": generator}, {"discriminator": discriminator})

    def heap(self, split: str) -> None:
        return None

    def check_evaluation(self) -> None:
        pass

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation:
        real = data.batch(range(10_000))["real"]
        kl, js = divergences(real[:5000], pipeline(0, 5000))
        floor = divergences(real[:5000], real[5000:])[1]
        return Evaluation({"js": js, "kl": kl, "js_floor": floor}, POINTS_PROTOCOL)

    def real(self, settings: Settings, count: int, random: torch.Generator) -> Tensor:
        return draw(settings.distribution, count, random, settings.points)

    def glimpse(self, fight: Any, fake: Tensor, on_real: Tensor, on_fake: Tensor) -> dict[str, Any]:
        axis = (torch.arange(CELLS) + 0.5) / CELLS * 2 - 1
        places = torch.stack(torch.meshgrid(axis, -axis, indexing="xy"), -1).flatten(0, 1)  # from the top down
        heat = fight.believes(places.to(fake.device))
        return {
            "real": _rounded(fight.real[:SHOWN]),
            "fake": _rounded(fake[:SHOWN]),
            "heat": (100 * heat).round().int().tolist(),
        }

    def details(self, fight: Any, fake: Tensor, on_real: Tensor, on_fake: Tensor) -> dict[str, Any]:
        with torch.no_grad():
            mesh = fight.nets["generator"](_mesh(fight.plugin.settings).to(fake.device))
        kl, js = divergences(fight.real, fake)
        push = _rounded(self._push(fight, fake[:SHOWN].clone()))
        return {"js": js, "kl": kl, "near": js < NEAR, "push": push, "mesh": _rounded(mesh)}

    def _push(self, fight: Any, fake: Tensor) -> Tensor:
        """Which way each forgery would move to look more real to D: minus the gradient of G's loss, (N, 2)."""
        adversarial = losses.adversarial(fight.plugin.settings.loss)
        fake.requires_grad_(True)
        loss = adversarial.generator(fight.nets["discriminator"](fake)) * len(fake)
        (gradient,) = torch.autograd.grad(loss, fake)
        return -gradient

    def draw(self, glimpse: dict[str, Any], size: int = 256) -> Image.Image:
        """D's belief (blue real, orange fake), real points green, forgeries violet."""
        heat = Image.new("RGB", (CELLS, CELLS))
        heat.putdata([_tint(p / 100) for p in glimpse["heat"]])
        sheet = heat.resize((2 * size, 2 * size), Image.Resampling.BICUBIC)
        pen, radius = ImageDraw.Draw(sheet), max(2, size // 64)
        for kind, color in (("real", (35, 130, 70)), ("fake", (125, 60, 165))):
            for x, y in glimpse[kind]:
                cx, cy = (x + 1) * size, (1 - y) * size
                pen.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=color)
        return sheet.resize((size, size), Image.Resampling.LANCZOS)


class Faces:
    counted, penalty_every, limits, score = 64, 4, Limits(6_000, 250, 12), "kid_x1000"

    def networks(self, settings: Settings) -> Networks:
        s = settings
        generator = FaceGenerator(latent_dim=s.latent_dim, width=s.width_g, latent=s.latent)
        return Networks({"generator": generator}, {"discriminator": FaceDiscriminator(width=s.width_d)})

    def heap(self, split: str) -> Tensor:
        drawn = faces.heap()
        return drawn[rows_of(split, len(drawn))]

    def check_evaluation(self) -> None:
        metrics.Judge()

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation:
        judge = metrics.Judge(pipeline.device)
        real = images.to_uint8(data.batch(range(len(data)))["real"])
        fake = images.to_uint8(torch.cat([pipeline(i, 100) for i in range(-(-count // 100))])[:count])
        return Evaluation(metrics.score_images(fake, real, judge(fake), judge(real)), metrics.PROTOCOL)

    def real(self, settings: Settings, count: int, random: torch.Generator) -> Tensor:
        heap = faces.heap()
        return heap[torch.randint(len(heap), (count,), generator=random)]

    def glimpse(self, fight: Any, fake: Tensor, on_real: Tensor, on_fake: Tensor) -> dict[str, Any]:
        return {
            "real": images.to_uint8(fight.real[:COLUMNS]).cpu(),
            "fake": images.to_uint8(fake[: 4 * COLUMNS]).cpu(),
            "on_real": [round(p, 3) for p in on_real[:COLUMNS].tolist()],
            "on_fake": [round(p, 3) for p in on_fake[: 4 * COLUMNS].tolist()],
        }

    def details(self, fight: Any, fake: Tensor, on_real: Tensor, on_fake: Tensor) -> dict[str, Any]:
        js = seen_divergence(on_real, on_fake)
        answers = {"answers_real": _histogram(on_real), "answers_fake": _histogram(on_fake)}
        return {"js": js, "near": js < NEAR, **answers}

    def draw(self, glimpse: dict[str, Any], side: int = 72) -> Image.Image:
        """A row of real faces, and forgeries below, each framed by what D believes of it (blue real, orange fake)."""
        pixels = torch.cat([glimpse["real"], glimpse["fake"]]).permute(0, 2, 3, 1).numpy()
        some = [Image.fromarray(face) for face in pixels]
        sheet = Image.new("RGB", (COLUMNS * side, 5 * side + 6), "white")
        for i, (face, p) in enumerate(zip(some, glimpse["on_real"] + glimpse["on_fake"], strict=True)):
            left, top = i % COLUMNS * side, i // COLUMNS * side + (6 if i >= COLUMNS else 0)
            sheet.paste(_tint(p), (left + 1, top + 1, left + side - 1, top + side - 1))
            sheet.paste(face.resize((side - 8, side - 8), Image.Resampling.BICUBIC), (left + 4, top + 4))
        return sheet


POINTS_SUBJECT: Subject = Points()
FACES_SUBJECT: Subject = Faces()


def subject_of(settings: Settings) -> Subject:
    return FACES_SUBJECT if settings.distribution == FACES else POINTS_SUBJECT


def seen_divergence(on_real: Tensor, on_fake: Tensor) -> float:
    """Jensen-Shannon in bits as D sees it, at most what it is: 1 + E[log2 D(x)] / 2 + E[log2(1 - D(G(z)))] / 2.

    Goodfellow et al. 2014, theorem 1: it is what is left of D's error where D can no longer do better.
    """
    gain = on_real.clamp(min=1e-6).log2().mean() + (1 - on_fake).clamp(min=1e-6).log2().mean()
    return max(0.0, 1 + float(gain) / 2)


def _histogram(beliefs: Tensor) -> list[int]:
    return torch.histc(beliefs.float().cpu(), BINS, 0, 1).int().tolist()


def _mesh(settings: Settings) -> Tensor:
    """z on a regular mesh, row by row (MESH^2, 2), or along a line (MESH^2, 1)."""
    reach = 1.0 if settings.latent == "uniform" else 2.0
    if settings.latent_dim == 1:
        return torch.linspace(-reach, reach, MESH * MESH)[:, None]
    axis = torch.linspace(-reach, reach, MESH)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).flatten(0, 1)


def _rounded(points: Tensor) -> list[list[float]]:
    return ((points.double().clamp(-99, 99) * 1000).round() / 1000).tolist()


def _tint(p: float) -> tuple[int, int, int]:
    """White at 1/2, blue towards 1 (real), orange towards 0 (fake)."""
    r, g, b = (70, 130, 210) if p > 0.5 else (240, 150, 60)
    share = min(1.0, abs(p - 0.5) * 2) * 0.75 if math.isfinite(p) else 0.0
    return tuple(round(255 + (c - 255) * share) for c in (r, g, b))  # pyright: ignore[reportReturnType]
