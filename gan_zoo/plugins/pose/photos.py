"""One's own photo: the person is found, worked on in a box of the networks' shape, and put back before their ground.

All that neither the person nor their new pose covers stays as it was, pixel for pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_zoo import images
from gan_zoo.plugins.pose import poses, skeleton
from gan_zoo.plugins.pose.filling import filled
from gan_zoo.plugins.pose.networks import SeeingFinder

FIRST_LOOKS = (320, 160)  # longer sides at which a whole photo is looked at: the second sees who fills it
ROOM = 1.2  # of the second look, around what the first one found
LEAST_JOINTS, LEAST_SURE = 6, 0.33  # and their mean confidence, to believe that somebody is there
NOBODY = "image: nobody was found in it; give source_pose as OpenPose JSON"
NOBODY_THERE = "at: nobody was found at that place of the image"
NEAR = 0.1  # how far from `at` somebody may be, as a share of the picture's longer side
LEFT_OUT = ((9, 12), (10, 13), (3, 6), (4, 7))  # joints that a pose does not bring in where both are out of the picture


@dataclass(frozen=True)
class Found:
    """A person in a photo: joints (18, 3) in its pixels, and the mask (1, 1, h, w) in [0, 1], at some scale."""

    joints: np.ndarray
    mask: Tensor


@dataclass(frozen=True)
class Box:
    """A part of a photo, in its pixels, beyond which it may reach; `ratio`: of its width to its height."""

    left: float
    top: float
    height: float
    ratio: float = 0.5

    @property
    def width(self) -> float:
        return self.height * self.ratio

    def shares(self, joints: np.ndarray) -> np.ndarray:
        """Joints (..., 18, 3) in the photo's pixels -> as shares of the box."""
        return _mapped(joints, (joints[..., :2] - (self.left, self.top)) / (self.width, self.height))

    def pixels(self, pose: np.ndarray) -> np.ndarray:
        """The other way round."""
        return _mapped(pose, pose[..., :2] * (self.width, self.height) + (self.left, self.top))

    def grid(self, x: Tensor, y: Tensor) -> Tensor:
        """Columns x (W,) and rows y (H,) of the photo -> where they are in the box, (1, H, W, 2) for `grid_sample`."""
        places = torch.meshgrid((x - self.left) / self.width, (y - self.top) / self.height, indexing="xy")
        return 2 * torch.stack(places, -1)[None] - 1

    def cut(self, picture: Image.Image, to: tuple[int, int]) -> Image.Image:
        """The part at the size `to`; beyond the photo its rim goes on."""
        sides = (self.left, self.top, self.left + self.width, self.top + self.height)
        rims = [max(0, round(v)) for v in (-sides[0], -sides[1], sides[2] - picture.width, sides[3] - picture.height)]
        if any(rims):
            pixels = np.pad(np.asarray(picture), ((rims[1], rims[3]), (rims[0], rims[2]), (0, 0)), mode="edge")
            picture = Image.fromarray(pixels)
        left, top = max(0.0, sides[0] + rims[0]), max(0.0, sides[1] + rims[1])
        right, bottom = min(sides[2] + rims[0], picture.width), min(sides[3] + rims[1], picture.height)
        return picture.resize(to, Image.Resampling.LANCZOS, box=(left, top, right, bottom))


