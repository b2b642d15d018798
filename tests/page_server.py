"""A real server of the page on loopback, for the tests of the API and in the browser.

It shows every plugin there is, with the shipped weights; a plugin with an argument of each type, which fails in each
way; one that draws its own tab; and one that cannot be imported.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import gradio as gr
import numpy as np
import torch
from PIL import Image, ImageOps

from gan_zoo import hub, images, registry
from gan_zoo.plugin import Arg, Film, ImageFile, Page, Plugin, Preset, Seed, Text, task

SHIPPED = Path(__file__).resolve().parents[1] / "weights"
BROKEN = registry.Broken("rings", "No module named 'rings_gan'")


def text(en: str) -> Text:
    return Text(en, en + " (es)")


class Weights(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)


class Mirror(Plugin):
    slug: ClassVar[str] = "mirror"
    title: ClassVar[Text] = Text("Mirror", "Espejo")
    summary: ClassVar[Text] = Text("Shows what it is <shown>.", "Enseña lo que se le <enseña>.")
    paper: ClassVar[str] = "https://example.org/mirror"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset("lost", Text("Lost", "Perdido"), "research", Text("Pictures of smoke.", "Imágenes de humo.")),
        Preset("glass", Text("Glass", "Vidrio"), "open", Text("Pictures of glass.", "Imágenes de vidrio.")),
    )
    Settings: ClassVar[type] = dict
    train = networks = data = generate = discriminator_loss = generator_loss = sample = pipeline = None  # pyright: ignore

    def load(self, preset: str | None = None, **options: Any) -> Any:
        return Weights() if preset == "glass" else hub.resolve(self.slug, str(preset))

    @task(text("Flip"), text("Left becomes right."))
    def flip(
        self,
        pipeline: Weights,
        *,
        image: Annotated[ImageFile, Arg(text("Picture"))],
        axis: Annotated[Literal["x", "y"], Arg(text("Axis"))] = "x",
        negative: Annotated[bool, Arg(text("Negative"))] = False,
        strength: Annotated[float, Arg(text("Strength"), text("How much."), minimum=0, maximum=1)] = 1.0,
    ) -> Image.Image:
        picture = images.on_white(images.read_image(image))
        flipped = ImageOps.mirror(picture) if axis == "x" else ImageOps.flip(picture)
        return Image.blend(picture, ImageOps.invert(flipped) if negative else flipped, strength)

    @task(text("Measure"), text("Size and mode of a picture."))
    def measure(self, pipeline: Weights, *, image: Annotated[ImageFile, Arg(text("Picture"))]) -> dict:
        picture = images.read_image(image)
        return {"size": list(picture.size), "mode": picture.mode}

    @task(text("Echo"), text("Says what it was told."))
    def echo(self, pipeline: Weights, *, words: Annotated[str, Arg(text("Words"))] = "hello") -> str:
        return words

    @task(text("Noise"), text("Pictures of noise."))
    def noise(
        self,
        pipeline: Weights,
        *,
        seed: Seed = 0,
        count: Annotated[int, Arg(text("Pictures"), minimum=1, maximum=4, cli_maximum=100)] = 2,
    ) -> list[Image.Image]:
        return [
            Image.fromarray(np.random.default_rng(seed + i).integers(0, 256, (16, 16, 3), np.uint8))
            for i in range(count)
        ]

    @task(text("Fade"), text("A film from black to white."))
    def fade(self, pipeline: Weights) -> Film:
        return Film([Image.new("RGB", (16, 16), (i * 20, i * 20, i * 20)) for i in range(12)], fps=12)

    @task(text("Crash"), text("Fails."))
    def crash(self, pipeline: Weights, *, words: Annotated[str, Arg(text("Words"))]) -> str:
        raise RuntimeError("the secret is in /home/owner")

    @task(text("Brood"), text("Never ends."))
    def brood(self, pipeline: Weights, *, words: Annotated[str, Arg(text("Words"))]) -> str:
        x = torch.zeros(1, 8)
        while True:
            x = pipeline.layer(x)


Mirror.__abstractmethods__ = frozenset()


def save_weights(root: Path) -> None:
    """Weights folders of every preset there is: the shipped ones, else as an untrained network gives them."""
    for plugin in registry.discover().plugins.values():
        for preset in plugin.presets:
            if (shipped := SHIPPED / plugin.slug / preset.name).is_dir():
                shutil.copytree(shipped, root / plugin.slug / preset.name)
                continue
            torch.manual_seed(0)
            nets = plugin.networks()
            for network in nets.generators.values():
                for parameter in network.parameters():
                    parameter.data.mul_(2)  # fresh networks tend to draw nothing but gray
            folder = root / plugin.slug / preset.name
            hub.save(plugin.pipeline(nets), folder, plugin=plugin.slug, preset=preset.name, card="# -")


class Shutter(Mirror):
    """Draws its own tab: one panel, behind an adaptor; its other tasks are placed nowhere."""

    slug: ClassVar[str] = "shutter"
    title: ClassVar[Text] = Text("Shutter", "Persiana")

    def tab(self, page: Page) -> None:
        page.header()
        with gr.Row():
            loud = page.make(gr.Button, value=text("Louder"))
        panel = page.panel("echo")
        loud.click(lambda words: words.upper(), panel.inputs["words"], panel.inputs["words"], api_visibility="private")


OWN_FILES: set[Path] = set()  # what the page itself shows


@cache
def serve() -> str:
    """The address of the server, started once and left to the end of the process."""
    return f"http://127.0.0.1:{blocks().server_port}/"


@cache
def blocks() -> gr.Blocks:
    """The page that is served."""
    from gan_zoo import ui

    root = Path(tempfile.mkdtemp(prefix="gan-zoo-page-"))
    os.environ["GAN_ZOO_WEIGHTS"] = str(root / "weights")
    os.environ["GRADIO_TEMP_DIR"] = str(root / "cache")
    save_weights(root / "weights")
    found = registry.discover()
    plugins = {**found.plugins, "mirror": Mirror({}), "shutter": Shutter({})}
    zoo = registry.Registry(plugins, [*found.broken, BROKEN])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app, _, _ = ui.launch(zoo, host="127.0.0.1", port=port, prevent_thread_lock=True, quiet=True)
    page = app.get_blocks()
    OWN_FILES.update(path for path in (root / "cache").rglob("*") if path.is_file())
    atexit.register(_finish, page)
    return page


def _finish(page: gr.Blocks) -> None:
    """Waits for what still computes: a thread that the interpreter's end meets within PyTorch aborts the process."""
    last = time.monotonic() + 60
    while any(page._queue.active_jobs) and time.monotonic() < last:
        time.sleep(0.1)
    page.close()
    time.sleep(0.5)
