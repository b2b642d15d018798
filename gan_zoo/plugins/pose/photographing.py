"""Training of the generators for photos: with masks of the people, and from people of whom there is one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from gan_zoo import data, images, metrics
from gan_zoo.config import setting
from gan_zoo.plugin import Data, Evaluation, Networks, Stage
from gan_zoo.plugins.pose import figures, training
from gan_zoo.plugins.pose.networks import CoarseGenerator, RefiningGenerator
from gan_zoo.plugins.pose.pairs import Pairs, People
from gan_zoo.plugins.pose.pipeline import PosePipeline
from gan_zoo.plugins.pose.plugin import Pose
from gan_zoo.plugins.pose.singles import Singles, Turns

PROTOCOL = (
    " Masks of the sources are given. Of people with one picture the source is that picture, carried limb by limb to "
    "the pose of somebody else, and the target the picture itself; kid_x1000_moved: the pictures themselves, each "
    "carried by the generators to the pose of the next one, against all."
)


@dataclass(frozen=True)
class Settings(training.Common):
    """Hyperparameters of generators for photos."""

    found_by: str = setting("people", "the preset, or weights, whose finder for photos is theirs: it stays as it is")
    beside: str = setting("", "a data set that teaches in turn with the other")
    grounds: str = setting("", "a data set of photos before which pairs of pictures are put; empty: none")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.coarse_share < 1:
            raise ValueError(f"coarse_share: expected more than 0 and less than 1, got {self.coarse_share:g}")


class PosePhotos(Pose, training="photos", known_by="found_by"):
    """G1 learns what of its picture is the person too, so that they can be put back before their own ground."""

    Settings: ClassVar[type] = Settings
    settings: Settings  # pyright: ignore[reportIncompatibleVariableOverride]

    def networks(self) -> Networks:
        s = self.settings
        return self.adversaries(
            finder=self.load(s.found_by).finder.requires_grad_(False),
            coarse=CoarseGenerator(s.widths, True, s.height, masked=True),
            refining=RefiningGenerator(s.refining_widths, True),
        )

    def stages(self) -> tuple[Stage, ...]:
        s = self.settings
        return (
            Stage("coarse", s.coarse_share, ("coarse",), (), lr_g=s.coarse_lr),
            Stage("refined", 1 - s.coarse_share, ("refining",), None),
        )

    def data(self, source: str | None, split: str, seed: int) -> Data:
        parts = self._parts(source, split, seed)
        if split != "train":
            return parts[0]
        if self.settings.beside:
            parts += self._parts(self.settings.beside, split, seed)
        return Turns(parts) if len(parts) > 1 else parts[0]

    def _parts(self, source: str | None, split: str, seed: int) -> list[Data]:
        """Pairs of people with several pictures, and the people with one."""
        s, training = self.settings, split == "train"
        people = figures.people_of(source, split, s.height, s.height // 2, s.drawn)
        grounds = data.read_pictures(s.grounds, "all", 384) if s.grounds else None
        alone = np.bincount(people.persons)[people.persons] == 1
        parts: list[Data] = []
        if not alone.all():
            parts.append(Pairs(people, seed, training, s.recolor, s.jitter, grounds))
        if alone.any():
            parts.append(Singles(people.only(alone), seed, training, s.jitter))
        return parts

    def evaluate(self, pipeline: PosePipeline, data: Any, count: int) -> Evaluation:
        """What PROTOCOL says."""
        scored = super().evaluate(pipeline, data, count)
        scores = dict(scored.scores)
        if isinstance(data, Singles):
            scores = {name: value for name, value in scores.items() if not name.startswith("joint")}  # of torn pictures
            scores["kid_x1000_moved"] = kid_moved(pipeline, data.people, count)
        return Evaluation(scores, scored.protocol + PROTOCOL)


def kid_moved(pipeline: PosePipeline, people: People, count: int) -> float:
    """KID x1000 of people carried to one another's poses, against their pictures."""
    pictures, judge = people.pictures[:count], metrics.Judge()
    poses = torch.from_numpy(people.poses[:count].astype(np.float32))
    assert people.masks is not None
    made = pipeline(data.to_float(pictures), poses.roll(1, 0), poses, people.masks[:count].float())
    return 1000 * metrics.kid(judge(images.to_uint8(made.refined)), judge(pictures))
