"""The page as a Hugging Face Space: the README's front matter, and what ZeroGPU asks of a program.

The package `spaces` and a GPU belong to that platform. Here stand-ins take their places: a package of that name, whose
calls lose what ZeroGPU's lose, and the device "meta", which has no memory.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from page_server import Mirror

from gan_zoo.plugins.anime.networks import AnimeGenerator
from gan_zoo.plugins.anime.pipeline import AnimePipeline
from gan_zoo.ui import calls

ROOT = Path(__file__).parents[1]


# -- the README's front matter ----------------------------------------------------------------------------------------

FRONT: dict[str, Any] = yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1])
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
KEYS = {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "pinned",
        "license", "short_description", "models", "datasets", "tags", "thumbnail", "header", "fullWidth",
        "suggested_hardware", "suggested_storage", "preload_from_hub", "startup_duration_timeout",
        "disable_embedding"}  # fmt: skip


def test_front_matter_is_what_spaces_read() -> None:
    """https://huggingface.co/docs/hub/spaces-config-reference"""
    assert set(FRONT) <= KEYS
    assert {"sdk", "sdk_version", "python_version", "app_file", "models", "short_description", "license"} <= set(FRONT)
    assert FRONT["sdk"] == "gradio"
    assert {FRONT["colorFrom"], FRONT["colorTo"]} <= COLOURS
    assert len(FRONT["short_description"]) <= 60
    assert (ROOT / FRONT["app_file"]).is_file()
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+", model) for model in FRONT["models"])
    assert FRONT["license"] == "mit"
    assert isinstance(FRONT["python_version"], str), "3.10 without quotes is 3.1"


def test_spaces_install_the_gradio_that_is_tested() -> None:
    (pinned,) = re.findall(r"^gradio(?:\[\w+\])?==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert FRONT["sdk_version"] == pinned


# -- ZeroGPU ----------------------------------------------------------------------------------------------------------

SPACES = """
import gradio as gr

decorated = []

def GPU(task=None, *, duration=None):
    def decorate(function):
        decorated.append([function.__qualname__, None])
        def call(*arguments):
            decorated[-1][1] = duration(*arguments)
            try:
                return function(*arguments)
            except gr.Error as error:
                raise gr.Error(error.message) from None
            except Exception as error:  # only the class survives the way back from the other process
                raise gr.Error(type(error).__name__) from None
        return call
    return decorate if task is None else decorate(task)
"""

VISIT = """
import json, sys
import torch
torch.cuda.is_available = lambda: {cuda}
from gan_zoo import registry, ui
from gan_zoo.ui import calls
import gradio as gr
from page_server import Mirror

loaded = []

class Noted(Mirror):
    def load(self, preset=None, **options):
        loaded.append((preset, options["device"]))
        return super().load(preset)

plugin = Noted({{}})
ui.build(registry.Registry({{"mirror": plugin}}, []))
at_start = list(loaded)
words = calls.infer("mirror", "echo", None, {{"words": "hello"}})
try:
    calls.infer("mirror", "noise", "lost", {{}})
except gr.Error as error:
    refusal = error.message
spaces = sys.modules.get("spaces")
print(json.dumps([at_start, loaded[len(at_start):], spaces and spaces.decorated, words, refusal]))
"""


def visit(tmp_path: Path, *, cuda: bool) -> list[Any]:
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces/__init__.py").write_text(SPACES)
    path = os.pathsep.join(map(str, (tmp_path, ROOT, ROOT / "tests")))
    environment = os.environ | {"PYTHONPATH": path, "GAN_ZOO_WEIGHTS": str(tmp_path)}
    command = [sys.executable, "-c", VISIT.format(cuda=cuda)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_zero_gpu_finds_models_on_cuda_and_refusals_keep_their_words(tmp_path: Path) -> None:
    at_start, later, decorated, words, refusal = visit(tmp_path, cuda=True)
    assert at_start == [["lost", "cuda"], ["glass", "cuda"]]  # one that cannot be loaded does not stop the others
    assert later == [["lost", "cuda"]]
    assert decorated == [["_here", 5]]
    assert words == "hello"
    assert refusal.startswith("no weights of mirror/lost in weights/mirror/lost: train them")


def test_without_a_gpu_a_space_loads_when_asked(tmp_path: Path) -> None:
    at_start, later, decorated, words, refusal = visit(tmp_path, cuda=False)
    assert (at_start, later) == ([], [["glass", "cpu"], ["lost", "cpu"]])
    assert (decorated, words) == ([["_here", 5]], "hello")
    assert "train them" in refusal


@pytest.mark.skipif(calls.SPACES, reason="the package spaces is installed here")
def test_elsewhere_nothing_is_decorated_and_models_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    assert calls.on_gpu(len) is len
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    calls.load_on_gpu(plugin := Mirror({}))
    assert plugin._pipelines == {}


def test_anime_draws_on_the_device_of_its_networks() -> None:
    """Noise is drawn on the CPU whatever the device, and all else happens there; "meta" is a device with no memory."""
    generator = AnimeGenerator(resolution=32, latent_dim=8, channels=(16, 16, 8, 8)).eval()
    pipeline = AnimePipeline(generator, None).to("meta")
    latents = pipeline.latents(pipeline.codes(pipeline.noise([0, 1, 2])), truncation=0.5)
    assert latents.device.type == "meta"
    assert generator.synthesize(latents).shape == (3, 3, 32, 32)
    with pytest.raises(RuntimeError, match="device"):
        generator.synthesize(torch.zeros(latents.shape))


def test_loading_chooses_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[Any] = []
    monkeypatch.setattr(Mirror, "load", lambda self, preset, device: chosen.append(device))
    for cuda in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        plugin = Mirror({})
        plugin.ready()
        plugin.ready("glass")  # the default preset by its name: loaded once
    assert chosen == ["cuda", "cpu"]
