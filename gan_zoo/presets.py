"""One room for the names of trained weights: a preset, a run, a weights folder, a repository of the Hub.

`find` says which folder a name stands for; the page, the command line, training (`--init`) and Python all ask it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_zoo import hub
from gan_zoo.config import fitting
from gan_zoo.errors import one_line
from gan_zoo.weights import MANIFEST, WeightsError, read_manifest

if TYPE_CHECKING:
    from gan_zoo.contract import GAN

REPO_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")

OUR_FOLDERS = ("runs", "weights")  # never an owner on the Hub


def find(plugin: GAN, text: str | None = None) -> Path:
    """The weights folder that `text` names: a preset of the plugin (the default one if None), a run or weights folder,
    or a repository OWNER/NAME of the Hub.

    Raises ValueError that lists the presets there are, WeightsError for weights that cannot be found or fetched.
    """
    if is_preset(plugin, text):
        preset = plugin.preset(text)
        if own := _brought(plugin, preset.name):
            return own
        return hub.resolve(plugin.slug, preset.name, repo_id=preset.repo_id, revision=preset.revision)
    assert text is not None
    if folder := at(text):
        return folder
    elsewhere = text.split("/")[0] not in OUR_FOLDERS and not Path(text).parent.is_dir() and not Path(text).exists()
    if REPO_ID.fullmatch(text) and elsewhere:
        return hub.cached_or_pulled(text)
    if "/" in text or Path(text).exists():
        raise WeightsError(f"there is no weights folder or finished run at {text!r}")
    plugin.preset(text)  # which says what there is
    raise AssertionError("unreachable: every preset was tried above")


def is_preset(plugin: GAN, text: str | None) -> bool:
    """Is it the name of a preset, or None, the default one? A plugin may load those in its own way."""
    return text is None or any(preset.name == text for preset in plugin.presets)


def at(path: str | Path) -> Path | None:
    """The weights folder at a path, itself or as the run that holds it; None if there is none."""
    folder = Path(path).expanduser().absolute()
    return next((found for found in (folder, folder / "weights") if (found / MANIFEST).is_file()), None)


def name_of(plugin: GAN, text: str | None) -> str:
    """What pictures made by these weights are signed with: the preset's name, else the one in the weights' manifest."""
    if is_preset(plugin, text):
        return plugin.preset(text).name
    assert text is not None
    with contextlib.suppress(ValueError):
        return read_manifest(find(plugin, text)).preset
    return Path(text).name  # a plugin that loads in its own way


def is_here(plugin: GAN, preset: str) -> bool:
    """Do a preset's weights lie on this machine, so that nothing need be fetched?"""
    name = plugin.preset(preset).name
    return _brought(plugin, name) is not None or (hub.weights_root() / plugin.slug / name / MANIFEST).is_file()


def _brought(plugin: GAN, preset: str) -> Path | None:
    """The weights folder of a preset that a package brings beside its plugin, if it does."""
    folder = plugin.home() / "weights" / preset
    return folder if (folder / MANIFEST).is_file() else None


def load(plugin: GAN, text: str | None = None, *, device: Any = "cpu") -> Any:
    """The pipeline of what `text` names, of the class `plugin.Pipeline`. Raises as `find` does, and WeightsError for
    weights that cannot be read.
    """
    return hub.load(find(plugin, text), plugin.Pipeline, plugin=plugin.slug, device=device)


def as_trained(plugin: GAN, text: str | None = None, changed: Mapping[str, Any] | None = None) -> GAN:
    """The plugin with the settings by which the weights were trained that `text` names, but for those `changed`.

    Settings that it no longer has are passed over; where there is no such folder, which a plugin that loads in its own
    way need not have, the defaults hold. Raises WeightsError for settings that do not fit.
    """
    told = dict(changed or {})
    with contextlib.suppress(WeightsError):  # whoever loads them says what is wrong with the weights
        told = read_manifest(find(plugin, text)).settings | told
    kind = type(plugin).training_of(told)
    names = [known.name for known in dataclasses.fields(kind.Settings)]
    if unknown := sorted((changed or {}).keys() - set(names)):
        raise WeightsError(f"{plugin.slug} has no setting {unknown[0]!r}; there are: {', '.join(names)}")
    try:
        return kind(kind.Settings(**fitting(kind.Settings, told)))
    except (TypeError, ValueError) as error:
        raise WeightsError(f"these settings do not fit {plugin.slug}: {one_line(error)}") from None
