"""Training of the finder for photos: where a person's joints are, and which pixels are theirs.

The people of a data set are moved, turned, cut off, lit anew and put before other grounds, so that rendered ones teach
what holds for photographs; the network looks through EfficientNet-Lite0, which has seen those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_zoo import data, images
from gan_zoo.data import to_float
from gan_zoo.plugin import Batch, Evaluation
from gan_zoo.plugins.pose import skeleton
from gan_zoo.plugins.pose.drawn import draw_people
from gan_zoo.plugins.pose.networks import SeeingFinder
from gan_zoo.plugins.pose.pairs import People, ground_of, read_people
from gan_zoo.plugins.pose.warping import without

HEIGHT, WIDTH = 256, 192  # of what the finder learns on; it takes any multiples of 32
NOBODY = 0.06  # share of pictures without a person
PROTOCOL = (
    "Pictures held out, as they are. PCK@0.2: share of annotated joints found within 0.2 of the torso (neck to the "
    "middle of the hips) of where they are. mask IoU: of the person's pixels found and known, {known}."
)


@dataclass(frozen=True)
class Figures:
    """People uint8 (N, 3, H, W), masks bool (N, 1, H, W) and poses (N, 18, 3), before grounds uint8 (M, 3, S, S).

    A sample, settled by its number: `image` (3, HEIGHT, WIDTH) in [-1, 1], `mask` (1, HEIGHT / 4, WIDTH / 4) in [0, 1],
    `pose` (18, 3), joints beyond the picture missing.
    """

    people: Tensor
    masks: Tensor
    poses: np.ndarray
    grounds: Tensor
    seed: int
    training: bool
    masks_known: bool

    def __len__(self) -> int:
        return len(self.people)

    def batch(self, samples: range) -> Batch:
        numbers = torch.arange(samples.start, samples.stop)
        order = numbers if self.training else numbers % len(self)
        rows = data.sample_rows(order, len(self), self.seed) if self.training else order
        made = [self._sample(int(number), int(row)) for number, row in zip(numbers, rows)]
        return {name: torch.stack([sample[name] for sample in made]) for name in made[0]}

    def _sample(self, number: int, row: int) -> Batch:
        picture, mask = to_float(self.people[row])[None], self.masks[row][None].float()
        pose = torch.from_numpy(self.poses[row].astype(np.float32))
        height, width = picture.shape[2:]
        if not self.training:
            move = _move(height, width, 1.0, 0.0, (0.0, 0.0), False)
            moved, where, joints = _moved(picture, mask, pose, move, False)
            return _sample(moved, where, joints)
        rng = np.random.default_rng([self.seed, number])
        mirror = rng.random() < 0.5
        scale = float(np.exp(rng.uniform(np.log(0.4), np.log(2.2))))
        reach = 0.15 + 0.45 * abs(1 - min(scale, 1.9)) + (0.35 if scale > 1.3 else 0)
        shift = (rng.uniform(-reach, reach), rng.uniform(-reach, reach) + (0.3 if scale > 1.5 else 0))
        move = _move(height, width, scale, rng.normal(0, 0.15), shift, mirror)
        moved, where, joints = _moved(picture, mask, pose, move, mirror)
        ground = ground_of(self.grounds, rng, HEIGHT, WIDTH)
        if rng.random() < NOBODY:
            return _sample(_lit(ground, rng), torch.zeros_like(where), torch.zeros_like(joints))
        if rng.random() < 0.8:
            soft = F.avg_pool2d(where, 3, 1, 1)
            person = _lit(moved, rng, rough=False) if rng.random() < 0.5 else moved
            moved = person * soft + ground * (1 - soft)
        return _sample(_lit(moved, rng), where, joints)


def _sample(picture: Tensor, mask: Tensor, pose: Tensor) -> Batch:
    outside = ((pose[:, :2] - 0.5).abs() > 0.5).any(1)
    pose = torch.where(outside[:, None], torch.zeros_like(pose), pose)
    return {"image": picture[0].clamp(-1, 1), "mask": F.avg_pool2d(mask, 4)[0], "pose": pose}


def _move(height: int, width: int, scale: float, angle: float, shift: tuple[float, float], mirror: bool) -> Tensor:
    """From places of the source, in [-1, 1], to those of the canvas: (2, 3). Of scale 1 it is fitted in whole."""
    fitted = scale * min(HEIGHT / height, WIDTH / width)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]]) * fitted
    if mirror:
        turn[:, 0] *= -1
    turn = np.diag([2 / WIDTH, 2 / HEIGHT]) @ turn @ np.diag([width / 2, height / 2])
    return torch.tensor(np.concatenate([turn, np.array(shift)[:, None]], axis=1), dtype=torch.float32)


def _moved(picture: Tensor, mask: Tensor, pose: Tensor, move: Tensor, mirror: bool) -> tuple[Tensor, Tensor, Tensor]:
    whole = torch.cat([move, move.new_tensor([[0.0, 0.0, 1.0]])])
    grid = F.affine_grid(torch.linalg.inv(whole)[None, :2], [1, 3, HEIGHT, WIDTH], align_corners=False)
    moved = F.grid_sample(picture, grid, padding_mode="border", align_corners=False)
    where = F.grid_sample(mask, grid, align_corners=False)
    places = torch.cat([2 * pose[:, :2] - 1, torch.ones(len(pose), 1)], 1) @ move.T
    joints = torch.cat([(places + 1) / 2, pose[:, 2:]], 1)
    if mirror:
        joints = joints[list(skeleton.MIRROR)]
    return moved, where, torch.where(joints[:, 2:] > 0, joints, 0.0)


def _lit(pictures: Tensor, rng: np.random.Generator, rough: bool = True) -> Tensor:
    """In another light; `rough`: by another camera too, blurred and with noise."""
    gain = torch.from_numpy(rng.uniform(0.65, 1.35, (3, 1, 1)).astype(np.float32)) * float(rng.uniform(0.6, 1.3))
    lit = pictures * gain + float(rng.uniform(-0.25, 0.25))
    if rng.random() < 0.15:
        lit = lit.mean(1, keepdim=True).expand_as(lit)
    if rough and rng.random() < 0.4:
        times = float(rng.uniform(1.2, 3))
        small = F.interpolate(lit, scale_factor=1 / times, mode="bilinear", antialias=True)
        lit = F.interpolate(small, lit.shape[2:], mode="bilinear")
    if rough and rng.random() < 0.4:
        noise = rng.standard_normal(lit.shape).astype(np.float32)
        lit = lit + float(rng.uniform(0.02, 0.12)) * torch.from_numpy(noise)
    return lit.clamp(-1, 1)


# ---------------------------------------------------------------------------------------------------------------------
# Reading


@lru_cache(maxsize=4)
def people_of(source: str | None, split: str, height: int, width: int, drawn: int) -> People:
    """People with masks, of a source that `read_people` knows, or drawn: annotated, or guessed from even grounds."""
    if source is None:
        made = draw_people(drawn, split, height)
        pictures, poses = made.show(range(len(made.persons)))
        people = People(pictures, poses, made.persons)
    else:
        people = read_people(source, split, height, width, masked=True)
    return people if people.masks is not None else replace(people, masks=guessed_masks(people.pictures, people.poses))


def _wide(source: str) -> bool:
    """Is a set's first picture wider than half its height?"""
    first = data.load(source, split="all")[0]["image"]
    return first.width > 0.55 * first.height


