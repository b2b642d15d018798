"""The built-in data: figures of shaded capsules, drawn on the fly, with exact joints and no download.

Person i has a build, skin, hair and clothes from seed i; each picture of it a pose, a direction and a background of its
own. A body is posed in three dimensions, seen without perspective, and drawn limb by limb from back to front.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from gan_zoo.data import rows_of

VIEWS = 8  # pictures of each person
SCALE = 2  # drawn larger, then reduced: Pillow's edges are jagged
SKINS = ((255, 224, 196), (240, 200, 160), (214, 160, 115), (160, 105, 70), (100, 65, 45))
HAIRS = ((30, 25, 25), (80, 50, 30), (150, 95, 50), (225, 190, 110), (160, 60, 35), (180, 180, 185))
# Lengths in heights of the body, x to its left, y down, z towards the viewer when it faces them.
SHOULDER, HIP, TRUNK, NECK = 0.105, 0.055, 0.29, 0.05
ARM, FOREARM, THIGH, SHIN = 0.16, 0.15, 0.24, 0.23


class DrawnPeople:
    """People with these numbers, drawn when asked for; rows are numbered person by person, VIEWS each."""

    masks = None

    def __init__(self, numbers: Sequence[int], height: int):
        self.numbers, self.height = list(numbers), height
        self.persons = np.repeat(np.arange(len(self.numbers)), VIEWS)

    def show(self, rows: Sequence[int]) -> tuple[Tensor, np.ndarray]:
        """Pictures uint8 (N, 3, H, W) and poses float32 (N, 18, 3)."""
        drawn = [draw_person(self.numbers[row // VIEWS], row % VIEWS, self.height) for row in rows]
        pictures = np.stack([picture for picture, _ in drawn])
        return torch.from_numpy(pictures).permute(0, 3, 1, 2), np.stack([pose for _, pose in drawn])


@lru_cache(maxsize=4096)
def draw_person(number: int, view: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture uint8 (height, height / 2, 3) and pose float32 (18, 3) of a person in its view-th pose."""
    look, chance = np.random.default_rng(number), np.random.default_rng([number, view + 1])
    width = height // 2
    body, facing = pose_body(chance)
    size = height * chance.uniform(0.78, 0.88)  # pixels in a height of the body
    middle = np.array([width * chance.uniform(0.44, 0.56), height * 0.5, 0])
    body = body - np.array([body[:, 0].mean(), (body[:14, 1].min() + body[:14, 1].max()) / 2, 0])
    points = body * size + middle  # (18, 3), in pixels

    sheet = _background(width * SCALE, height * SCALE, chance)
    _Figure(look, ImageDraw.Draw(sheet), points * SCALE, size * SCALE, facing).draw()
    pose = np.ones((18, 3), np.float32)
    pose[:, :2] = points[:, :2] / (width, height)
    away = np.cos(facing)
    if away < -0.3:
        pose[[0, 14, 15], 2] = 0.5
    if abs(np.sin(facing)) > 0.7:
        pose[16 if np.sin(facing) > 0 else 17, 2] = 0.5
    return np.asarray(sheet.resize((width, height), Image.Resampling.BOX)), pose


def pose_body(chance: np.random.Generator) -> tuple[np.ndarray, float]:
    """18 joints (x, y, z) in heights of the body, at random but possible; and which way it faces, 0 to the viewer."""
    walk = chance.choice([1.0, 0.4])  # half stand, half walk or run
    swing = chance.uniform(-0.7, 0.7) * walk
    lean = (chance.normal(0, 0.06), chance.normal(0.03, 0.08))
    angles: dict[str, tuple[float, ...]] = {}
    for side, name in ((-1, "right"), (1, "left")):
        thigh = side * swing + chance.normal(0, 0.08)
        knee = -abs(chance.normal(0, 0.5 * walk)) - max(0.0, -thigh) * 0.5
        angles[f"{name}_leg"] = (thigh, knee, abs(chance.normal(0.03, 0.05)))
        arm = -side * swing + chance.normal(0, 0.15) + (chance.uniform(0.3, 2.2) if chance.random() < 0.25 else 0)
        lift = abs(chance.normal(0.12, 0.1)) + (chance.uniform(0.3, 1.6) if chance.random() < 0.2 else 0)
        angles[f"{name}_arm"] = (arm, lift, abs(chance.normal(0.3, 0.5)))
    body = joints_of(lean, **angles)
    facing = chance.uniform(-np.pi, np.pi)
    c, s = np.cos(facing), np.sin(facing)
    return body @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]), float(facing)


