"""From outside, as strangers meet the project: diffusers alone opens what is shipped, recipes train, documents hold."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import page_server
import pytest
import torch
from PIL import Image

from gan_zoo import presets, registry
from gan_zoo.__main__ import main
from gan_zoo.cli.train import RECIPES, read_recipe
from gan_zoo.cli.train import main as train
from gan_zoo.plugin import ImageFile
from gan_zoo.plugins.pose.drawn import draw_person
from gan_zoo.precision import bf16_is_fast

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = sorted(path.parent for path in (ROOT / "weights").glob("*/*/gan_zoo.json"))


@pytest.fixture(autouse=True)
def shipped_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GAN_ZOO_WEIGHTS", raising=False)


# -- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_diffusers_alone_opens_it_and_gives_the_same_picture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import DiffusionPipeline

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    plugin: Any = registry.get(folder.parent.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = DiffusionPipeline.from_pretrained(str(folder), trust_remote_code=True)
    ours = presets.load(plugin, folder.name)
    assert type(opened).__name__ == type(ours).__name__
    assert opened.components.keys() == ours.components.keys()
    for name, network in ours.components.items():
        if network is None:
            assert getattr(opened, name) is None
            continue
        theirs = getattr(opened, name).float().state_dict()
        assert all(torch.equal(tensor, theirs[key]) for key, tensor in network.state_dict().items()), name
    fresh = type(plugin)(plugin.settings)
    fresh.load = lambda *_, **__: opened  # the task's own picture, by their pipeline and by ours
    task = next((t for t in fresh.tasks().values() if t.needs_weights), None)
    if task is None:
        return
    found = next((e for e in fresh.examples(task.name) if e.get("preset", folder.name) == folder.name), {})
    arguments = {name: value for name, value in found.items() if name != "preset"}
    for parameter in task.parameters:
        if parameter.type is ImageFile and parameter.name not in arguments:
            pytest.skip("its first task begins with a picture, and it has no example of one")
        if parameter.name == "count":
            arguments["count"] = 1
    made = [first_picture(each.infer(task.name, folder.name, **arguments)) for each in (fresh, type(plugin)())]
    assert np.abs(np.subtract(*(np.asarray(picture, np.int16) for picture in made))).max() <= 1


def first_picture(result: Any) -> Image.Image:
    if isinstance(result, Image.Image):
        return result
    return next(first_picture(part) for part in result if isinstance(part, (Image.Image, list)))


def test_an_export_is_tried_on_what_it_translates() -> None:
    plugin: Any = registry.get("cyclegan")
    for network in plugin.exports(presets.load(plugin, "horse2zebra")).values():
        [picture] = network.inputs.values()
        with torch.no_grad():
            assert (network.module(picture) - picture).abs().max() > 0.3  # a shut gate would agree with anything


# -- recipes ----------------------------------------------------------------------------------------------------------

SHORT = ["--steps", "2", "--hours", "0", "--batch-size", "2", "--sample-every", "2",
         "--evaluate-count", "0", "--evaluate-every", "0", "--trackers", ""]  # fmt: skip


def some_pictures(folder: Path, count: int, size: int) -> None:
    folder.mkdir(parents=True)
    for i in range(count):
        noise = np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(noise).resize((size, size)).save(folder / f"{i}.png")


def labelled_pictures(folder: Path) -> None:
    """As an imagefolder with a table of labels."""
    some_pictures(folder, 20, 64)
    rows = [f"{i}.png,{'red' if i % 3 else 'blue'},{'green' if i % 2 else 'gray'}" for i in range(20)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,hair,eyes", *rows]))


def some_people(folder: Path) -> None:
    """Two pictures each of ten people, with their joints, and one of another."""
    folder.mkdir()
    rows = []
    for number, view in [(i // 2, i % 2) for i in range(20)] + [(10, 0)]:
        picture, pose = draw_person(number, view, 256)
        joints = [[float(x) * 128, float(y) * 256, 2] for x, y, _ in pose]
        Image.fromarray(picture).save(folder / f"{number}-{view}.png")
        rows.append({"file_name": f"{number}-{view}.png", "person": f"p{number}", "keypoints": joints})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data for every recipe: a folder of pictures, and folders named as the domains that recipes ask for."""
    root = tmp_path_factory.mktemp("data")
    some_pictures(root / "faces", 20, 64)
    labelled_pictures(root / "labelled")
    for recipe in map(str, RECIPES.glob("*.toml")):
        if names := read_recipe(recipe).get("settings", {}).get("domains"):
            folder = root / "-".join(names)
            for name in [] if folder.exists() else names:
                some_pictures(folder / name, 12, 64)
    return root


