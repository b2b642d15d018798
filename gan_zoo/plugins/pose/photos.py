"""One's own photo: the person is found, worked on in a box of the networks' shape, and put back before their ground.

All that neither the person nor their new pose covers stays as it was, pixel for pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_zoo import images
from gan_zoo.plugins.pose import poses, skeleton
from gan_zoo.plugins.pose.networks import SeeingFinder
from gan_zoo.plugins.pose.warping import without

FIRST_LOOKS = (320, 160)  # longer sides at which a whole photo is looked at: the second sees who fills it
ROOM = 1.2  # of the second look, around what the first one found
LEAST_JOINTS, LEAST_SURE = 6, 0.33  # and their mean confidence, to believe that somebody is there
LEFT_OUT = ((9, 12), (10, 13), (3, 6), (4, 7))  # joints that a pose does not bring in where both are out of the picture


@dataclass(frozen=True)
class Found:
    """A person in a photo: joints (18, 3) in its pixels, and the mask (1, 1, h, w) in [0, 1], at some scale."""

    joints: np.ndarray
    mask: Tensor


@dataclass(frozen=True)
class Box:
    """Half as wide as high, in pixels of a photo, beyond which it may reach."""

    left: float
    top: float
    height: float

    @property
    def width(self) -> float:
        return self.height / 2

    def shares(self, joints: np.ndarray) -> np.ndarray:
        """Joints (..., 18, 3) in the photo's pixels -> as shares of the box."""
        out = joints.astype(np.float32).copy()
        out[..., :2] = (joints[..., :2] - (self.left, self.top)) / (self.width, self.height)
        out[joints[..., 2] == 0] = 0
        return out

    def pixels(self, pose: np.ndarray) -> np.ndarray:
        out = pose.astype(np.float32).copy()
        out[..., :2] = pose[..., :2] * (self.width, self.height) + (self.left, self.top)
        out[pose[..., 2] == 0] = 0
        return out


def find(finder: SeeingFinder, picture: Image.Image, joints: np.ndarray | None = None) -> Found:
    """The person of a photo, the largest one. `joints` in its pixels, where they are known. Raises ValueError."""
    cut_off = 1.0
    if joints is None:
        left, top, right, bottom = _somebody(finder, picture)
        if bottom > 0.97 * picture.height and top < 0.5 * picture.height:
            cut_off = 1.5  # a half figure: the finder knows people of about one size
    else:
        there = joints[joints[:, 2] > 0, :2]
        (left, top), (right, bottom) = there.min(0), there.max(0)
        head = 0.15 * max(right - left, bottom - top)
        left, top, right, bottom = left - head, top - 1.5 * head, right + head, bottom + head
    centre, side = ((left + right) / 2, (top + bottom) / 2), cut_off * ROOM * max((right - left) * 4 / 3, bottom - top)
    size = (0.75 * side, side)
    corner = (centre[0] - size[0] / 2, centre[1] - size[1] / 2)
    scale = side / 256
    near = cut(picture, corner, size, (192, 256))
    seen, mask = finder.look(images.to_tensor(near).to(finder.device))
    if joints is None:
        joints = seen[0].cpu().float().numpy()
        joints[:, :2] = joints[:, :2] * size + corner
        outside = (joints[:, :2] < 0).any(1) | (joints[:, :2] >= picture.size).any(1)
        joints[outside | (joints[:, 2] == 0)] = 0
        sure = joints[joints[:, 2] > 0, 2]
        if len(sure) < LEAST_JOINTS or sure.mean() < LEAST_SURE:  # a monster is worse than none
            raise ValueError("image: nobody was found in it; give source_pose as OpenPose JSON")
    return Found(joints, _spread(_largest(mask.cpu().float()), corner, scale, picture.size))


