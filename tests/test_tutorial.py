"""The tutorial of docs/add-a-plugin.md, done as it says in a copy of the checkout."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.S)


def test_the_tutorial_holds_weights_included(tmp_path: Path) -> None:
    """`new rings` in a checkout, each of its commands, a preset of its own, and then the tests of the house."""
    for name in ("gan_zoo", "train", "tests", "docs", "weights", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.webp"))
    for name in ("pyproject.toml", "README.md", "requirements.txt", "app.py", "Makefile", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    environment.pop("GAN_ZOO_WEIGHTS", None)

    def run(line: str) -> str:
        command = [sys.executable, "-m", *shlex.split(line)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{line}: {done.stdout[-2000:]} {done.stderr[-1000:]}"
        return done.stdout

    told = (ROOT / "docs/add-a-plugin.md").read_text()
    steps = [line.split("#")[0].strip() for line in BLOCK.findall(told)[0][1].splitlines()]
    assert [step.split()[2:4] for step in steps] == [
        ["gan_zoo", "new"], ["gan_zoo", "check"], ["gan_zoo", "train"], ["gan_zoo", "infer"]
    ]  # fmt: skip
    for step in steps:
        run(step.removeprefix("python -m ") + (" --steps 20 --batch-size 8" if " train " in step else ""))
    assert len(list((tmp_path / "rings").glob("*.png"))) == 16
    assert "swd_x1000" in run("gan_zoo evaluate rings --preset runs/rings --count 32")
    shutil.copytree(tmp_path / "runs/rings/weights", tmp_path / "weights/rings/rings")
    preset = next(code for language, code in BLOCK.findall(told) if code.strip().startswith("presets = ("))
    plugin = tmp_path / "gan_zoo/plugins/rings/plugin.py"
    text = plugin.read_text().replace("    Plugin,\n", "    Plugin,\n    Preset,\n", 1)
    plugin.write_text(text.replace("    Settings = Settings\n", f"    Settings = Settings\n{preset}", 1))
    run("gan_zoo infer rings --preset rings --count 1 --out more")
    files = " ".join(f"tests/test_{name}.py" for name in ("checks", "contract", "shipped", "walk"))
    run(f"pytest -q -x -p no:cacheprovider {files} tests/test_rings.py tests/test_registry.py -k 'rings or registry'")
