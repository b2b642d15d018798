"""Joints as other programs write them: OpenPose (COCO-18 and BODY_25), COCO-17 annotations, ComfyUI's lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from gan_zoo.plugins.pose import skeleton

EXPECTED = 'OpenPose JSON, {"people": [{"pose_keypoints_2d": [x, y, confidence, ... of 18, 25 or 17 joints]}]}'
LEAST_JOINTS = 4
SMALLEST = 0.03  # height or width of a skeleton, as a share of the picture's: less is a dot
BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)  # which of its joints ours are
COCO_17 = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)  # it has no neck


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def canvas_of(value: Any) -> tuple[float, float] | None:
    """Width and height of the picture for which a pose was made, where its JSON tells: `canvas_width`, or `width`."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return None
    for prefix in ("canvas_", ""):
        width, height = value.get(f"{prefix}width"), value.get(f"{prefix}height")
        if width is not None or height is not None:
            if not (is_number(width) and is_number(height) and min(width, height) >= 1 and max(width, height) <= 1e5):
                raise ValueError(f"expected {prefix}width and {prefix}height from 1 to 100000")
            return width, height
    return None


def read(value: Any, size: tuple[int, int]) -> tuple[np.ndarray, tuple[float, float]]:
    """Joints (18, 3) of the largest person of some JSON, read, and the size (width, height) in whose pixels they are:
    its canvas, else that of the picture. Numbers of at most 1 alone are shares of it.

    Raises ValueError that says what was found, and for a skeleton that lies outside or is a dot.
    """
    canvas = canvas_of(value)
    joints = _largest(_people(value))
    there = joints[:, 2] > 0
    if there.sum() < LEAST_JOINTS:
        raise ValueError(f"{int(there.sum())} joints with a confidence over 0, expected at least {LEAST_JOINTS}")
    width, height = canvas or size
    if np.abs(joints[there, :2]).max() <= 1 and min(width, height) > 4:
        joints[:, :2] *= (width, height)
    far = there & (np.abs(joints[:, :2]) > 10 * np.array([width, height])).any(1)
    if far.any():
        name = skeleton.JOINTS[int(far.argmax())]
        raise ValueError(f"{name} lies far outside a picture of {width:g} x {height:g} pixels")
    extent = np.ptp(joints[there, :2], axis=0)
    outside = ((joints[there, :2] < 0) | (joints[there, :2] > (width, height))).any(1).mean()
    told = "its canvas" if canvas else "the picture"
    if outside > 0.5:
        reach = joints[there, :2].max(0)
        raise ValueError(
            f"the skeleton reaches to {reach[0]:.0f}, {reach[1]:.0f} and lies outside {told} of {width:g} x {height:g} "
            "pixels; expected joints in its pixels, or canvas_width and canvas_height of what they were made for"
        )
    if (extent < (SMALLEST * width, SMALLEST * height)).all():
        raise ValueError(
            f"the skeleton is {extent[0]:.0f} x {extent[1]:.0f} pixels small in {told} of {width:g} x {height:g}; "
            "expected canvas_width and canvas_height of what it was made for"
        )
    return joints, (width, height)


def _people(value: Any) -> list[np.ndarray]:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]  # ComfyUI: a list of pictures
    if isinstance(value, dict) and isinstance(value.get("people"), list):
        found = value["people"]
        if not found or not all(isinstance(each, dict) for each in found):
            raise ValueError(f"there is nobody in it; expected {EXPECTED}")
        return [_joints(each) for each in found]
    return [_joints(value)]


def _joints(value: Any) -> np.ndarray:
    """(18, 3) of one person's numbers."""
    if isinstance(value, dict):
        value = value.get("pose_keypoints_2d", value.get("keypoints"))
    if isinstance(value, list) and all(isinstance(joint, list) and len(joint) == 3 for joint in value):
        value = [number for joint in value for number in joint]
    if not isinstance(value, list) or len(value) not in (54, 75, 51) or not all(map(is_number, value)):
        found = f"{len(value)} values" if isinstance(value, list) else type(value).__name__
        raise ValueError(f"found {found}; expected {EXPECTED}")
    joints = np.array(value, np.float64).reshape(-1, 3)
    if len(joints) == 25:
        return joints[list(BODY_25)]
    return _from_coco_17(joints) if len(joints) == 17 else joints


def _from_coco_17(joints: np.ndarray) -> np.ndarray:
    made = np.stack([joints[i] if i is not None else np.zeros(3) for i in COCO_17])
    if (made[[2, 5], 2] > 0).all():  # the neck is the middle of the shoulders
        made[1] = (made[2] + made[5]) / 2
    return made


def _largest(people: Sequence[np.ndarray]) -> np.ndarray:
    """Whoever covers most; those of few joints, ghosts, only if there is nobody else."""

    def size(joints: np.ndarray) -> tuple[bool, float]:
        there = joints[joints[:, 2] > 0, :2]
        if len(there) < 2:
            return False, 0.0
        return len(there) >= 2 * LEAST_JOINTS, float(np.linalg.norm(np.ptp(there, axis=0)))

    return max(people, key=size)
