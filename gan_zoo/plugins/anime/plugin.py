"""Anime characters, from noise or to order: what visitors can ask of a trained generator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

from gan_zoo import images
from gan_zoo.labels import ANY, parse
from gan_zoo.plugin import (
    MAX_SEED,
    Exported,
    Film,
    ImageFile,
    Page,
    Preset,
    Seed,
    Text,
    task,
)
from gan_zoo.plugins.anime import latent, projection
from gan_zoo.plugins.anime.arguments import (
    FIRST_CHANGE,
    Amount,
    Columns,
    Count,
    Direction,
    Expression,
    Eyes,
    Face,
    FindSteps,
    Frames,
    Glasses,
    HairColor,
    HairStyle,
    Made,
    Number,
    OwnWishes,
    Raw,
    Rows,
    SeedA,
    SeedB,
    Skin,
    Steps,
    Strength,
    To,
    Truncation,
    Wishes,
)
from gan_zoo.plugins.anime.pipeline import AnimePipeline, Whole
from gan_zoo.plugins.anime.tab import draw_tab
from gan_zoo.plugins.anime.training import AnimeTraining

EXAMPLES = Path(__file__).parent / "examples"
FIRST_SEED = 26  # what a visitor sees first: a fair face, as chance gives them, not the poor one of 0


def _pictures(pipeline: AnimePipeline, codes: Tensor, y: Tensor | None, truncation: float) -> list[Image.Image]:
    """Pictures of codes (N, latent_dim), all with the same y (1, vocabulary.size)."""
    y = None if y is None else y.expand(len(codes), -1)
    return images.to_images(pipeline.enlarge(pipeline.decode(pipeline.latents(codes, y, truncation), y)))


def _faces(
    pipeline: AnimePipeline, seed: int, count: int, truncation: float, wishes: dict[str, str] | None = None,
    raw: bool = False,
) -> list[Image.Image]:  # fmt: skip
    """The faces of `count` seeds from `seed` on, which wrap at the largest one; `raw`: as they left the generator."""
    seeds = [(seed + i) % (MAX_SEED + 1) for i in range(count)]
    pictures = pipeline(seeds, truncation, wishes)
    made = images.to_images(pictures if raw else pipeline.enlarge(pictures))
    return [_signed(picture, f"{s}", seed=s) for picture, s in zip(made, seeds, strict=True)]


def _signed(picture: Image.Image, caption: str, **arguments: Any) -> Image.Image:
    """The picture with its caption, and those of its task's arguments that are its own."""
    picture.info |= {"caption": caption, "arguments": arguments}
    return picture


