"""A picture with a person in it, who is found, moved and shown.

Weights whose finder sees photos have a `PhotoScene`: the person is worked on in a box, and put back on their ground.
Older ones know pictures of people alone, half as wide as high: of those a `PlainScene` takes the middle part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from gan_zoo import images
from gan_zoo.plugins.pose import photos, poses, skeleton
from gan_zoo.plugins.pose.networks import SeeingFinder
from gan_zoo.plugins.pose.pipeline import PosePipeline

MAX_SIDE, MIN_SIDE = 4096, 32  # of the pictures that tasks take


class Moved(NamedTuple):
    """The person in a pose: the coarse picture, the refined one, and the joints (18, 3), for `Scene.drawn`."""

    coarse: Image.Image
    refined: Image.Image
    joints: np.ndarray


class Scene(Protocol):
    size: tuple[int, int]  # of the picture as it was given: of that poses count pixels

    def found(self) -> tuple[dict[str, Any], Image.Image]:
        """The person's pose as OpenPose JSON, and drawn over the picture. Raises ValueError if nobody is there."""
        ...

    def move(self, moves: np.ndarray, sketched: bool) -> Iterator[Moved]:
        """Of each pose (N, 18, 3), as shares of the picture's middle part, half as wide as high; sketched: for no
        picture in particular, so that it is fitted to the person.
        """
        ...

    def drawn(self, joints: np.ndarray, picture: Image.Image) -> Image.Image:
        """The skeleton over a picture of `move`."""
        ...


def scene_of(pipeline: PosePipeline, image: str, source_pose: str = "", longest: int = MAX_SIDE, at: str = "") -> Scene:
    """The scene of a picture file. source_pose: OpenPose JSON; without, the finder is asked. at: "x, y" in the
    picture's pixels, the place of the person who is meant; without, the largest one is.

    Raises ValueError if nobody is found.
    """
    picture = images.on_white(images.read_image(image))
    if min(picture.size) < MIN_SIDE:
        raise ValueError(f"image: {picture.width} x {picture.height} pixels, expected sides of at least {MIN_SIDE}")
    place = parse_place(at, picture.size) if at.strip() else None
    if isinstance(pipeline.finder, SeeingFinder):
        shown = images.at_most(picture, longest)
        return PhotoScene(pipeline, pipeline.finder, shown, picture.size, source_pose, place)
    return PlainScene(pipeline, images.at_most(picture, longest), picture.size, source_pose)


def parse_place(text: str, size: tuple[int, int]) -> tuple[float, float]:
    """Raises ValueError of one line."""
    try:
        x, y = (float(part) for part in text.strip("[]() ").replace(";", ",").split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= size[0] and 0 <= y <= size[1]):
        raise ValueError(f"at: expected 'x, y' in the picture's {size[0]} x {size[1]} pixels, got {text[:40]!r}")
    return x, y


class PhotoScene:
    """A photo, its person, and the box in which the networks see them."""

    def __init__(
        self,
        pipeline: PosePipeline,
        finder: SeeingFinder,
        picture: Image.Image,
        size: tuple[int, int],
        pose: str,
        at: tuple[float, float] | None = None,
    ):
        self.pipeline, self.finder, self.picture, self.size = pipeline, finder, picture, size
        known = poses.to_pixels(poses.parse_pose(pose, size), picture.size) if pose else None
        place = None if at is None else (at[0] * picture.width / size[0], at[1] * picture.height / size[1])
        self.person = photos.find(finder, picture, known, place)

    def found(self) -> tuple[dict[str, Any], Image.Image]:
        times = (self.size[0] / self.picture.width, self.size[1] / self.picture.height, 1)
        joints = self.person.joints
        return poses.of_pixels(joints * times, self.size), self.drawn(joints, self.picture)

    def move(self, moves: np.ndarray, sketched: bool) -> Iterator[Moved]:
        box = photos.box_of(self.person, self.picture.size)
        before, ground = box.shares(self.person.joints), photos.Ground(self.picture, self.person, box)
        after = moves if sketched else box.shares(poses.to_pixels(moves, self.picture.size))
        after = photos.wanted(after, before).astype(np.float32)
        height, count = self.pipeline.height, len(after)
        source = images.to_tensor(box.cut(self.picture, (height // 2, height))).expand(count, -1, -1, -1)
        was = torch.from_numpy(before)[None].expand(count, -1, -1)
        mask = photos.mask_in(box, self.person.mask, self.picture.size, height).expand(count, -1, -1, -1)
        made = self.pipeline(source, torch.from_numpy(after), was, mask)
        masked = self.pipeline.coarse.config["masked"]
        for coarse, refined, person, pose in zip(*(x.split(1) for x in made), after):
            whole = ground.put(refined, person if masked else self._mask(refined, pose))
            yield Moved(images.to_images(coarse)[0], whole, box.pixels(pose))

    def drawn(self, joints: np.ndarray, picture: Image.Image) -> Image.Image:
        shares = joints.copy()
        shares[:, :2] /= picture.size
        return skeleton.over(shares, picture)

    def _mask(self, made: Tensor, pose: np.ndarray) -> Tensor:
        """Where the person of a picture that was made is: as the finder sees it, near the limbs."""
        side = self.finder.looks_at
        small = F.interpolate(made, (side, side // 2), mode="bilinear", antialias=True)
        height, width = small.shape[2:]
        seen = self.finder.look(small.to(self.finder.device))[1].cpu().float()
        near = skeleton.limb_mask(pose, height, width, 0.16, 6.0)[None].float()
        core = skeleton.limb_mask(pose, height, width, 0.02, 0.0)[None].float()
        return torch.maximum(seen * near, core)


class PlainScene:
    """The picture's middle part at the networks' size, (1, 3, H, W), and its pose (1, 18, 3)."""

    def __init__(self, pipeline: PosePipeline, picture: Image.Image, size: tuple[int, int], pose: str):
        self.pipeline, self.size = pipeline, size
        part = ImageOps.fit(picture, (pipeline.height // 2, pipeline.height), Image.Resampling.LANCZOS)
        self.source = images.to_tensor(part)
        self.before = torch.from_numpy(poses.parse_pose(pose, size))[None] if pose else pipeline.find(self.source)
        if not pose and (self.before[..., 2] > 0).sum() < photos.LEAST_JOINTS:
            raise ValueError(photos.NOBODY)

    def found(self) -> tuple[dict[str, Any], Image.Image]:
        pose = self.before[0].numpy()
        return poses.to_json(pose, self.size), self.drawn(pose, images.to_images(self.source)[0])

    def move(self, moves: np.ndarray, sketched: bool) -> Iterator[Moved]:
        source, before = (x.expand(len(moves), *x.shape[1:]) for x in (self.source, self.before))
        made = self.pipeline(source, torch.from_numpy(moves), before)
        yield from map(Moved, images.to_images(made.coarse), images.to_images(made.refined), moves)

    def drawn(self, joints: np.ndarray, picture: Image.Image) -> Image.Image:
        return skeleton.over(joints, picture)
