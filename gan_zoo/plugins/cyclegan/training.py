"""How it learns: two generators and two discriminators, from two sets of pictures which nobody paired."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_zoo import critics, images, losses, metrics
from gan_zoo import data as zoo_data
from gan_zoo.augment import diff_augment_together, policies
from gan_zoo.config import check_settings, setting
from gan_zoo.features import FeaturePyramid, classifier
from gan_zoo.plugin import Batch, Data, Evaluation, Fixed, Losses, Networks, Plugin, Stage, Step
from gan_zoo.plugins.cyclegan.drawn import SEASONS
from gan_zoo.plugins.cyclegan.imported import ImportedGenerator
from gan_zoo.plugins.cyclegan.networks import SeeingGenerator, TranslationGenerator
from gan_zoo.plugins.cyclegan.pipeline import CycleGANPipeline, Generator
from gan_zoo.plugins.cyclegan.unpaired import Unpaired, read_domains, read_neutral

THERE, NOT_THERE = 0.62, 0.3  # evidence above and below which a gate's lesson is sure
POOL = 50  # pictures of a history buffer, as in the paper


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of CycleGAN. The paper's own are in gan_zoo/recipes/cyclegan-paper.toml."""

    generator: Literal["light", "seeing", "resnet"] = setting(
        "light", "'seeing' looks through EfficientNet-Lite0; 'resnet' is the paper's of `blocks` (9), `width` 64"
    )
    discriminator: Literal["projected", "patch"] = setting("projected", "'patch' is the paper's 70 x 70 PatchGAN")
    width: int = setting(128, "channels of the generator", 1)
    deep: int = setting(0, "of the seeing one below a quarter of the size; 0: a third more than width", 0, multiple=16)
    blocks: int = setting(6, "of the generator", 1)
    size: int = setting(128, "of the crops", 64)
    load: int = setting(143, "pictures are scaled to this before they are cropped", 64)
    judged_at: int = setting(256, "size at which pictures held out are translated and scored", 64)
    domains: tuple[str, ...] = setting((), "names of two labels, where the data has more")
    loss: losses.Loss = setting("hinge", "of both sides (gan_zoo/losses.py)")
    augment: str = setting("translation,cutout", "of what D sees: a picture and its translation alike")
    cycle: float = setting(5.0, "weight of |B(A(x)) - x|; half the paper's, whose D is weaker: 10 repainted too little")
    coarse_cycle: float = setting(0.0, "the same at an eighth of the size, where stripes need not be remembered")
    things: tuple[int, ...] = setting(
        (), "first and last ImageNet class of what 'seeing' may change (mammals: 147,388)"
    )
    things_back: tuple[int, ...] = setting(
        (), "of the way back, if other things, told by their pattern at half the scale (zebras: 340,340)"
    )
    edges: int = setting(0, "quarter pixels within which a gate ends at an edge of the picture; 0: off", 0)
    smooth: bool = setting(False, "the way back paints on things whose pattern is smoothed away: stripes to a coat")
    identity: float = setting(0.0, "weight of |A(y) - y| of pictures that are of the target already (paper: cycle / 2)")
    only: Literal["both", "forth", "back"] = setting("both", "the way that learns; the other stays as --init has it")
    pool: bool = setting(False, "D sees fakes of the last steps too (Shrivastava et al. 2017)")
    neutral: str = setting("", "a data set, or DATA#LABEL, of neither domain, which both generators leave alone")
    leave: float = setting(1.5, "weight of that, reached over the first third; 10 from the start repainted nothing")
    lazy: int = setting(2, "`neutral` counts every so many steps, and as many times as much", 1)
    grain: float = setting(0.0, "deviation of noise that the way forth sees in use: no grid over flat skies", 0)
    classes: tuple[int, ...] = setting((), "ImageNet classes of the domains, if each is one: `evaluate` counts them")
    drawn: int = setting(1000, "pictures of each season of the built-in data", 10)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.size % 32 or self.size > self.load:
            raise ValueError(f"size: expected a multiple of 32 from 64 to load ({self.load}), got {self.size}")
        if len(self.domains) not in (0, 2) or len(self.classes) not in (0, 2):
            raise ValueError(f"domains and classes: expected two or none, got {self.domains} and {self.classes}")
        if self.discriminator == "projected" and self.pool:
            raise ValueError("pool: only the patch discriminator looks at old fakes, got projected")
        if self.things and (self.generator != "seeing" or len(self.things) != 2):
            raise ValueError(f"things: expected two classes, and generator 'seeing', got {self.things}")
        if self.things_back and (not self.things or len(self.things_back) != 2):
            raise ValueError(f"things_back: expected two classes beside those of things, got {self.things_back}")
        for name in ("smooth", "edges"):
            if getattr(self, name) and not self.things:
                raise ValueError(f"{name}: of the gate of things, which are not named")
        policies(self.augment)


