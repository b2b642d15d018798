"""Training data: one `load` for the layouts people have, pictures as tensors, and which rows make up which batch.

    dataset = load("someone/pictures")                   # or a folder, a parquet file, a datasets.Dataset
    pictures = images_to_tensor(dataset, size=64)        # uint8 (N, 3, 64, 64)
    samples = torch.arange(96, 128)                      # positions in the endless stream of samples
    batch = to_float(pictures[sample_rows(samples, len(pictures), seed=0)])

A sample's number settles everything random about it, so resuming needs one integer, and N processes see together what
one would. Columns: `image`; `image` + `label`; `imageA` + `imageB`; `image` + `person` + `keypoints`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from gan_zoo import layouts
from gan_zoo.decoding import DataError, encoded, images_to_tensor, pictures_of
from gan_zoo.errors import one_line
from gan_zoo.layouts import VALIDATION_NAMES

if TYPE_CHECKING:
    from datasets import Dataset

T = TypeVar("T")

__all__ = ["DataError", "encoded", "images_to_tensor", "pictures_of"]  # of decoding.py, for whoever reads data
LAYOUTS = (
    "a Hub dataset id, a folder of pictures (subfolders are labels), a folder with trainA/ and trainB/, "
    "a parquet file or a folder of them"
)


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def load(
    source: str | os.PathLike | Dataset | Any,
    *,
    split: str = "train",
    columns: Sequence[str] | None = None,
    streaming: bool = False,
) -> Dataset:
    """Read a data set and return the rows of one split.

    source: a Hub dataset id ("owner/name", or "owner/name@revision"), a folder, a parquet file, or a datasets.Dataset
    or DatasetDict. trainA/ and trainB/ become `image` + `label` (names A and B), their sizes may differ.
    split: "train", "validation" or "all". A set with its own validation (or test) split keeps it; otherwise every tenth
    row (the 10th, 20th ...; the last one of fewer than ten) is validation, and "train" is the rest.
    columns: those that must be there. A lone picture column under another name becomes `image`.
    streaming: return an IterableDataset, which decodes nothing ahead and, from the Hub, downloads as it goes.
    Raises DataError, which says what was found and what was expected.
    """
    if split not in ("train", "validation", "all"):
        raise DataError(f"split {split!r}: expected 'train', 'validation' or 'all'")
    found = _splits(source, streaming)
    known = {name: rows for name, rows in found.items() if name == "train" or name in VALIDATION_NAMES}
    if not known:  # its only split has a name of its own
        known = {"train": found[next(iter(found))]} if len(found) == 1 else {}
    held_out = next((name for name in VALIDATION_NAMES if name in known), None)
    if not known or (split == "train" and "train" not in known):
        raise DataError(f"{_name(source)}: no training split among {', '.join(found)}; expected one named train")
    if split == "all":
        from datasets import concatenate_datasets

        dataset = concatenate_datasets(list(found.values()))
    elif split == "validation" and held_out:
        dataset = known[held_out]
    elif split == "train" and held_out:
        dataset = known["train"]
    else:
        dataset = _tenth(known["train"], split, _name(source))
    dataset = _check_columns(dataset, columns, _name(source))
    if streaming and hasattr(dataset, "to_iterable_dataset"):
        dataset = dataset.to_iterable_dataset()
    return dataset


def _name(source: Any) -> str:
    return str(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__


def _splits(source: Any, streaming: bool) -> dict[str, Any]:
    """The source's own splits, by name."""
    import datasets

    if isinstance(source, (datasets.Dataset, datasets.IterableDataset)):
        return {"train": source}
    if isinstance(source, (datasets.DatasetDict, datasets.IterableDatasetDict)):
        return {str(name): rows for name, rows in source.items()}
    if not isinstance(source, (str, os.PathLike)):
        raise DataError(f"data is a {type(source).__name__}: expected {LAYOUTS}, or a datasets.Dataset")
    path = Path(source).expanduser()
    if path.is_file():
        if path.suffix.lower() != ".parquet":
            raise DataError(f"{path}: a {path.suffix or 'nameless'} file; expected {LAYOUTS}")
        return _load_dataset(path, "parquet", data_files={"train": [str(path)]}, streaming=streaming)
    if path.is_dir():
        return _folder(path, streaming)
    name, _, revision = str(source).partition("@")
    if name.count("/") == 1 and Path(name).parent.is_dir():
        raise DataError(f"{source}: no such file or folder; expected {LAYOUTS}")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", name) or name.endswith(".parquet"):
        raise DataError(f"{source}: no such file or folder, and not a Hub dataset id; expected {LAYOUTS}")
    return _load_dataset(source, name, revision=revision or None, streaming=streaming)


