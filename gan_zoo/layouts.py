"""Folders of pictures as people have them: from a camera, a NAS, Kaggle, a course; and what of them is left out.

`files` are what a folder holds, without what systems put there for themselves; `place` says where each picture
belongs, `as_datasets` makes data sets of that.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gan_zoo import images

if TYPE_CHECKING:
    from datasets import Dataset

VALIDATION_NAMES = ("validation", "valid", "val", "dev", "test")  # best first
SPLITS = ("train", *VALIDATION_NAMES)
AB = re.compile(rf"({'|'.join(SPLITS)})_?([ab])", re.I)
# What a system puts beside pictures for itself: hidden files, thumbnails of Synology and QNAP, archives' leftovers.
THEIRS = re.compile(r"\.|__MACOSX$|@eaDir$|#recycle$|SYNOPHOTO_|Thumbs\.db$|desktop\.ini$", re.I)
TABLES = (".csv", ".jsonl")


class Found(NamedTuple):
    """A picture and where it belongs: its split ("train" if the folder has none), its label or None."""

    file: Path
    split: str
    label: str | None


def files(folder: Path) -> list[Path]:
    """The files under a folder, links to folders followed once each, in order of their paths."""
    found, seen = list[Path](), set[str]()
    for place, inner, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        inner[:] = sorted(name for name in inner if not THEIRS.match(name))
        found += [Path(place) / name for name in names if not THEIRS.match(name)]
    return sorted(found)


def is_picture(file: Path) -> bool:
    return file.suffix.lower() in images.SUFFIXES


def left_out(some: Iterable[Path]) -> str:
    """What is no picture, counted by kind: "40 .heic, 2 .txt"; empty if nothing is."""
    kinds = Counter(f.suffix.lower() or "without a suffix" for f in some if not is_picture(f))
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))


def place(folder: Path, pictures: Iterable[Path]) -> list[Found]:
    """Which split and label each picture belongs to, by the names of the folders on its way.

    trainA/ and trainB/; SPLIT/LABEL/ and LABEL/SPLIT/, splits in any case; LABEL/ alone; or nothing. Folders are labels
    only if there are several and no picture lies outside of them.
    """
    ways = [(f, f.relative_to(folder).parts[:-1]) for f in pictures]
    if any(way and AB.fullmatch(way[0]) for _, way in ways):
        named = [(f, AB.fullmatch(way[0])) for f, way in ways if way]
        return [Found(f, m[1].lower(), m[2].upper()) for f, m in named if m]
    placed = []
    for file, way in ways:
        split = next((name.lower() for name in way[:2] if name.lower() in SPLITS), None)
        rest = [name for i, name in enumerate(way) if i > 1 or name.lower() not in SPLITS]
        placed.append((file, split, rest[0] if rest else None))
    if "train" not in {split for _, split, _ in placed}:  # a folder that is merely called "test"
        placed = [(file, None, way[0] if way else None) for file, way in ways]
    labels = {label for _, _, label in placed}
    labelled = None not in labels and len(labels) > 1
    splits = {split for _, split, _ in placed} != {None}
    return [
        Found(file, split or "train", label if labelled else None)
        for file, split, label in placed
        if split is not None or not splits
    ]


def as_datasets(found: Iterable[Found]) -> dict[str, Dataset]:
    """The splits, each as a data set of `image`, and of `label` where there are any."""
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as ImageFeature

    found = list(found)
    names = sorted({each.label for each in found if each.label is not None})
    splits = {}
    for split in [name for name in SPLITS if any(each.split == name for each in found)]:
        some = [each for each in found if each.split == split]
        columns: dict[str, list] = {"image": [str(each.file) for each in some]}
        features: dict = {"image": ImageFeature()}
        if names:
            columns["label"] = [names.index(str(each.label)) for each in some]
            features["label"] = ClassLabel(names=names)
        splits[split] = Dataset.from_dict(columns, features=Features(features))
    return splits


def table_of(folder: Path, some: list[Path]) -> Path | None:
    """The table that names the pictures of a folder, all of them: metadata.csv or .jsonl with a column file_name."""
    pictures = {f.relative_to(folder).as_posix() for f in some if is_picture(f)}
    for table in (f for f in some if f.parent == folder and f.stem == "metadata" and f.suffix in TABLES):
        try:
            with open(table, encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file)) if table.suffix == ".csv" else [json.loads(line) for line in file]
            named = {str(row.get("file_name")) for row in rows}
        except (OSError, ValueError, AttributeError):
            continue
        if pictures and pictures <= named:
            return table
    return None
