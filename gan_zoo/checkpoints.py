"""Checkpoints that a kill at any moment cannot break: a folder each, written as `NAME.part` and renamed when whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_zoo.errors import one_line

HASHES = "hashes.json"  # of the other files of a checkpoint, so that a flipped bit is noticed


def whole(run: Path) -> list[Path]:
    """The whole checkpoints of a run, oldest first; what a kill left half written is not among them."""
    found = (run / "checkpoints").glob("step-*")
    return sorted(p for p in found if p.suffix != ".part" and any(p.glob("*.pt")))


def latest(run: Path) -> Path | None:
    """The newest sound checkpoint of a run, None if it has none yet. Says in a line which damaged ones are passed over.

    Raises ValueError if all are damaged.
    """
    there = whole(run)
    for path in reversed(there):
        if wrong := damage(path):
            print(f"{path.name} is damaged ({wrong}): going on with the one before")
        else:
            return path
    if there:
        raise ValueError(f"{run}: all of its checkpoints are damaged; begin a new run")
    return None


def damage(checkpoint: Path) -> str | None:
    """Which file of a checkpoint is not as it was written, if any."""
    try:
        hashes = json.loads((checkpoint / HASHES).read_text())
        return next((name for name, known in hashes.items() if _sha256(checkpoint / name) != known), None)
    except (OSError, ValueError, AttributeError):
        return HASHES


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def begin(run: Path, name: str) -> Path:
    """An empty folder for the parts of a checkpoint; leftovers of killed saves are removed."""
    for leftover in (run / "checkpoints").glob("*.part"):
        shutil.rmtree(leftover)
    part = run / "checkpoints" / f"{name}.part"
    part.mkdir(parents=True)
    return part


def write(path: Path, value: Any) -> None:
    """Writes a part, and waits until it is on the disk. Where that fails, what is there of the checkpoint is removed.

    Raises OSError of one line, as for a full disk.
    """
    try:
        with open(path, "wb") as file:
            torch.save(value, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # PyTorch's own writer tells a full disk as a RuntimeError
        shutil.rmtree(path.parent, ignore_errors=True)
        reason = error.strerror if isinstance(error, OSError) else one_line(error, longest=80)
        raise OSError(
            f"the checkpoint {path.parent.stem} could not be written ({reason}): make room, then --resume"
        ) from None


def read(path: Path, device: torch.device | str = "cpu") -> Any:
    """Reads a part: tensors that were on an accelerator come back on `device`, all others on the CPU.

    Tensors and plain containers only: nothing in it can run.
    """

    def home(storage: Any, was: str) -> Any:
        return storage if was == "cpu" else storage.to(torch.device(device))

    return torch.load(path, map_location=home, weights_only=True)


READABLE = (Tensor, str, int, float, bool, type(None))


def check_readable(value: Any, where: str) -> None:
    """Raises TypeError, naming the place, for what `read` would refuse: all but tensors, numbers, texts, containers."""
    if isinstance(value, dict):
        for key, item in value.items():
            check_readable(key, f"a key of {where}")
            check_readable(item, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        for i, item in enumerate(value):
            check_readable(item, f"{where}[{i}]")
    elif not isinstance(value, READABLE) or (isinstance(value, Tensor) and type(value) is not Tensor):
        raise TypeError(
            f"{where} is a {type(value).__name__}, which a checkpoint cannot bring back: expected tensors, numbers and "
            "texts, in lists, tuples and dicts"
        )


def commit(part: Path, keep: int) -> Path:
    """Gives the folder its name, now that it is whole, and removes all but the last `keep`."""
    final = part.with_suffix("")
    write_json(part / HASHES, {path.name: _sha256(path) for path in sorted(part.glob("*.pt"))})
    _sync(part)
    os.rename(part, final)
    _sync(final.parent)
    for old in whole(final.parents[1])[:-keep]:
        shutil.rmtree(old)
    return final


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one atomic step."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file in one atomic step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
