"""Colour for line art: a guided generator against a projected discriminator, or plain pix2pix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_zoo import data, images, losses, metrics
from gan_zoo.augment import diff_augment, policies
from gan_zoo.config import check_ranges, setting
from gan_zoo.features import FeaturePyramid
from gan_zoo.plugin import (
    MAX_SEED,
    Arg,
    Batch,
    Data,
    Evaluation,
    Fakes,
    Fixed,
    ImageFile,
    Json,
    Losses,
    Networks,
    Page,
    Plugin,
    Preset,
    Step,
    Text,
    task,
)
from gan_zoo.plugins.colorize.colours import Hint, ciede2000, hint_map, palette, parse_hints, to_lab
from gan_zoo.plugins.colorize.drawn import draw_character
from gan_zoo.plugins.colorize.lines import clean, dark_ground, draw, light_strokes, line_art, luminance, on_paper
from gan_zoo.plugins.colorize.networks import (
    ColorizeGenerator,
    PatchDiscriminator,
    ProjectedDiscriminator,
)
from gan_zoo.plugins.colorize.pipeline import MULTIPLE, ColorizePipeline
from gan_zoo.plugins.colorize.tab import draw_tab

BLANK = 0.9  # the darkest place of a sheet without lines
MIN_SIDE, MAX_SIDE = 16, 4096  # of what `paint` and `extract` take


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of the colouring GAN.

    The plain configuration, close to pix2pix as published: model = "pix2pix", loss = "least-squares", l1 = 100,
    channels = (64, 128, 256, 512, 512, 512), strangers = 0, augment = "".
    """

    model: str = setting("guided", "or 'pix2pix', the plain configuration")
    resolution: int = setting(256, "of the pictures, in pixels", MULTIPLE)
    channels: tuple[int, ...] = setting((64, 96, 160, 224), "of the generator, at 1/4 ... 1/32; pix2pix: from 1/2")
    feature_size: int = setting(256, "pictures are resized to this before the frozen network", 32)
    augment: str = setting("translation,cutout", "of what the discriminator sees")
    loss: str = setting("hinge", "one of gan_zoo/losses.py")
    l1: float = setting(10.0, "weight of the L1 distance; pix2pix: 100, with least-squares")
    feature: float = setting(2.0, "weight of the distance in the frozen network's features")
    strangers: float = setting(0.25, "share of drawings that are given another picture's palette", 0, 0.99)
    drawn: int = setting(4000, "characters of the built-in data", 20)

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.model not in ("guided", "pix2pix"):
            raise ValueError(f"model: expected guided or pix2pix, got {self.model!r}")
        if self.resolution % MULTIPLE:
            raise ValueError(f"resolution: expected a multiple of {MULTIPLE}, got {self.resolution}")
        if not (len(self.channels) == 4 or (self.model == "pix2pix" and 2 <= len(self.channels) <= 6)):
            raise ValueError(f"channels: expected 4 widths (pix2pix: 2 to 6), got {self.channels}")
        if self.feature_size % 32:
            raise ValueError(f"feature_size: expected a multiple of 32, got {self.feature_size}")
        policies(self.augment)
        losses.adversarial(self.loss)


class Drawings:
    """Colour pictures with line art and hints made from them, all settled by the sample's number."""

    def __init__(self, pictures: Tensor | None, rows: range | list[int], size: int, seed: int, training: bool):
        self.pictures = pictures  # (N, 3, size, size) uint8; None: built-in characters, whose numbers are `rows`
        self.rows, self.size, self.seed, self.training = rows, size, seed, training

    def __len__(self) -> int:
        return len(self.rows)

    def picture(self, row: int) -> tuple[Tensor, Tensor | None]:
        """(3, H, W) in [0, 1], and its own lines (1, H, W) if it was drawn with some."""
        if self.pictures is not None:
            return self.pictures[row].float() / 255, None
        return draw_character(self.rows[row], self.size)

    @cached_property
    def all(self) -> Tensor:
        """Every picture, uint8 (N, 3, H, W)."""
        if self.pictures is not None:
            return self.pictures
        drawn = (self.picture(row)[0] for row in range(len(self)))
        return torch.stack([(picture * 255).round().to(torch.uint8) for picture in drawn])

    def batch(self, samples: range) -> Batch:
        numbers = torch.arange(samples.start, samples.stop)
        rows = data.sample_rows(numbers, len(self), self.seed) if self.training else numbers % len(self)
        made = [self._sample(int(number), int(row)) for number, row in zip(numbers, rows)]
        batch = {name: torch.stack([sample[name] for sample in made]) for name in made[0]}
        return batch | {"palette": palette(batch["image"])}

    def _sample(self, number: int, row: int) -> Batch:
        rng = np.random.default_rng([self.seed, int(self.training), number])
        picture, own = self.picture(row)
        if self.training:
            seen = _moved(picture if own is None else torch.cat([picture, own]), rng)
            picture, own = seen[:3], None if own is None else seen[3:]
        lines = draw(picture, rng) if own is None or rng.random() < 0.3 else on_paper(own, rng)
        return {"image": picture * 2 - 1, "lines": lines, "hints": _some_hints(picture, lines, rng)}