def joints_of(lean: tuple[float, float] = (0.0, 0.05), **angles: tuple[float, ...]) -> np.ndarray:
    """18 joints (x, y, z) in heights of the body, its hips' middle at 0, facing the viewer; angles in radians.

    right_leg, left_leg: thigh forward, knee (backward is negative), spread to the side. right_arm, left_arm: forward,
    lifted to the side, elbow bent forward, and, if given, the lift of the forearm where it is not the arm's.
    """
    body = np.zeros((18, 3))
    spine = np.array([lean[0], -1, lean[1]])
    neck = spine / np.linalg.norm(spine) * TRUNK
    body[1] = neck
    for side, name, hip, shoulder in ((-1, "right", 8, 2), (1, "left", 11, 5)):  # its right is to the viewer's left
        thigh, knee, spread = angles.get(f"{name}_leg", (0.0, 0.0, 0.03))
        body[hip] = (side * HIP, 0, 0)
        body[hip + 1] = body[hip] + THIGH * _direction(thigh, side * spread)
        body[hip + 2] = body[hip + 1] + SHIN * _direction(thigh + knee, side * spread)
        forward, lift, bend, *fore = angles.get(f"{name}_arm", (0.0, 0.12, 0.1))
        body[shoulder] = neck + np.array([side * SHOULDER, 0.02, 0])
        body[shoulder + 1] = body[shoulder] + ARM * _direction(forward, side * lift)
        body[shoulder + 2] = body[shoulder + 1] + FOREARM * _direction(
            forward + bend, side * (fore[0] if fore else lift)
        )
    body[0] = neck + np.array([0, -NECK - 0.05, 0.06])
    for side, eye, ear in ((-1, 14, 16), (1, 15, 17)):
        body[eye] = body[0] + np.array([side * 0.02, -0.02, -0.012])
        body[ear] = body[0] + np.array([side * 0.045, -0.01, -0.06])
    return body


def _direction(swing: float, spread: float) -> np.ndarray:
    """Down, swung forward and spread to the side, both in radians."""
    down = np.cos(swing)
    return np.array([down * np.sin(spread), down * np.cos(spread), np.sin(swing)])


def _background(width: int, height: int, chance: np.random.Generator) -> Image.Image:
    """Wall and floor in pale colours."""
    wall, floor = (tuple(int(x) for x in chance.uniform(170, 250, 3)) for _ in range(2))
    sheet = Image.new("RGB", (width, height), wall)
    ImageDraw.Draw(sheet).rectangle((0, int(height * chance.uniform(0.75, 0.9)), width, height), fill=floor)
    return sheet