def _load_dataset(source: Any, *args: Any, **options: Any) -> dict[str, Any]:
    from datasets import load_dataset

    try:
        return dict(load_dataset(*args, **options))  # type: ignore[arg-type]
    except Exception as error:  # the Hub client, Arrow and the parsers each raise their own families
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        here = "" if Path(str(source)).exists() else "no such file or folder; as a data set of the Hub it "
        raise DataError(
            f"{source}: {here}cannot be read as a data set: {one_line(cause)} (expected {LAYOUTS})"
        ) from error


def _folder(folder: Path, streaming: bool) -> dict[str, Any]:
    some = layouts.files(folder)
    names = {f.name for f in some if f.parent == folder}
    if ("state.json" in names and "dataset_info.json" in names) or "dataset_dict.json" in names:
        from datasets import DatasetDict, load_from_disk

        saved = load_from_disk(str(folder))
        return {str(name): rows for name, rows in saved.items()} if isinstance(saved, DatasetDict) else {"train": saved}
    if any(f.suffix.lower() == ".parquet" for f in some):
        return _load_dataset(folder, str(folder), streaming=streaming)
    if layouts.table_of(folder, some) is not None:
        return _load_dataset(folder, "imagefolder", data_dir=str(folder), streaming=streaming)
    pictures = [f for f in some if layouts.is_picture(f)]
    if not pictures:
        raise DataError(f"{folder}: no pictures, found {layouts.left_out(some) or 'nothing'}; expected {LAYOUTS}")
    found = layouts.place(folder, pictures)
    _check_pairs(folder, found)
    return layouts.as_datasets(found)


def _check_pairs(folder: Path, found: list[layouts.Found]) -> None:
    """trainA without trainB, or the other way round, is half of a data set."""
    counts = Counter((each.split, each.label) for each in found)
    if {label for _, label in counts} & {"A", "B"}:
        for split in {split for split, _ in counts}:
            a, b = counts[split, "A"], counts[split, "B"]
            if bool(a) != bool(b) and (a + b) == sum(n for (s, _), n in counts.items() if s == split):
                raise DataError(f"{folder}: {a} pictures in {split}A and {b} in {split}B; expected some in both")


def describe(source: str) -> str:
    """What a run reads of a source, in one line: pictures by label, how many are held out, what is left out."""
    rows = load(source, split="all")
    counts = {name: len(part) for name, part in domains(rows).items()} if "label" in rows.features else {}
    held = len(load(source, split="validation"))
    kinds = ", ".join(f"{count:,} {name}" for name, count in counts.items()) or f"{len(rows):,} rows"
    path = Path(source).expanduser()
    some = layouts.files(path) if path.is_dir() else []
    left = layouts.left_out(some) if any(map(layouts.is_picture, some)) else ""  # not beside tables
    return f"{source}: {kinds}; {held:,} held out" + (f"; {left} left out" if left else "")


def rows_of(split: str, count: int) -> list[int]:
    """Of `count` rows those of a split: every tenth is held out, for "validation"."""
    return [row for row in range(count) if (row % 10 == 9) == (split == "validation")]


