"""The zoo installed from its wheel in an empty folder, and a GAN that comes as a package of its own beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gan_zoo
from gan_zoo import data
from gan_zoo.__main__ import main

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "pix2pix"


def files(folder: Path) -> dict[str, str]:
    """What git would keep of a folder."""
    return {
        f.relative_to(folder).as_posix(): f.read_text(encoding="utf-8")
        for f in folder.rglob("*")
        if f.is_file() and not {"__pycache__", "build"} & set(f.parts) and ".egg-info" not in f.as_posix()
    }


def test_the_example_is_what_new_writes(tmp_path: Path) -> None:
    assert main(["new", "pix2pix", "--package", str(tmp_path / "p"), "--template", "paired"]) == 0
    assert files(tmp_path / "p") == files(EXAMPLE)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both wheels in it, as pip lays them out."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    for source in (ROOT, EXAMPLE):
        copy = folder / source.name
        shutil.copytree(
            source, copy, ignore=lambda _, names: {n for n in names if n in (
                ".git", ".venv", "weights", "runs", "docs", "tests", "benchmarks", "examples", "build", "train"
            ) or n.endswith(".egg-info") or n == "__pycache__"}
        )  # fmt: skip
        build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(copy)]
        subprocess.run(build, check=True, capture_output=True, timeout=300)
    wheels = [str(wheel) for wheel in folder.glob("*.whl")]
    assert len(wheels) == 2
    install = [*pip, "install", "--no-deps", "--no-index", "--target", str(folder / "site-packages"), *wheels]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    return folder / "site-packages"


def test_the_wheel_brings_one_package(installed: Path) -> None:
    found = {path.name for path in installed.iterdir() if path.is_dir() and not path.name.endswith(".dist-info")}
    assert found - {"bin"} == {"gan_zoo", "gan_zoo_pix2pix"}
    assert (installed / "gan_zoo" / "py.typed").exists()
    assert {f.name for f in (installed / "gan_zoo" / "recipes").iterdir()} == {
        f.name for f in (ROOT / "gan_zoo" / "recipes").iterdir()
    }


def test_in_an_empty_folder_both_are_whole(installed: Path, tmp_path: Path) -> None:
    """list, check, train, resume, infer and a package of one's own, with nothing of the checkout."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GAN_ZOO")}
    environment |= {"PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1", "XDG_DATA_HOME": str(tmp_path / "data")}

    def run(line: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "gan_zoo", *line.split()]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, f"{line}: {done.stdout[-1500:]} {done.stderr[-1500:]}"
        return done.stdout + done.stderr

    told = run("list")
    assert "pix2pix.translate" in told and "cyclegan.translate" in told
    for name in "AB":
        for i in range(12):
            path = tmp_path / "pairs" / f"train{name}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (70, 64), (20 * i, 0, 0 if name == "A" else 255)).save(path)
    assert "pix2pix keeps the contract" in run("check pix2pix")
    few = "--size 32 --batch-size 2 --evaluate-count 2 --sample-every 1"
    run(f"train pix2pix --recipe pix2pix --data pairs --steps 2 {few} --out runs/first")
    run(f"train pix2pix --resume --steps 3 --out runs/first {few}")
    run("infer pix2pix --preset runs/first --image pairs/trainA/0.png --out made")
    assert [f.name for f in (tmp_path / "made").iterdir()] == ["0.png"]
    assert "say --package DIR" in run("new mine", code=2)
    run("new mine --package mine")
    assert (tmp_path / "mine/gan_zoo_mine/plugin.py").is_file()


def test_pairs_are_found_by_their_names(tmp_path: Path) -> None:
    """However many, whatever their suffix; mirrored and cropped alike, and held out alike."""
    rng = np.random.default_rng(0)
    for i in range(20):
        pixels = rng.integers(0, 256, (24, 24, 3), np.uint8)
        for name, suffix, some in (("trainA", "png", pixels), ("trainB", "webp", 255 - pixels)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(some).save(tmp_path / name / f"{i}.{suffix}", lossless=True)
    training, held_out = (data.read_pairs(str(tmp_path), split, 24) for split in ("train", "validation"))
    assert (len(training[0]), len(held_out[0])) == (18, 2)
    pairs = data.Pairs(*training, seed=0, training=True, crop=16)
    batch = pairs.batch(range(40))
    assert batch["image"].shape == (40, 3, 16, 16)
    assert (batch["image"] + batch["target"]).abs().max() < 0.01  # one is the other's negative
    (tmp_path / "trainB" / "7.webp").rename(tmp_path / "trainB" / "seven.webp")
    data.read_pairs.cache_clear()
    with pytest.raises(data.DataError, match="'7' is in A alone; expected pictures of equal names in both"):
        data.read_pairs(str(tmp_path), "train", 24)


def test_it_reads_like_diffusers() -> None:
    faces = gan_zoo.load("anime")(seed=7, count=2)
    assert [face.size for face in faces] == [(128, 128)] * 2
    person = Image.new("RGB", (80, 60), "white")
    zoo = gan_zoo.load("cyclegan", "seasons")
    assert zoo(person, direction="winter").translated.size == (80, 60)
    assert zoo.tasks[0] == "translate" and zoo.pipeline.forth is not None
    assert set(gan_zoo.plugins()) >= {"anime", "colorize", "cyclegan", "lab", "pose"}
    assert "run" in gan_zoo.load("lab").run("step", times=1)._fields
    with pytest.raises(ValueError, match="cyclegan has no preset 'dogs'"):
        gan_zoo.load("cyclegan", "dogs")
