"""The lab: forger and police in two dimensions, to watch, to stop and to spoil."""

from __future__ import annotations

import csv
import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from gan_zoo import images, losses
from gan_zoo.data import DataError
from gan_zoo.plugin import (
    Arg,
    Batch,
    Data,
    Evaluation,
    Fakes,
    Film,
    Fixed,
    Json,
    Losses,
    Networks,
    Page,
    Plugin,
    Preset,
    Seed,
    Step,
    Text,
    task,
)
from gan_zoo.plugins.lab import game
from gan_zoo.plugins.lab.distributions import DISTRIBUTIONS, DRAWN, divergences, draw
from gan_zoo.plugins.lab.networks import LabPipeline, PointDiscriminator, PointGenerator
from gan_zoo.plugins.lab.tab import draw_tab

MOST_POINTS = 400  # drawn by hand


@dataclass(frozen=True)
class Settings:
    """The rules of a fight."""

    distribution: str = "ring"  # line, gaussians, ring, disjoint, or drawn: then `points` are its middle points
    points: tuple[tuple[float, float], ...] = ()
    latent: str = "uniform"  # or gaussian
    latent_dim: int = 2  # 1 or 2
    width_g: int = 16
    layers_g: int = 2
    width_d: int = 16
    layers_d: int = 2
    loss: str = "logistic"  # or least-squares
    optimizer: str = "adam"  # or sgd; of the lab's own fights, as the rates are. `python -m train` has its own
    rate_g: float = 0.003
    rate_d: float = 0.005
    d_steps: int = 1  # of D in a move of both
    g_steps: int = 1
    batch: int = 128

    def __post_init__(self) -> None:
        choices = {
            "distribution": (*DISTRIBUTIONS, DRAWN), "latent": ("uniform", "gaussian"), "latent_dim": (1, 2),
            "loss": ("logistic", "least-squares"), "optimizer": ("adam", "sgd"),
        }  # fmt: skip
        for name, some in choices.items():
            if getattr(self, name) not in some:
                raise ValueError(f"{name}: expected {', '.join(map(str, some))}, got {str(getattr(self, name))[:40]!r}")
        spans = {
            "width_g": (1, 64), "layers_g": (1, 4), "width_d": (1, 64), "layers_d": (1, 4), "d_steps": (1, 10),
            "g_steps": (1, 10), "batch": (8, 512),
        }  # fmt: skip
        for name, (low, high) in spans.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name}: expected a whole number from {low} to {high}, got {str(value)[:40]}")
        for name in ("rate_g", "rate_d"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value <= 1:
                raise ValueError(f"{name}: expected a number from 0 to 1, got {str(value)[:40]}")
        if self.distribution == DRAWN:
            sound = 1 <= len(self.points) <= MOST_POINTS and all(
                len(p) == 2 and all(type(v) in (int, float) and -1 <= v <= 1 for v in p) for p in self.points
            )
            if not sound:
                raise ValueError(f"points: expected 1 to {MOST_POINTS} pairs of numbers from -1 to 1")


class Points:
    """Endless points, settled by the sample's number; or those of a file."""

    def __init__(self, plugin: Lab, known: Tensor | None, seed: int):
        self.plugin, self.known, self.seed = plugin, known, seed

    def __len__(self) -> int:
        return 1000 if self.known is None else len(self.known)

    def batch(self, samples: range) -> Batch:
        if self.known is not None:
            return {"point": self.known[torch.arange(samples.start, samples.stop) % len(self.known)]}
        drawn = [self.plugin.points(1, torch.Generator().manual_seed(self.seed * 2**31 + i)) for i in samples]
        return {"point": torch.cat(drawn)}


class Snapshot(NamedTuple):
    """A run, to go on with; what it looks like now, as numbers and as a picture."""

    run: dict
    state: dict
    picture: Image.Image


class Watched(NamedTuple):
    """A run from its start: a film, the states shown in it, and the run."""

    film: Film
    states: dict
    run: dict


PROTOCOL = "Jensen-Shannon and Kullback-Leibler divergence in nats of 2,000 points each, in 12 x 12 cells of [-1, 1]^2."

Distribution = Annotated[
    Literal["ring", "line", "gaussians", "disjoint"],
    Arg(
        Text("Distribution", "Distribución"),
        names=(
            Text("ring", "anillo"),
            Text("line", "línea"),
            Text("two Gaussians", "dos gaussianas"),
            Text("disjoint", "disjunta"),
        ),
    ),
]
Loss = Annotated[
    Literal["logistic", "least-squares"],
    Arg(Text("Loss", "Pérdida"), names=(Text("logistic", "logística"), Text("least squares", "mínimos cuadrados"))),
]
RateG = Annotated[float, Arg(Text("Rate of G", "Tasa de G"), minimum=0.0, maximum=1.0, step=0.001)]
RateD = Annotated[float, Arg(Text("Rate of D", "Tasa de D"), minimum=0.0, maximum=1.0, step=0.001)]
Updates = Annotated[int, Arg(Text("D's steps a move", "Pasos de D por turno"), minimum=1, maximum=10)]


class Lab(Plugin):
    slug: ClassVar[str] = "lab"
    title: ClassVar[Text] = Text("Lab", "Laboratorio")
    summary: ClassVar[Text] = Text(
        "Forger against police, small enough to watch: real is 1, fake is 0, until the police can no longer tell.",
        "Falsificador contra policía, a la vista: real es 1, falso es 0, hasta que la policía ya no distingue.",
    )
    paper: ClassVar[str] = "https://arxiv.org/abs/1406.2661"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            name="ring",
            title=Text("A ring, already learned", "Un anillo, ya aprendido"),
            licence="open",
            licence_id="cc0-1.0",
            data=Text("Points on a ring, drawn on the fly.", "Puntos de un anillo, generados sobre la marcha."),
        ),
    )
    Settings: ClassVar[type] = Settings
    Pipeline: ClassVar[type] = LabPipeline
    settings: Settings
    score: ClassVar[dict[str, float]] = {"js": 1.0}

    # -- train -------------------------------------------------------------------------------------------------------

    def networks(self) -> Networks:
        s = self.settings
        generator = PointGenerator(s.latent_dim, s.width_g, s.layers_g, s.latent)
        return Networks({"generator": generator}, {"discriminator": PointDiscriminator(s.width_d, s.layers_d)})

    def points(self, count: int, random: torch.Generator) -> Tensor:
        """Real points (count, 2)."""
        return draw(self.settings.distribution, count, random, self.settings.points)

    def data(self, source: str | None, split: str, seed: int) -> Data:
        """source: a CSV file of x,y in [-1, 1]; every tenth row is kept apart."""
        apart = split == "validation"
        if source is None:
            return Points(self, None, 2 * seed + apart)
        try:
            with open(source, newline="") as file:
                rows = [[float(x) for x in row] for row in csv.reader(file)]
        except (OSError, ValueError) as error:
            raise DataError(f"{source}: expected a CSV file with two numbers a line, x and y ({error})") from None
        rows = [row for i, row in enumerate(rows) if (i % 10 == 9) == apart]
        if not rows or any(len(row) != 2 for row in rows):
            raise DataError(f"{source}: expected at least 10 lines of two numbers each, x and y from -1 to 1")
        return Points(self, torch.tensor(rows), seed)

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        shape = self.settings.latent_dim
        z = step.randn(shape) if self.settings.latent == "gaussian" else 2 * step.rand(shape) - 1
        return nets["generator"](z)

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        adversarial = losses.adversarial(self.settings.loss)
        real, fake = nets["discriminator"](batch["point"]), nets["discriminator"](fakes)
        return Losses({"adversarial": adversarial.discriminator(real, fake)}, adversarial.metrics(real, fake))

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        adversarial = losses.adversarial(self.settings.loss)
        return Losses({"adversarial": adversarial.generator(nets["discriminator"](fakes))})

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        """One picture: both kinds of points over D's heat map."""
        fight = game.Game(self, 0, nets)
        with torch.enable_grad(), torch.autocast("cpu", enabled=False):
            state = fight.state()
        return images.to_tensor(game.picture(state))

    def pipeline(self, nets: Networks) -> LabPipeline:
        generator, discriminator = nets["generator"], nets["discriminator"]
        assert isinstance(generator, PointGenerator) and isinstance(discriminator, PointDiscriminator)
        return LabPipeline(generator, discriminator)

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation:
        real = data.batch(range(2000))["point"]
        kl, js = divergences(real, pipeline(0, 2000))
        half = divergences(real[:1000], real[1000:])[1]
        return Evaluation({"js": js, "kl": kl, "js_floor": half}, PROTOCOL)

    # -- load and infer ----------------------------------------------------------------------------------------------

    @task(
        Text("Move by move", "Paso a paso"),
        Text(
            "Some moves of a fight: a fresh one, or one to go on with. D moves with G untouched, G with D frozen.",
            "Unos turnos de una partida, nueva o ya empezada. D juega sin tocar a G; G, con D congelado.",
        ),
    )
    def step(
        self,
        pipeline: LabPipeline,
        *,
        run: Annotated[
            Json,
            Arg(
                Text("Run", "Partida"),
                info=Text(
                    "What an earlier call returned as `run`; empty: a fresh one, by the rules below.",
                    "Lo que devolvió una llamada anterior como `run`; vacío: una nueva, con las reglas de abajo.",
                ),
            ),
        ] = Json(""),
        what: Annotated[
            Literal["both", "d", "g"],
            Arg(
                Text("Who moves", "Quién juega"),
                names=(
                    Text("both", "los dos"),
                    Text("D, the police", "D, la policía"),
                    Text("G, the forger", "G, el falsificador"),
                ),
            ),
        ] = "both",
        times: Annotated[int, Arg(Text("Moves", "Turnos"), minimum=1, maximum=500, cli_maximum=20_000)] = 100,
        distribution: Distribution = "ring",
        loss: Loss = "logistic",
        rate_g: RateG = 0.003,
        rate_d: RateD = 0.005,
        d_steps: Updates = 1,
        seed: Seed = 0,
    ) -> Snapshot:
        begun = self.begin(distribution, loss, rate_g, rate_d, d_steps, seed) if not run else self.read(run)
        after, fight = game.take_up(type(self), begun, what, times)
        state = fight.state()
        return Snapshot(after, state, game.picture(state))

    @task(
        Text("A whole fight", "Una partida entera"),
        Text(
            "A fight from its start, as a film and as numbers.",
            "Una partida desde el principio, como película y en números.",
        ),
    )
    def run(
        self,
        pipeline: LabPipeline,
        *,
        moves: Annotated[int, Arg(Text("Moves", "Turnos"), minimum=2, maximum=2000, cli_maximum=20_000)] = 600,
        frames: Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=2, maximum=60, cli_maximum=600)] = 30,
        distribution: Distribution = "ring",
        loss: Loss = "logistic",
        rate_g: RateG = 0.003,
        rate_d: RateD = 0.005,
        d_steps: Updates = 1,
        seed: Seed = 0,
    ) -> Watched:
        current = self.begin(distribution, loss, rate_g, rate_d, d_steps, seed)
        pictures, states = [], []
        for i in range(frames):
            due = round(moves * i / (frames - 1)) - round(moves * max(0, i - 1) / (frames - 1))
            current, fight = game.take_up(type(self), current, "both", due)
            state = fight.state()
            pictures.append(game.picture(state))
            states.append({name: value for name, value in state.items() if not isinstance(value, list)})
        return Watched(Film(pictures, fps=12), {"states": states}, current)

    def begin(
        self, distribution: str, loss: str, rate_g: float, rate_d: float, d_steps: int, seed: int
    ) -> dict[str, Any]:
        """A fresh run by these rules."""
        rules = {
            "distribution": distribution, "loss": loss, "rate_g": rate_g, "rate_d": rate_d, "d_steps": d_steps,
            "seed": seed,
        }  # fmt: skip
        return {"rules": rules, "moves": []}

    def read(self, text: str) -> dict[str, Any]:
        """A run from its JSON, checked. Raises ValueError of one line."""
        run = game.parse_run(text, {field.name for field in dataclasses.fields(Settings)} | {"seed"})
        seed = run["rules"].get("seed", 0)
        if type(seed) is not int or not 0 <= seed < 2**32:
            raise ValueError(f"run: seed {str(seed)[:40]}, expected a whole number from 0 to {2**32 - 1}")
        points = run["rules"].get("points", [])
        if not isinstance(points, list) or not all(isinstance(p, list) for p in points):
            raise ValueError("run: points are no list of pairs")
        return run

    # -- the page ----------------------------------------------------------------------------------------------------

    def tab(self, page: Page) -> None:
        draw_tab(page, self)
