"""What was behind a person: guessed from what is around them, patch by patch.

Patches of the hole are replaced by their nearest ones of what is left, and pixels vote, from coarse to fine (Wexler et
al. 2007, "Space-time completion of video"). So bricks stay bricks, where diffusion leaves fog.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_zoo.plugins.pose.warping import without

LEVELS = ((64, 1), (128, 1))  # longer sides, and how often all patches are sought at each
PATCH = 7
PEEL = 2  # pixels by which the hole shrinks in a round, at first: from its rim inwards
LEAST = 40  # patches that are left, or there is nothing to copy from
AT_MOST = 1024  # longer side at which it is copied: larger pictures are enlarged within the hole
FAR = 0.001  # what a patch costs for each row that it lies above or below, beside its distance in colour
CHUNK = 512


def filled(picture: Tensor, gone: Tensor) -> Tensor:
    """picture (1, 3, H, W) in [-1, 1], and where it is gone, (1, 1, H, W) in [0, 1] -> the picture, whole again."""
    height, width = picture.shape[2:]
    less = min(1.0, AT_MOST / max(height, width))
    size = [max(16, round(side * less)) for side in (height, width)]
    small, hole = _shrunk(picture, gone, size)
    source = None
    for side, rounds in LEVELS:
        at = [max(2 * PATCH, round(length * side / max(size))) for length in size]
        seen, lost = _shrunk(small, hole, at)
        guess, open_ = (
            (seen, lost) if source is None else (torch.where(lost > 0, _copied(seen, source), seen), lost * 0)
        )
        while open_.any():
            near = open_ * F.max_pool2d(1 - open_, 2 * PEEL + 1, 1, PEEL)
            found = _vote(guess, lost, open_, near)
            if found is None or not near.any():  # hardly anything is left
                return picture * (1 - gone) + _smooth(picture, gone) * gone
            (guess, source), open_ = found, open_ - near
        for _ in range(rounds):
            found = _vote(guess, lost, open_, lost)
            if found is not None:
                guess, source = found
    if source is None:
        return picture
    whole = _copied(small, source)
    whole = F.interpolate(whole, (height, width), mode="bilinear") if whole.shape != picture.shape else whole
    return picture * (1 - gone) + whole * gone


def _smooth(picture: Tensor, gone: Tensor) -> Tensor:
    size = [max(32, 32 * round(side * min(1.0, 512 / max(picture.shape[2:])) / 32)) for side in picture.shape[2:]]
    small, hole = _shrunk(picture, gone, size)
    return F.interpolate(without(small, hole), picture.shape[2:], mode="bilinear")


def _shrunk(picture: Tensor, gone: Tensor, size: list[int]) -> tuple[Tensor, Tensor]:
    """Both at another size, 1 wherever something is gone; its colours do not shine through."""
    kept = 1 - (gone > 0.02).float()
    share = F.interpolate(kept, size, mode="bilinear", antialias=True)
    colour = F.interpolate(picture * kept, size, mode="bilinear", antialias=True) / share.clamp(min=1e-3)
    return colour.clamp(-1, 1), (share < 0.98).float()


def _vote(picture: Tensor, lost: Tensor, unknown: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor] | None:
    """One round: the picture with what is `wanted` of its hole `lost` voted anew, by patches that are alike where they
    are not `unknown`; and for each pixel the place (2, H, W), x and y, that it is copied from. None where too few
    patches are left.
    """
    height, width = picture.shape[2:]
    pad, area = PATCH // 2, PATCH * PATCH
    touched = F.max_pool2d(lost, PATCH, 1, pad)[0, 0] > 0
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    whole = (rows >= pad) & (rows < height - pad) & (columns >= pad) & (columns < width - pad)
    left = (~touched & whole).flatten().nonzero()[:, 0]
    asked = (F.max_pool2d(wanted, PATCH, 1, pad)[0, 0] > 0).flatten().nonzero()[:, 0]
    if len(left) < LEAST or len(asked) == 0:
        return None
    patches, sure = (
        F.unfold(F.pad(x, (pad, pad, pad, pad), mode="replicate"), PATCH)[0].T for x in (picture, 1 - unknown)
    )
    known, row, counted = patches[left], rows.flatten().float(), sure.repeat(1, 3)
    nearest = []
    for some in asked.split(CHUNK):
        weight = counted[some]
        apart = weight @ known.square().T - 2 * (weight * patches[some]) @ known.T
        apart = apart / weight.sum(1, keepdim=True).clamp(min=1)
        nearest.append((apart + FAR * (row[some, None] - row[left]).abs()).argmin(1))
    best = left[torch.cat(nearest)]
    trust = sure[asked].mean(1, keepdim=True)  # a patch of which little is known tells little
    votes, counts = torch.zeros_like(patches), torch.zeros(len(patches), area)
    votes[asked], counts[asked] = patches[best] * trust, trust.expand(-1, area)
    summed, count = (
        F.fold(x.T[None], (height + 2 * pad, width + 2 * pad), PATCH)[:, :, pad : pad + height, pad : pad + width]
        for x in (votes, counts)
    )
    place = torch.stack([columns, rows]).float().flatten(1)
    place[:, asked] = place[:, best]
    return torch.where(wanted > 0, summed / count.clamp(min=1e-3), picture), place.view(2, height, width)


def _copied(picture: Tensor, source: Tensor) -> Tensor:
    """The picture (1, 3, H, W) copied from where `source` (2, h, w) of a smaller one says; neighbours are blended."""
    (height, width), (h, w) = picture.shape[2:], source.shape[1:]
    here = torch.stack(torch.meshgrid(torch.arange(w), torch.arange(h), indexing="xy")).float()
    moves = (source - here) / torch.tensor([w, h]).view(2, 1, 1)  # as shares of the picture
    x, y = ((torch.arange(side) + 0.5) / side for side in (width, height))
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    cell = (places * torch.tensor([w, h]) - 0.5).clamp(min=0)
    low, share = cell.long(), cell - cell.floor()
    blended = torch.zeros_like(picture)
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = (low[..., 0] + dx).clamp(max=w - 1), (low[..., 1] + dy).clamp(max=h - 1)
            weight = (share[..., 0] if dx else 1 - share[..., 0]) * (share[..., 1] if dy else 1 - share[..., 1])
            grid = 2 * (places + moves[:, row, column].permute(1, 2, 0))[None] - 1
            blended += weight * F.grid_sample(picture, grid, padding_mode="reflection", align_corners=False)
    return blended
