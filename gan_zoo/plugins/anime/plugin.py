"""Anime characters, from noise or to order: a light FastGAN generator against a projected discriminator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gan_zoo import data, images, losses, metrics
from gan_zoo.augment import diff_augment, policies
from gan_zoo.config import check_ranges, setting
from gan_zoo.data import to_float
from gan_zoo.features import FeaturePyramid
from gan_zoo.plugin import (
    MAX_SEED,
    Arg,
    Batch,
    Data,
    Evaluation,
    Fakes,
    Film,
    Fixed,
    ImageFile,
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
from gan_zoo.plugins.anime import attributes, enlarging, latent, readback
from gan_zoo.plugins.anime.attributes import ANY
from gan_zoo.plugins.anime.networks import AnimeGenerator, Enlarger, ProjectedDiscriminator, ResidualDiscriminator
from gan_zoo.plugins.anime.pipeline import AnimePipeline
from gan_zoo.plugins.anime.readback import draw_labelled
from gan_zoo.plugins.anime.tab import draw_tab

FIRST_CHANGE = "hair_color=blue"
FIRST_SEED = 26  # what a visitor sees first: a fair face, as chance gives them, not the poor one of 0
Truncation = Annotated[
    float,
    Arg(
        Text("Truncation", "Truncamiento"),
        info=Text("1: all the variety learned. Lower: tidier, more alike.", "1: toda la variedad. Menos: más pulcro."),
        minimum=0.0,
        maximum=1.2,
        step=0.05,
    ),
]
Wishes = Annotated[
    str,
    Arg(
        Text("Wishes", "Deseos"),
        info=Text(
            "For characters to order: hair_color=blue, glasses=round ... The rest is chance.",
            "Para personajes a medida: hair_color=blue, glasses=round ... Lo demás, al azar.",
        ),
    ),
]
Raw = Annotated[
    bool,
    Arg(
        Text("As generated", "Tal como sale"),
        info=Text(
            "Without the network that enlarges what is smaller than 128 px.",
            "Sin la red que amplía lo que mide menos de 128 px.",
        ),
    ),
]
SeedA = Annotated[int, Arg(Text("From seed", "De la semilla"), minimum=0, maximum=MAX_SEED, component="Number")]
SeedB = Annotated[int, Arg(Text("To seed", "A la semilla"), minimum=0, maximum=MAX_SEED, component="Number")]
Count = Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=1, maximum=64, cli_maximum=100_000)]


def _choice(name: str) -> Any:
    """The type of a task's argument that asks for an attribute: one of its values, or "any"."""
    attribute = attributes.ATTRIBUTES[name]
    names = (Text("Any", "Cualquiera"), *(value.text for value in attribute.values.values()))
    return Annotated[Literal[(ANY, *attribute.values)], Arg(attribute.text, names=names)]


if TYPE_CHECKING:
    HairColor = HairStyle = Eyes = Skin = Expression = Glasses = str
