"""Poses as people give them: OpenPose JSON or a name; and films of poses.

Inside, a pose is what `skeleton` says: (18, 3), x and y as shares of a picture half as wide as high.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gan_zoo.parsing import parse_json
from gan_zoo.plugins.pose import openpose, skeleton
from gan_zoo.plugins.pose.drawn import joints_of

MAX_POSES = 64  # of a sequence
FIGURE = 0.8  # height of a built-in figure, as a share of the picture's
HIPS_AT = (0.5, 0.5)


# ---------------------------------------------------------------------------------------------------------------------
# Reading and writing


def parse_pose(text: str, size: tuple[int, int]) -> np.ndarray:
    """A pose from its JSON or name. `size` (width, height): of the picture whose pixels x and y count, unless the JSON
    gives `canvas_width` and `canvas_height`. Raises ValueError of one line.
    """
    if text.strip() in POSES:
        return POSES[text.strip()]()
    return _to_pose(_load(text, "pose"), size, "pose")


def is_sketch(text: str, size: tuple[int, int]) -> bool:
    """Is a pose, or every one of a sequence, drawn for no photo of `size`: a name, or JSON of a canvas of other
    proportions? Such a pose is fitted to the person; one in the photo's pixels is taken as it is.
    Both are read already.
    """
    if text.strip() in POSES or text.strip() in SEQUENCES:
        return True
    value = _load(text, "pose")
    return all(_is_sketch(item, size) for item in (value if isinstance(value, list) else [value]))


def _is_sketch(value: Any, size: tuple[int, int]) -> bool:
    if isinstance(value, str):
        return value in POSES
    canvas = openpose.canvas_of(value)
    return canvas is not None and abs(canvas[0] * size[1] / (canvas[1] * size[0]) - 1) > 0.03


def parse_sequence(text: str, size: tuple[int, int], frames: int) -> list[np.ndarray]:
    """`frames` poses of a film: a name, or a JSON list of poses (each OpenPose JSON or a name) with those between.

    Raises ValueError of one line.
    """
    if text.strip() in SEQUENCES:
        move = SEQUENCES[text.strip()]
        return [move(i / frames) for i in range(frames)]
    items = _load(text, "sequence")
    if not isinstance(items, list) or not 2 <= len(items) <= MAX_POSES:
        names = ", ".join(SEQUENCES)
        raise ValueError(f"sequence: expected {names}, or a list of 2 to {MAX_POSES} poses")
    keys = []
    for i, item in enumerate(items):
        named = isinstance(item, str) and item in POSES
        keys.append(POSES[item]() if named else _to_pose(item, size, f"sequence[{i}]"))
    return between(keys, frames)


def between(keys: Sequence[np.ndarray], frames: int) -> list[np.ndarray]:
    """`frames` poses that pass through the keys, slowing down at each; a joint that a key lacks is missing near it."""
    poses = []
    for t in np.linspace(0, len(keys) - 1, frames):
        i = min(int(t), len(keys) - 2)
        share = (1 - math.cos(math.pi * (t - i))) / 2
        pose = keys[i] * (1 - share) + keys[i + 1] * share
        pose[(keys[i][:, 2] == 0) | (keys[i + 1][:, 2] == 0)] = 0
        poses.append(pose.astype(np.float32))
    return poses


def to_json(pose: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    """OpenPose JSON of a pose, in pixels of a picture of `size` (width, height) of which the pose sees the middle."""
    return of_pixels(to_pixels(pose.astype(np.float64), size), size)


def to_pixels(pose: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A pose (..., 18, 3) as shares of a picture's middle part, half as wide as high -> joints in its pixels."""
    scale, cropped = skeleton.cover(size)
    joints = pose.copy()
    joints[..., :2] = (pose[..., :2] * (1, 2) + cropped) / scale
    joints[pose[..., 2] == 0] = 0
    return joints


