"""CycleGAN: pictures of any size, and films, translated from one domain to the other and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from gan_zoo import hub, images
from gan_zoo.plugin import (
    Exported,
    Film,
    Page,
    Preset,
    Text,
    task,
)
from gan_zoo.plugins.cyclegan.arguments import Direction, Fps, Picture, Strength, WorkingSize
from gan_zoo.plugins.cyclegan.convert import FORMATS, read_generators
from gan_zoo.plugins.cyclegan.pipeline import CycleGANPipeline, Way, Whole
from gan_zoo.plugins.cyclegan.tab import EXAMPLES, draw_tab, find_examples
from gan_zoo.plugins.cyclegan.training import CycleGANTraining

MAX_SIDE = 4096  # of what `translate` gives; larger pictures are shrunk to it
MAX_FRAMES = 60  # of an animation


class Translation(NamedTuple):
    """A picture translated, and translated back."""

    translated: Image.Image
    reconstruction: Image.Image


PAINTINGS = Text(
    "900 landscape photos without a stated licence, and {count} paintings of {name}, public domain: research only.",
    "900 fotos de paisajes sin licencia declarada y {count} cuadros de {name}, de dominio público: solo investigación.",
)


def _paintings(count: int, name: str) -> Text:
    return Text(*(text.format(count=count, name=name) for text in PAINTINGS))


class CycleGAN(CycleGANTraining):
    slug: ClassVar[str] = "cyclegan"
    title: ClassVar[Text] = Text("CycleGAN", "CycleGAN")
    summary: ClassVar[Text] = Text(
        "Horses become zebras, photos become paintings, and back: learned from two heaps of pictures without a pair.",
        "Los caballos se vuelven cebras, las fotos cuadros, y al revés: aprendido de imágenes sueltas, sin parejas.",
    )
    paper: ClassVar[str] = "https://arxiv.org/abs/1703.10593"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            name="seasons",
            title=Text("Summer and winter, drawn", "Verano e invierno, dibujados"),
            licence="open",
            licence_id="cc0-1.0",
            data=Text(
                "1,000 landscapes in summer and 1,000 in winter, drawn on the fly by gan_zoo, CC0.",
                "1000 paisajes de verano y 1000 de invierno, dibujados sobre la marcha por gan_zoo, CC0.",
            ),
        ),
        Preset(
            name="horse2zebra",
            title=Text("Horses and zebras", "Caballos y cebras"),
            licence="research",
            data=Text(
                "The CycleGAN paper's 1,067 photos of horses and 1,334 of zebras, from ImageNet: research only.",
                "Las 1067 fotos de caballos y 1334 de cebras del artículo de CycleGAN (ImageNet): solo investigación.",
            ),
        ),
        Preset("monet", Text("Photos and Monet", "Fotos y Monet"), "research", _paintings(270, "Claude Monet")),
        Preset(
            "vangogh", Text("Photos and Van Gogh", "Fotos y Van Gogh"), "research", _paintings(360, "Vincent van Gogh")
        ),
    )
    formats: ClassVar[dict[str, str]] = {
        name: f"one or two generators of {format.origin} (.pth, .ckpt, .bin or .safetensors), A to B first"
        for name, format in FORMATS.items()
    }
    score: ClassVar[dict[str, float]] = {"score": 1.0}
    opens_on: ClassVar[str | None] = "horse2zebra"
    pipeline_tag: ClassVar[str] = "image-to-image"
    example: ClassVar[str] = "--image photo.jpg"
    columns: ClassVar[int] = 8
    caption: ClassVar[str] = "Uncurated: pictures held out, translated; the way forth above, the way back below."

    # -- load and infer ----------------------------------------------------------------------------------------------

    def import_weights(self, format: str, files: Sequence[Path], out: Path) -> Path:
        if len(files) > 2:
            raise ValueError(f"expected one or two generators, A to B first, got {len(files)} files")
        generators = [generator for file in files for generator in read_generators(file, format)]
        if len(generators) > 2:
            raise ValueError(f"expected one or two generators, got {len(generators)} in {len(files)} files")
        pipeline = CycleGANPipeline(generators[0], generators[1] if len(generators) > 1 else None)
        told = f"Imported from {FORMATS[format].origin}: {', '.join(Path(file).name for file in files)}."
        facts = hub.CardFacts(
            title=f"{self.title.en}: imported", plugin=self.slug, preset=out.name, licence="research",
            licence_id="other", licence_name="research only", data=f"{told} What it was trained on is not known here.",
            pipeline_tag=self.pipeline_tag, example=self.example, shipped=False,
        )  # fmt: skip
        return hub.save(
            pipeline, out, plugin=self.slug, preset=out.name, card=hub.model_card(facts), half=False
        )  # to 1e-4 of the original

    @task(
        Text("Translate", "Traducir"),
        Text(
            "A picture of any size goes to the other domain, and back again to close the cycle.",
            "Una imagen de cualquier tamaño pasa al otro dominio y vuelve, para cerrar el ciclo.",
        ),
    )
    def translate(
        self,
        pipeline: CycleGANPipeline,
        *,
        image: Picture,
        direction: Direction = "",
        strength: Strength = 1.0,
        size: WorkingSize = 256,
    ) -> Translation:
        way = pipeline.way(direction)
        picture = _checked(images.read_image(image))
        before = images.to_tensor(picture)
        after = _translated(pipeline, before, way, strength, size)
        made = [after]
        returns = pipeline.network(way.reversed) is not None
        made.append(pipeline(after, way.reversed, size) if returns else after)
        return Translation(*(_with_alpha(images.to_images(x)[0], picture) for x in made))

    @task(
        Text("Translate a film", "Traducir una animación"),
        Text(
            "Each picture of an animated GIF, WebP or PNG goes to the other domain.",
            "Cada imagen de un GIF, WebP o PNG animado pasa al otro dominio.",
        ),
        gpu_seconds=30,
    )
    def animate(
        self,
        pipeline: CycleGANPipeline,
        *,
        image: Picture,
        direction: Direction = "",
        strength: Strength = 1.0,
        size: WorkingSize = 256,
        fps: Fps = 0,
    ) -> Film:
        way = pipeline.way(direction)
        frames = [_checked(frame) for frame in images.read_frames(image, max_frames=MAX_FRAMES)]
        made = [_translated(pipeline, images.to_tensor(frame), way, strength, size) for frame in frames]
        pictures = [images.to_images(x)[0] for x in made]
        return Film(pictures, fps) if fps else images.timed(pictures, frames)

    # -- the page ----------------------------------------------------------------------------------------------------

    def examples(self, task: str) -> list[dict[str, Any]]:
        return find_examples(task)

    def exports(self, pipeline: CycleGANPipeline) -> dict[str, Exported]:
        animals = [Image.open(EXAMPLES / f"{name}.jpg").resize((96, 64)) for name in ("horse", "zebra")]
        picture = torch.cat([images.to_tensor(animal) for animal in animals], dim=3)  # gates open on both
        told = {"picture": "colour planes in [-1, 1]", "translated": "the same"}
        made = {}
        for way in pipeline.ways:
            if (network := pipeline.network(way)) is not None:
                free = {"picture": {2: "height", 3: "width"}}
                multiple = int(network.multiple)  # pyright: ignore[reportArgumentType]
                made[way.name] = Exported(Whole(network), {"picture": picture}, ("translated",), told, free, multiple)
        return made

    def tab(self, page: Page) -> None:
        draw_tab(page, self)


def _checked(picture: Image.Image) -> Image.Image:
    if min(picture.size) < 8:
        raise ValueError(f"image: {picture.width} x {picture.height} pixels, expected sides of at least 8")
    return images.at_most(picture, MAX_SIDE)


def _translated(pipeline: CycleGANPipeline, before: Tensor, way: Way, strength: float, size: int) -> Tensor:
    return torch.lerp(before, pipeline(before, way, size), strength)


def _with_alpha(made: Image.Image, picture: Image.Image) -> Image.Image:
    """As transparent as the picture that it was made of."""
    if picture.mode == "RGBA":
        made = made.convert("RGBA")
        made.putalpha(picture.getchannel("A"))
    return made