PROTOCOL = (
    "Pictures held out, translated at {size} px. KID (EfficientNet-Lite2) x1000 against real pictures of the target, "
    '50 subsets; "untouched" is the same of the pictures as they were. SSIM to the input; cycle_l1: mean distance in '
    "[0, 1] of a picture to itself translated there, saved as a JPEG of quality 90, and back. "
    "share: how many are of the target's ImageNet class by EfficientNet-Lite2, top 1. neutral: photos of neither. "
    "score: mean of both KIDs + 100 x (1 - mean SSIM); it chooses the checkpoint, since painting over everything has a "
    "good KID."
)


class Side(NamedTuple):
    """One of the two translations: the network that makes it, the one that undoes it, from which domain to which."""

    net: str
    other: str
    x: str
    y: str


SIDES = (Side("forth", "back", "a", "b"), Side("back", "forth", "b", "a"))


class Fakes(NamedTuple):
    """Translations into each domain, {"a", "b"}; and what D is shown of them and of real pictures, as its arguments."""

    made: dict[str, Tensor]
    seen: dict[str, tuple[Any, ...]]
    real: dict[str, tuple[Any, ...]]


class CycleGANTraining(Plugin[Settings, CycleGANPipeline]):
    """Each generator against the discriminator of its target, and with the other one's help back to its source."""

    Settings: ClassVar[type] = Settings
    Pipeline: ClassVar[type] = CycleGANPipeline
    domains: tuple[str, ...] = SEASONS  # of the data last read

    def networks(self) -> Networks:
        s = self.settings
        generators: dict[str, Any] = {"forth": self._generator(), "back": self._generator(s.smooth)}
        if s.discriminator == "patch":
            return Networks(generators, {name: critics.PatchDiscriminator() for name in ("critic_a", "critic_b")})
        features = FeaturePyramid(s.size)
        both = {
            name: critics.ProjectedDiscriminator(
                feature_channels=features.channels, sides=(s.size // 4, *features.sizes), places=s.size // 32
            )
            for name in ("critic_a", "critic_b")
        }
        return Networks(generators, {**both, "features": features})

    def _generator(self, smooth: bool = False) -> Generator:
        s = self.settings
        if s.generator == "light":
            return TranslationGenerator(s.width, s.blocks)
        if s.generator == "seeing":
            return SeeingGenerator(s.width, bool(s.things), s.deep or None, smooth, s.edges)
        generator = ImportedGenerator("resnet", s.width, s.blocks)
        for module in generator.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                torch.nn.init.normal_(module.weight, std=0.02)  # Zhu et al. 2017, section 7.1
        return generator

    def data(self, source: str | None, split: str, seed: int) -> Data:
        s, training = self.settings, split == "train"
        size = s.load if training else s.judged_at
        domains = read_domains(source, s.domains, split, size, s.drawn)
        self.domains = tuple(domains)  # their names go with the weights
        neutral = read_neutral(s.neutral, split, size) if s.neutral else None
        return Unpaired(domains, neutral, s.size, seed, training)

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        """Both translations. D sees a picture and its translation augmented alike."""
        made, real, fake = {}, {}, {}
        judged = {way.y for way in self.learned}
        for way in SIDES:
            if way.y in judged:
                made[way.y] = nets[way.net](batch[way.x])
            shown = [batch[way.x], *([made[way.y]] if way.y in judged else [])]
            picture, *translation = diff_augment_together(shown, self.settings.augment, step.rand)
            if way.x in judged:
                real[way.x] = critics.view(nets, picture, graph=False)
            if translation:
                fake[way.y] = critics.view(nets, translation[0])
        return Fakes(made, fake, real)

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        terms, seen = {}, []
        for x, fake in fakes.seen.items():
            if self.settings.pool:
                fake = (pooled(fake[0], step, f"pool_{x}"),)
            verdict = losses.d_loss(self.settings.loss, nets[f"critic_{x}"], fakes.real[x], fake)
            terms[f"adversarial_{x}"] = verdict.loss
            seen.append(verdict.metrics)
        return Losses(terms, {name: torch.stack([some[name] for some in seen]).mean(0) for name in seen[0]})

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s, terms = self.settings, {}
        leave = s.leave * s.lazy * min(1.0, 3 * step.progress) if step.index % s.lazy == 0 else 0.0
        for net, other, x, y in self.learned:
            answer = losses.g_loss(s.loss, nets[f"critic_{y}"], fakes.seen[y], fakes.real[y])
            terms[f"adversarial_{y}"] = answer.loss
            if s.cycle > 0 or s.coarse_cycle > 0:
                again = nets[other](fakes.made[y])
                terms[f"cycle_{x}"] = s.cycle * F.l1_loss(again, batch[x])
                if s.coarse_cycle > 0:
                    coarse = F.l1_loss(F.avg_pool2d(again, 8), F.avg_pool2d(batch[x], 8))
                    terms[f"coarse_cycle_{x}"] = s.coarse_cycle * coarse
            if s.identity > 0:
                terms[f"identity_{y}"] = s.identity * F.l1_loss(nets[net](batch[y]), batch[y])
            if "neutral" in batch and leave > 0:
                terms[f"leave_{y}"] = leave * F.l1_loss(nets[net](batch["neutral"]), batch["neutral"])
        if s.things and step.index % s.lazy == 0:
            terms |= self._gate_terms(nets, batch)
        return Losses(terms)

    def _gate_terms(self, nets: Networks, batch: Batch) -> dict[str, Tensor]:
        """Both gates learn where Lite0's classifier is sure that there is such a thing, or that there is none."""
        pictures = torch.cat([batch["a"], batch["b"]])
        shown = torch.cat([pictures, batch["neutral"]]) if "neutral" in batch else pictures
        s, terms, seen = self.settings, {}, {}
        for net, *_ in self.learned:
            lesson = (s.things_back, (1, 2)) if net == "back" and s.things_back else (s.things, (2, 4))
            if lesson not in seen:  # both gates may have the same
                there = evidence_of(pictures, *lesson)
                seen[lesson] = F.pad(there, (0, 0, 0, 0, 0, 0, 0, len(shown) - len(pictures)))  # none on neutral ones
            terms[f"gate_{net}"] = gate_loss(nets[net](shown, only_gate=True), seen[lesson])
        return terms

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        """Of 16 pictures of each domain held out, their translations. No source is among them: cards show these."""
        made = torch.cat([nets[net](fixed.batch[x][:16]) for x, net in (("a", "forth"), ("b", "back"))])
        return F.interpolate(made, self.settings.judged_at // 2, mode="bilinear", antialias=True).clamp(-1, 1)

    def pipeline(self, nets: Networks) -> CycleGANPipeline:
        forth, back = nets["forth"], nets["back"]
        assert isinstance(forth, Generator) and isinstance(back, Generator)
        return CycleGANPipeline(forth, back, *self.domains, grain=self.settings.grain)

    def evaluate(self, pipeline: CycleGANPipeline, data: Unpaired, count: int) -> Evaluation:
        """KID, SSIM, the cycle and, for ImageNet classes, their shares; both ways."""
        judge, scores = metrics.Judge(), {}
        real = dict(zip("ab", (pictures[:count] for pictures in data.domains.values())))
        known = dict(zip("ab", (judge.of_real(pictures)[:count] for pictures in data.domains.values())))
        classes = dict(zip("ab", self.settings.classes))
        ssim, kids = [], []
        for way, x, y in zip(pipeline.ways, "ab", "ba"):
            fake = images.to_uint8(pipeline(zoo_data.to_float(real[x]), way))
            features = judge(fake)
            kids.append(1000 * metrics.kid(features, known[y]))
            ssim.append(float(metrics.ssim(fake / 255, real[x] / 255).mean()))
            scores[f"kid_x1000_{way.name}"], scores[f"ssim_{way.name}"] = kids[-1], ssim[-1]
            scores[f"kid_x1000_{way.name}_untouched"] = 1000 * metrics.kid(known[x], known[y])
            again = pipeline(zoo_data.to_float(through_jpeg(fake)), way.reversed)
            scores[f"cycle_l1_{way.name}"] = float((images.to_uint8(again) / 255 - real[x] / 255).abs().mean())
            if classes:
                scores[f"share_{way.name}"] = judge.share(features, classes[y])
                scores[f"share_{way.name}_source_left"] = judge.share(features, classes[x])
        if data.neutral is not None:
            some = data.neutral[:count]
            for way, y in zip(pipeline.ways, "ba"):
                fake = images.to_uint8(pipeline(zoo_data.to_float(some), way))
                scores[f"neutral_ssim_{way.name}"] = float(metrics.ssim(fake / 255, some / 255).mean())
                if classes:
                    scores[f"neutral_share_{way.name}"] = judge.share(judge(fake), classes[y])
        scores["score"] = sum(kids) / 2 + 100 * (1 - sum(ssim) / 2)
        return Evaluation(scores, PROTOCOL.format(size=self.settings.judged_at))

    def check_evaluation(self) -> None:
        metrics.Judge()

    @property
    def learned(self) -> list[Side]:
        """The ways that learn."""
        return [side for side in SIDES if self.settings.only in ("both", side.net)]

    def stages(self) -> tuple[Stage, ...]:
        if self.settings.only == "both":
            return super().stages()
        [way] = self.learned
        return (Stage(way.net, generators=(way.net,), discriminators=(f"critic_{way.y}",)),)

    @property
    def feature_networks(self) -> str:
        if self.settings.discriminator == "patch":
            return ""
        who = "generators and discriminators" if self.settings.generator == "seeing" else "the discriminators"
        gate = ", whose classifier teaches the gates" if self.settings.things else ""
        return f"{who} look through EfficientNet-Lite0, frozen, trained on ImageNet{gate}"


def evidence_of(pictures: Tensor, things: tuple[int, ...], factors: tuple[int, int]) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, 2, H / 4, W / 4) in [0, 1]: where the classes from the first to the last are seen,
    by Lite0's classifier at two sizes, a small one that knows what it is, and a larger that knows where it ends.
    """
    size = tuple(side // 4 for side in pictures.shape[2:])
    seen = [
        classifier(pictures.device)(F.interpolate(pictures, scale_factor=factor, mode="bilinear"), things)
        for factor in factors
    ]
    return torch.cat([F.interpolate(p, size, mode="bilinear") for p in seen], dim=1)


def gate_loss(logits: Tensor, seen: Tensor) -> Tensor:
    """Cross-entropy of logits (B, 1, h, w) where the evidence (B, 2, h, w), as `evidence_of` gives it, is sure.

    The finer look halves what the coarser one says at most, since it makes nothing of the middle of a large thing. Both
    sides count alike, however few places each has ("seed" loss of Kolesnikov & Lampert 2016, arXiv:1603.06098).
    """
    there = seen[:, :1] * (1 + seen[:, 1:]) / 2
    logits, total = logits.float(), logits.new_zeros((), dtype=torch.float32)
    for sign, places in ((1, there > THERE), (-1, there < NOT_THERE)):
        total = total + (F.softplus(-sign * logits) * places).sum() / places.sum().clamp(min=1)
    return total


def pooled(fakes: Tensor, step: Step, name: str) -> Tensor:
    """Half of the fakes are exchanged for older ones, of the last POOL (Shrivastava et al. 2017, section 2.3).

    The history, `step.state[name]`, is (n, 3, H, W) with n growing up to POOL.
    """
    history = step.state.get(name, fakes[:0].cpu())
    shown = fakes.clone()
    choice = step.rand(2)  # (B, 2)
    for i, (old, place) in enumerate(choice.tolist()):
        fresh = fakes[i : i + 1].cpu()
        if len(history) < POOL:
            history = torch.cat([history, fresh])
        elif old < 0.5:
            j = int(place * POOL)
            shown[i] = history[j].to(fakes)
            history[j] = fresh[0]
    step.state[name] = history
    return shown


def through_jpeg(pictures: Tensor, quality: int = 90) -> Tensor:
    """uint8 (N, 3, H, W), saved as JPEG and read again: no message hidden in pixels survives it (Chu et al. 2017)."""
    out = []
    for pixels in pictures.permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        out.append((images.to_tensor(Image.open(file))[0] + 1) * 127.5)
    return torch.stack(out).round().to(torch.uint8)
