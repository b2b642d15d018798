"""Pictures of a data set as tensors: all of them in memory, or where there is no room, each when it is asked for."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from gan_zoo import images

if TYPE_CHECKING:
    from datasets import Dataset

IN_MEMORY = 2 * 2**30  # bytes of decoded pictures that a set may keep


class DataError(ValueError):
    """The data is not there, not readable or not of the expected layout; the message is one line for people."""


def encoded(dataset: Dataset, column: str = "image") -> Dataset:
    """The column alone, its pictures as they are stored: {"bytes", "path"} each."""
    from datasets import Image as ImageFeature

    return dataset.select_columns([column]).cast_column(column, ImageFeature(decode=False)).with_format(None)


class Decoder:
    """Decodes pictures of a column into uint8 (height, width, 3); size is the side of a square, or (height, width).

    A picture of another shape is scaled (Lanczos) to cover that size and cropped at the centre; one of that size is
    taken as it is. Threads share the work: PIL decodes and scales outside the GIL.
    """

    def __init__(self, dataset: Dataset, size: int | tuple[int, int], column: str = "image"):
        if column not in dataset.features:
            raise DataError(f"no column {column}; found {', '.join(dataset.features)}")
        self.height, self.width = (size, size) if isinstance(size, int) else size
        self.column, self.encoded = column, encoded(dataset, column)
        self.pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))

    def __len__(self) -> int:
        return len(self.encoded)

    def into(self, out: Sequence[np.ndarray] | np.ndarray, rows: Sequence[int]) -> None:
        """Each row's picture into the array of its place. Raises DataError naming what cannot be read."""
        for start in range(0, len(rows), 256):
            some = rows[start : start + 256]
            cells = self.encoded[some][self.column]
            for _ in self.pool.map(self._decode, out[start : start + len(some)], some, cells):
                pass

    def _decode(self, out: np.ndarray, row: int, cell: dict[str, Any] | None) -> None:
        if cell is None or (cell["bytes"] is None and cell["path"] is None):
            raise DataError(f"row {row}: no picture in column {self.column}")
        try:
            # datasets opens paths inside archives and on the Hub as well as local ones
            picture = Image.open(io.BytesIO(cell["bytes"])) if cell["bytes"] is not None else _open(cell["path"])
            with picture:
                rgb = images.to_rgb(picture)
                if rgb.size != (self.width, self.height):
                    rgb = ImageOps.fit(rgb, (self.width, self.height), Image.Resampling.LANCZOS)
                out[:] = np.asarray(rgb)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            where = f"row {row}" + (f" ({cell['path']})" if cell["path"] else "")
            reason = "not a picture" if isinstance(error, Image.UnidentifiedImageError) else error
            raise DataError(f"{where}: cannot read this picture: {reason}") from error


def images_to_tensor(
    dataset: Dataset, size: int | tuple[int, int], column: str = "image", rows: Iterable[int] | None = None
) -> Tensor:
    """Pictures decoded as `Decoder` does, uint8 (N, 3, H, W). Raises DataError."""
    decoder = Decoder(dataset, size, column)
    chosen = [int(row) for row in (range(len(decoder)) if rows is None else rows)]
    out = np.empty((len(chosen), decoder.height, decoder.width, 3), np.uint8)
    decoder.into(out, chosen)
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous()


class OnDemand:
    """Pictures of a set too large for memory: indexed as the tensor uint8 (N, 3, H, W) that they would be, and decoded
    when asked for. As many as fit into IN_MEMORY, the first that were asked for, stay decoded.
    """

    def __init__(self, decoder: Decoder):
        self.decoder = decoder
        self.shape = torch.Size((len(decoder), 3, decoder.height, decoder.width))
        self.kept: dict[int, np.ndarray] = {}
        self.room = IN_MEMORY // (3 * decoder.height * decoder.width)

    def __len__(self) -> int:
        return len(self.decoder)

    def __getitem__(self, rows: Any) -> Tensor:
        asked = torch.arange(len(self))[rows]
        numbers = asked.reshape(-1).tolist()
        out = np.empty((len(numbers), self.decoder.height, self.decoder.width, 3), np.uint8)
        missing = [place for place, row in enumerate(numbers) if row not in self.kept]
        self.decoder.into([out[place] for place in missing], [numbers[place] for place in missing])
        for place in missing:
            if len(self.kept) < self.room:
                self.kept[numbers[place]] = out[place].copy()
        for place in set(range(len(numbers))).difference(missing):
            out[place] = self.kept[numbers[place]]
        return torch.from_numpy(out).permute(0, 3, 1, 2).reshape(*asked.shape, *self.shape[1:]).contiguous()

    def split(self, size: int) -> Iterator[Tensor]:
        return (self[start : start + size] for start in range(0, len(self), size))

    def __iter__(self) -> Iterator[Tensor]:
        return (picture for some in self.split(64) for picture in some)


def pictures_of(dataset: Dataset, size: int | tuple[int, int]) -> Any:
    """Pictures decoded as `Decoder` does, uint8 (N, 3, H, W): a tensor, or `OnDemand` where they exceed IN_MEMORY."""
    height, width = (size, size) if isinstance(size, int) else size
    if 3 * height * width * len(dataset) <= IN_MEMORY:
        return images_to_tensor(dataset, size)
    return OnDemand(Decoder(dataset, size))


def _open(path: str) -> Image.Image:
    from datasets.utils.file_utils import xopen

    if os.path.exists(path):
        return Image.open(path)
    with xopen(path, "rb") as file:  # type: ignore[no-untyped-call]
        return Image.open(io.BytesIO(file.read()))