@pytest.mark.parametrize("precision", ["bf16"] if bf16_is_fast(torch.device("cpu")) else ["auto", "bf16"])
@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_takes_two_steps(path: Path, precision: str, data: Path, tmp_path: Path) -> None:
    recipe = read_recipe(str(path))
    slug, _, training = recipe["plugin"].partition(".")
    plugin: Any = registry.get(slug)
    plugin = plugin.trainings[training] if training else plugin
    settings = recipe.get("settings", {})
    names = plugin.Settings.__dataclass_fields__
    few = ["--drawn", "20"] if "drawn" in names else []
    few += ["--size", "64", "--load", "64", "--judged-at", "64"] if "judged_at" in names else []  # the same layers run
    if "domains" in settings:
        few += ["--data", str(data / "-".join(settings["domains"]))]
    if "labels" in settings:
        few += ["--data", str(data / "labelled")]
    if settings.get("told"):
        few += ["--data", str(data / "faces")]
    if settings.get("things"):
        few += ["--neutral", str(data / "faces")]
    out = tmp_path / "run"
    code = train([recipe["plugin"], "--recipe", str(path), "--out", str(out), "--precision", precision, *SHORT, *few])
    assert code == 0
    assert list((out / "samples").glob("*.png"))


# -- documents --------------------------------------------------------------------------------------------------------

DOCUMENTS = ["README.md", *(f"docs/{name}.md" for name in ("api", "training", "add-a-plugin", "characters"))]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.S)


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for found in BLOCK.finditer((ROOT / document).read_text(encoding="utf-8")):
            if found[1] == language:
                yield document, found[2]


def commands() -> list[str]:
    """Each `python -m ...` of the documents and cards, comments and continuations resolved."""
    texts = [text for _, text in blocks("bash")]
    texts += [m[2] for f in SHIPPED for m in BLOCK.finditer((f / "README.md").read_text()) if m[1] == "bash"]
    lines = [line.strip() for text in texts for line in text.replace("\\\n", " ").splitlines()]
    return sorted({shlex.join(shlex.split(line, comments=True)) for line in lines if line.startswith("python -m ")})


ELSEWHERE = re.compile(r"\b(push|pull|deploy|--push-to-hub|app|rings|NAME|PLUGIN)\b|(owner|you)/", re.I)
HERE = [line for line in commands() if not ELSEWHERE.search(line)]  # the Hub, the page and the tutorial have their own


def test_there_are_commands_to_run() -> None:
    assert len(HERE) > 15


@pytest.mark.parametrize("line", HERE)
def test_every_command_of_the_documents_runs(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *rest = shlex.split(line)[2:]
    if rest[:1] == ["train"]:
        program, rest = "train", rest[1:]
    monkeypatch.chdir(tmp_path)
    person = next((ROOT / "gan_zoo/plugins/pose/people").glob("*.png"))
    for name in re.findall(r"[\w/]+\.(?:png|jpg|webp)|FILE_OR_FOLDER", line):
        Image.open(person).convert("RGB").save(tmp_path / name, "PNG")
    for run in re.findall(r"(?:export|--preset|--found-by) (runs/\w+)", line):  # some run is there
        weights = "pose/people" if "pose." in line else "anime/tagged"
        shutil.copytree(ROOT / "weights" / weights, tmp_path / run / "weights")
    if program == "gan_zoo":
        assert main(rest) == 0
        return
    labelled_pictures(tmp_path / "faces")
    some_people(tmp_path / "people")
    some_pictures(tmp_path / "photos", 3, 96)
    for name in ("FOLDER/trainA", "FOLDER/trainB", "pictures"):
        some_pictures(tmp_path / name, 20, 64)
    if "--data" not in rest:
        rest += ["--drawn", "20"]
    assert train([*rest, *SHORT]) == 0


def test_the_api_document_s_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = page_server.serve().rstrip("/")
    monkeypatch.chdir(tmp_path)
    for document in ("README.md", "docs/api.md"):
        scope: dict[str, Any] = {}
        for name, code in blocks("python"):
            if name == document:
                local = code.replace("http://127.0.0.1:7860", site).replace("http://localhost:7860", site)
                exec(compile(local, document, "exec"), scope)