def _tenth(dataset: Any, split: str, name: str) -> Any:
    if not hasattr(dataset, "num_rows"):  # streaming: the length is not known
        held = split == "validation"
        return dataset.filter(lambda _, i: (i % 10 == 9) == held, with_indices=True)
    n = dataset.num_rows
    if n > 1 and (rows := _tenth_of_each(dataset)) is not None:
        held = set(rows)
        return dataset.select(rows if split == "validation" else [i for i in range(n) if i not in held])
    if n == 0 or (n == 1 and split == "validation"):
        raise DataError(f"{name}: {n} rows; expected at least {2 if n else 1} to have a {split} split")
    held = range(9, n, 10) if n >= 10 else range(n - 1, n) if n > 1 else range(0)
    return dataset.select(held if split == "validation" else [i for i in range(n) if i not in held])


def _tenth_of_each(dataset: Any) -> list[int] | None:
    """Every tenth row of each label, where every tenth of all would hold out none of some label; None elsewhere."""
    if "label" not in dataset.features:
        return None
    labels = np.asarray(dataset.with_format(None)["label"][:])
    if labels.dtype.kind not in "iuU" or set(labels[9::10].tolist()) == set(labels.tolist()):
        return None
    rows: list[int] = []
    for label in sorted(set(labels.tolist())):
        own = np.flatnonzero(labels == label)
        rows += (own[9::10] if len(own) >= 10 else own[-1:] if len(own) > 1 else own[:0]).tolist()
    return sorted(rows)


def _check_columns(dataset: Any, columns: Sequence[str] | None, name: str) -> Any:
    from datasets import Image as ImageFeature

    if dataset.features is None:  # a stream without a schema tells its columns by its first row
        dataset = dataset._resolve_features()
    features = dict(dataset.features)
    if "image" not in features and "imageA" not in features:
        alone = [column for column, feature in features.items() if isinstance(feature, ImageFeature)]
        alone = alone or [column for column in features if column.lower() in PICTURE_NAMES]
        if len(alone) == 1:
            dataset = dataset.rename_column(alone[0], "image")
            features = {"image": features.pop(alone[0]), **features}
    expected = list(columns) if columns is not None else (["imageA", "imageB"] if "imageA" in features else ["image"])
    missing = [column for column in expected if column not in features]
    if missing:
        found = ", ".join(features) or "none"
        raise DataError(f"{name}: no column {', '.join(missing)}; found {found}; expected {', '.join(expected)}")
    for column in ("image", "imageA", "imageB"):
        feature = features.get(column)
        if feature is None or isinstance(feature, ImageFeature):
            continue
        stored = (isinstance(feature, dict) and "bytes" in feature) or getattr(feature, "dtype", "") in _ENCODED
        if not stored:  # encoded bytes or paths can become pictures; numbers cannot
            kind = getattr(feature, "dtype", type(feature).__name__)
            raise DataError(f"{name}: column {column} holds {kind}; expected pictures")
        if getattr(feature, "dtype", "") in ("string", "large_string"):
            first = next((row[column] for row in dataset.select_columns([column]).take(1)), None)
            if isinstance(first, str) and re.match(r"https?://|s3://|gs://", first):
                told = "holds addresses; expected pictures: fetch them first, as img2dataset does, and give its folder"
                raise DataError(f"{name}: column {column} {told}")
        dataset = dataset.cast_column(column, ImageFeature())
    return dataset


PICTURE_NAMES = (
    "img",
    "picture",
    "photo",
    "pixel_values",
    "jpg",
    "jpeg",
    "png",
    "webp",
    "file_name",
    "filename",
    "path",
)
_ENCODED = ("string", "binary", "large_string", "large_binary")