else:
    HairColor, HairStyle, Eyes, Skin, Expression, Glasses = map(_choice, attributes.ATTRIBUTES)


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of the anime GAN; docs/decisions.md has the measurements behind the defaults."""

    resolution: int = setting(64, "of the pictures, in pixels: 4, doubled for each of `channels` after the first", 4)
    latent_dim: int = setting(128, "numbers of noise", 1)
    channels: tuple[int, ...] = setting((256, 256, 128, 64, 32), "of the generator, from 4 x 4 up")
    discriminator: str = setting("projected", "or 'residual', which needs no pretrained network")
    feature_size: int = setting(96, "pictures are resized to this before the frozen network", 32)
    augment: str = setting("translation,cutout", "no colour: characters differ by theirs")
    loss: str = setting("hinge", "one of gan_zoo/losses.py")
    r1: float = setting(1.0, "weight of the R1 penalty; the projected discriminator goes without")
    r1_every: int = setting(16, "steps of D between two penalties, which weigh as much more (StyleGAN2's lazy R1)", 1)
    drawn: int = setting(2000, "characters of the built-in data", 20)
    conditional: bool = setting(False, "characters to order: the built-in data's attributes are given beside the noise")
    reading: float = setting(1.0, "weight of the attributes read off the pictures, for both sides; conditional only")
    likeness: float = setting(50.0, "weight of the distance from the picture of these attributes and details; as above")
    perceptual: float = setting(0.0, "weight of the same distance in the frozen network's features")
    judged_by: int = setting(6000, "characters on which the judge of attributes learns", 20)
    enlarges: str = setting("", "a preset or weights folder: then an enlarger for it learns, beside its generator")

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.discriminator not in ("projected", "residual"):
            raise ValueError(f"discriminator: expected projected or residual, got {self.discriminator!r}")
        if self.resolution != 4 * 2 ** (len(self.channels) - 1):
            raise ValueError(
                f"resolution {self.resolution} does not fit {len(self.channels)} channel widths, which end at "
                f"{4 * 2 ** (len(self.channels) - 1)} px"
            )
        if self.feature_size % 32:
            raise ValueError(f"feature_size: expected a multiple of 32, got {self.feature_size}")
        if self.enlarges and (self.conditional or self.discriminator != "projected" or self.augment):
            raise ValueError("enlarges: expected discriminator projected, no augment, and not conditional")
        if self.conditional and (self.discriminator != "projected" or self.augment):
            raise ValueError(
                "conditional: expected discriminator projected and no augment (a picture is compared with its pair), "
                f"got {self.discriminator!r} and {self.augment!r}"
            )
        if self.conditional and self.latent_dim < sum(attributes.DETAILS.values()):
            raise ValueError(f"latent_dim {self.latent_dim}: details need {sum(attributes.DETAILS.values())}")
        policies(self.augment)
        losses.adversarial(self.loss)


class Faces(data.Pictures):
    """Square faces, and those of the training split, among which copies are looked for."""

    def __init__(self, pictures: Tensor, training_pictures: Tensor, seed: int, training: bool):
        super().__init__(pictures, seed, training)
        self.training_pictures = training_pictures


class Characters:
    """The built-in data: of `drawn` characters every tenth is kept apart. Each is drawn once, when asked for."""

    def __init__(self, split: str, size: int, drawn: int, seed: int):
        self.seeds = torch.tensor([row for row in range(drawn) if (row % 10 == 9) == (split == "validation")])
        self.size, self.seed = size, seed

    def __len__(self) -> int:
        return len(self.seeds)

    def batch(self, samples: range) -> Batch:
        rows = data.sample_rows(torch.arange(samples.start, samples.stop), len(self), self.seed)
        seeds = self.seeds[rows].tolist()
        pictures, labels = draw_labelled(seeds, self.size)
        details = torch.tensor([list(attributes.draw_details(seed).values()) for seed in seeds])
        return {"image": to_float(pictures), "labels": labels, "details": details}

    @cached_property
    def all(self) -> tuple[Tensor, Tensor]:
        """Every picture, uint8 (N, 3, H, W), and its labels (N, 6)."""
        return draw_labelled(self.seeds.tolist(), self.size)


def _pictures(pipeline: AnimePipeline, codes: Tensor, y: Tensor | None, truncation: float) -> list[Image.Image]:
    """Pictures of codes (N, latent_dim), all with the same y (1, attributes.SIZE)."""
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


def _grid(pictures: Tensor) -> Image.Image:
    return images.grid(images.to_images(to_float(pictures)), columns=8)


class Walk(NamedTuple):
    """A face moved along a direction, as pictures and as a film."""

    pictures: list[Image.Image]
    film: Film


class Anime(Plugin):
    slug: ClassVar[str] = "anime"
    title: ClassVar[Text] = Text("Anime", "Anime")
    summary: ClassVar[Text] = Text(
        "Characters that nobody drew: every seed is a new face.",
        "Personajes que nadie dibujó: cada semilla es una cara nueva.",
    )
    paper: ClassVar[str] = "https://arxiv.org/abs/2111.01007"
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
    Settings: ClassVar[type] = Settings
    Pipeline: ClassVar[type] = AnimePipeline
    settings: Settings

    # -- train -------------------------------------------------------------------------------------------------------

    def networks(self) -> Networks:
        s = self.settings
        if s.enlarges:
            return enlarging.networks(self.load(s.enlarges).generator, s.feature_size)
        wishes = attributes.SIZE if s.conditional else 0
        details = tuple(attributes.DETAILS.values()) if s.conditional else ()
        generator = AnimeGenerator(s.resolution, s.latent_dim, s.channels, wishes, details)
        if s.discriminator == "residual":
            return Networks({"generator": generator}, {"discriminator": ResidualDiscriminator(s.resolution)})
        features = FeaturePyramid(s.feature_size)
        discriminator = ProjectedDiscriminator(s.resolution, features.channels, features.sizes, attributes=wishes)
        return Networks({"generator": generator}, {"discriminator": discriminator, "features": features})

    def data(self, source: str | None, split: str, seed: int) -> Data:
        s = self.settings
        if s.enlarges:
            return enlarging.read(source, split, seed)
        if source is None:
            return Characters(split, s.resolution, s.drawn, seed)
        if s.conditional:
            raise ValueError(f"conditional: only the built-in data has attributes, got the data {source!r}")
        pictures = {name: data.read_pictures(source, name, s.resolution) for name in {split, "train"}}
        return Faces(pictures[split], pictures["train"], seed, split == "train")

    def _wishes(self, batch: Batch) -> Tensor | None:
        """y (B, attributes.SIZE) of a batch; a real and a fake picture of one row have the same."""
        return attributes.one_hot(batch["labels"]) if self.settings.conditional else None

    def _noise(self, batch: Batch, step: Step) -> Tensor:
        """z (B, latent_dim); with attributes, noise that tells the details of the batch's pictures."""
        z = step.randn(self.settings.latent_dim)
        return attributes.settle(z, batch["details"]) if self.settings.conditional else z

    def _look(self, nets: Networks, pictures: Tensor, step: Step) -> Any:
        """What D sees of pictures: augmented, and for the projected D through the frozen network."""
        pictures = diff_augment(pictures, self.settings.augment, step.rand)
        return (pictures, nets["features"](pictures)) if self.settings.discriminator == "projected" else (pictures,)

    def _judge(self, nets: Networks, looks: Any, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """D's logits (B, K), and its logits of the attributes it reads, (B, attributes.SIZE) or None."""
        y = self._wishes(batch)
        return nets["discriminator"](*looks) if y is None else nets["discriminator"](*looks, y)

    def _reading(self, logits: Tensor | None, batch: Batch) -> dict[str, Tensor]:
        """The term by which D learns to read attributes and G to write them, if there are any."""
        if logits is None:
            return {}
        return {"reading": self.settings.reading * attributes.cross_entropy(logits, batch["labels"])}

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        if self.settings.enlarges:
            pictures = nets["enlarger"](enlarging.shrunk(batch["image"], step.rand))
            return {"real": self._look(nets, batch["image"], step), "fake": self._look(nets, pictures, step)}
        pictures = nets["generator"](self._noise(batch, step), y=self._wishes(batch))
        # The frozen network, the dearest part of a step, sees each picture once, for both halves.
        return {"real": self._look(nets, batch["image"], step), "fake": self._look(nets, pictures, step)}

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s, adversarial = self.settings, losses.adversarial(self.settings.loss)
        penalise = s.discriminator == "residual" and s.r1 > 0 and step.index % s.r1_every == 0
        real = fakes["real"]
        if penalise:
            real = (real[0].detach().requires_grad_(True),)
        real_logits, read = self._judge(nets, real, batch)
        fake_logits, _ = self._judge(nets, fakes["fake"], batch)
        terms = {"adversarial": adversarial.discriminator(real_logits, fake_logits)} | self._reading(read, batch)
        if penalise:
            terms["r1"] = s.r1 * s.r1_every * losses.gradient_penalty(real_logits, real[0])
        return Losses(terms, adversarial.metrics(real_logits, fake_logits))

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s, adversarial = self.settings, losses.adversarial(self.settings.loss)
        real_logits = None
        if adversarial.needs_real:
            with torch.no_grad():
                real_logits, _ = self._judge(nets, fakes["real"], batch)
        fake_logits, read = self._judge(nets, fakes["fake"], batch)
        terms = {"adversarial": adversarial.generator(fake_logits, real_logits)} | self._reading(read, batch)
        paired = s.conditional or s.enlarges
        if paired and s.likeness > 0:  # pix2pix (Isola et al. 2017, eq. 4), from attributes instead of a sketch
            terms["likeness"] = s.likeness * F.l1_loss(fakes["fake"][0], batch["image"])
        if paired and s.perceptual > 0:
            terms["perceptual"] = s.perceptual * losses.feature_distance(fakes["fake"][1], fakes["real"][1])
        return Losses(terms)

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        made = nets["generator"](self._noise(fixed.batch, fixed.step), y=self._wishes(fixed.batch)).clamp(-1, 1)
        return nets["enlarger"](made[:16]).clamp(-1, 1) if self.settings.enlarges else made

    def pipeline(self, nets: Networks) -> AnimePipeline:
        generator = nets["generator"]
        assert isinstance(generator, AnimeGenerator)
        if self.settings.enlarges:
            return AnimePipeline(generator, cast(Enlarger, nets["enlarger"]))
        generator.measure_mean()
        return AnimePipeline(generator, None)

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation:
        """KID and its companions of seeds 0 .. count - 1 against pictures kept apart.

        Against real pictures also a search for copies; of a conditional generator, its attributes read back.
        """
        if self.settings.enlarges:
            return enlarging.evaluate(pipeline, data, count)
        assert isinstance(data, (Faces, Characters))
        fake, judge = images.to_uint8(pipeline(range(count))), metrics.Judge()
        real, labels = (data.pictures, None) if isinstance(data, Faces) else data.all
        fake_features, real_features = judge(fake), judge.of_real(real)
        scores = metrics.score_images(fake, real, fake_features, real_features)
        _, strangeness = metrics.nearest_neighbours(fake_features, real_features)
        strangest = strangeness[:, 0].argsort(descending=True)[:16]
        pictures = {"Failures: the 16 farthest from any real picture, by the judge's features.": _grid(fake[strangest])}
        protocol = f"{metrics.PROTOCOL} Seeds from 0, truncation 1, against pictures kept apart."
        if isinstance(data, Faces):
            nearness, nearest = metrics.copies(fake, data.pictures, data.training_pictures)
            scores |= nearness
            protocol += f" {metrics.COPIES_PROTOCOL}"
            pictures["The 16 that come nearest to a training picture."] = _grid(fake[nearest[:16]])
        if labels is not None and pipeline.conditional:
            asked = torch.stack([attributes.labels(attributes.draw(seed)) for seed in range(count)])
            scores |= readback.scores(fake, asked, real, labels, self.settings.judged_by)
            protocol += f" {readback.PROTOCOL.format(count=self.settings.judged_by)}"
        return Evaluation(scores, protocol, pictures)

    def check_evaluation(self) -> None:
        metrics.Judge()

    @property
    def feature_networks(self) -> str:
        if self.settings.discriminator != "projected":
            return ""
        return "the discriminator looks through EfficientNet-Lite0, frozen, trained on ImageNet"

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
    ) -> list[Image.Image]:
        wishes = {
            "hair_color": hair_color,
            "hair_style": hair_style,
            "eyes": eyes,
            "skin": skin,
            "expression": expression,
            "glasses": glasses,
        }
        return _faces(pipeline, seed, count, truncation, wishes)

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
        to: Annotated[
            str,
            Arg(
                Text("Change", "Cambio"), Text("Such as hair_color=blue", "Como hair_color=blue"), example=FIRST_CHANGE
            ),
        ],
        wishes: Wishes = ANY,
        seed: Seed = FIRST_SEED,
        truncation: Truncation = 1.0,
    ) -> list[Image.Image]:
        before = attributes.parse(wishes)
        changed = attributes.parse(to)
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
        amount: Annotated[float, Arg(Text("Difference", "Diferencia"), minimum=0.0, maximum=1.0, step=0.05)] = 0.4,
        number: Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=2, maximum=64, cli_maximum=10_000)] = 12,
        wishes: Wishes = ANY,
        truncation: Truncation = 1.0,
    ) -> list[Image.Image]:
        z = pipeline.noise([seed])
        streams = np.random.SeedSequence(seed).generate_state(number, np.uint64) >> 1  # the first ones never change
        others = latent.near(z, pipeline.noise(streams.tolist()[1:]), amount)
        y = pipeline.wishes([seed], attributes.parse(wishes))
        made = _pictures(pipeline, pipeline.codes(torch.cat([z, others]), truncation), y, truncation)
        return [_signed(picture, f"{seed} · {i}" if i else f"{seed}") for i, picture in enumerate(made)]

    @task(
        Text("From one face to another", "De una cara a otra"),
        Text(
            "A film from the face of one seed to the face of another, and back.",
            "Una película de la cara de una semilla a la de otra, y vuelta.",
        ),
    )
    def interpolate(
        self,
        pipeline: AnimePipeline,
        *,
        seed_a: SeedA = FIRST_SEED,
        seed_b: SeedB = FIRST_SEED + 1,
        frames: Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=2, maximum=60, cli_maximum=600)] = 24,
        wishes: Wishes = ANY,
        truncation: Truncation = 1.0,
    ) -> Film:
        y = pipeline.wishes([seed_a, seed_b], attributes.parse(wishes))
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
        direction: Annotated[int, Arg(Text("Direction", "Dirección"), minimum=1, maximum=32)] = 1,
        strength: Annotated[float, Arg(Text("Strength", "Fuerza"), minimum=0.0, maximum=1.0, step=0.05)] = 0.4,
        steps: Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=2, maximum=33, cli_maximum=600)] = 7,
        wishes: Wishes = ANY,
        truncation: Truncation = 1.0,
    ) -> Walk:
        found = latent.directions(pipeline.generator)
        if direction > len(found):
            raise ValueError(f"direction: these weights have {len(found)}, got {direction}")
        strengths = torch.linspace(-strength, strength, steps)
        codes = latent.along(pipeline.codes(pipeline.noise([seed]), truncation), found[direction - 1], strengths)
        made = _pictures(pipeline, codes, pipeline.wishes([seed], attributes.parse(wishes)), truncation)
        row = [_signed(picture, f"{s:+.2f}") for picture, s in zip(made, strengths.tolist(), strict=True)]
        return Walk(row, Film(made + made[-2:0:-1], fps=12))

    @task(
        Text("Contact sheet", "Hoja de contactos"),
        Text("One picture of many faces, each over its seed.", "Una imagen de muchas caras, cada una con su semilla."),
    )
    def sheet(
        self,
        pipeline: AnimePipeline,
        *,
        seed: Seed = FIRST_SEED,
        columns: Annotated[int, Arg(Text("Columns", "Columnas"), minimum=1, maximum=8, cli_maximum=32)] = 6,
        rows: Annotated[int, Arg(Text("Rows", "Filas"), minimum=1, maximum=8, cli_maximum=32)] = 4,
        wishes: Wishes = ANY,
        truncation: Truncation = 1.0,
    ) -> Image.Image:
        faces = _faces(pipeline, seed, columns * rows, truncation, attributes.parse(wishes))
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
        image: Annotated[ImageFile, Arg(Text("Picture", "Imagen"))],
    ) -> dict:
        """{"task", "preset", "arguments"} of a picture, checked; {} if its file does not say, or of another plugin."""
        made = images.read_settings(image)
        if not made or made.pop("plugin") != self.slug or made["task"] not in self.tasks():
            return {}
        made["arguments"] = self.tasks()[made["task"]].check(made["arguments"])
        return made

    # -- the page ----------------------------------------------------------------------------------------------------

    def examples(self, task: str) -> list[dict[str, Any]]:
        return [{"to": FIRST_CHANGE, "preset": "characters"}] if task == "change" else []

    def tab(self, page: Page) -> None:
        draw_tab(page, self.tasks(), [preset.name for preset in self.presets])