def _moved(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """A mirrored or slightly enlarged part of a picture (C, H, W), at its size."""
    size = picture.shape[1]
    if rng.random() < 0.5:
        picture = picture.flip(2)
    if rng.random() < 0.5:
        part = int(rng.uniform(0.8, 1.0) * size)
        top, left = rng.integers(0, size - part + 1, 2)
        part = picture[None, :, top : top + part, left : left + part]
        picture = F.interpolate(part, (size, size), mode="bilinear", align_corners=False)[0]
    return picture.contiguous()


def _some_hints(picture: Tensor, lines: Tensor, rng: np.random.Generator) -> Tensor:
    """None to 30 dots in colours of the picture (3, H, W) -> (4, H, W)."""
    height, width = picture.shape[1:]
    count = 0 if rng.random() < 0.35 else int(31 ** rng.random())
    hints = take_hints(picture, lines, count, rng)
    return hint_map(hints, height, width, rng.uniform(1.5, 5.0, len(hints)).tolist())


def take_hints(picture: Tensor, lines: Tensor, count: int, rng: np.random.Generator) -> list[Hint]:
    """`count` hints from random places of a picture (3, H, W) in [0, 1], where possible beside the lines.

    Each has the median colour of 5 x 5 pixels.
    """
    height, width = picture.shape[1:]
    hints = []
    for _ in range(count):
        for _ in range(4):
            y, x = int(rng.integers(2, height - 2)), int(rng.integers(2, width - 2))
            if float(lines[0, y, x]) > 0.6:
                break
        r, g, b = (picture[:, y - 2 : y + 3, x - 2 : x + 3].flatten(1).median(1).values * 255).round().tolist()
        hints.append(Hint(x, y, (int(r), int(g), int(b))))
    return hints


PROTOCOL = (
    "Pictures kept apart become line art by `extract`, are painted without hints, seed 0, and compared with those "
    "pictures. hints_ciede2000: the same drawings with 8 random hints, each the median colour of 5 x 5 "
    "pixels; mean CIEDE2000 between a hint and the painted pixels 4 to 8 pixels away whose original colour lies within "
    "10 of it."
)


def disobedience(painted: Tensor, original: Tensor, hints: list[Hint]) -> list[float]:
    """For each hint with a region around it the mean CIEDE2000, as PROTOCOL says; pictures (3, H, W) in [0, 1]."""
    rows, columns = (torch.arange(side) for side in painted.shape[1:])
    distances = []
    for x, y, color in hints:
        away = ((rows[:, None] - y).square() + (columns - x).square()).sqrt()
        ring = (away >= 4) & (away <= 8)
        wanted = to_lab(torch.tensor(color) / 255)
        region = ciede2000(to_lab(original[:, ring].T), wanted) <= 10
        if region.any():
            distances.append(float(ciede2000(to_lab(painted[:, ring].T[region]), wanted).mean()))
    return distances


class Colorize(Plugin):
    slug: ClassVar[str] = "colorize"
    title: ClassVar[Text] = Text("Colour", "Color")
    summary: ClassVar[Text] = Text(
        "Drop in line art, dab a few colours if you like, and get it painted.",
        "Pon un dibujo de líneas, da unos toques de color si quieres y se pinta solo.",
    )
    paper: ClassVar[str] = "https://arxiv.org/abs/1611.07004"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            name="adventurer",
            title=Text("Drawn characters, 256 px", "Personajes dibujados, 256 px"),
            licence="open",
            licence_id="cc-by-4.0",
            data=Text(
                "Characters drawn on the fly: remixes of Adventurer (CC BY 4.0) and Lorelei (CC0 1.0), both by Lisa "
                "Wischofsky, by DiceBear, in colours of our own.",
                "Personajes dibujados sobre la marcha: variaciones de Adventurer (CC BY 4.0) y Lorelei (CC0 1.0), los "
                "dos de Lisa Wischofsky, con DiceBear y colores propios.",
            ),
        ),
        Preset(
            name="anime-faces-256",
            title=Text("Anime portraits, 256 px", "Retratos de anime, 256 px"),
            licence="research",
            data=Text(
                "3,200 portraits of anime characters, 256 x 256 pixels, collected from the web without a licence: "
                "research and teaching only.",
                "3200 retratos de personajes de anime, de 256 x 256 píxeles, reunidos de la web sin licencia: "
                "solo para investigación y enseñanza.",
            ),
        ),
    )
    Settings: ClassVar[type] = Settings
    Pipeline: ClassVar[type] = ColorizePipeline
    settings: Settings
    pipeline_tag: ClassVar[str] = "image-to-image"
    example: ClassVar[str] = "--image lines.png"
    columns: ClassVar[int] = 6
    caption: ClassVar[str] = "Uncurated, of pictures kept apart: lines with hints, painted without them, and with them."

    # -- train -------------------------------------------------------------------------------------------------------

    def networks(self) -> Networks:
        s = self.settings
        if s.model == "pix2pix":
            generator = ColorizeGenerator("unet", s.channels)
            return Networks({"generator": generator}, {"discriminator": PatchDiscriminator(s.channels[0])})
        discriminators = {"discriminator": ProjectedDiscriminator(), "features": FeaturePyramid(s.feature_size)}
        return Networks({"generator": ColorizeGenerator("guided", s.channels)}, discriminators)

    def data(self, source: str | None, split: str, seed: int) -> Data:
        s, training = self.settings, split == "train"
        if source is None:
            rows = [row for row in range(s.drawn) if (row % 10 == 9) != training]
            return Drawings(None, rows, s.resolution, seed, training)
        pictures = data.read_pictures(source, split, s.resolution)
        return Drawings(pictures, range(len(pictures)), s.resolution, seed, training)

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        """Paints the batch; real and fake are augmented alike and pass the frozen network once, for both halves.

        Some drawings get the palette of a stranger: then no picture is the right one, and only D and the hints judge.
        """
        s, generator = self.settings, nets["generator"]
        memory: Any = getattr(generator, "module", generator)  # behind the wrapper of data parallelism
        if memory.training:
            memory.keep(batch["palette"])
        own = step.rand(1) >= s.strangers  # (B, 1)
        palettes = torch.where(own, batch["palette"], batch["palette"].roll(1, 0))
        painted = generator(batch["lines"], batch["hints"], palettes).under(batch["lines"])
        condition = torch.cat([batch["lines"] * 2 - 1, batch["hints"]], dim=1)
        together = diff_augment(torch.cat([painted, batch["image"], condition], dim=1), s.augment, step.rand)
        fake, real, condition = together.split([3, 3, 5], dim=1)
        fakes = {"painted": painted, "own": own, "fake": (fake, condition), "real": (real, condition)}
        if s.model == "guided":
            with torch.no_grad():
                fakes["real"] += (nets["features"](real),)
            fakes["fake"] += (nets["features"](fake),)
        return fakes

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        adversarial = losses.adversarial(self.settings.loss)
        real, fake = nets["discriminator"](*fakes["real"]), nets["discriminator"](*fakes["fake"])
        return Losses({"adversarial": adversarial.discriminator(real, fake)}, adversarial.metrics(real, fake))

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s, adversarial = self.settings, losses.adversarial(self.settings.loss)
        real = None
        if adversarial.needs_real:
            with torch.no_grad():
                real = nets["discriminator"](*fakes["real"])
        own = fakes["own"].float()[:, :, None, None]
        near = F.max_pool2d(F.max_pool2d(batch["hints"][:, 3:], 4), 5, 1, 2)  # within some 8 pixels of a dot
        near = F.interpolate(near, scale_factor=4, mode="nearest")
        apart = (fakes["painted"] - batch["image"]).abs() * (own + 2 * near)
        terms = {
            "adversarial": adversarial.generator(nets["discriminator"](*fakes["fake"]), real),
            "l1": s.l1 * apart.mean(),
        }
        if s.model == "guided":
            terms["feature"] = s.feature * losses.feature_distance(fakes["fake"][2], fakes["real"][2], own)
        return Losses(terms)

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        """Of 12 pictures kept apart: their lines with hints, painted without the hints, and with them.

        No original is among them: these grids go into cards.
        """
        generator = nets["generator"]
        assert isinstance(generator, ColorizeGenerator)
        batch = {name: tensor[:12] for name, tensor in fixed.batch.items()}
        lines, hints = batch["lines"], batch["hints"]
        strangers = generator.choose(fixed.step.rand()[: len(lines)])
        plain = generator(lines, torch.zeros_like(hints), strangers).under(lines)
        hinted = generator(lines, hints, batch["palette"]).under(lines)
        dotted = torch.where(hints[:, 3:] > 0, hints[:, :3], lines.expand(-1, 3, -1, -1) * 2 - 1)
        return torch.stack([dotted, plain, hinted], dim=1).flatten(0, 1).clamp(-1, 1)

    def pipeline(self, nets: Networks) -> ColorizePipeline:
        generator = nets["generator"]
        assert isinstance(generator, ColorizeGenerator)
        return ColorizePipeline(generator)

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation:
        """KID of drawings painted without hints, and how well hints are obeyed, on pictures kept apart."""
        assert isinstance(data, Drawings)
        count, judge = min(count, len(data)), metrics.Judge()
        real = data.all[:count]
        painted, distances = [], []
        for row in range(count):
            picture = real[row].float() / 255
            lines = clean(line_art(picture))
            painted.append(images.to_uint8(pipeline(lines)))
            hints = take_hints(picture, lines, 8, np.random.default_rng([row]))
            distances += disobedience(images.to_uint8(pipeline(lines, hints))[0].float() / 255, picture, hints)
        fake = torch.cat(painted)
        scores = metrics.score_images(fake, real, judge(fake), judge.of_real(data.all)[:count])
        scores["hints_ciede2000"] = sum(distances) / max(1, len(distances))
        return Evaluation(scores, f"{metrics.PROTOCOL} {PROTOCOL}")

    def check_evaluation(self) -> None:
        metrics.Judge()

    @property
    def feature_networks(self) -> str:
        if self.settings.model != "guided":
            return ""
        return "the discriminator and one loss look through EfficientNet-Lite0, frozen, trained on ImageNet"

    # -- load and infer ----------------------------------------------------------------------------------------------

    @task(
        Text("Paint", "Pintar"),
        Text(
            "Line art becomes a picture: thin or thick lines, drawn, scanned or photographed.",
            "Un dibujo de líneas se convierte en imagen: líneas finas o gruesas, a mano, escaneadas o en una foto.",
        ),
    )
    def paint(
        self,
        pipeline: ColorizePipeline,
        *,
        image: Annotated[ImageFile, Arg(Text("Line art", "Dibujo de líneas"))],
        hints: Annotated[
            Json,
            Arg(
                Text("Hints", "Pistas"),
                info=Text(
                    'Dots of colour, in pixels of the drawing: [{"x": 40, "y": 60, "color": "#ff8800"}]',
                    'Puntos de color, en píxeles del dibujo: [{"x": 40, "y": 60, "color": "#ff8800"}]',
                ),
            ),
        ] = Json("[]"),
        seed: Annotated[
            int,
            Arg(
                Text("Seed", "Semilla"),
                info=Text(
                    "Draws the palette: what hints do not settle, it does.",
                    "Elige la paleta: decide lo que las pistas no dicen.",
                ),
                minimum=0,
                maximum=MAX_SEED,
                component="Number",
            ),
        ] = 0,
    ) -> Image.Image:
        drawing = _read(image, sheet=True)
        lines = clean(luminance(drawing))
        if float(lines.min()) > BLANK:
            raise ValueError("image: an empty sheet; expected drawn lines, dark on light or light on dark")
        dots = parse_hints(hints, (drawing.shape[2], drawing.shape[1]))
        return images.to_images(pipeline(lines, dots, seed))[0]

    @task(
        Text("Line art", "Líneas"),
        Text(
            "The line art of a colour picture, to paint anew.",
            "Las líneas de una imagen en color, para pintarla de nuevo.",
        ),
    )
    def extract(
        self,
        pipeline: ColorizePipeline,
        *,
        image: Annotated[ImageFile, Arg(Text("Picture", "Imagen"))],
    ) -> Image.Image:
        lines = line_art(_read(image))
        return images.to_images(lines.expand(3, -1, -1)[None] * 2 - 1)[0]

    # -- the page ----------------------------------------------------------------------------------------------------

    def tab(self, page: Page) -> None:
        draw_tab(page)


def _read(image: str, sheet: bool = False) -> Tensor:
    """A picture file as (3, H, W) in [0, 1], on white; sides over MAX_SIDE are refused. A `sheet` has dark lines: light
    ones, on a dark or a transparent ground, are inverted.
    """
    picture = images.read_image(image)
    if max(picture.size) > MAX_SIDE or min(picture.size) < MIN_SIDE:
        raise ValueError(
            f"image: {picture.width} x {picture.height} pixels, expected sides from {MIN_SIDE} to {MAX_SIDE}"
        )
    if sheet and picture.mode == "RGBA" and light_strokes(picture):
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
    drawing = (images.to_tensor(picture)[0] + 1) / 2
    return 1 - drawing if sheet and dark_ground(luminance(drawing)) else drawing
