"""Batches read ahead: while a step computes, a thread prepares the next one's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from gan_zoo.plugin import Batch

Wanted = list[list[range]]  # sample numbers of a step's batches: [D's updates][micro-batches]


class Prefetcher:
    def __init__(self, batch: Callable[[range], Batch]):
        self.batch = batch
        self._thread = ThreadPoolExecutor(1)
        self._following: tuple[Wanted, Future[list[list[Batch]]]] | None = None

    def read(self, wanted: Wanted, ahead: int) -> list[list[Batch]]:
        """These batches, on the CPU. It is then guessed that the same, `ahead` samples further on, come next."""
        if self._following is not None and self._following[0] == wanted:
            batches = self._following[1].result()
        else:
            batches = self._make(wanted)
        following = [[range(r.start + ahead, r.stop + ahead) for r in row] for row in wanted]
        self._following = following, self._thread.submit(self._make, following)
        return batches

    def _make(self, wanted: Wanted) -> list[list[Batch]]:
        return [[self.batch(samples) for samples in row] for row in wanted]

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