def of_pixels(joints: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    """OpenPose JSON of joints (18, 3) in pixels of a picture of `size` (width, height)."""
    joints = np.where(joints[:, 2:] == 0, 0, joints)
    numbers = [round(float(value), 3) for value in joints.flatten()]
    return {"people": [{"pose_keypoints_2d": numbers}], "canvas_width": size[0], "canvas_height": size[1]}


def _load(text: str, name: str) -> Any:
    try:
        return parse_json(text.lstrip("\ufeff"))  # a byte order mark, as some editors write it
    except ValueError:
        names = ", ".join(POSES if name == "pose" else SEQUENCES)
        raise ValueError(f"{name}: {text[:40]!r} is neither JSON nor one of {names}") from None


def _to_pose(value: Any, size: tuple[int, int], name: str) -> np.ndarray:
    """JSON, read -> pose. The picture's middle part, half as wide as high, is what a pose is a share of."""
    try:
        joints, canvas = openpose.read(value, size)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    scale, cropped = skeleton.cover(canvas)
    pose = np.zeros((18, 3), np.float32)
    pose[:, :2] = (joints[:, :2] * scale - cropped) / (1, 2)
    pose[:, 2] = np.clip(joints[:, 2], 0.5, 1)
    pose[joints[:, 2] <= 0] = 0
    return pose


# ---------------------------------------------------------------------------------------------------------------------
# Built-in poses, by the angles of a body's joints


def figure(facing: float = 0.0, **angles: tuple[float, ...]) -> np.ndarray:
    """A pose from angles in radians, as `drawn.joints_of` takes them, seen from where it faces (0: towards us)."""
    points = joints_of((0.0, 0.05), **angles)
    c, s = math.cos(facing), math.sin(facing)
    points = points @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    pose = np.ones((18, 3), np.float32)
    pose[:, 0] = HIPS_AT[0] + 2 * FIGURE * points[:, 0]
    pose[:, 1] = HIPS_AT[1] + FIGURE * points[:, 1]
    if c < -0.3:  # seen from behind
        pose[[0, 14, 15], 2] = 0.5
    if abs(s) > 0.7:
        pose[[14, 16] if s > 0 else [15, 17], 2] = 0.5
    return pose


def _walking(t: float) -> np.ndarray:
    swing = 0.5 * math.sin(2 * math.pi * t)
    lift = [max(0.0, math.cos(2 * math.pi * t + phase)) * 0.7 for phase in (0, math.pi)]
    return figure(
        0.9,
        right_leg=(swing, -0.1 - lift[0], 0.03), left_leg=(-swing, -0.1 - lift[1], 0.03),
        right_arm=(-0.8 * swing, 0.1, 0.3), left_arm=(0.8 * swing, 0.1, 0.3),
    )  # fmt: skip


def _waving(t: float) -> np.ndarray:
    wave = 0.35 * math.sin(4 * math.pi * t)
    return figure(0.0, right_arm=(0.0, 2.0, 0.0, 3.0 + wave), left_arm=(0.0, 0.12, 0.1))


def _turning(t: float) -> np.ndarray:
    return figure(2 * math.pi * t, right_arm=(0.0, 0.2, 0.1), left_arm=(0.0, 0.2, 0.1))


POSES: dict[str, Callable[[], np.ndarray]] = {
    "standing": lambda: figure(0.0, right_arm=(0.0, 0.15, 0.1), left_arm=(0.0, 0.15, 0.1)),
    "walking": lambda: _walking(0.2),
    "running": lambda: figure(
        1.1,
        right_leg=(0.9, -0.9, 0.02),
        left_leg=(-0.6, -0.9, 0.02),
        right_arm=(-0.8, 0.1, 1.3),
        left_arm=(0.7, 0.1, 1.4),
    ),
    "waving": lambda: _waving(0.1),
    "arms_up": lambda: figure(0.0, right_arm=(0.0, 2.6, 0.0), left_arm=(0.0, 2.6, 0.0)),
    "arms_out": lambda: figure(0.0, right_arm=(0.0, 1.5, 0.0, 3.0), left_arm=(0.0, 1.5, 0.0, 3.0)),
    "side": lambda: figure(math.pi / 2, right_arm=(0.1, 0.05, 0.2), left_arm=(0.1, 0.05, 0.2)),
    "back": lambda: figure(math.pi, right_arm=(0.0, 0.15, 0.1), left_arm=(0.0, 0.15, 0.1)),
}
SEQUENCES: dict[str, Callable[[float], np.ndarray]] = {"walk": _walking, "wave": _waving, "turn": _turning}
