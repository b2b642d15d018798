"""How it learns, in three stages (PG2, Ma et al. 2017): the joint finder, G1 alone, then G2 against D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_zoo import critics, images, losses, metrics
from gan_zoo.config import check_settings, setting
from gan_zoo.features import FeaturePyramid
from gan_zoo.plugin import Batch, Data, Evaluation, Fixed, Losses, Networks, Plugin, Stage, Step
from gan_zoo.plugins.pose import skeleton
from gan_zoo.plugins.pose.drawn import draw_people
from gan_zoo.plugins.pose.networks import (
    CoarseGenerator,
    JointFinder,
    PairDiscriminator,
    RefiningGenerator,
    SeeingFinder,
    joint_loss,
)
from gan_zoo.plugins.pose.pairs import Pairs, read_people
from gan_zoo.plugins.pose.pipeline import PosePipeline
from gan_zoo.plugins.pose.warping import HEAD_LIMB, PLANES, Warped, carry, heads

HEAD_PLANE = 36 + HEAD_LIMB  # of `Warped.pose`: the target's head


@dataclass(frozen=True)
class Common:
    """Hyperparameters of both generators, however they are taught."""

    height: Literal[128, 256, 512] = setting(256, "of the pictures, which are half as wide")
    widths: tuple[int, ...] = setting((64, 96, 128), "of G1, at 1/4, 1/8, 1/16")
    refining_widths: tuple[int, ...] = setting((48, 96), "of G2, at 1/4, 1/8")
    coarse_lr: float = setting(8e-4, "of G1 alone; the run's own rates are G2's and D's")
    loss: losses.Loss = setting("hinge", "of both sides (gan_zoo/losses.py)")
    l1: float = setting(2.0, "weight of the L1 distance")
    background: float = setting(0.3, "weight of the L1 distance off the person; on the person it is 1 more")
    head: float = setting(2.0, "and on the head so much more")
    perceptual: float = setting(0.25, "weight of the distance in the frozen network's features, relative to their mean")
    face: float = setting(0.0, "weight of the same distance of the heads, cut out and enlarged")
    adversarial: float = setting(0.07, "weight of the GAN's loss: five heads that see the pose outweigh L1 at more")
    wrong: float = setting(0.5, "weight of real pictures in another pose than told, which D is to refuse")
    recolor: float = setting(0.15, "share of training pairs in other colours", 0, 1)
    jitter: float = setting(0.004, "deviation by which a training source's joints are moved, as a share of the picture")
    coarse_share: float = setting(0.4, "of the run, in which G1 learns; the rest is G2's and D's")
    drawn: int = setting(400, "people of the built-in data", 20)

    def __post_init__(self) -> None:
        check_settings(self)
        self.check_widths(widths=3, refining_widths=2)

    @property
    def warped(self) -> bool:
        return True

    def check_widths(self, **counts: int) -> None:
        for name, count in counts.items():
            value = getattr(self, name)
            if len(value) != count or any(width < 16 or width % 16 for width in value):
                raise ValueError(f"{name}: expected {count} multiples of 16, got {value}")


@dataclass(frozen=True)
class Settings(Common):
    """Hyperparameters of pose transfer.

    The plain configuration, close to PG2 as published: model = "pg2", loss = "logistic", background = 1, head = 0,
    perceptual = 0, recolor = 0, jitter = 0.
    """

    model: Literal["warped", "pg2"] = setting("warped", "'pg2' is the plain configuration")
    finder_widths: tuple[int, ...] = setting((48, 96, 128, 192), "of the joint finder, at 1/4 ... 1/32")
    finder_lr: float = setting(6e-4, "learning rate of the joint finder")
    joints_share: float = setting(0.1, "of the run, in which the joint finder learns")

    @property
    def warped(self) -> bool:
        return self.model == "warped"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_widths(finder_widths=4)
        if min(self.joints_share, self.coarse_share) <= 0 or self.joints_share + self.coarse_share >= 1:
            raise ValueError(
                "joints_share and coarse_share: expected more than 0, less than 1 together, got "
                f"{self.joints_share:g} and {self.coarse_share:g}"
            )


PROTOCOL = (
    "Pairs of people held out, whole persons: each of their pictures, with another one of that person as the target; "
    "both poses are given. SSIM: Gaussian window of 11 pixels, sigma 1.5, RGB. mask-SSIM (PG2): both pictures times "
    "the target's pose mask first, limbs 10/128 of the height wide and dilated by 5 pixels. KID (EfficientNet-Lite2) "
    'x1000. "of source" is the source, returned as it is. joint_error: mean distance of joints that the joint finder '
    "finds in the sources, in % of the height; joints_found: share of those annotated. "
    "KID - 100 x mask-SSIM chooses the checkpoint."
)


class Fakes(NamedTuple):
    """Pictures (B, 3, H, W) made, wanted and begun with, what was carried; what of the coarse picture is the person,
    (B, 1, H, W); and what D is shown, as its arguments.
    """

    made: Tensor
    target: Tensor
    source: Tensor
    carried: Warped
    person: Tensor
    fake: tuple[Any, ...]
    real: tuple[Any, ...]


class PoseTraining(Plugin[Settings, PosePipeline]):
    """A person's picture and two poses are to become that person's other picture."""

    Settings: ClassVar[type] = Settings
    Pipeline: ClassVar[type] = PosePipeline

    def networks(self) -> Networks:
        s = self.settings
        return self.adversaries(
            finder=JointFinder(s.finder_widths),
            coarse=CoarseGenerator(s.widths, s.warped, s.height),
            refining=RefiningGenerator(s.refining_widths, s.warped),
        )

    def adversaries(self, **generators: Any) -> Networks:
        """The generators and their discriminator."""
        s = self.settings
        if not s.warped:
            return Networks(generators, {"discriminator": PairDiscriminator()})
        features = FeaturePyramid(None)
        sides = (s.height // 4, *(s.height // stride for stride in (4, 8, 16, 32)))
        discriminator = critics.ProjectedDiscriminator(
            feature_channels=features.channels, sides=sides, head_width=96, places=8, beside=3, told=PLANES
        )
        return Networks(generators, {"discriminator": discriminator, "features": features})

    def data(self, source: str | None, split: str, seed: int) -> Data:
        s, training = self.settings, split == "train"
        if source is None:
            people = draw_people(s.drawn, split, s.height)
        else:
            people = read_people(source, split, s.height, s.height // 2)
        return Pairs(people, seed, training, s.recolor, s.jitter)

    def stages(self) -> tuple[Stage, ...]:
        s = self.settings
        return (
            Stage("joints", s.joints_share, ("finder",), (), lr_g=s.finder_lr),
            Stage("coarse", s.coarse_share, ("coarse",), (), lr_g=s.coarse_lr),
            Stage("refined", 1 - s.joints_share - s.coarse_share, ("refining",), None),
        )

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes | None:
        """None in the first stage, where nothing is made."""
        if step.stage == "joints":
            return None
        source, target, mask = batch["source"], batch["target"], batch.get("source_mask")
        if step.stage == "coarse":  # at the size at which G1 thinks: joints are shares of the picture, and fit any
            source, target = (_at_height(x, CoarseGenerator.thinks_at) for x in (source, target))
            mask = None if mask is None else _at_height(mask, CoarseGenerator.thinks_at)
        carried = carry(source, batch["source_pose"], batch["target_pose"], mask)
        with torch.set_grad_enabled(torch.is_grad_enabled() and step.stage == "coarse"):
            coarse, person = nets["coarse"](source, carried)
        made = coarse if step.stage == "coarse" else nets["refining"](coarse, source, carried)
        told = (carried.worn(), carried.pose) if self.settings.warped else (source,)
        fake, real = critics.view(nets, made, *told), critics.view(nets, target, *told, graph=False)
        return Fakes(made, target, source, carried, person, fake, real)

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s, critic = self.settings, nets["discriminator"]
        verdict = losses.d_loss(s.loss, critic, fakes.real, fakes.fake)
        terms = {"adversarial": verdict.loss}
        if s.warped and s.wrong > 0:  # a real picture in another pose than told is as bad as a forged one
            wrong = critic(*critics.view(nets, fakes.source, *fakes.real[2:], graph=False))
            terms["wrong"] = s.wrong * losses.adversarial(s.loss).discriminator(verdict.real, wrong)
        return Losses(terms, verdict.metrics)

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes | None, step: Step) -> Losses:
        s = self.settings
        if fakes is None:
            pictures = torch.cat([batch["source"], batch["target"]])
            poses = torch.cat([batch["source_pose"], batch["target_pose"]])
            places, presence = nets["finder"](_at_height(pictures, JointFinder.looks_at))
            return Losses({"joints": joint_loss(places, presence, poses)})
        carried, target = fakes.carried, fakes.target
        head = F.interpolate(carried.pose[:, HEAD_PLANE : HEAD_PLANE + 1], size=target.shape[2:], mode="bilinear")
        body = carried.body if "target_mask" not in batch else _at_height(batch["target_mask"], target.shape[2])
        weight = s.background + body + s.head * head  # Ma et al. 2017, eq. 1: 1 + the pose mask
        terms = {"l1": s.l1 * ((fakes.made - target).abs() * weight).mean()}
        if "target_mask" in batch and step.stage == "coarse":
            terms["person"] = (fakes.person - body).abs().mean()
        if s.warped and s.perceptual > 0:
            terms["perceptual"] = s.perceptual * losses.feature_distance(fakes.fake[1], fakes.real[1])
        if s.warped and s.face > 0:
            made, wanted = (heads(pictures, batch["target_pose"]) for pictures in (fakes.made, target))
            with torch.no_grad():
                known = nets["features"](wanted)
            terms["face"] = s.face * losses.feature_distance(nets["features"](made), known)
        if step.stage == "refined" and s.adversarial > 0:
            answer = losses.g_loss(s.loss, nets["discriminator"], fakes.fake, fakes.real)
            terms["adversarial"] = s.adversarial * answer.loss
        return Losses(terms)

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        """Of 16 pairs held out: the pose, coarse and refined. No source is among them: these grids go into cards."""
        batch = {name: tensor[:16] for name, tensor in fixed.batch.items()}
        seen = carry(batch["source"], batch["source_pose"], batch["target_pose"], batch.get("source_mask"))
        coarse = nets["coarse"](batch["source"], seen).picture
        refined = nets["refining"](coarse, batch["source"], seen)
        wanted = batch["target_pose"].cpu().numpy()
        drawn = torch.cat([images.to_tensor(skeleton.draw(pose, *refined.shape[2:])) for pose in wanted])
        return torch.stack([drawn.to(refined), coarse, refined], dim=1).flatten(0, 1).clamp(-1, 1)

    def pipeline(self, nets: Networks) -> PosePipeline:
        finder, coarse, refining = (nets[name] for name in ("finder", "coarse", "refining"))
        assert isinstance(finder, JointFinder | SeeingFinder) and isinstance(coarse, CoarseGenerator)
        assert isinstance(refining, RefiningGenerator)
        return PosePipeline(finder, coarse, refining)

    def evaluate(self, pipeline: PosePipeline, data: Pairs, count: int) -> Evaluation:
        """SSIM and mask-SSIM by PG2's protocol, KID of coarse and refined, the joint finder's error."""
        count = min(count, len(data))
        parts = [data.batch(range(start, min(start + 16, count))) for start in range(0, count, 16)]
        batch = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        source, target = batch["source"], batch["target"]
        made = pipeline(source, batch["target_pose"], batch["source_pose"], batch.get("source_mask"))
        judge = metrics.Judge()
        features = judge(images.to_uint8(target))
        scores: dict[str, float] = {}
        masks = skeleton.limb_mask(batch["target_pose"], *target.shape[2:]).float()
        for name, pictures in (("", made.refined), ("_of_coarse", made.coarse), ("_of_source", source)):
            unit, real = (pictures + 1) / 2, (target + 1) / 2
            scores[f"ssim{name}"] = float(metrics.ssim(unit, real).mean())
            scores[f"mask_ssim{name}"] = float(metrics.ssim(unit, real, masks).mean())
            if name != "_of_source":
                scores[f"kid_x1000{name}"] = 1000 * metrics.kid(judge(images.to_uint8(pictures)), features)
        scores |= joint_errors(pipeline.find(source).numpy(), batch["source_pose"].numpy())
        return Evaluation(scores, f"{PROTOCOL} {count} pairs.")

    def check_evaluation(self) -> None:
        metrics.Judge()

    @property
    def feature_networks(self) -> str:
        if not self.settings.warped:
            return ""
        return "the discriminator and a loss look through EfficientNet-Lite0, frozen, trained on ImageNet"


def _at_height(pictures: Tensor, height: int) -> Tensor:
    times = pictures.shape[2] // height
    return F.avg_pool2d(pictures, times) if times > 1 else pictures


def joint_errors(found: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Poses (N, 18, 3) found and annotated, of pictures half as wide as high; as PROTOCOL says."""
    inside = (known[..., 2] > 0) & (np.abs(known[..., :2] - 0.5) <= 0.5).all(-1)
    both = inside & (found[..., 2] > 0)
    apart = np.linalg.norm((found - known)[..., :2] * (0.5, 1), axis=-1)
    return {
        "joint_error": float(100 * apart[both].mean()) if both.any() else 100.0,
        "joints_found": float(both.sum() / max(1, inside.sum())),
    }