def _over_its_caption(picture: Image.Image) -> Image.Image:
    size = max(11, picture.height // 8)
    card = Image.new("RGB", (picture.width, picture.height + size + 4), "white")
    card.paste(picture)
    draw = ImageDraw.Draw(card)
    font = ImageFont.load_default(size)
    draw.text((picture.width / 2, picture.height + 2), picture.info["caption"], "#45423d", font, anchor="ma")
    return card


class Walk(NamedTuple):
    """A face moved along a direction, as pictures and as a film."""

    pictures: list[Image.Image]
    film: Film


class Anime(AnimeTraining):
    slug: ClassVar[str] = "anime"
    title: ClassVar[Text] = Text("Anime", "Anime")
    summary: ClassVar[Text] = Text(
        "Characters that nobody drew: every seed is a new face.",
        "Personajes que nadie dibujó: cada semilla es una cara nueva.",
    )
    paper: ClassVar[str] = "https://arxiv.org/abs/2111.01007"
    rough: ClassVar[bool] = True  # a face from noise need not be exact, and comes in half the time
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            name="characters",
            title=Text("Characters to order, 128 px", "Personajes a medida, 128 px"),
            licence="open",
            licence_id="cc0-1.0",
            data=Text(
                "20,000 characters drawn on the fly, each with exact labels: Lorelei by Lisa Wischofsky, CC0 1.0, by "
                "DiceBear, in colours of our own.",
                "20 000 personajes dibujados sobre la marcha con etiquetas exactas: Lorelei, de Lisa Wischofsky, "
                "CC0 1.0, con DiceBear y colores propios.",
            ),
        ),
        Preset(
            name="tagged",
            title=Text("Anime faces to order, 96 px", "Caras de anime a medida, 96 px"),
            licence="research",
            data=Text(
                "10,418 anime character faces of 96 x 96 pixels with two labels, colour of hair and of eyes, collected "
                "from the web without a licence: research and teaching only.",
                "10 418 caras de personajes de anime de 96 x 96 píxeles con dos etiquetas, color de pelo y de ojos, "
                "reunidas de la web sin licencia: solo para investigación y enseñanza.",
            ),
        ),
        Preset(
            name="anime-faces-64",
            title=Text("Anime faces, 64 px", "Caras de anime, 64 px"),
            licence="research",
            data=Text(
                "20,968 anime character faces of 64 x 64 pixels, collected from the web without a licence: "
                "research and teaching only.",
                "20 968 caras de personajes de anime de 64 x 64 píxeles, reunidas de la web sin licencia: "
                "solo para investigación y enseñanza.",
            ),
        ),
    )
    # -- load and infer ----------------------------------------------------------------------------------------------

    @task(
        Text("New faces", "Caras nuevas"),
        Text(
            "Picture i comes from seed + i: the same seed, the same face.",
            "La imagen i sale de la semilla + i: la misma semilla, la misma cara.",
        ),
        name="generate",
    )
    def generate_task(
        self,
        pipeline: AnimePipeline,
        *,
        seed: Seed = FIRST_SEED,
        count: Count = 16,
        truncation: Truncation = 1.0,
        raw: Raw = False,
    ) -> list[Image.Image]:
        return _faces(pipeline, seed, count, truncation, raw=raw)

    @task(
        Text("To order", "A medida"),
        Text(
            "You choose, chance does the rest. Change one wish and keep the seed: the same character, changed.",
            "Tú eliges y el azar pone el resto. Cambia un deseo y conserva la semilla: el mismo personaje, cambiado.",
        ),
    )
    def order(
        self,
        pipeline: AnimePipeline,
        *,
        hair_color: HairColor = ANY,
        hair_style: HairStyle = ANY,
        eyes: Eyes = ANY,
        skin: Skin = ANY,
        expression: Expression = ANY,
        glasses: Glasses = ANY,
        seed: Seed = FIRST_SEED,
        count: Count = 8,
        truncation: Truncation = 1.0,
        wishes: OwnWishes = ANY,
    ) -> list[Image.Image]:
        asked = {
            "hair_color": hair_color,
            "hair_style": hair_style,
            "eyes": eyes,
            "skin": skin,
            "expression": expression,
            "glasses": glasses,
        }
        asked = {name: value for name, value in asked.items() if value != ANY}
        return _faces(pipeline, seed, count, truncation, asked | parse(wishes))

    @task(
        Text("One thing changed", "Un solo cambio"),
        Text(
            "The character of a seed before and after a change; all else stays.",
            "El personaje de una semilla antes y después de un cambio; lo demás no varía.",
        ),
    )
    def change(
        self,
        pipeline: AnimePipeline,
        *,
        to: To,
        wishes: Wishes = ANY,
        seed: Seed = FIRST_SEED,
        truncation: Truncation = 1.0,
    ) -> list[Image.Image]:
        before = parse(wishes)
        changed = parse(to)
        return [
            *_faces(pipeline, seed, 1, truncation, before),
            *_faces(pipeline, seed, 1, truncation, before | changed),
        ]

    @task(
        Text("Variations", "Variaciones"),
        Text("The face of a seed, and others like it.", "La cara de una semilla y otras parecidas."),
    )
    def variations(
        self,
        pipeline: AnimePipeline,
        *,
        seed: Seed = FIRST_SEED,
        amount: Amount = 0.4,
        number: Number = 12,
        wishes: Wishes = ANY,
        truncation: Truncation = 1.0,
    ) -> list[Image.Image]:
        z = pipeline.noise([seed])
        streams = np.random.SeedSequence(seed).generate_state(number, np.uint64) >> 1  # the first ones never change
        others = latent.near(z, pipeline.noise(streams.tolist()[1:]), amount)
        y = pipeline.wishes([seed], parse(wishes))
        made = _pictures(pipeline, pipeline.codes(torch.cat([z, others]), truncation), y, truncation)
        return [_signed(picture, f"{seed} · {i}" if i else f"{seed}") for i, picture in enumerate(made)]

    @task(
        Text("From one face to another", "De una cara a otra"),
        Text(
            "A film from the face of one seed to the face of another, and back.",
            "Una película de la cara de una semilla a la de otra, y vuelta.",
        ),
        gpu_seconds=10,
    )
    def interpolate(
        self,
        pipeline: AnimePipeline,
        *,
        seed_a: SeedA = FIRST_SEED,
        seed_b: SeedB = FIRST_SEED + 1,
        frames: Frames = 24,
        wishes: Wishes = ANY,
        truncation: Truncation = 1.0,
    ) -> Film:
        y = pipeline.wishes([seed_a, seed_b], parse(wishes))
        w = pipeline.latents(pipeline.codes(pipeline.noise([seed_a, seed_b]), truncation), y, truncation)
        between = latent.way(w[:1], w[1:], frames)
        y = None if y is None else latent.way(y[:1], y[1:], frames)
        pictures = images.to_images(pipeline.enlarge(pipeline.decode(between, y)))
        return Film(pictures + pictures[-2:0:-1], fps=24)

    @task(
        Text("Directions", "Direcciones"),
        Text(
            "What the generator found by itself: a face moved along a direction that no label gave, strongest first.",
            "Lo que el generador halló solo: una cara movida en una dirección sin etiquetas, la más fuerte primero.",
        ),
    )
    def directions(
        self,
        pipeline: AnimePipeline,
        *,
        seed: Seed = FIRST_SEED,
        direction: Direction = 1,
        strength: Strength = 0.4,
        steps: Steps = 7,
        wishes: Wishes = ANY,
        truncation: Truncation = 1.0,
    ) -> Walk:
        found = latent.directions(pipeline.generator)
        if direction > len(found):
            raise ValueError(f"direction: these weights have {len(found)}, got {direction}")
        strengths = torch.linspace(-strength, strength, steps)
        codes = latent.along(pipeline.codes(pipeline.noise([seed]), truncation), found[direction - 1], strengths)
        made = _pictures(pipeline, codes, pipeline.wishes([seed], parse(wishes)), truncation)
        row = [_signed(picture, f"{s:+.2f}") for picture, s in zip(made, strengths.tolist(), strict=True)]
        return Walk(row, Film(made + made[-2:0:-1], fps=12))

    @task(
        Text("A face of yours", "Una cara tuya"),
        Text(
            "Drop an anime face: the generator looks for it among those that it can draw, and changes what you wish.",
            "Suelta una cara de anime: el generador la busca entre las que sabe dibujar y le cambia lo que pidas.",
        ),
        gpu_seconds=20,
    )
    def find(
        self,
        pipeline: AnimePipeline,
        *,
        image: Face,
        wishes: Wishes = ANY,
        steps: FindSteps = 60,
    ) -> Iterator[list[Image.Image]]:
        """The face as given, as found, and, if there are wishes, as found and changed; better ones while it looks."""
        asked = parse(wishes)
        pipeline.wishes([0], asked)  # which refuses what these weights do not know
        side = pipeline.generator.config["resolution"]
        given = ImageOps.fit(images.on_white(images.read_image(image)), (side, side), Image.Resampling.BICUBIC)
        shown = given.resize(2 * [side * (1 if pipeline.enlarger is None else pipeline.enlarger.scale)])
        wanted = images.to_tensor(given).to(pipeline.device)
        for step, found in enumerate(projection.project(pipeline, wanted, steps), start=1):
            if step % max(1, steps // 8) and step != steps:
                continue
            ys = [found.y, found.wished(pipeline.vocabulary, asked)][: 2 if asked else 1]
            made = images.to_images(torch.cat([found.picture(pipeline, y) for y in ys]))
            yield [shown, *(_signed(p, c) for p, c in zip(made, [f"{step} / {steps}", wishes]))]

    @task(
        Text("Contact sheet", "Hoja de contactos"),
        Text("One picture of many faces, each over its seed.", "Una imagen de muchas caras, cada una con su semilla."),
    )
    def sheet(
        self,
        pipeline: AnimePipeline,
        *,
        seed: Seed = FIRST_SEED,
        columns: Columns = 6,
        rows: Rows = 4,
        wishes: Wishes = ANY,
        truncation: Truncation = 1.0,
    ) -> Image.Image:
        faces = _faces(pipeline, seed, columns * rows, truncation, parse(wishes))
        return images.grid([_over_its_caption(face) for face in faces], columns, gap=8)

    @task(
        Text("How was it made?", "¿Cómo se hizo?"),
        Text(
            "Drop a picture that was made here: its file says how, and the forms are filled in with it.",
            "Suelta una imagen hecha aquí: su archivo dice cómo, y los formularios se rellenan con ello.",
        ),
    )
    def restore(
        self,
        pipeline: AnimePipeline,
        *,
        image: Made,
    ) -> dict:
        """{"task", "preset", "arguments"} of a picture, checked; {} if its file does not say, or of another plugin."""
        made = images.read_settings(image)
        if not made or made.pop("plugin") != self.slug or made["task"] not in self.tasks():
            return {}
        asked = self.tasks()[made["task"]]
        told = tuple(p for p in asked.parameters if p.type is not ImageFile)  # a picture is not told in another
        made["arguments"] = dataclasses.replace(asked, parameters=told).check(made["arguments"])
        return made

    # -- the page ----------------------------------------------------------------------------------------------------

    def examples(self, task: str) -> list[dict[str, Any]]:
        drawn, face = (str(EXAMPLES / name) for name in ("character.png", "face.webp"))  # of nobody's data
        shown: dict[str, list[dict[str, Any]]] = {
            "order": [{"wishes": "hair=aqua, eyes=red", "preset": "tagged"}],
            "change": [{"to": FIRST_CHANGE, "preset": "characters"}, {"to": "hair=aqua", "preset": "tagged"}],
            "find": [
                {"image": drawn, "wishes": FIRST_CHANGE, "preset": "characters"},
                {"image": face, "wishes": "hair=aqua", "preset": "tagged"},
                {"image": face, "wishes": ANY, "preset": "anime-faces-64"},
            ],
        }
        return shown.get(task, [])

    def exports(self, pipeline: AnimePipeline) -> dict[str, Exported]:
        generator = pipeline.generator
        told = {"z": "standard normal noise", "picture": "colour planes in [-1, 1]"}
        inputs, ones = {"z": pipeline.noise([FIRST_SEED])}, []
        if pipeline.conditional:
            inputs["y"] = cast(Tensor, pipeline.wishes([FIRST_SEED]))
            ones = [f"{name}={value}" for name, values in pipeline.vocabulary.shares.items() for value in values]
            told["y"] = "a 1 for each wish, one of each kind, among zeros: " + ", ".join(ones)
        made = {"generator": Exported(Whole(generator), inputs, ("picture",), told)}
        if pipeline.enlarger is not None:
            small = torch.zeros(1, 3, 32, 32)
            told = {"small": "colour planes in [-1, 1]", "picture": f"{pipeline.enlarger.scale} times the sides"}
            free = {"small": {2: "height", 3: "width"}}
            made["enlarger"] = Exported(pipeline.enlarger, {"small": small}, ("picture",), told, free)
        return made

    def tab(self, page: Page) -> None:
        draw_tab(page, self)