def _mapped(joints: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The joints at other places; what is missing stays so."""
    there = joints[..., 2:]
    return np.where(there == 0, 0, np.concatenate([places, there], -1)).astype(np.float32)


def find(
    finder: SeeingFinder,
    picture: Image.Image,
    joints: np.ndarray | None = None,
    at: tuple[float, float] | None = None,
) -> Found:
    """The person of a photo: the largest one, or that at the place `at`. `joints` where they are known. Both count its
    pixels. Raises ValueError.
    """
    cut_off = 1.0
    if joints is None:
        left, top, right, bottom = _somebody(finder, picture, at)
        if bottom > 0.97 * picture.height and top < 0.5 * picture.height:
            cut_off = 1.5  # a half figure: the finder knows people of about one size
    else:
        there = joints[joints[:, 2] > 0, :2]
        (left, top), (right, bottom) = there.min(0), there.max(0)
        head = 0.15 * max(right - left, bottom - top)
        left, top, right, bottom = left - head, top - 1.5 * head, right + head, bottom + head
    side = cut_off * ROOM * max((right - left) * 4 / 3, bottom - top)
    box = Box((left + right - 0.75 * side) / 2, (top + bottom - side) / 2, side, ratio=0.75)
    seen, mask = finder.look(images.to_tensor(box.cut(picture, (192, 256))).to(finder.device))
    if joints is None:
        joints = box.pixels(seen[0].cpu().float().numpy())
        outside = (joints[:, :2] < 0).any(1) | (joints[:, :2] >= picture.size).any(1)
        joints[outside] = 0
        sure = joints[joints[:, 2] > 0, 2]
        if len(sure) < LEAST_JOINTS or sure.mean() < LEAST_SURE:  # a monster is worse than none
            raise ValueError(NOBODY)
    mask, height, width = mask.cpu().float(), *mask.shape[2:]
    mask = _one(mask, None if at is None else _scaled(at, box.left, box.top, width / box.width))
    # Whoever knows of joints knows that the person is there.
    mask = torch.maximum(mask, skeleton.limb_mask(box.shares(joints), height, width, 0.05, 0.0)[None].float())
    return Found(joints, _spread(mask, box, picture.size))


def _scaled(at: tuple[float, float], left: float, top: float, times: float) -> tuple[float, float]:
    return (at[0] - left) * times, (at[1] - top) * times


def _somebody(
    finder: SeeingFinder, picture: Image.Image, at: tuple[float, float] | None
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a person in a photo, in its pixels. Raises ValueError."""
    best, most = None, 0.0
    for side in FIRST_LOOKS:
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        place = None if at is None else _scaled(at, 0, 0, small.width / picture.width)
        mask = _one(_look(finder, small), place)
        around, share = _bounds(mask), float((mask > 0.5).float().mean())
        if around is not None and share > 1.3 * most:
            best, most = [edge * picture.width / small.width for edge in around], share
    if best is None:
        raise ValueError(NOBODY if at is None else NOBODY_THERE)
    return best[0], best[1], best[2], best[3]


def _look(finder: SeeingFinder, picture: Image.Image) -> Tensor:
    """The mask of a picture of any size, which is continued to sides that are multiples of 32."""
    x = images.to_tensor(picture)
    height, width = x.shape[2:]
    padded = F.pad(x, (0, -width % 32, 0, -height % 32), mode="replicate")
    return finder.look(padded.to(finder.device))[1][:, :, :height, :width].cpu().float()


def _one(mask: Tensor, at: tuple[float, float] | None) -> Tensor:
    """The mask (1, 1, H, W) without what does not hang together with its broadest place, or with the one nearest to
    `at`, in its pixels; empty if that is far.
    """
    sure = (mask > 0.5).float()
    broad = F.avg_pool2d(sure, 31, 1, 15) * sure
    if at is not None:
        places = skeleton.pixel_centres(*mask.shape[2:])
        apart = (places - torch.tensor(at)).norm(dim=-1)
        broad = torch.where(sure > 0, -apart, -torch.inf)
        if broad.max() < -NEAR * max(mask.shape[2:]):
            return mask * 0
    grown = torch.zeros_like(sure)
    grown.view(-1)[broad.argmax()] = 1
    for _ in range(200):
        more = F.max_pool2d(grown, 9, 1, 4) * sure
        if torch.equal(more, grown):
            break
        grown = more
    return mask * F.max_pool2d(grown, 9, 1, 4)


def _bounds(mask: Tensor) -> tuple[int, int, int, int] | None:
    rows, columns = torch.nonzero(mask[0, 0] > 0.5, as_tuple=True)
    if len(rows) < 30:
        return None
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _spread(mask: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """The mask of a box, in a mask of the whole photo at a size of at most 1024."""
    less = min(1.0, 1024 / max(size))
    x, y = ((torch.arange(max(1, round(side * less))) + 0.5) / less for side in size)
    return F.grid_sample(mask, box.grid(x, y), align_corners=False)


def mask_in(box: Box, mask: Tensor, size: tuple[int, int], height: int) -> Tensor:
    """The box's part of a photo's mask (1, 1, h, w), the photo being of `size`: (1, 1, height, height * ratio)."""
    x = box.left + box.width * (torch.arange(round(height * box.ratio)) + 0.5) / round(height * box.ratio)
    y = box.top + box.height * (torch.arange(height) + 0.5) / height
    return F.grid_sample(mask, Box(0, 0, size[1], size[0] / size[1]).grid(x, y), align_corners=False)


@cache
def _standing() -> tuple[np.ndarray, float, float]:
    """Of the standing figure, as shares of its picture's height: the neck, the torso's length, the shoulders' width."""
    pose = poses.POSES["standing"]()
    places = pose[:, :2] * (0.5, 1)
    hips = (places[8] + places[11]) / 2
    return places[1], float(np.linalg.norm(places[1] - hips)), float(np.linalg.norm(places[2] - places[5]))


def box_of(found: Found, size: tuple[int, int]) -> Box:
    """Where the person would stand like the standing figure: by neck, torso and shoulders, and as high as they are."""
    joints = found.joints
    there = joints[:, 2] > 0
    neck, torso, shoulders = _standing()
    guesses = []
    if there[[1, 8, 11]].all():
        guesses.append(np.linalg.norm(joints[1, :2] - (joints[8, :2] + joints[11, :2]) / 2) / torso)
    if there[[2, 5]].all():
        guesses.append(np.linalg.norm(joints[2, :2] - joints[5, :2]) / shoulders)
    if bounds := _bounds(found.mask):
        scale = size[1] / found.mask.shape[2]
        whole = there[10] or there[13]
        guesses.append((bounds[3] - bounds[1]) * scale / (0.86 if whole else 1.2))
    height = float(max([*guesses, 32.0]))
    at = joints[1, :2] if there[1] else joints[there, :2].mean(0)
    return Box(float(at[0] - neck[0] * height), float(at[1] - neck[1] * height), height)


def wanted(pose: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The pose (..., 18, 3) without the joints that a half figure does not show."""
    pose = pose.copy()
    for pair in LEFT_OUT:
        if not (before[list(pair), 2] > 0).any():
            pose[..., list(pair), :] = 0
    return pose


class Ground:
    """A photo without its person, into which pictures of the box are put back."""

    def __init__(self, picture: Image.Image, found: Found, box: Box):
        self.picture, self.box = picture, box
        times, room = picture.width / found.mask.shape[3], 0.08 * box.height
        left, top = box.left, box.top
        right, bottom = math.ceil(box.left + box.width), math.ceil(box.top + box.height)
        if (seen := _bounds(found.mask)) is not None:  # the person may be broader than the box: all of them goes
            left, top = min(left, seen[0] * times - room), min(top, seen[1] * times - room)
            right, bottom = max(right, int(seen[2] * times + room)), max(bottom, int(seen[3] * times + room))
        self.left, self.top = max(0, int(left)), max(0, int(top))
        right, bottom = min(picture.width, right), min(picture.height, bottom)
        part = images.to_tensor(picture.crop((self.left, self.top, right, bottom)))
        self.x, self.y = torch.arange(self.left, right) + 0.5, torch.arange(self.top, bottom) + 0.5
        whole = Box(0, 0, picture.height, picture.width / picture.height)
        gone = _grown(found.mask, max(2, round(box.height / times / 40)))
        gone = F.grid_sample(gone, whole.grid(self.x, self.y), padding_mode="border", align_corners=False)
        self.filled = filled(part, gone)

    def put(self, made: Tensor, mask: Tensor) -> Image.Image:
        """The photo with a picture (1, 3, h, w) of the box in it where its mask (1, 1, h, w) says."""
        grid = self.box.grid(self.x, self.y)
        alpha = F.grid_sample(mask, grid, align_corners=False)
        alpha = ((alpha - 0.3) / 0.4).clamp(0, 1)
        colour = F.grid_sample(made, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(-1, 1)
        whole = self.picture.copy()
        whole.paste(images.to_images(colour * alpha + self.filled * (1 - alpha))[0], (self.left, self.top))
        return whole


def _grown(mask: Tensor, by: int) -> Tensor:
    """The mask with a rim, soft outside, whole where the person is."""
    hard = F.max_pool2d((mask > 0.4).float(), 2 * by + 1, 1, by)
    return F.avg_pool2d(F.max_pool2d(hard, 3, 1, 1), 5, 1, 2).clamp(0, 1)
