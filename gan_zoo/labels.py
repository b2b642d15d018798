"""Labels of training data, and how people ask for them: names, values, and vectors for networks.

    vocabulary = read_vocabulary("faces.parquet", ("hair", "eyes"))
    vocabulary.draw(seed=7, asked=parse("hair=aqua"))         # {"eyes": "blue", "hair": "aqua"}: the rest by chance
    y = vocabulary.one_hot(read_labels("faces.parquet", "train", ("hair", "eyes")))

Any column of names, whole numbers or yes and no can be a label; a folder with subfolders has the one called `label`.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_zoo import data
from gan_zoo.data import DataError

ANY = "any"
MOST_VALUES = 256  # of one label: more is an identity, not a label


class Vocabulary:
    """Labels by name; of each its values, in their order, with how often each comes (any scale).

    A picture's labels are one place in each list, numbers (L,) int64. A network is given them as y (size,): for each
    label a 1 at its value's place among zeros. Raises ValueError for shares that are none.
    """

    def __init__(self, shares: Mapping[str, Mapping[str, float]]):
        sound = isinstance(shares, Mapping) and all(
            isinstance(values, Mapping) and values and all(_is_share(share) for share in values.values())
            for values in shares.values()
        )
        if not sound:
            raise ValueError("labels: expected names, each with its values and how often each comes")
        self.shares = shares

    @classmethod
    def of(cls, shares: Mapping[str, Mapping[str, float]]) -> Vocabulary:
        """With names and values in alphabetical order, in which a config keeps them."""
        known = cls(shares).shares
        return cls({name: dict(sorted(values.items())) for name, values in sorted(known.items())})

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(map(len, self.shares.values()))

    @property
    def size(self) -> int:
        return sum(self.counts)

    def draw(self, seed: int, asked: Mapping[str, str] | None = None) -> dict[str, str]:
        """The labels of a seed: as asked, and by chance where nothing or "any" is asked.

        What is asked changes nothing else. Raises ValueError naming an unknown label or value.
        """
        asked = asked or {}
        for name, value in asked.items():
            if name not in self.shares:
                raise ValueError(f"there is no attribute {name[:80]!r}; there are: {', '.join(self.shares)}")
            if value != ANY and value not in self.shares[name]:
                raise ValueError(f"{name}: {value[:80]!r} is none of {', '.join([ANY, *self.shares[name]])}")
        chance = random.Random(seed)
        drawn = {n: chance.choices(list(some), list(some.values()))[0] for n, some in self.shares.items()}
        return drawn | {name: value for name, value in asked.items() if value != ANY}

    def numbers(self, chosen: Mapping[str, str]) -> Tensor:
        """{label: value} -> int64 (L,)."""
        return torch.tensor([list(values).index(chosen[name]) for name, values in self.shares.items()])

    def drawn(self, seeds: Sequence[int], asked: Mapping[str, str] | None = None) -> Tensor:
        """The labels of those seeds, int64 (N, L): see `draw`."""
        return torch.stack([self.numbers(self.draw(seed, asked)) for seed in seeds])

    def one_hot(self, numbers: Tensor) -> Tensor:
        """Labels, int64 (B, L) -> y, float32 (B, size)."""
        parts = zip(numbers.unbind(1), self.counts, strict=True)
        return torch.cat([F.one_hot(n, count) for n, count in parts], dim=1).float()

    def cross_entropy(self, logits: Tensor, numbers: Tensor) -> Tensor:
        """(B, size), int64 (B, L) -> scalar: the mean over pictures and labels."""
        parts = zip(logits.split(self.counts, dim=1), numbers.unbind(1), strict=True)
        return torch.stack([F.cross_entropy(part, n) for part, n in parts]).mean()

    def read(self, logits: Tensor) -> Tensor:
        """(B, size) -> the likeliest labels, int64 (B, L)."""
        return torch.stack([part.argmax(1) for part in logits.split(self.counts, dim=1)], dim=1)


def _is_share(share: Any) -> bool:
    return isinstance(share, (int, float)) and not isinstance(share, bool) and 0 < share < math.inf


def parse(wishes: str) -> dict[str, str]:
    """The text `hair=blue, glasses=round` -> {"hair": "blue", "glasses": "round"}; `any`, or none -> {}.

    Raises ValueError that says what was expected; `Vocabulary.draw` checks names and values.
    """
    if wishes.strip() in ("", ANY):
        return {}
    pairs = [[part.strip() for part in pair.split("=")] for pair in wishes.split(",")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"expected wishes such as hair_color=blue, glasses=round, or any, got {wishes[:80]!r}")
    return dict(pairs)


# ---------------------------------------------------------------------------------------------------------------------
# Of a data set


def read_labels(source: str, split: str, names: Sequence[str]) -> Tensor:
    """The labels of a split's rows, int64 (N, L), as places in `read_vocabulary` of the same source and names."""
    known = read_vocabulary(source, tuple(names)).shares
    columns = _columns(data.load(source, split=split), source, list(known))
    places = {name: {value: i for i, value in enumerate(values)} for name, values in known.items()}
    return torch.tensor([[places[name][value] for value in columns[name]] for name in known]).T.contiguous()


@lru_cache(maxsize=4)
def read_vocabulary(source: str, names: tuple[str, ...]) -> Vocabulary:
    """The values of these columns in all rows of a data set, with their number.

    Raises DataError: no such column, one whose rows lack values, one of too many values or of one alone.
    """
    columns = _columns(data.load(source, split="all"), source, names)
    for name, values in columns.items():
        different = len(set(values))
        if not 2 <= different <= MOST_VALUES:
            raise DataError(
                f"{source}: column {name} has {different} different values; expected 2 to {MOST_VALUES} for a label"
            )
    return Vocabulary.of({name: Counter(values) for name, values in columns.items()})


def _columns(rows: Any, source: str, names: Sequence[str]) -> dict[str, list[str]]:
    """The columns' values as text."""
    from datasets import ClassLabel

    features, found = rows.features, {}
    able = [name for name, feature in features.items() if getattr(feature, "dtype", "") in _KINDS]
    if len(set(names)) < len(names):
        raise DataError(f"labels {', '.join(names)}: expected each once")
    for name in names:
        if name not in able:
            raise DataError(f"{source}: {name!r} is no column of labels; there are: {', '.join(able) or 'none'}")
        values, feature = rows.with_format(None)[name][:], features[name]
        if lacking := sum(value is None or value == "" or value == -1 for value in values):
            raise DataError(f"{source}: column {name}: {lacking} of {len(values)} rows have no value")
        text = [feature.names[v] if isinstance(feature, ClassLabel) else str(v).strip() for v in values]
        if odd := next((value for value in text if value == ANY or set(value) & set("=,")), None):
            raise DataError(
                f"{source}: column {name}: {odd[:80]!r} cannot be asked for; expected no '=', ',' or {ANY!r}"
            )
        found[name] = text
    return found


_KINDS = ("string", "large_string", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