def domains(dataset: Dataset) -> dict[str, Dataset]:
    """Split into domains, each with an `image` column and of its own length: by label name, or imageA and imageB.

    Raises DataError when the set has neither.
    """
    from datasets import ClassLabel

    features = dataset.features
    if "imageA" in features and "imageB" in features:
        parts = {"A": "imageA", "B": "imageB"}
        return {name: dataset.select_columns([c]).rename_column(c, "image") for name, c in parts.items()}
    if "label" not in features or "image" not in features:
        raise DataError(f"columns {', '.join(features)}: expected image + label, or imageA + imageB, to have domains")
    labels = np.asarray(dataset.with_format(None)["label"][:])
    feature = features["label"]
    values = range(len(feature.names)) if isinstance(feature, ClassLabel) else sorted(set(labels.tolist()))
    names = feature.names if isinstance(feature, ClassLabel) else [str(value) for value in values]
    found = {name: np.flatnonzero(labels == value) for name, value in zip(names, values, strict=True)}
    return {name: dataset.select(rows) for name, rows in found.items() if len(rows)}


# ---------------------------------------------------------------------------------------------------------------------
# Pictures as tensors


@lru_cache(maxsize=2)  # both splits of a run may look at the training pictures
def read_pictures(source: str, split: str, size: int) -> Any:
    """A split of a data set as uint8 (N, 3, size, size), in memory or on demand: see `pictures_of`."""
    return pictures_of(load(source, split=split), size)


def to_float(pictures: Tensor) -> Tensor:
    """uint8 in [0, 255] -> float32 in [-1, 1]."""
    return pictures.float() / 127.5 - 1


class Pictures:
    """Pictures, uint8 (N, C, H, W) or on demand, as training data: seeded epochs, mirrored, and cropped if asked.

    Apart from training each is given in its order, as it is. Sets used together need different `stream`s.
    """

    def __init__(self, pictures: Any, seed: int, training: bool, *, crop: int = 0, stream: int = 0):
        self.pictures, self.seed, self.training = pictures, seed, training
        self.crop, self.stream = crop, stream

    def __len__(self) -> int:
        return len(self.pictures)

    def rows(self, samples: range) -> Tensor:
        """Which picture each of these samples is, int64 (B,)."""
        numbers = torch.arange(samples.start, samples.stop)
        return sample_rows(numbers, len(self), self.seed, self.stream) if self.training else numbers % len(self)

    def mirrored(self, samples: range) -> Tensor:
        """Which of these samples are mirrored, bool (B,), in training."""
        return sample_flips(torch.arange(samples.start, samples.stop), self.seed, self.stream)

    def some(self, samples: range) -> Tensor:
        """The samples with these numbers, (B, C, H, W) in [-1, 1]."""
        pictures = self.pictures[self.rows(samples)]
        if not self.training:
            return to_float(pictures)
        pictures = flip(pictures, self.mirrored(samples))
        numbers = torch.arange(samples.start, samples.stop)
        if self.crop:
            pictures = sample_crops(pictures, self.crop, numbers, self.seed, 1000 + self.stream)
        return to_float(pictures)

    def batch(self, samples: range) -> dict[str, Tensor]:
        return {"image": self.some(samples)}


class Domains:
    """Sets of unequal size that nobody paired: a sample is one picture of each, and an epoch the longest of them."""

    def __init__(self, sets: dict[str, Pictures]):
        self.sets = sets

    def __len__(self) -> int:
        return max(map(len, self.sets.values()))

    def batch(self, samples: range) -> dict[str, Tensor]:
        return {name: pictures.some(samples) for name, pictures in self.sets.items()}


class Pairs(Domains):
    """Pictures and what is to become of them, each uint8 (N, 3, H, W) or on demand: {"image", "target"}, mirrored and
    cropped alike.
    """

    def __init__(self, pictures: Any, targets: Any, seed: int, training: bool, *, crop: int = 0):
        if len(pictures) != len(targets):
            raise DataError(f"{len(pictures)} pictures and {len(targets)} targets: expected pairs")
        both = {"image": pictures, "target": targets}
        super().__init__({name: Pictures(some, seed, training, crop=crop) for name, some in both.items()})


