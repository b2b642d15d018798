"""Both translations, as a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from gan_zoo import tiling
from gan_zoo.features import eyes
from gan_zoo.plugins.cyclegan.imported import ImportedGenerator
from gan_zoo.plugins.cyclegan.networks import SeeingGenerator, TranslationGenerator

Generator = TranslationGenerator | SeeingGenerator | ImportedGenerator
Run = Callable[[Tensor], Tensor]

TILE = 1024  # a picture up to this side goes through the networks in one piece
OVERLAP = 128


class Way(NamedTuple):
    """One of the two translations: the names of its domains."""

    source: str
    target: str

    @property
    def name(self) -> str:
        return f"{self.source}2{self.target}"

    @property
    def reversed(self) -> Way:
        return Way(self.target, self.source)


class Whole(nn.Module):
    """A generator with all that it looks through, as other programs want it: pictures (B, 3, H, W) in [-1, 1], H and W
    multiples of the network's -> the same.
    """

    def __init__(self, network: Generator):
        super().__init__()
        self.network = network
        self.eyes = eyes(network.device) if isinstance(network, SeeingGenerator) else None

    def forward(self, picture: Tensor) -> Tensor:
        return self.network(picture).clamp(-1, 1)


class CycleGANPipeline(DiffusionPipeline):
    """Holds both generators and the names of their domains. `pipeline(picture)` translates, and
    `pipeline(picture, pipeline.ways[1])` back.

    A weights folder may hold one generator alone, as those of other programs often do. grain: deviation of the noise
    that the generator forth sees on the pictures, and that is taken off again: where there is nothing to see, a network
    can but repeat itself, and lays a grid over flat places.
    """

    _optional_components = ["forth", "back"]
    forth: Generator | None
    back: Generator | None

    def __init__(
        self,
        forth: Generator | None,
        back: Generator | None,
        domain_a: str = "A",
        domain_b: str = "B",
        grain: float = 0.0,
    ):
        super().__init__()
        self.register_modules(forth=forth, back=back)
        self.register_to_config(domain_a=domain_a, domain_b=domain_b, grain=grain)

    @property
    def ways(self) -> tuple[Way, Way]:
        """Forth and back."""
        a, b = self.config["domain_a"], self.config["domain_b"]
        return Way(a, b), Way(b, a)

    def way(self, direction: str) -> Way:
        """The way of a name, "horse2zebra", or of its target's name alone; the way forth if it is empty.

        Raises ValueError that lists the directions there are.
        """
        forth, back = self.ways
        wanted = direction.strip().casefold()
        if wanted in ("", forth.name.casefold(), forth.target.casefold()):
            return forth
        if wanted in (back.name.casefold(), back.target.casefold()):
            return back
        raise ValueError(f"direction: {direction[:40]!r} is neither {forth.name} nor {back.name}")

    def network(self, way: Way) -> Generator | None:
        """The generator that translates this way, if the weights hold it. Raises ValueError for a way of others."""
        if way not in self.ways:
            raise ValueError(f"direction: {way.name} is neither {' nor '.join(each.name for each in self.ways)}")
        return self.forth if way == self.ways[0] else self.back

    @torch.inference_mode()
    def __call__(self, picture: Tensor, way: Way | None = None, size: int = 0) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] -> the same, on the CPU, translated.

        way: one of `ways`; forth if None. size: shorter side at which the networks work; 0 is the pictures' own. What
        they change is then enlarged and added to the pictures, so that these keep their own sharpness. Raises
        ValueError without a generator that way.
        """
        way = way or self.ways[0]
        if (network := self.network(way)) is None:
            raise ValueError(f"direction: these weights do not translate {way.name}")
        side = size or min(picture.shape[2:])
        grain = self.config["grain"] if way == self.ways[0] else 0.0
        run, multiple, anew = self._windows(network, network), cast(int, network.multiple), None
        if isinstance(network, SeeingGenerator) and network.smooth:
            anew = partial(_tiled, run=self._windows(network, network.opened), multiple=multiple)
        run = _grained(run, grain) if grain else run
        return tiling.apply_at_side(picture, partial(_tiled, run=run, multiple=multiple), side, anew)

    def _windows(self, network: Generator, function: Run) -> Run:
        """A function of pictures that are where the network is, and of its type, as one of pictures on the CPU."""
        return lambda windows: function(windows.to(self.device, network.dtype)).float().cpu()


def _grained(run: Run, grain: float) -> Run:
    def grained(windows: Tensor) -> Tensor:
        noise = grain * torch.randn(windows.shape[1:], generator=torch.Generator().manual_seed(0))
        return run(windows + noise) - noise

    return grained


def _tiled(pictures: Tensor, run: Run, multiple: int) -> Tensor:
    if max(pictures.shape[2:]) <= TILE and not any(side % multiple for side in pictures.shape[2:]):
        return torch.cat([run(some) for some in pictures.split(4)])
    tile = TILE // multiple * multiple
    one = [
        tiling.apply_tiled(x, run, tile=tile, overlap=OVERLAP, multiple=multiple, batch=1) for x in pictures.split(1)
    ]
    return torch.cat(one)