class _Figure:
    """A person's look, and the pen that draws it: `points` (18, 3) and `size`, a body's height, in pixels."""

    def __init__(self, look: np.random.Generator, pen: ImageDraw.ImageDraw, points: np.ndarray, size: float, facing):
        self.pen, self.points, self.size = pen, points, size
        self.skin = np.array(SKINS[look.integers(len(SKINS))])
        self.hair = np.array(HAIRS[look.integers(len(HAIRS))])
        self.shirt, self.trousers, self.shoes = look.uniform(20, 245, (3, 3))
        self.stripe = look.uniform(20, 245, 3)
        self.stripes = int(look.choice([0, 0, 3, 5]))
        self.sleeves, self.legs = look.choice([0, 1, 2]), look.choice([0, 1, 1])  # how many segments are covered
        self.stout = look.uniform(0.85, 1.2)
        self.long_hair = look.random() < 0.4
        self.facing = facing

    def draw(self) -> None:
        p = self.points
        parts = []  # (depth, what draws it)
        for shoulder in (2, 5):
            for i, radius in ((0, 0.034), (1, 0.028)):
                a, b = p[shoulder + i], p[shoulder + i + 1]
                cloth = self.shirt if self.sleeves > i else self.skin
                parts.append((a[2] + b[2], self._limb, (a, b, radius, cloth, self.sleeves > i)))
            parts.append((2 * p[shoulder + 2, 2] + 1, self._ball, (p[shoulder + 2], 0.03, self.skin)))
        for hip in (8, 11):
            for i, radius in ((0, 0.055), (1, 0.04)):
                a, b = p[hip + i], p[hip + i + 1]
                cloth = self.trousers if self.legs >= i else self.skin
                parts.append((a[2] + b[2] - 1, self._limb, (a, b, radius, cloth, False)))
            toes = np.array([np.sin(self.facing) * 0.06, 0.02, np.cos(self.facing) * 0.06]) * self.size
            parts.append((2 * p[hip + 2, 2], self._limb, (p[hip + 2], p[hip + 2] + toes, 0.03, self.shoes, False)))
        parts.append((p[2, 2] + p[5, 2], self._trunk, ()))
        parts.append((p[1, 2] + p[0, 2] + 0.1, self._head, ()))
        for _, draw, arguments in sorted(parts, key=lambda part: part[0]):
            draw(*arguments)

    def _ball(self, centre: np.ndarray, radius: float, color: np.ndarray) -> None:
        r = radius * self.size
        x, y = centre[:2]
        for share, light in ((1.0, 0.8), (0.75, 1.0)):
            box = (
                x - r * share - r * 0.1 * (share < 1),
                y - r * share,
                x + r * share - r * 0.1 * (share < 1),
                y + r * share,
            )
            self.pen.ellipse(box, fill=_shade(color, light))

    def _limb(self, a: np.ndarray, b: np.ndarray, radius: float, color: np.ndarray, striped: bool) -> None:
        """A capsule, darker at its edges."""
        for share, light in ((1.0, 0.75), (0.8, 0.9), (0.5, 1.0)):
            self._capsule(a, b, radius * self.stout * share * self.size, _shade(color, light))
        for i in range(self.stripes if striped else 0):
            at = a + (b - a) * (i + 0.5) / self.stripes
            self._across(at, b - a, radius * self.stout * 0.95)

    def _capsule(self, a: np.ndarray, b: np.ndarray, r: float, fill: tuple[int, int, int]) -> None:
        (x0, y0), (x1, y1) = a[:2], b[:2]
        length = max(1e-6, float(np.hypot(x1 - x0, y1 - y0)))
        nx, ny = (y0 - y1) / length * r, (x1 - x0) / length * r
        self.pen.polygon([(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)], fill=fill)
        for x, y in ((x0, y0), (x1, y1)):
            self.pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def _across(self, at: np.ndarray, along: np.ndarray, radius: float) -> None:
        """A stripe across a limb."""
        length = max(1e-6, float(np.hypot(*along[:2])))
        n = np.array([-along[1], along[0]]) / length * radius * self.size
        line = [tuple(at[:2] + n), tuple(at[:2] - n)]
        self.pen.line(line, fill=_shade(self.stripe, 0.95), width=max(1, round(0.014 * self.size)))

    def _trunk(self) -> None:
        """Shoulders and hips, rounded; a body seen from the side is narrower, but not flat."""
        p, depth = self.points, 0.07 * self.stout
        neck, hips = p[1], (p[8] + p[11]) / 2
        for share, light in ((1.0, 0.75), (0.85, 0.9), (0.55, 1.0)):
            fill = _shade(self.shirt, light)
            for a, b in ((2, 8), (5, 11)):
                top, bottom = neck + (p[a] - neck) * 0.8 * share, hips + (p[b] - hips) * share
                self._capsule(top, bottom, depth * share * self.size, fill)
            sides = [neck + (p[i] - neck) * 0.8 * share for i in (2, 5)] + [
                hips + (p[i] - hips) * share for i in (11, 8)
            ]
            self.pen.polygon([tuple(side[:2]) for side in sides], fill=fill)
        wide = abs(p[2, 0] - p[5, 0]) / 2 / self.size * 0.8 + depth
        for i in range(2 * self.stripes):
            self._across(neck + (hips - neck) * (i + 0.5) / (2 * self.stripes), hips - neck, wide * 0.9)

    def _head(self) -> None:
        p = self.points
        centre = (p[16] + p[17]) / 2 + np.array([0, -0.005 * self.size, 0])
        self._limb(p[1], centre, 0.03, self.skin, False)
        front = np.cos(self.facing) > -0.3
        if self.long_hair:
            self._capsule(centre, centre + np.array([0, 0.07 * self.size, 0]), 0.07 * self.size, _shade(self.hair, 0.8))
        self._ball(centre + np.array([0, -0.02 * self.size, 0]), 0.072, self.hair)
        if front:
            face = centre + np.array([np.sin(self.facing) * 0.02, 0.012, 0]) * self.size
            self._ball(face, 0.058, self.skin)
            for eye in (14, 15):
                if abs(p[eye, 0] - face[0]) < 0.05 * self.size:
                    self._ball(p[eye], 0.009, np.array([40, 30, 30]))


def _shade(color: np.ndarray, light: float) -> tuple[int, int, int]:
    r, g, b = (color * light).astype(int).clip(0, 255).tolist()
    return r, g, b


def draw_people(count: int, split: str, height: int) -> DrawnPeople:
    """The built-in data: of `count` people every tenth is held out."""
    return DrawnPeople(rows_of(split, count), height)
