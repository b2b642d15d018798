"""Training data: two pictures of one person, and where the joints are in both."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_zoo import data, images
from gan_zoo.data import DataError, to_float
from gan_zoo.plugin import Batch
from gan_zoo.plugins.pose.drawn import DrawnPeople
from gan_zoo.plugins.pose.skeleton import cover, mirrored

CONFIDENCE = np.array([0.0, 0.5, 1.0], np.float32)  # of a joint that is missing, hidden, visible
ELSEWHERE = 0.8  # share of training pairs put before another ground, where there are some
ORIENTATION = 0x0112  # the EXIF tag
PATN_HEADER = ["name", "keypoints_y", "keypoints_x"]


@dataclass(frozen=True)
class People:
    """Pictures uint8 (N, 3, H, W), poses float32 (N, 18, 3) and whom each shows, int64 (N,); masks of the persons, bool
    (N, 1, H, W), where they were asked for and are known.
    """

    pictures: Tensor
    poses: np.ndarray
    persons: np.ndarray
    masks: Tensor | None = None

    def show(self, rows: Sequence[int]) -> tuple[Tensor, np.ndarray]:
        """Pictures and poses of these rows."""
        return self.pictures[rows], self.poses[rows]

    def only(self, which: np.ndarray) -> People:
        """Those of `which`, bool (N,)."""
        rows = np.flatnonzero(which)
        masks = None if self.masks is None else self.masks[rows]
        return People(self.pictures[rows], self.poses[rows], self.persons[rows], masks)


class Pairs:
    """Source and target: two different pictures of one person, all settled by the sample's number.

    A training pair may be mirrored, and recoloured in both pictures alike, so that a few hundred people wear clothes of
    all colours; its source's joints are moved a little, since they will be estimated. Where masks are known, they come
    along, and training pairs are put before `grounds`, photos uint8 (N, 3, S, S), if there are some.
    """

    def __init__(
        self,
        people: People | DrawnPeople,
        seed: int,
        training: bool,
        recolor: float = 0.0,
        jitter: float = 0.0,
        grounds: Tensor | None = None,
    ):
        self.people, self.seed, self.training, self.recolor, self.jitter = people, seed, training, recolor, jitter
        self.grounds = grounds
        _, self.group = np.unique(people.persons, return_inverse=True)
        counts = np.bincount(self.group)
        self.order = np.argsort(self.group, kind="stable")  # rows, person by person
        self.first = np.concatenate([[0], np.cumsum(counts)])
        self.rows = np.flatnonzero(counts[self.group] > 1)
        if len(self.rows) == 0:
            raise DataError("nobody has two pictures: expected pairs of one person")

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, samples: range) -> Batch:
        numbers = torch.arange(samples.start, samples.stop)
        # A split held out has fixed pairs, one a picture, in a fixed order that mixes people.
        order = numbers if self.training else numbers % len(self)
        rows = self.rows[data.sample_rows(order, len(self), self.seed).numpy()]
        made = [self._sample(int(number), int(row)) for number, row in zip(order, rows)]
        return {name: torch.stack([sample[name] for sample in made]) for name in made[0]}

    def partner(self, row: int, rng: np.random.Generator) -> int:
        """Another picture of the person of that row."""
        start, stop = self.first[self.group[row]], self.first[self.group[row] + 1]
        others = self.order[start:stop]
        return int(rng.choice(others[others != row]))

    def _sample(self, number: int, row: int) -> Batch:
        rng = np.random.default_rng([self.seed, int(self.training), number])
        rows = [row, self.partner(row, rng)]
        shown, poses = self.people.show(rows)
        pictures = to_float(shown)
        masks = None if self.people.masks is None else self.people.masks[rows].float()
        if self.training:
            if rng.random() < 0.5:
                pictures, poses = pictures.flip(-1), mirrored(poses)
                masks = None if masks is None else masks.flip(-1)
            if rng.random() < self.recolor:
                pictures = recolored(pictures, rng)
            if masks is not None and self.grounds is not None and rng.random() < ELSEWHERE:
                soft = F.avg_pool2d(masks, 3, 1, 1)
                pictures = pictures * soft + ground_of(self.grounds, rng, *pictures.shape[2:]) * (1 - soft)
            poses = poses.copy()
            poses[0, :, :2] += rng.normal(0, self.jitter, (len(poses[0]), 2))
        poses = torch.from_numpy(poses.astype(np.float32))
        sample = {"source": pictures[0], "target": pictures[1], "source_pose": poses[0], "target_pose": poses[1]}
        if masks is not None:
            rough = roughened(masks[:1], rng) if self.training else masks[:1]
            sample |= {"source_mask": rough[0], "target_mask": masks[1]}
        return sample


def roughened(masks: Tensor, rng: np.random.Generator) -> Tensor:
    """Masks (N, 1, H, W) a little larger or smaller, as estimated ones are."""
    by = int(rng.integers(0, 3))
    if rng.random() < 0.5:
        return F.max_pool2d(masks, 2 * by + 1, 1, by)
    return 1 - F.max_pool2d(1 - masks, 2 * by + 1, 1, by)


def ground_of(grounds: Tensor, rng: np.random.Generator, height: int, width: int) -> Tensor:
    """A crop of one of the photos uint8 (N, 3, S, S), or fields of colour: (1, 3, height, width) in [-1, 1]."""
    if len(grounds) and rng.random() < 0.85:
        photo = to_float(grounds[rng.integers(len(grounds))])[None]
        side = int(rng.uniform(0.35, 1.0) * photo.shape[3])
        top, left = (rng.integers(0, length - side + 1) for length in photo.shape[2:])
        photo = photo[:, :, top : top + side, left : left + side]
        return F.interpolate(photo, (height, width), mode="bilinear", antialias=True)
    cells = int(rng.integers(1, 9))
    fields = torch.from_numpy(rng.uniform(-1, 1, (1, 3, cells, cells)).astype(np.float32))
    return F.interpolate(fields, (height, width), mode="nearest" if rng.random() < 0.5 else "bilinear")


def recolored(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures (..., 3, H, W) in [-1, 1], all recoloured alike: channels exchanged, brightened or dimmed."""
    gain = torch.from_numpy(rng.uniform(0.8, 1.2, (3, 1, 1)).astype(np.float32))
    changed = ((pictures + 1) * gain - 1).clamp(-1, 1)
    return changed[..., rng.permutation(3).tolist(), :, :]


