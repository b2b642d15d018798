"""The shipped weights give the pictures they gave: one of each preset that a plugin's first task shows, seen from afar.

After a wanted change: GAN_ZOO_UPDATE_SNAPSHOT=1 pytest tests/test_shipped.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_zoo import hub, registry
from gan_zoo.plugin import Film, ImageFile

SNAPSHOT = Path(__file__).with_name("shipped_pictures.json")
PRESETS = [
    (plugin.slug, preset.name)
    for plugin in registry.discover().plugins.values()
    for preset in plugin.presets
    if next(iter(plugin.tasks().values())).needs_weights
]
TOLERANCE = 3  # of 255, on the mean of a cell: other processors round otherwise


def first_picture(result: Any) -> Image.Image:
    if isinstance(result, Image.Image):
        return result
    if isinstance(result, Film):
        return result.frames[-1]
    return next(first_picture(part) for part in result if isinstance(part, (Image.Image, Film, list)))


def from_afar(slug: str, preset: str, folder: Path) -> list[int]:
    """8 x 8 mean colours of what the plugin's first task makes."""
    plugin = type(registry.get(slug))()  # others may have loaded other weights into the one that is in use
    name, task = next(iter(plugin.tasks().items()))
    examples = [each for each in plugin.examples(name) if each.get("preset", preset) == preset]
    arguments = {key: value for key, value in examples[0].items() if key != "preset"} if examples else {}
    for parameter in task.parameters:
        if parameter.type is ImageFile and parameter.name not in arguments:
            waves = np.add.outer(np.arange(96), np.arange(96)) // 12 % 2 * 255
            Image.fromarray(waves.astype(np.uint8)).save(folder / "waves.png")
            arguments[parameter.name] = str(folder / "waves.png")
        elif parameter.name == "count":
            arguments["count"] = 1
    picture = first_picture(plugin.infer(name, preset, **arguments)).convert("RGB")
    return np.asarray(picture.resize((8, 8), Image.Resampling.BOX)).flatten().tolist()


@pytest.mark.parametrize(("slug", "preset"), PRESETS, ids=[f"{slug}-{preset}" for slug, preset in PRESETS])
def test_shipped_weights_give_the_same_pictures(
    slug: str, preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GAN_ZOO_WEIGHTS", raising=False)
    known = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    seen = from_afar(slug, preset, tmp_path)
    if os.environ.get("GAN_ZOO_UPDATE_SNAPSHOT"):
        known[f"{slug}/{preset}"] = seen
        SNAPSHOT.write_text(json.dumps(dict(sorted(known.items()))).replace("], ", "],\n") + "\n")
    if f"{slug}/{preset}" not in known:
        pytest.skip("a preset that is new: GAN_ZOO_UPDATE_SNAPSHOT=1 keeps its picture")
    expected = known[f"{slug}/{preset}"]
    assert np.abs(np.array(seen) - np.array(expected)).max() <= TOLERANCE


@pytest.mark.parametrize("name", json.loads(SNAPSHOT.read_text()))
def test_every_card_tells_failures(name):
    """In words, or in pictures chosen for being the worst."""
    text = (hub.weights_root() / name / "README.md").read_text(encoding="utf-8")
    told = text.partition("## Failures")[2].strip() or text.partition("Failures: ")[2].strip()
    assert len(told) > 40


def test_the_readme_tells_what_the_cards_tell():
    """Write it anew: make gallery."""
    from benchmarks.gallery import table

    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    rows = [
        line for line in table().splitlines() if any(f"[{name}]" in line for name in json.loads(SNAPSHOT.read_text()))
    ]
    assert len(rows) == len(json.loads(SNAPSHOT.read_text()))
    assert all(row in readme for row in rows)
