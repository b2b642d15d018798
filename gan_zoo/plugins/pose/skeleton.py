"""A pose as pictures: heatmaps for networks, the pose mask of losses and scores, a drawing for people.

A pose is float32 (18, 3): x and y in [0, 1] of the picture's width and height, (0, 0) its upper left corner, and a
confidence, 0 where the joint is missing. Joints come in OpenPose's order (COCO-18).
"""

from __future__ import annotations

import colorsys

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

JOINTS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
MIRROR = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)  # which joint each becomes in a mirror
LIMBS = (
    (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
TORSO = ((2, 8), (5, 11), (8, 11), (2, 11), (5, 8))  # closes the trunk in the mask


def heatmaps(pose: Tensor | np.ndarray, height: int, width: int, sigma: float = 0.02) -> Tensor:
    """(..., 18, 3) -> (..., 18, height, width) in [0, 1]: a Gaussian bump at each joint, nothing where it is missing.

    sigma: of the bumps, as a share of the height (Ma et al. 2017 draw discs of radius 4 on 256 pixels).
    """
    pose = torch.as_tensor(pose)
    x, y, there = pose.unbind(-1)
    columns = (torch.arange(width, device=pose.device) + 0.5) / width
    rows = (torch.arange(height, device=pose.device) + 0.5) / height
    across = torch.exp(-0.5 * ((columns - x[..., None]) * width / (height * sigma)).square())
    down = torch.exp(-0.5 * ((rows - y[..., None]) / sigma).square()) * (there > 0)[..., None]
    return down[..., :, None] * across[..., None, :]


def squared_distance(a: Tensor, b: Tensor, height: int, width: int) -> Tensor:
    """Square of the distance, in pixels, of each pixel's centre to the segments from a to b (..., 2), x and y:
    (..., height, width). Rows and columns apart for as long as they can be: few passes over all pixels.
    """
    ab = (b - a)[..., None, None, :]
    x = (torch.arange(width) + 0.5 - a[..., :1])[..., None, :]
    y = (torch.arange(height) + 0.5 - a[..., 1:])[..., :, None]
    length = ab.square().sum(-1).clamp(min=1e-9)
    dot = x * ab[..., 0] + y * ab[..., 1]
    along = (dot / length).clamp_(0, 1)
    return (x.square() + y.square()).sub_((dot.mul_(2) - along * length).mul_(along))


def limb_mask(
    pose: Tensor | np.ndarray, height: int, width: int, thickness: float = 10 / 128, dilation: float = 5.0
) -> Tensor:
    """(..., 18, 3) -> bool (..., 1, height, width): PG2's pose mask (Ma et al. 2017, section 3.2).

    Joints are joined by limbs `thickness` of the height wide, the trunk by its sides and diagonals; all is dilated by
    `dilation` pixels. Empty for a pose without limbs.
    """
    pose = torch.as_tensor(pose)
    joints, there = pose[..., :2] * torch.tensor([width, height]), pose[..., 2] > 0
    reach = thickness * height / 2 + dilation
    mask = torch.zeros(*pose.shape[:-2], height, width, dtype=torch.bool)
    for a, b in LIMBS + TORSO:
        near = squared_distance(joints[..., a, :], joints[..., b, :], height, width) <= reach**2
        mask |= near & (there[..., a] & there[..., b])[..., None, None]
    return mask[..., None, :, :]


def pixel_centres(height: int, width: int) -> Tensor:
    """x and y of each pixel's centre, in pixels: (height, width, 2)."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y], dim=-1)


def draw(pose: np.ndarray, height: int, width: int) -> Image.Image:
    """The coloured skeleton, RGBA on a transparent ground; each limb and joint in OpenPose's colour for it."""
    scale = 4  # Pillow's lines have jagged edges
    sheet = Image.new("RGBA", (width * scale, height * scale))
    pen, thick = ImageDraw.Draw(sheet), max(scale, round(height * scale / 64))
    points = [(float(x) * width * scale, float(y) * height * scale) for x, y, _ in pose]
    for a, b in LIMBS:
        if pose[a, 2] > 0 and pose[b, 2] > 0:
            pen.line([points[a], points[b]], fill=_color(b), width=thick)
    for joint, (x, y) in enumerate(points):
        if pose[joint, 2] > 0:
            pen.ellipse([x - thick, y - thick, x + thick, y + thick], fill=_color(joint))
    return sheet.resize((width, height), Image.Resampling.LANCZOS)


def over(pose: np.ndarray, picture: Image.Image) -> Image.Image:
    """The picture with the skeleton over it, RGB."""
    overlay = picture.convert("RGBA")
    overlay.alpha_composite(draw(pose, picture.height, picture.width))
    return overlay.convert("RGB")


def _color(joint: int) -> tuple[int, int, int]:
    r, g, b = colorsys.hsv_to_rgb(joint / len(JOINTS), 1, 1)
    return int(255 * r), int(255 * g), int(255 * b)


def cover(size: tuple[float, float], shape: tuple[float, float] = (1, 2)) -> tuple[float, np.ndarray]:
    """How a picture of `size` (width, height) covers `shape`: by what it is scaled, and what is cut at left and top."""
    scale = max(shape[0] / size[0], shape[1] / size[1])
    return scale, (np.array(size) * scale - shape) / 2


def mirrored(pose: np.ndarray) -> np.ndarray:
    """(..., 18, 3) as in a mirror: left joints become right ones."""
    pose = pose[..., MIRROR, :].copy()
    pose[..., 0] = np.where(pose[..., 2] > 0, 1 - pose[..., 0], pose[..., 0])
    return pose
