"""Training data of photos: a person of whom there is one picture only teaches by themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_zoo import data
from gan_zoo.data import to_float
from gan_zoo.plugin import Batch, Data
from gan_zoo.plugins.pose.drawn import pose_body
from gan_zoo.plugins.pose.pairs import People, roughened
from gan_zoo.plugins.pose.skeleton import mirrored
from gan_zoo.plugins.pose.warping import Warped, carry

MIRRORED = 0.3  # share of the sources that are the person in a mirror; the others are carried to somebody's pose
POSED = 0.5  # share of the others' poses that are made up
OVER = (3, 4, 0, 1, 2)  # the body's layers, the lowest first: legs, torso and head, arms


class Singles:
    """Source: the person in another pose, as limbs alone can be carried there, or in a mirror, before the ground that
    is left without them. Target: the photo. What tears, hides and stretches on the way there and back is to be mended.

    Of people with masks; all is settled by the sample's number.
    """

    def __init__(self, people: People, seed: int, training: bool, jitter: float = 0.0):
        assert people.masks is not None
        self.people, self.masks, self.seed, self.training, self.jitter = people, people.masks, seed, training, jitter

    def __len__(self) -> int:
        return len(self.people.pictures)

    def batch(self, samples: range) -> Batch:
        numbers = torch.arange(samples.start, samples.stop)
        order = numbers if self.training else numbers % len(self)
        rows = data.sample_rows(order, len(self), self.seed).numpy()
        chances = [np.random.default_rng([self.seed, int(self.training), int(number)]) for number in order]
        pictures, masks = to_float(self.people.pictures[rows]), self.masks[rows].float()
        poses = self.people.poses[rows].astype(np.float32)
        for i, rng in enumerate(chances):
            if self.training and rng.random() < 0.5:
                pictures[i], masks[i], poses[i] = pictures[i].flip(-1), masks[i].flip(-1), mirrored(poses[i])
        moves = np.stack([self._pose(rng, pose) for rng, pose in zip(chances, poses)])
        carried = carry(pictures, torch.from_numpy(poses), torch.from_numpy(moves), masks)
        source, where = laid(carried)
        for i, rng in enumerate(chances):
            if self.training and rng.random() < MIRRORED:
                moves[i], where[i] = mirrored(poses[i]), F.avg_pool2d(masks[i].flip(-1), 3, 1, 1)
                source[i] = pictures[i].flip(-1) * where[i] + carried.ground[i] * (1 - where[i])
            if self.training:
                moves[i, :, :2] += rng.normal(0, self.jitter, moves[i, :, :2].shape)
                where[i] = roughened(where[i][None], rng)[0]
        return {
            "source": source, "target": pictures, "source_pose": torch.from_numpy(moves),
            "target_pose": torch.from_numpy(poses), "source_mask": where, "target_mask": masks,
        }  # fmt: skip

    def _pose(self, rng: np.random.Generator, pose: np.ndarray) -> np.ndarray:
        """Somebody else's, where this person stands; joints that the photo does not show stay out."""
        if rng.random() < POSED:
            points, _ = pose_body(rng)
            other = np.concatenate([points[:, :2] * (2, 1), np.ones((18, 1))], axis=1).astype(np.float32)
        else:
            other = self.people.poses[rng.integers(len(self))].astype(np.float32)
        other = mirrored(other) if rng.random() < 0.5 else other.copy()
        trunk = [1, 8, 11]
        if (other[trunk, 2] > 0).all() and (pose[trunk, 2] > 0).all():
            (here, long), (there, theirs) = _torso(pose), _torso(other)
            other[:, :2] = here + (other[:, :2] - there) * np.clip(long / max(theirs, 1e-3), 0.6, 1.6)
        other[(pose[:, 2] == 0) | (other[:, 2] == 0)] = 0
        return other


def _torso(pose: np.ndarray) -> tuple[np.ndarray, float]:
    """The torso's middle, and its length as a share of the picture's height."""
    neck, hips = pose[1, :2], pose[[8, 11], :2].mean(0)
    return (neck + hips) / 2, float(np.linalg.norm((neck - hips) * (0.5, 1)))


def laid(carried: Warped) -> tuple[Tensor, Tensor]:
    """The layers over one another and the ground, (B, 3, H, W), and where they are, (B, 1, H, W)."""
    picture, where = carried.ground, torch.zeros_like(carried.ground[:, :1])
    for layer in OVER:
        colour, opacity = carried.layers[:, layer].split((3, 1), dim=1)
        picture, where = picture * (1 - opacity) + colour, where * (1 - opacity) + opacity
    return picture, where


class Turns:
    """Several data sets in turn, sample by sample."""

    def __init__(self, parts: Sequence[Data]):
        self.parts = parts

    def __len__(self) -> int:
        return len(self.parts) * min(map(len, self.parts))

    def batch(self, samples: range) -> Batch:
        of = len(self.parts)
        made = [self.parts[number % of].batch(range(number // of, number // of + 1)) for number in samples]
        return {name: torch.cat([batch[name] for batch in made]) for name in made[0]}
