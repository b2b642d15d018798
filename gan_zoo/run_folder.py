"""A run's folder: its lock, its log, its samples.

run.json          plugin, preset, data, settings and config: what --resume goes on with
log.jsonl         a line per `log_every` steps
samples/          the fixed-noise grid over time, and the film made of it
checkpoints/      the last `keep`
weights/          the best weights so far by score, as published
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from PIL import Image

from gan_zoo import images
from gan_zoo.checkpoints import write_json, write_text
from gan_zoo.parsing import parse_json
from gan_zoo.tasks import Film


class RunFolder:
    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._lock = FileLock(self.path / ".lock")  # released by the system, however this process ends

    def check(self, resume: bool) -> None:
        """Raises ValueError: nothing to resume, or something that would be written over."""
        known = (self.path / "run.json").exists()
        if resume and not known:
            raise ValueError(f"nothing to resume: {self.path} holds no run")
        if known and not resume:
            raise ValueError(f"{self.path} already holds a run: go on with --resume, or choose another --out")

    def lock(self) -> None:
        """Makes the folder this process's own. Raises ValueError if another one trains in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(f"another process is training in {self.path}") from None

    def release(self) -> None:
        self._lock.release()

    def read_facts(self) -> dict[str, Any]:
        """What the run is, from its run.json. Raises ValueError: no run, or a damaged file."""
        self.check(resume=True)
        path = self.path / "run.json"
        try:
            facts = parse_json(path.read_bytes())
        except ValueError:
            facts = None
        if not isinstance(facts, dict) or not all(
            isinstance(facts.get(key, {}), dict) for key in ("config", "settings")
        ):
            raise ValueError(f"{path} is damaged: expected a JSON object with config and settings")
        return facts

    def open(self, facts: dict[str, Any]) -> None:
        for name in ("samples", "checkpoints"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        self.write_facts(facts)

    def write_facts(self, facts: dict[str, Any]) -> None:
        write_json(self.path / "run.json", facts)

    def log(self, record: dict[str, Any]) -> None:
        with open(self.path / "log.jsonl", "a") as file:
            file.write(json.dumps(record) + "\n")

    def forget_log_after(self, step: int) -> None:
        """Drops the lines of steps that a resumed run makes again, and a last line that a kill cut short."""
        path = self.path / "log.jsonl"
        kept = []
        for line in path.read_text().splitlines() if path.exists() else ():
            with suppress(json.JSONDecodeError):
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
        write_text(path, "".join(kept))

    def save_sample(self, grid: Image.Image, step: int) -> None:
        grid.save(self.path / "samples" / f"{step:08d}.png")

    def save_film(self) -> None:
        """The fixed-noise grid over time."""
        paths = sorted((self.path / "samples").glob("*.png"))
        paths = paths[:: max(1, len(paths) // 200)]
        frames = [Image.open(path).convert("RGB") for path in paths]
        if len(frames) > 1:
            images.save_film(Film(frames, fps=8), self.path / "samples" / "film.mp4")
