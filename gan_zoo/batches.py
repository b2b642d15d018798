"""Batches by their numbers, read ahead: while a step computes, a thread prepares the next one's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_zoo.contract import Batch

Wanted = list[list[range]]  # sample numbers of a step's batches: [D's updates][micro-batches]


@dataclass(frozen=True)
class Share:
    """Which samples of a step are this process's: N processes see what one would."""

    size: int  # of a micro-batch, in one process
    processes: int
    rank: int
    accumulate: int  # micro-batches an update
    d_updates: int

    @property
    def update(self) -> int:
        """Samples of an update, in all processes."""
        return self.size * self.processes * self.accumulate

    @property
    def step(self) -> int:
        """Samples of a step, in all processes."""
        return self.update * self.d_updates

    def rows(self, micro: int = 0) -> slice:
        """The rows of a micro-batch within those of its update."""
        start = (micro * self.processes + self.rank) * self.size
        return slice(start, start + self.size)

    def wanted(self, first: int) -> Wanted:
        """Sample numbers of the step that begins with `first`."""
        rows = [self.rows(micro) for micro in range(self.accumulate)]
        starts = [first + draw * self.update for draw in range(self.d_updates)]
        return [[range(start + each.start, start + each.stop) for each in rows] for start in starts]


class Batches:
    """Batches as `batch` makes them (`Data.batch`), on a device; four-dimensional tensors in channels_last."""

    def __init__(self, batch: Callable[[range], Batch], device: torch.device):
        self.batch, self.device = batch, device
        self._thread = ThreadPoolExecutor(1)
        self._following: tuple[Wanted, Future[list[list[Batch]]]] | None = None

    def of_step(self, share: Share, first: int) -> list[list[Batch]]:
        """The batches, [D's updates][micro-batches], of the step that begins with sample `first`.

        It is then guessed that the same, further on, come next.
        """
        wanted = share.wanted(first)
        if self._following is not None and self._following[0] == wanted:
            batches = self._following[1].result()
        else:
            batches = self._read(wanted)
        following = share.wanted(first + share.step)
        self._following = following, self._thread.submit(self._read, following)
        return [[to_device(batch, self.device) for batch in row] for row in batches]

    def _read(self, wanted: Wanted) -> list[list[Batch]]:
        return [[self.batch(samples) for samples in row] for row in wanted]

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)


def to_device(batch: Batch, device: torch.device) -> Batch:
    def move(x: Tensor) -> Tensor:
        x = x.to(device, non_blocking=True)
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x

    return {name: move(x) for name, x in batch.items()}