# ---------------------------------------------------------------------------------------------------------------------
# Reading


@lru_cache(maxsize=4)
def read_people(source: str, split: str, height: int, width: int, masked: bool = False) -> People:
    """A split of a data set, its people apart from those of the other split.

    source: what `data.load` reads, with the columns `image`, `person` and `keypoints`; or a folder of pictures with
    PATN's annotation in it. A set whose splits share people, or that has none, is split anew: every tenth person is
    held out. `masked`: with the column `mask`, where there is one. Raises DataError.
    """
    columns = ("image", "person", "keypoints")
    found: Any = read_patn(source) or source
    dataset = data.load(found, split=split, columns=columns)
    both = [_persons(data.load(found, split=name, columns=columns)) for name in ("train", "validation")]
    if set(both[0]) & set(both[1]):
        dataset = data.load(found, split="all", columns=columns)
        persons = _persons(dataset)
        everybody = list(dict.fromkeys(persons))
        apart = set(everybody[9::10] or everybody[-1:])
        dataset = dataset.select([i for i, p in enumerate(persons) if (p in apart) == (split == "validation")])
    pictures = data.pictures_of(dataset, (height, width))
    persons = _persons(dataset)
    numbers = {person: i for i, person in enumerate(dict.fromkeys(persons))}
    keypoints = dataset.with_format(None)["keypoints"][:]
    poses = [to_pose(k, size, (width, height)) for k, size in zip(keypoints, _sizes(dataset))]
    masks = None
    if masked and "mask" in dataset.features:
        masks = data.images_to_tensor(dataset, (height, width), column="mask")[:, :1] > 127
    return People(pictures, np.stack(poses), np.array([numbers[person] for person in persons]), masks)