def _somebody(finder: SeeingFinder, picture: Image.Image) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the largest person in a photo, in its pixels. Raises ValueError."""
    best, most = None, 0.0
    for side in FIRST_LOOKS:
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        mask = _largest(_look(finder, small))
        around, share = _bounds(mask), float((mask > 0.5).float().mean())
        if around is not None and share > 1.3 * most:
            best, most = [edge * picture.width / small.width for edge in around], share
    if best is None:
        raise ValueError("image: nobody was found in it; give source_pose as OpenPose JSON")
    return best[0], best[1], best[2], best[3]


def _look(finder: SeeingFinder, picture: Image.Image) -> Tensor:
    """The mask of a picture of any size, which is continued to sides that are multiples of 32."""
    x = images.to_tensor(picture)
    height, width = x.shape[2:]
    padded = F.pad(x, (0, -width % 32, 0, -height % 32), mode="replicate")
    return finder.look(padded.to(finder.device))[1][:, :, :height, :width].cpu().float()


def _largest(mask: Tensor) -> Tensor:
    """The mask (1, 1, H, W) without what does not hang together with its broadest place."""
    sure = (mask > 0.5).float()
    broad = F.avg_pool2d(sure, 31, 1, 15) * sure
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


def _spread(mask: Tensor, corner: tuple[float, float], scale: float, size: tuple[int, int]) -> Tensor:
    """The mask of a part, in a mask of the whole photo at a size of at most 1024."""
    less = min(1.0, 1024 / max(size))
    width, height = (max(1, round(side * less)) for side in size)
    x = ((torch.arange(width) + 0.5) / less - corner[0]) / scale / mask.shape[3]
    y = ((torch.arange(height) + 0.5) / less - corner[1]) / scale / mask.shape[2]
    grid = torch.stack(torch.meshgrid(2 * x - 1, 2 * y - 1, indexing="xy"), -1)[None]
    return F.grid_sample(mask, grid, align_corners=False)


def cut(
    picture: Image.Image, corner: tuple[float, float], size: tuple[float, float], to: tuple[int, int]
) -> Image.Image:
    """A part of a photo, which may reach beyond it (there its rim goes on), at the size `to`."""
    left, top = corner
    width, height = picture.size
    pad = [max(0, round(v)) for v in (-left, -top, left + size[0] - width, top + size[1] - height)]
    if any(pad):
        x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
        x = F.pad(x, (pad[0], pad[2], pad[1], pad[3]), mode="replicate")
        picture = Image.fromarray(x[0].permute(1, 2, 0).byte().numpy())
        left, top = left + pad[0], top + pad[1]
    corners = (max(0.0, left), max(0.0, top), left + size[0], top + size[1])
    corners = (*corners[:2], min(corners[2], picture.width), min(corners[3], picture.height))
    return picture.resize(to, Image.Resampling.LANCZOS, box=corners)


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


def to_pixels(pose: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A pose as shares of a photo's middle part, half as wide as high -> joints in pixels of the photo."""
    scale, cropped = skeleton.cover(size)
    joints = pose.astype(np.float32).copy()
    joints[..., :2] = (pose[..., :2] * (1, 2) + cropped) / scale
    joints[pose[..., 2] == 0] = 0
    return joints


class Ground:
    """A photo without its person, into which pictures of the box are put back."""

    def __init__(self, picture: Image.Image, found: Found, box: Box):
        self.picture, self.box = picture, box
        left, top = max(0, int(box.left)), max(0, int(box.top))
        right, bottom = (min(side, int(np.ceil(v))) for side, v in
                         zip(picture.size, (box.left + box.width, box.top + box.height)))  # fmt: skip
        # The person may be broader than the box: all of them goes.
        bounds, times = _bounds(found.mask), picture.width / found.mask.shape[3]
        if bounds is not None:
            room = 0.08 * box.height
            left, top = (
                min(left, max(0, int(bounds[0] * times - room))),
                min(top, max(0, int(bounds[1] * times - room))),
            )
            right = max(right, min(picture.width, int(bounds[2] * times + room)))
            bottom = max(bottom, min(picture.height, int(bounds[3] * times + room)))
        self.area = (left, top, max(right, left + 1), max(bottom, top + 1))
        part = images.to_tensor(picture.crop(self.area))
        height, width = part.shape[2:]
        gone = _grown(found.mask, max(2, round(box.height / times / 40)))
        gone = F.interpolate(gone, (picture.height, picture.width), mode="bilinear")
        self.gone = gone[:, :, top : top + height, left : left + width]
        self.filled = self._fill(part, self.gone)
        self.part = part

    @staticmethod
    def _fill(part: Tensor, gone: Tensor) -> Tensor:
        """What was behind: guessed from around, coarse to fine, at a size that is soon done."""
        height, width = part.shape[2:]
        less = min(1.0, 512 / max(height, width))
        size = [max(32, 32 * round(side * less / 32)) for side in (height, width)]
        small = F.interpolate(part, size, mode="bilinear", antialias=True)
        hole = F.max_pool2d(F.interpolate(gone, size, mode="bilinear"), 5, 1, 2)
        filled = F.interpolate(without(small, hole), (height, width), mode="bilinear")
        return part * (1 - gone) + filled * gone

    def put(self, made: Tensor, mask: Tensor) -> Image.Image:
        """The photo with a picture (1, 3, h, w) of the box in it where its mask (1, 1, h, w) says."""
        left, top, _, _ = self.area
        height, width = self.part.shape[2:]
        x = (torch.arange(width) + 0.5 + left - self.box.left) / self.box.width
        y = (torch.arange(height) + 0.5 + top - self.box.top) / self.box.height
        grid = torch.stack(torch.meshgrid(2 * x - 1, 2 * y - 1, indexing="xy"), -1)[None]
        alpha = F.grid_sample(mask, grid, align_corners=False)
        alpha = ((alpha - 0.3) / 0.4).clamp(0, 1)
        colour = F.grid_sample(made, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(-1, 1)
        whole = self.picture.copy()
        whole.paste(images.to_images(colour * alpha + self.filled * (1 - alpha))[0], (left, top))
        return whole


def _grown(mask: Tensor, by: int) -> Tensor:
    """The mask with a rim, soft outside, whole where the person is."""
    hard = F.max_pool2d((mask > 0.4).float(), 2 * by + 1, 1, by)
    return F.avg_pool2d(F.max_pool2d(hard, 3, 1, 1), 5, 1, 2).clamp(0, 1)
