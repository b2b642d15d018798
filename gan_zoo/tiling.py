"""Networks on pictures that are larger, or of other sides, than they take."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def apply_tiled(
    picture: Tensor,
    run: Callable[[Tensor], Tensor],
    *,
    tile: int = 256,
    overlap: int = 64,
    multiple: int = 4,
    least: int = 64,
    batch: int = 4,
) -> Tensor:
    """A network of limited size on a picture of any size: (1, C, H, W) -> (1, C', H, W), in [-1, 1].

    `run` maps windows (B, C, h, w) to (B, C', h, w): sides that are multiples of `multiple`, at most `tile`, and no
    more than `batch` windows at once. Neighbours share about `overlap` pixels, over which one fades into the next by a
    raised cosine: each counts least where it lacks context. At the picture's border windows move inward rather than
    reach beyond it; only sides shorter than `least`, or than a tile and no multiple, are mirrored outward, then cut.

    A network with instance norm sees other statistics in each window, so that neighbours differ in tone: the fading
    turns that step into a slope, it does not remove it. A larger tile does.
    """
    if picture.ndim != 4 or len(picture) != 1 or 0 in picture.shape:
        raise ValueError(f"expected one picture (1, C, H, W), got {tuple(picture.shape)}")
    if tile % multiple or not 0 < overlap < tile:
        raise ValueError(f"tile {tile}, overlap {overlap}: expected a multiple of {multiple}, and less than the tile")
    height, width = picture.shape[2:]
    rows, columns = (_tiled_side(side, tile, multiple, least) for side in (height, width))
    padded = picture[:, :, _mirrored(height, rows)][..., _mirrored(width, columns)]

    fades_y, fades_x = (_fades(side, tile, overlap, multiple) for side in (rows, columns))
    windows = [(y, x) for y in fades_y for x in fades_x]
    blended: Tensor | None = None
    for i in range(0, len(windows), batch):
        some = windows[i : i + batch]
        cut = [padded[:, :, y : y + len(fades_y[y]), x : x + len(fades_x[x])] for y, x in some]
        for (y, x), result in zip(some, run(torch.cat(cut)).float(), strict=True):
            weight = (fades_y[y][:, None] * fades_x[x]).to(result.device)  # (h, w)
            if blended is None:
                blended = result.new_zeros(len(result), rows, columns)
            blended[:, y : y + weight.shape[0], x : x + weight.shape[1]] += weight * result
    assert blended is not None
    return blended[None, :, :height, :width]


def apply_at_side(
    pictures: Tensor, run: Callable[[Tensor], Tensor], side: int, anew: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """A network on pictures (B, C, H, W) in [-1, 1] whose shorter side is made `side`, if it is longer.

    What `run` changes in the small pictures is enlarged and added to the large ones, which keep their own sharpness,
    but where `anew` of the small ones, (B, 1, h, w) in [0, 1], says that nothing of what was there is to be seen.
    """
    height, width = pictures.shape[2:]
    scale = side / min(height, width)
    if scale >= 1:
        return run(pictures).clamp(-1, 1)
    small_size = [max(8, round(length * scale)) for length in (height, width)]
    small = F.interpolate(pictures, small_size, mode="bicubic", antialias=True).clamp(-1, 1)
    made = run(small)
    change = F.interpolate(made - small, (height, width), mode="bicubic")
    result = pictures + change
    if anew is not None:
        enlarged = F.interpolate(made, (height, width), mode="bicubic")
        result = torch.lerp(result, enlarged, F.interpolate(anew(small), (height, width), mode="bilinear"))
    return result.clamp(-1, 1)


def _tiled_side(side: int, tile: int, multiple: int, least: int) -> int:
    """The side to which a picture is mirrored outward before it is cut: its own from a tile up."""
    if side >= tile:
        return side
    return min(tile, math.ceil(max(side, least) / multiple) * multiple)


def _mirrored(side: int, padded: int) -> Tensor:
    """Which pixel of a side each of `padded` places shows: back and forth, the border itself only once."""
    last = side - 1
    return last - ((torch.arange(padded) % max(2 * last, 1)) - last).abs()


def _fades(side: int, tile: int, overlap: int, multiple: int) -> dict[int, Tensor]:
    """The windows along a side: {start: weights (tile,)}. At every place the weights of all windows add up to 1."""
    if side <= tile:
        return {0: torch.ones(side)}
    count = math.ceil((side - overlap) / (tile - overlap))
    # On multiples, all but the last, a network with strides sees a pixel in the same place of its grid in both windows.
    grid = multiple if 2 * multiple <= overlap else 1
    between = [round(i * (side - tile) / (count - 1) / grid) * grid for i in range(1, count - 1)]
    starts = [0, *between, side - tile]
    inward = (torch.arange(tile, dtype=torch.float64) + 0.5).clamp(max=overlap) / overlap
    weight = torch.minimum(inward, inward.flip(0)).mul(math.pi / 2).sin().square()
    total = torch.zeros(side, dtype=torch.float64)
    for start in starts:
        total[start : start + tile] += weight
    return {start: (weight / total[start : start + tile]).float() for start in starts}
