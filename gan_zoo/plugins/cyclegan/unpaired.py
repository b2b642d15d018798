"""Training data: two sets of pictures that nobody paired, and perhaps a third that both translations leave alone."""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor

from gan_zoo import data
from gan_zoo.plugins.cyclegan.drawn import SEASONS, draw_season


class Unpaired(data.Domains):
    """Pictures uint8 (N, 3, side, side) of two domains, and perhaps neutral ones, under the names "a", "b", "neutral".

    In training, mirrored crops of `crop` pixels; held out, whole.
    """

    def __init__(self, domains: dict[str, Tensor], neutral: Tensor | None, crop: int, seed: int, training: bool):
        self.domains, self.neutral = domains, neutral
        sets = dict(zip("ab", domains.values())) | ({} if neutral is None else {"neutral": neutral})
        super().__init__(
            {
                name: data.Pictures(pictures, seed, training, crop=crop, stream=stream)
                for stream, (name, pictures) in enumerate(sets.items())
            }
        )

    def __len__(self) -> int:
        return max(map(len, self.domains.values()))


@lru_cache(maxsize=4)
def read_domains(source: str | None, names: tuple[str, ...], split: str, size: int, drawn: int) -> dict[str, Tensor]:
    """A split's two domains {name: uint8 (N, 3, size, size)}; those called `names`, in that order, if there are more.

    source: a data set with a label column, two picture columns or trainA/ and trainB/; None for the built-in one.
    Raises DataError.
    """
    if source is None:
        apart = max(2, drawn // 10)
        numbers = range(apart) if split == "validation" else range(apart, apart + drawn)
        return {season: draw_season(season, numbers, size) for season in SEASONS}
    found = data.domains(data.load(source, split=split))
    chosen = names or tuple(found)
    if len(chosen) != 2 or any(name not in found for name in chosen):
        raise data.DataError(f"{source}: domains {', '.join(found)}; expected two, or the names of two as --domains")
    return {name: data.pictures_of(found[name], size) for name in chosen}


@lru_cache(maxsize=4)
def read_neutral(source: str, split: str, size: int) -> Tensor:
    """Pictures of neither domain, uint8 (N, 3, size, size): of a data set, or after a # of one of its labels."""
    path, _, label = source.partition("#")
    rows = data.load(path, split=split)
    if label:
        found = data.domains(rows)
        if label not in found:
            raise data.DataError(f"{path}: no label {label!r}; there are: {', '.join(found)}")
        rows = found[label]
    return data.pictures_of(rows, size)
