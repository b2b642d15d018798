"""What the generators see: the source carried limb by limb to the target's pose, and both poses as planes.

Each limb moves by one affine map that the joints alone settle (Siarohin et al. 2018, arXiv:1801.00055, warp body parts
so too). Limbs that overlap are kept in layers of their own, so that an arm before the body hides nothing for good, and
the source without its person is the ground on which they lie. Nothing is learned here: it is where networks begin.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

HIPS, HEAD = 18, 19  # two more points: the middle of the hips, and of the head
# Limbs: from and to which point; how far beyond its end it goes, as a share of its length; radius in torso lengths.
LIMBS = (
    (1, HIPS, 0.1, 0.42), (1, HEAD, 0.4, 0.28),  # torso, head
    (2, 3, 0.0, 0.2), (3, 4, 0.5, 0.18), (5, 6, 0.0, 0.2), (6, 7, 0.5, 0.18),  # arms, with their hands
    (8, 9, 0.0, 0.3), (9, 10, 0.25, 0.25), (11, 12, 0.0, 0.3), (12, 13, 0.25, 0.25),  # legs, with their feet
)  # fmt: skip
TORSO, HEAD_LIMB = 0, 1
LAYERS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))  # torso and head, each arm, each leg
PLANES = 18 + 18 + len(LIMBS) + 2 + 9  # of `Warped.pose`
FAR = 9.0  # a distance beyond which nothing is seen
LOOSE = 2.2  # times a limb's radius: how far clothes and hair reach that are known to be the person's


class Warped(NamedTuple):
    """ground: (B, 3, H, W), the source without its person.
    layers: (B, 5, 4, H, W), a part of the body in its new place each, colour times opacity, and opacity in [0, 1].
    pose: (B, PLANES, H / cell, W / cell), cell = H / 32: joints of source and target, the target's limbs, both bodies,
    and mean colours of the source's limbs, hair and face.
    body: (B, 1, H, W) in [0, 1], about where the person shall be.
    """

    ground: Tensor
    layers: Tensor
    pose: Tensor
    body: Tensor

    def worn(self) -> Tensor:
        """The layers over one another, black where there are none: (B, 3, H, W)."""
        return self.layers[:, :, :3].sum(1) / self.layers[:, :, 3:].sum(1).clamp(min=1)

    def planes(self) -> Tensor:
        """Ground and layers as (B, 23, H, W)."""
        return torch.cat([self.ground, self.layers.flatten(1, 2)], dim=1)


class Body(NamedTuple):
    """Limbs (B, L, 2) from a to b in pixels, whether they are there (B, L), torso length and seen width (B, 1)."""

    a: Tensor
    b: Tensor
    there: Tensor
    scale: Tensor
    width: Tensor

    def axes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Along each limb and across it, unit vectors (B, L, 2), and its length (B, L, 1)."""
        d = self.b - self.a
        length = d.norm(dim=2, keepdim=True).clamp(min=1e-3)
        u = d / length
        return u, torch.stack([-u[..., 1], u[..., 0]], 2), length


def carry(source: Tensor, before: Tensor, after: Tensor, mask: Tensor | None = None) -> Warped:
    """source (B, 3, H, W) in [-1, 1], H a multiple of 32 and W = H / 2; poses (B, 18, 3) of the source and wanted.

    mask (B, 1, H, W) in [0, 1]: the source's pixels of the person, where they are known. Then limbs bring nothing of
    the ground along, but all that hangs on them: a skirt, a hat, hair.
    """
    with torch.autocast(source.device.type, enabled=False), torch.no_grad():
        known = None if mask is None else mask.float()
        return _carry(source.float(), _pixels(before, source), _pixels(after, source), known)


def _pixels(pose: Tensor, picture: Tensor) -> Tensor:
    """Joints in pixels, 0 the centre of the first one."""
    size = pose.new_tensor([picture.shape[3], picture.shape[2]])
    return torch.cat([pose[..., :2] * size - 0.5, pose[..., 2:]], dim=-1).float()