def guessed_masks(pictures: Tensor, poses: np.ndarray) -> Tensor:
    """Of pictures uint8 (N, 3, H, W) with even grounds: what differs, near the limbs, from the ground around them."""
    made = []
    for some, pose in zip(pictures.split(64), torch.from_numpy(poses).split(64)):
        x, (height, width) = to_float(some), some.shape[2:]
        near = skeleton.limb_mask(pose, height, width, 0.11, height / 64).float()
        core = skeleton.limb_mask(pose, height, width, 0.02, 0.0).float()
        apart = F.avg_pool2d((x - without(x, near)).abs().amax(1, keepdim=True), 3, 1, 1)
        mask = torch.maximum((apart > 0.16).float() * near, core)
        closed = -F.max_pool2d(-F.max_pool2d(mask, 5, 1, 2), 7, 1, 3)  # holes closed, specks and a rim taken off
        made.append(F.max_pool2d(closed, 3, 1, 1) > 0.5)
    return torch.cat(made)


def read(source: str | None, split: str, grounds: str, drawn: int, seed: int) -> Figures:
    """People of a source that `read_people` knows, or drawn; `grounds`: a data set of photos, or ""."""
    width = WIDTH if source is not None and _wide(source) else HEIGHT // 2
    people = people_of(source, split, HEIGHT, width, drawn)
    assert people.masks is not None
    known = source is not None and read_people(source, split, HEIGHT, width, masked=True).masks is not None
    photos = data.read_pictures(grounds, "all", 384) if grounds else torch.zeros(0, 3, 8, 8, dtype=torch.uint8)
    return Figures(people.pictures, people.masks, people.poses, photos, seed, split == "train", known)


# ---------------------------------------------------------------------------------------------------------------------
# Scores


def torso(poses: Tensor) -> Tensor:
    """From the neck to the middle of the hips, in pixels of the canvas (N,); nan where one of them is missing."""
    size = poses.new_tensor([WIDTH, HEIGHT])
    length = ((poses[:, 1, :2] - (poses[:, 8, :2] + poses[:, 11, :2]) / 2) * size).norm(dim=1)
    return torch.where((poses[:, [1, 8, 11], 2] > 0).all(1), length, torch.nan)


def evaluate(finder: SeeingFinder, kept: Figures, count: int) -> Evaluation:
    """What PROTOCOL says."""
    hits, joints, ious = 0, 0, []
    for start in range(0, min(count, len(kept)), 16):
        batch = kept.batch(range(start, min(start + 16, count, len(kept))))
        found, mask = finder.look(batch["image"])
        known, size = batch["pose"], torch.tensor([WIDTH, HEIGHT])
        apart = ((found - known)[..., :2] * size).norm(dim=-1) / torso(known)[:, None]
        asked = (known[..., 2] > 0) & apart.isfinite()
        hits, joints = hits + int(((apart < 0.2) & asked).sum()), joints + int(asked.sum())
        ours, theirs = F.avg_pool2d(mask, 4) > 0.5, batch["mask"] > 0.5
        ious += ((ours & theirs).sum((1, 2, 3)) / (ours | theirs).sum((1, 2, 3)).clamp(min=1)).tolist()
    known = "annotated" if kept.masks_known else "guessed from even grounds"
    scores = {"pck_02": hits / max(1, joints), "mask_iou": sum(ious) / max(1, len(ious))}
    return Evaluation(scores, PROTOCOL.format(known=known))


def shown(finder: SeeingFinder, pictures: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) in [-1, 1] with the joints found drawn over them, the ground dimmed."""
    poses, masks = finder.look(pictures)
    drawn = []
    for picture, pose, mask in zip(pictures, poses, masks):
        dimmed = images.to_images((picture * (0.35 + 0.65 * mask))[None])[0]
        drawn.append(images.to_tensor(skeleton.over(pose.numpy(), dimmed)))
    return torch.cat(drawn)
