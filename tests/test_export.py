"""Networks as ONNX: what onnxruntime gives is what torch gives, at other sizes too, by the script beside them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from gan_zoo.__main__ import main
from gan_zoo.exporting import export
from gan_zoo.plugin import Exported
from gan_zoo.plugins.colorize.networks import ColorizeGenerator
from gan_zoo.plugins.colorize.pipeline import ColorizePipeline
from gan_zoo.plugins.colorize.plugin import Colorize


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ColorizePipeline]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = ColorizeGenerator(architecture="guided", channels=(16, 16, 24, 24)).eval()
        torch.nn.init.normal_(generator.net.to_layers.weight, std=0.2)  # type: ignore[union-attr, arg-type]
    folder, pipeline = tmp_path_factory.mktemp("painter"), ColorizePipeline(generator)
    export(Colorize(), pipeline, folder)
    return folder, pipeline


def test_any_size_and_number_is_what_torch_gives(painter: tuple[Path, ColorizePipeline]) -> None:
    folder, pipeline = painter
    session: Any = onnxruntime.InferenceSession(str(folder / "painter.onnx"))
    lines, hints, palettes = torch.rand(3, 1, 192, 64), torch.zeros(3, 4, 192, 64), pipeline.generator.palettes[:3]
    inputs = {"lines": lines.numpy(), "hints": hints.numpy(), "palettes": palettes.numpy()}
    (given,) = session.run(None, inputs)
    with torch.no_grad():
        wanted = pipeline.generator(lines, hints, palettes).under(lines).clamp(-1, 1)
    assert np.abs(np.asarray(given) - wanted.numpy()).max() < 1e-3
    assert wanted.std() > 0.1


def test_the_card_tells_inputs_and_the_script_runs_without_torch(painter: tuple[Path, ColorizePipeline]) -> None:
    folder, _ = painter
    assert (
        "| lines | batch x 1 x height, a multiple of 64 x width, a multiple of 64 |"
        in (folder / "README.md").read_text()
    )
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (130, 70), dtype=np.uint8)).save(folder / "lines.png")
    np.save(folder / "hints.npy", np.zeros((1, 4, 128, 64)))
    script = [sys.executable, "run.py", "painter.onnx", "lines=lines.png", "hints=hints.npy", "palettes=palettes.npy"]
    subprocess.run(script, cwd=folder, check=True, timeout=60)
    assert Image.open(folder / "picture.png").size == (64, 128)
    told = subprocess.run([*script[:3], "z=1"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert told.returncode
    assert "expected lines=..." in told.stderr
    assert "torch" not in (folder / "run.py").read_text()


def test_a_preset_is_exported_on_the_command_line_in_half_precision_too(tmp_path: Path, capsys) -> None:
    assert main(["export", "lab/faces", "--out", str(tmp_path / "full")]) == 0
    assert "generator.onnx: " in capsys.readouterr().out
    assert main(["export", "lab/faces", "--out", str(tmp_path / "half"), "--precision", "fp16"]) == 0
    full, half = ((tmp_path / name / "generator.onnx").stat().st_size for name in ("full", "half"))
    assert half < 0.6 * full
    assert main(["export", "lab/faces", "--out", str(tmp_path / "half")]) == 2  # nothing is written over
    assert main(["export", "lab/walls", "--out", str(tmp_path / "other")]) == 2
    assert "'lab/walls' is neither a run nor a weights folder nor a preset" in capsys.readouterr().err


def test_what_gives_something_else_is_no_export(tmp_path: Path) -> None:
    class Random(torch.nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return z + torch.randn_like(z)

    class Odd(Colorize):
        def exports(self, pipeline: ColorizePipeline) -> dict[str, Exported]:
            return {"odd": Exported(Random(), {"z": torch.zeros(1, 8)}, ("made",), {})}

    with pytest.raises(ValueError, match="odd.onnx: .* from what torch gives; expected 0.001 at most"):
        export(Odd(), None, tmp_path)
