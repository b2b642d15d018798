"""The lab: forger and police, of points and of faces, to watch, to stop and to spoil."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from gan_zoo import images, losses
from gan_zoo.data import DataError, rows_of
from gan_zoo.plugin import (
    Batch,
    Data,
    Evaluation,
    Exported,
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
from gan_zoo.plugins.lab.arguments import (
    Distribution,
    FacesMoves,
    FacesTimes,
    FilmRun,
    Frames,
    Loss,
    Moves,
    RateD,
    RateG,
    Run,
    Start,
    Times,
    Updates,
    What,
)
from gan_zoo.plugins.lab.game import Game
from gan_zoo.plugins.lab.networks import FaceGenerator, LabPipeline
from gan_zoo.plugins.lab.rules import FACES, FACES_RULES, Rules, Settings
from gan_zoo.plugins.lab.runs import Fights, parse_run
from gan_zoo.plugins.lab.subjects import Subject, subject_of
from gan_zoo.plugins.lab.tab import draw_tab


class Real:
    """Endless real ones, settled by the sample's number; or those that are known."""

    def __init__(self, plugin: Lab, known: Tensor | None, seed: int):
        self.plugin, self.known, self.seed = plugin, known, seed

    def __len__(self) -> int:
        return 1000 if self.known is None else len(self.known)

    def batch(self, samples: range) -> Batch:
        if self.known is not None:
            return {"real": self.known[torch.arange(samples.start, samples.stop) % len(self.known)]}
        s, subject = self.plugin.settings, self.plugin.subject
        drawn = [subject.real(s, 1, torch.Generator().manual_seed(self.seed * 2**31 + i)) for i in samples]
        return {"real": torch.cat(drawn)}


class Snapshot(NamedTuple):
    """A run, to go on with; how it stands, as numbers and as a picture."""

    run: dict
    state: dict
    picture: Image.Image


class Watched(NamedTuple):
    """The same, while it goes on; and at its end the film of it."""

    picture: Image.Image
    film: Film | None
    state: dict
    run: dict