@lru_cache(maxsize=2)
def read_pairs(source: str, split: str, size: int) -> tuple[Any, Any]:
    """Pictures and targets of a split, uint8 (N, 3, size, size) each: the columns `image` and `target`, or `imageA` and
    `imageB`, or trainA/ and trainB/ of equal names. Raises DataError that names a picture without its pair.
    """
    own = any(name in VALIDATION_NAMES for name in _splits(source, False))
    rows = load(source, split=split if own else "all")
    if "target" in rows.features or "imageB" in rows.features:
        columns = ("image", "target") if "target" in rows.features else ("imageA", "imageB")
        sides = [rows.select_columns([c]).rename_column(c, "image") if c != "image" else rows for c in columns]
    else:
        sides = _of_equal_names(source, domains(rows))
    if not own:
        kept = rows_of(split, len(sides[0]))
        sides = [side.select(kept) for side in sides]
    pictures, targets = (pictures_of(side, size) for side in sides)
    return pictures, targets


def _of_equal_names(source: str, found: dict[str, Dataset]) -> list[Dataset]:
    """Two domains, those of equal names at equal places."""
    if len(found) != 2:
        raise DataError(f"{source}: labels {', '.join(found)}; expected columns image and target, or two folders")
    names = [[Path(cell["path"] or "").stem for cell in encoded(rows)["image"]] for rows in found.values()]
    if alone := sorted(set(names[0]) ^ set(names[1])):
        where = next(label for label, some in zip(found, names) if alone[0] in some)
        raise DataError(f"{source}: {alone[0]!r} is in {where} alone; expected pictures of equal names in both")
    return [rows.select(np.argsort(some, kind="stable")) for rows, some in zip(found.values(), names)]


# ---------------------------------------------------------------------------------------------------------------------
# Which rows make up which batch: pure functions of (seed, step)


def sample_rows(samples: Tensor, n: int, seed: int, stream: int = 0) -> Tensor:
    """Global sample indices -> rows of a set of n, int64 of the same shape.

    Each epoch of n samples is a permutation of its own; a batch may end in the next epoch, or exceed n. Give the two
    domains of unpaired data different `stream`s, or equal sizes would pair them row by row.
    """
    if n < 1:
        raise ValueError(f"a set of {n} rows: expected at least one")
    epochs, places = np.divmod(samples.numpy(), n)
    rows = np.empty_like(places)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        rows[here] = _permutation(n, seed, stream, int(epoch))[places[here]]
    return torch.from_numpy(rows)


@lru_cache(maxsize=8)
def _permutation(n: int, seed: int, stream: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, stream, epoch]).permutation(n)


def sample_uniform(samples: Tensor, seed: int, stream: int = 0) -> Tensor:
    """A number in [0, 1) for each global sample, float64 of the same shape: of seed, stream and index alone.

    Streams are independent: one for flips, one for crops ...
    """
    with np.errstate(over="ignore"):  # splitmix64 (Steele et al. 2014), vectorised: no generator per sample
        key = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)
        x = samples.numpy().astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return torch.from_numpy((x >> np.uint64(11)).astype(np.float64) / 2**53)


def sample_flips(samples: Tensor, seed: int, stream: int = 0) -> Tensor:
    """Whether to mirror each global sample: bool of the same shape, a fair coin tossed by seed and index alone."""
    return sample_uniform(samples, seed, stream) >= 0.5


def sample_crops(pictures: Tensor, size: int, samples: Tensor, seed: int, stream: int = 0) -> Tensor:
    """A random square of each picture (B, C, H, W), neither side under `size` -> (B, C, size, size)."""
    spare = (side - size + 1 for side in pictures.shape[2:])
    places = ((sample_uniform(samples, seed, 2 * stream + i) * n).long() for i, n in enumerate(spare))
    corners = zip(pictures, *(place.tolist() for place in places))
    return torch.stack([picture[:, y : y + size, x : x + size] for picture, y, x in corners])


def flip(pictures: Tensor, which: Tensor) -> Tensor:
    """Mirror left-right the pictures (B, ..., W) for which `which` (B,) is true."""
    shape = (-1, *[1] * (pictures.ndim - 1))
    return torch.where(which.to(pictures.device).view(shape), pictures.flip(-1), pictures)
