"""The commands of `python -m gan_zoo`, and what they share with `python -m train`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:  # torch takes seconds to import: each command imports what it needs, and --help needs nothing
    from gan_zoo.plugin import Plugin


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, like every other error of the program."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def preset_or_folder(plugin: Plugin, text: str | None) -> str | None:
    """What `--preset` names, for `load`: a preset as it is, the weights folder of a run for the run."""
    if text is None and not plugin.presets:
        raise ValueError(f"{plugin.slug} has no trained weights yet: train it, and give its run by --preset runs/NAME")
    if text is None or any(preset.name == text for preset in plugin.presets):
        return text
    if folder := weights_folder(text):
        return str(folder)
    if "/" in text or Path(text).exists():
        raise ValueError(f"--preset: there is no weights folder or finished run at {text!r}")
    return plugin.preset(text).name  # which says what there is


def weights_folder(text: str) -> Path | None:
    """The weights folder that a path names, itself or as the run that holds it; absolute, to be no preset's name."""
    from gan_zoo import hub

    path = Path(text).expanduser().absolute()
    return next((p for p in (path, path / "weights") if (p / hub.MANIFEST).is_file()), None)


def whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text[:40]!r}") from None


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text[:40]!r}") from None


def positive(text: str) -> int:
    if (number := whole(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


def check_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"--out: {out} exists and is not an empty folder")
