"""Training of the finder for photos, for generators that are there already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from torch import Tensor

from gan_zoo.config import check_settings, setting
from gan_zoo.plugin import Batch, Data, Evaluation, Fixed, Losses, Networks, Stage, Step
from gan_zoo.plugins.pose import figures
from gan_zoo.plugins.pose.networks import SeeingFinder, finding_loss
from gan_zoo.plugins.pose.plugin import Pose


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of the finder for photos."""

    finds_for: str = setting("people", "the preset, or weights, whose generators it serves: its weights keep them")
    grounds: str = setting("", "a data set of photos before which it sees its people; empty: fields of colour")
    drawn: int = setting(400, "people of the built-in data", 20)

    def __post_init__(self) -> None:
        check_settings(self)


class PoseFinder(Pose, training="finder", known_by="finds_for"):
    """A `SeeingFinder` alone, with nobody against it; the preset's generators stay as they are."""

    Settings: ClassVar[type] = Settings
    settings: Settings  # pyright: ignore[reportIncompatibleVariableOverride]

    def networks(self) -> Networks:
        served = self.load(self.settings.finds_for)
        kept = {name: getattr(served, name).requires_grad_(False) for name in ("coarse", "refining")}
        return Networks({"finder": SeeingFinder(), **kept})

    def data(self, source: str | None, split: str, seed: int) -> Data:
        return figures.read(source, split, self.settings.grounds, self.settings.drawn, seed)

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("finder", 1.0, ("finder",), ()),)

    def generate(self, nets: Networks, batch: Batch, step: Step) -> None:
        """Nothing is made."""

    def generator_loss(self, nets: Networks, batch: Batch, fakes: None, step: Step) -> Losses:
        bumps, masks = nets["finder"](batch["image"])
        return Losses(finding_loss(bumps, masks, batch["pose"], batch["mask"]))

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        return figures.shown(cast(SeeingFinder, nets["finder"]), fixed.batch["image"][:16])

    def evaluate(self, pipeline: Any, data: figures.Figures, count: int) -> Evaluation:
        return figures.evaluate(pipeline.finder, data, count)

    def worth(self, scores: Mapping[str, float]) -> float:
        return -scores["pck_02"] - scores["mask_iou"] if scores else super().worth(scores)

    def check_evaluation(self) -> None:
        """It needs no package."""

    @property
    def feature_networks(self) -> str:
        return "the finder looks through EfficientNet-Lite0, frozen, trained on ImageNet"