class Lab(Plugin[Settings, LabPipeline]):
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
        Preset(
            name="faces",
            title=Text("Faces, already learned", "Caras, ya aprendidas"),
            licence="open",
            licence_id="cc0-1.0",
            data=Text("4,096 faces that the lab draws itself, 32 px.", "4096 caras que dibuja el laboratorio, 32 px."),
        ),
    )
    Settings: ClassVar[type] = Settings
    Pipeline: ClassVar[type] = LabPipeline

    def __init__(self, settings: Settings | None = None):
        super().__init__(settings)
        self.fights = Fights(self)

    example: ClassVar[str] = "--start trained"

    @property
    def example_task(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return "step_faces" if self.settings.distribution == FACES else "step"

    # -- train -------------------------------------------------------------------------------------------------------

    @property
    def subject(self) -> Subject:
        return subject_of(self.settings)

    def networks(self) -> Networks:
        return self.subject.networks(self.settings)

    def data(self, source: str | None, split: str, seed: int) -> Data:
        """source: a CSV file of x,y in [-1, 1]; every tenth row is held out."""
        held = split == "validation"
        if source is None:
            return Real(self, self.subject.heap(split), 2 * seed + held)
        if self.subject.heap(split) is not None:
            raise DataError(f"{source}: faces are drawn here, and read from no file")
        try:
            with open(source, newline="") as file:
                rows = [[float(x) for x in row] for row in csv.reader(file)]
        except (OSError, ValueError) as error:
            raise DataError(f"{source}: expected a CSV file with two numbers a line, x and y ({error})") from None
        rows = [rows[i] for i in rows_of(split, len(rows))]
        if not rows or any(len(row) != 2 for row in rows):
            raise DataError(f"{source}: expected at least 10 lines of two numbers each, x and y from -1 to 1")
        return Real(self, torch.tensor(rows), seed)

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        shape = self.settings.latent_dim
        z = step.randn(shape) if self.settings.latent == "gaussian" else 2 * step.rand(shape) - 1
        return nets["generator"](z)

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s, every = self.settings, self.subject.penalty_every
        slope = s.penalty > 0 and step.index % every == 0
        real = batch["real"].detach().requires_grad_(slope)
        verdict = losses.d_loss(s.loss, nets["discriminator"], (real,), (fakes,))
        terms = {"adversarial": verdict.loss}
        if slope:
            terms["penalty"] = s.penalty * every * losses.gradient_penalty(verdict.real, real)
        return Losses(terms, verdict.metrics)

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        return Losses({"adversarial": losses.g_loss(self.settings.loss, nets["discriminator"], (fakes,), ()).loss})

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        """One picture, as a fight shows itself."""
        return images.to_tensor(Game(self, 0, nets).picture())

    def pipeline(self, nets: Networks) -> LabPipeline:
        generator: Any = nets["generator"]
        discriminator: Any = nets["discriminator"]
        return LabPipeline(generator, discriminator)

    @property
    def score(self) -> dict[str, float]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return {self.subject.score: 1.0}

    def check_evaluation(self) -> None:
        self.subject.check_evaluation()

    def evaluate(self, pipeline: LabPipeline, data: Data, count: int) -> Evaluation:
        return self.subject.evaluate(pipeline, data, count)

    # -- load and infer ----------------------------------------------------------------------------------------------

    @task(
        Text("Move by move", "Paso a paso"),
        Text(
            "Some moves of a fight over points: a fresh one, or one to go on with. D moves with G untouched, G with D "
            "frozen.",
            "Unos turnos de una partida de puntos, nueva o ya empezada. D juega sin tocar a G; G, con D congelado.",
        ),
        needs_weights=False,
    )
    def step(
        self,
        *,
        run: Run = Json(""),
        what: What = "both",
        times: Times = 100,
        distribution: Distribution = "ring",
        loss: Loss = "logistic",
        rate_g: RateG = Rules.rate_g,
        rate_d: RateD = Rules.rate_d,
        d_steps: Updates = Rules.d_steps,
        start: Start = "nothing",
        seed: Seed = 0,
    ) -> Snapshot:
        rules = {"distribution": distribution, "loss": loss, "rate_g": rate_g, "rate_d": rate_d, "d_steps": d_steps}
        return self.after(run, what, times, rules | {"seed": seed}, start)

    @task(
        Text("A whole fight", "Una partida entera"),
        Text(
            "A fight over points from its start, shown while it goes on; at its end, the film of it.",
            "Una partida de puntos desde el principio, a la vista mientras dura; al final, su película.",
        ),
        needs_weights=False,
    )
    def run(
        self,
        *,
        moves: Moves = 1000,
        frames: Frames = 30,
        distribution: Distribution = "ring",
        loss: Loss = "logistic",
        rate_g: RateG = Rules.rate_g,
        rate_d: RateD = Rules.rate_d,
        d_steps: Updates = Rules.d_steps,
        start: Start = "nothing",
        seed: Seed = 0,
    ) -> Iterator[Watched]:
        rules = {"distribution": distribution, "loss": loss, "rate_g": rate_g, "rate_d": rate_d, "d_steps": d_steps}
        yield from self.watch(moves, frames, rules | {"seed": seed}, start)

    @task(
        Text("Faces, move by move", "Caras, paso a paso"),
        Text(
            "The same with pictures: some moves of a fight over faces, which a small DCGAN learns in a minute or two.",
            "Lo mismo con imágenes: unos turnos de una partida de caras, que una DCGAN pequeña aprende en un par de "
            "minutos.",
        ),
        first_look=False,
        needs_weights=False,
    )
    def step_faces(
        self,
        *,
        run: Run = Json(""),
        what: What = "both",
        times: FacesTimes = 20,
        loss: Loss = "logistic",
        rate_g: RateG = FACES_RULES["rate_g"],
        rate_d: RateD = FACES_RULES["rate_d"],
        d_steps: Updates = FACES_RULES["d_steps"],
        start: Start = "nothing",
        seed: Seed = 0,
    ) -> Snapshot:
        rules = {"loss": loss, "rate_g": rate_g, "rate_d": rate_d, "d_steps": d_steps, "seed": seed}
        return self.after(run, what, times, FACES_RULES | rules, start)

    @task(
        Text("Faces, a whole fight", "Caras, una partida entera"),
        Text(
            "A fight over faces from its start, shown while it goes on; at its end, the film of it.",
            "Una partida de caras desde el principio, a la vista mientras dura; al final, su película.",
        ),
        first_look=False,
        needs_weights=False,
    )
    def run_faces(
        self,
        *,
        moves: FacesMoves = 200,
        frames: Frames = 20,
        loss: Loss = "logistic",
        rate_g: RateG = FACES_RULES["rate_g"],
        rate_d: RateD = FACES_RULES["rate_d"],
        d_steps: Updates = FACES_RULES["d_steps"],
        start: Start = "nothing",
        seed: Seed = 0,
    ) -> Iterator[Watched]:
        rules = {"loss": loss, "rate_g": rate_g, "rate_d": rate_d, "d_steps": d_steps, "seed": seed}
        yield from self.watch(moves, frames, FACES_RULES | rules, start)

    @task(
        Text("Film of a run", "Película de una partida"),
        Text(
            "The film of a fight from its first move to its last: of points or of faces.",
            "La película de una partida, de la primera jugada a la última: de puntos o de caras.",
        ),
        first_look=False,
        needs_weights=False,
    )
    def film(
        self,
        *,
        run: FilmRun,
    ) -> Film:
        return self.fights.take_up(self.read(run), "both", 0, Game.film)[1]

    def after(self, run: str, what: str, times: int, rules: dict[str, Any], start: str) -> Snapshot:
        """Some moves later: of the run, or of a fresh one where there is none."""
        known = self.read(run) if run else self.begin(rules, start)
        after, (picture, _, state) = self.fights.take_up(known, what, times, _look)
        return Snapshot(after, state, picture)

    def watch(self, moves: int, frames: int, rules: dict[str, Any], start: str) -> Iterator[Watched]:
        """A fresh fight in as many looks, the first of them before any move."""
        current = self.begin(rules, start)
        for i in range(frames):
            due = round(moves * i / (frames - 1)) - round(moves * max(0, i - 1) / (frames - 1))
            current, seen = self.fights.take_up(current, "both", due, _look_last if i == frames - 1 else _look)
            yield Watched(*seen, current)

    def begin(self, rules: dict[str, Any], start: str = "nothing") -> dict[str, Any]:
        """A fresh run by these rules, or one from the trained model of the same subject."""
        trained = {"start": "faces" if rules["distribution"] == FACES else "ring"} if start == "trained" else {}
        return {"rules": rules, "moves": []} | trained

    def read(self, text: str) -> dict[str, Any]:
        """A run from its JSON, checked. Raises ValueError of one line."""
        return parse_run(text, [preset.name for preset in self.presets])

    # -- the page ----------------------------------------------------------------------------------------------------

    def exports(self, pipeline: LabPipeline) -> dict[str, Exported]:
        z = pipeline.generator.noise(1, torch.Generator().manual_seed(0))
        faces = isinstance(pipeline.generator, FaceGenerator)
        what = "colour planes in [-1, 1]" if faces else "x and y, about [-1, 1]"
        told = {"z": f"{pipeline.generator.config['latent']} noise", "forged": what}
        return {"generator": Exported(pipeline.generator, {"z": z}, ("forged",), told)}

    def tab(self, page: Page) -> None:
        draw_tab(page, self)


def _look(fight: Game) -> tuple[Image.Image, Film | None, dict[str, Any]]:
    state, glimpse = fight.look()
    return fight.subject.draw(glimpse), None, state


def _look_last(fight: Game) -> tuple[Image.Image, Film | None, dict[str, Any]]:
    picture, _, state = _look(fight)
    return picture, fight.film(), state