def _carry(source: Tensor, before: Tensor, after: Tensor, mask: Tensor | None) -> Warped:
    h, w = source.shape[2:]
    step, cell = max(1, h // 64), h // 32  # distances are drawn coarsely, and enlarged
    a, b = body(before, h), body(after, h)
    distance = distances(b, h, w, step)
    movable = torch.where((a.there & b.there)[..., None, None], distance, FAR)

    where = _where(a, b, centres(h, w, step, source))  # (B, L, h, w, 2)
    known = None  # which pixels are the person's, and which each layer's: (B, 6, H, W)
    if mask is not None:
        known = torch.cat([mask, mask * _enlarged(_owners(distances(a, h, w, step)), h, w)], 1)
    layers = []
    for layer, limbs in enumerate(map(list, LAYERS)):
        weight = torch.softmax(-6 * movable[:, limbs], dim=1)[..., None]
        at = (weight * where[:, limbs]).sum(1)  # blended, so that limbs bend at joints instead of tearing
        at = 2 * (at + 0.5) / at.new_tensor([w, h]) - 1
        near = movable[:, limbs].amin(1, keepdim=True)
        opacity = inside(near)
        if step > 1:
            at = _enlarged(at.permute(0, 3, 1, 2), h, w).permute(0, 2, 3, 1)
            opacity = _enlarged(opacity, h, w)
        seen = source if known is None else torch.cat([source, known[:, [0, 1 + layer]]], 1)
        found = F.grid_sample(seen, at.clamp(-2, 2), padding_mode="border", align_corners=False)
        if known is not None:
            opacity = torch.maximum(opacity * found[:, 3:4], _enlarged(inside(near / LOOSE), h, w) * found[:, 4:])
        layers.append(torch.cat([found[:, :3] * opacity, opacity], dim=1))

    old = distances(a, h, w, cell)
    nearest = torch.minimum(old.amin(1, keepdim=True) / 1.5, _hands_and_feet(before, a.scale, h, w, cell))
    gone = _enlarged(((1.15 - nearest) * 5).clamp(0, 1), h, w) if mask is None else _rimmed(mask)
    limbs, mask = (_shrunk(inside(x), cell // step) for x in (distance, distance.amin(1, keepdim=True)))
    planes = [
        bumps(before, h, w, cell), bumps(after, h, w, cell), limbs, inside(old.amin(1, keepdim=True)), mask,
        _palette(source, a, old, limbs, cell),
    ]  # fmt: skip
    where_body = _enlarged(inside(distance.amin(1, keepdim=True)), h, w)
    return Warped(without(source, gone), torch.stack(layers, 1), torch.cat(planes, 1), where_body)


def _owners(distance: Tensor) -> Tensor:
    """Distances of limbs (B, L, h, w) -> which layer each place is nearest to, about 1 of the five: (B, 5, h, w)."""
    return torch.softmax(-8 * torch.stack([distance[:, list(limbs)].amin(1) for limbs in LAYERS], 1), 1)


def _rimmed(mask: Tensor) -> Tensor:
    """The mask and a rim, where the person still shines through."""
    rim = mask.shape[2] // 64
    return F.avg_pool2d(F.max_pool2d(mask, 2 * rim + 1, 1, rim), 3, 1, 1)


def _enlarged(x: Tensor, height: int, width: int) -> Tensor:
    return x if x.shape[2] == height else F.interpolate(x, size=(height, width), mode="bilinear")


def _shrunk(x: Tensor, times: int) -> Tensor:
    return F.avg_pool2d(x, times) if times > 1 else x


def centres(height: int, width: int, step: int, like: Tensor) -> Tensor:
    """x and y of the middle of each step x step pixels: (height / step, width / step, 2)."""
    y, x = (torch.arange(side // step, device=like.device) * step + (step - 1) / 2 for side in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def _middle(joints: Tensor, which: list[int]) -> Tensor:
    """The mean of those joints that are there: (B, 1, 3)."""
    there = (joints[:, which, 2:] > 0).float()
    count = there.sum(1)
    return torch.cat([(joints[:, which, :2] * there).sum(1) / count.clamp(min=1), (count > 0).float()], 1)[:, None]


def body(joints: Tensor, height: int) -> Body:
    """The limbs of joints (B, 18, 3) in pixels of a picture so high."""
    hips, head = _middle(joints, [8, 11]), _middle(joints, [0, 14, 15, 16, 17])
    nose_only = (joints[:, 14:, 2] == 0).all(1).view(-1, 1, 1)  # the middle of the head lies above the nose
    above = torch.cat([head[..., :2] + 0.3 * (head[..., :2] - joints[:, 1:2, :2]), head[..., 2:]], 2)
    points = torch.cat([joints, hips, torch.where(nose_only, above, head)], 1)
    xy, there = points[..., :2], points[..., 2] > 0
    first, last = [limb[0] for limb in LIMBS], [limb[1] for limb in LIMBS]
    both = there[:, first] & there[:, last]
    a, b = xy[:, first], xy[:, last]
    length = (b - a).norm(dim=2) * both
    # Thighs and shins are about as long as the torso, and stand in where it is foreshortened or missing.
    guesses = [length[:, :1], 0.85 * length[:, 6:], torch.full_like(length[:, :1], 0.1 * height)]
    scale = torch.cat(guesses, 1).amax(1, keepdim=True)
    shoulders = (xy[:, 2] - xy[:, 5]).norm(dim=1) * (there[:, 2] & there[:, 5])
    width = (shoulders.square()[:, None] + (0.4 * scale).square()).sqrt()
    return Body(a, b, both, scale, width)


def distances(x: Body, height: int, width: int, step: int) -> Tensor:
    """(B, L, height / step, width / step): distance to each limb in units of its radius, 1 on its rim."""
    beyond = x.a.new_tensor([limb[2] for limb in LIMBS])
    radius = x.a.new_tensor([limb[3] for limb in LIMBS])[None] * x.scale
    radius = torch.cat([0.62 * x.width, radius[:, 1:]], 1)  # the torso is as broad as it is seen
    d = ((x.b - x.a) * (1 + beyond)[None, :, None])[:, :, None, None]  # (B, L, 1, 1, 2)
    p = centres(height, width, step, x.a) - x.a[:, :, None, None]
    t = ((p * d).sum(-1) / d.square().sum(-1).clamp(min=1e-3)).clamp(0, 1)
    found = (p - t[..., None] * d).norm(dim=-1) / radius[..., None, None]
    return torch.where(x.there[..., None, None], found, FAR)


def inside(distance: Tensor) -> Tensor:
    """1 within a limb, 0 beyond its rim, soft between."""
    return ((1.15 - distance) * 3.5).clamp(0, 1)


def heads(pictures: Tensor, pose: Tensor, side: int = 96) -> Tensor:
    """The heads of people (B, 3, H, W) in these poses (B, 18, 3): (B, 3, side, side), black where there is none."""
    found = body(_pixels(pose, pictures), pictures.shape[2])
    reach = torch.linspace(-0.45, 0.45, side, device=pictures.device) * found.scale[..., None]  # (B, 1, side), pixels
    x, y = (found.b[:, HEAD_LIMB, i, None] + reach[:, 0] for i in (0, 1))
    grid = torch.stack([x[:, None].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], -1)
    grid = 2 * (grid + 0.5) / grid.new_tensor([pictures.shape[3], pictures.shape[2]]) - 1
    cut = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return torch.where(found.there[:, HEAD_LIMB, None, None, None], cut, cut.new_tensor(-1.0))


def _where(a: Body, b: Body, places: Tensor) -> Tensor:
    """Where each place (h, w, 2) of the target comes from, if it belongs to a limb: (B, L, h, w, 2), in pixels.

    Along a limb lengths go by the ratio of its lengths, across it by that of the torsos.
    """
    (ua, na, la), (ub, nb, lb) = a.axes(), b.axes()
    size = (a.scale / b.scale)[..., None].expand(-1, len(LIMBS), 1).clone()  # (B, L, 1)
    along = (la / lb).clamp(size * 0.4, size * 2.5)
    along[:, HEAD_LIMB] = size[:, HEAD_LIMB]
    size[:, TORSO] = a.width / b.width
    matrix = (ua * along)[..., :, None] * ub[..., None, :] + (na * size)[..., :, None] * nb[..., None, :]
    p = places.flatten(0, 1) - b.a[:, :, None]
    return (p @ matrix.transpose(2, 3) + a.a[:, :, None]).unflatten(2, places.shape[:2])


def without(source: Tensor, gone: Tensor) -> Tensor:
    """The picture with what is `gone` (B, 1, H, W) filled in from around, from coarse to fine."""
    levels, kept = [], 1 - gone
    colour = source * kept
    while min(colour.shape[2:]) > 2:
        levels.append((colour, kept))
        colour, kept = F.avg_pool2d(colour, 2), F.avg_pool2d(kept, 2)
    filled = colour / kept.clamp(min=1e-3)
    for i, (colour, kept) in reversed(list(enumerate(levels))):
        up = F.interpolate(filled, size=colour.shape[2:], mode="bilinear")
        sure = (4 * kept).clamp(max=1) if i else kept
        filled = sure * colour / kept.clamp(min=1e-3) + (1 - sure) * up
    return filled


def _hands_and_feet(joints: Tensor, scale: Tensor, height: int, width: int, step: int) -> Tensor:
    """(B, 1, h, w): distance to the nearest hand or foot, which reach beyond wrist and ankle; 1 at their rim."""
    ends = joints[:, [4, 7, 10, 13]]
    radius = scale * scale.new_tensor([0.36, 0.36, 0.42, 0.42])
    down = scale * scale.new_tensor([0.0, 0.0, 0.12, 0.12])
    at = torch.stack([ends[..., 0], ends[..., 1] + down], dim=-1)[:, :, None, None]
    found = (centres(height, width, step, joints) - at).norm(dim=-1) / radius[..., None, None]
    return torch.where(ends[..., 2, None, None] > 0, found, FAR).amin(1, keepdim=True)


def bumps(joints: Tensor, height: int, width: int, cell: int) -> Tensor:
    """(B, 18, height / cell, width / cell): a Gaussian bump at each joint, as high as its confidence."""
    apart = (centres(height, width, cell, joints) - joints[:, :, None, None, :2]).square().sum(-1)
    return torch.exp(-apart / (2 * (0.9 * cell) ** 2)) * joints[..., 2, None, None]


def _palette(source: Tensor, a: Body, distance: Tensor, limbs: Tensor, cell: int) -> Tensor:
    """(B, 9, h, w): the target's limbs (B, L, h, w) in the mean colours of the source's; those of hair and face."""
    small = F.avg_pool2d(source, cell)
    h, w = small.shape[2:]

    def mean(mask: Tensor) -> Tensor:  # (B, K, h, w) -> (B, K, 3)
        return torch.einsum("bkhw,bchw->bkc", mask, small) / mask.sum((2, 3)).clamp(min=1e-3)[..., None]

    colours = mean((1.3 - 1.3 * distance).clamp(0, 1) * a.there[..., None, None])
    painted = torch.einsum("bkhw,bkc->bchw", limbs, colours) / limbs.sum(1, keepdim=True).clamp(min=1)
    spots = []
    for along, radius in ((1.25, 0.08), (0.85, 0.11)):  # hair, face
        at = a.a[:, 1] + along * (a.b[:, 1] - a.a[:, 1])
        apart = (centres(h * cell, w * cell, cell, source) - at[:, None, None]).norm(dim=-1)
        spots.append((1.4 - apart / (radius * a.scale[..., None] + cell / 3)).clamp(0, 1))
    hair_and_face = mean(torch.stack(spots, 1)).flatten(1)[..., None, None].expand(-1, -1, h, w)
    return torch.cat([painted, hair_and_face], 1)