def _persons(dataset: Any) -> list[str]:
    return [str(person) for person in dataset.with_format(None)["person"][:]]


def _sizes(dataset: Any) -> list[tuple[int, int]]:
    """(width, height) of each picture, upright: annotations count the pixels that one sees."""
    sizes = []
    for cell in data.encoded(dataset)["image"]:
        with Image.open(io.BytesIO(cell["bytes"]) if cell["bytes"] is not None else cell["path"]) as picture:
            lying = picture.getexif().get(ORIENTATION) in (5, 6, 7, 8)
            sizes.append(picture.size[::-1] if lying else picture.size)
    return sizes


def to_pose(keypoints: Any, size: tuple[int, int], fitted: tuple[int, int]) -> np.ndarray:
    """Keypoints 18 x (x, y, v) in pixels of a picture of `size` -> pose (18, 3) of it, scaled to cover `fitted` and
    cropped at the centre; sizes are (width, height). Raises DataError."""
    array = np.asarray(keypoints, np.float32)
    if array.shape != (18, 3) or not np.isin(array[:, 2], (0, 1, 2)).all():
        raise DataError(f"keypoints of shape {array.shape}: expected 18 x (x, y, v), v 0 missing, 1 hidden, 2 visible")
    scale, cropped = cover(size, fitted)
    pose = np.empty((18, 3), np.float32)
    pose[:, :2] = (array[:, :2] * scale - cropped) / fitted
    pose[:, 2] = CONFIDENCE[array[:, 2].astype(int)]
    pose[pose[:, 2] == 0] = 0
    return pose


def read_patn(source: str) -> Any:
    """A folder of pictures with PATN's annotation (Zhu et al. 2019), CSV files `name:keypoints_y:keypoints_x`, as a
    `datasets.Dataset`; None if there is none.

    Whom a picture shows is its name up to the first underscore. Pictures that are not there are left out. Raises
    DataError.
    """
    from datasets import Dataset, Features, List, Value
    from datasets import Image as ImageFeature

    folder = Path(source).expanduser()
    annotations = [path for path in sorted(folder.glob("*.csv")) if _is_patn(path)] if folder.is_dir() else []
    if not annotations:
        return None
    files = {path.name: path for path in sorted(folder.rglob("*")) if path.suffix.lower() in images.SUFFIXES}
    rows: dict[str, list] = {"image": [], "person": [], "keypoints": []}
    for path in annotations:
        with open(path, newline="") as file:
            for line, row in enumerate(csv.DictReader(file, delimiter=":"), start=2):
                try:
                    ys, xs = (json.loads(row[name]) for name in PATN_HEADER[1:])
                    keypoints = [[x, y, 2] if min(x, y) >= 0 else [-1, -1, 0] for x, y in zip(xs, ys, strict=True)]
                except (TypeError, ValueError):
                    keypoints = []
                if len(keypoints) != 18:
                    raise DataError(f"{path.name}, line {line}: expected name:keypoints_y:keypoints_x, 18 numbers each")
                if row["name"] in files:
                    rows["image"].append(str(files[row["name"]]))
                    rows["person"].append(row["name"].split("_")[0])
                    rows["keypoints"].append(keypoints)
    if not rows["image"]:
        raise DataError(f"{folder}: none of the pictures of {annotations[0].name} is there")
    features = {"image": ImageFeature(), "person": Value("string"), "keypoints": List(List(Value("float32")))}
    return Dataset.from_dict(rows, features=Features(features))


def _is_patn(path: Path) -> bool:
    with open(path, errors="replace") as file:
        return file.readline().strip().split(":") == PATN_HEADER
