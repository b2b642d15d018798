"""CycleGAN: two generators and two discriminators that learn to translate pictures which nobody paired."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_zoo import data as zoo_data
from gan_zoo import hub, images, losses, metrics
from gan_zoo.augment import diff_augment_together, policies
from gan_zoo.config import check_ranges, setting
from gan_zoo.features import FeaturePyramid, classifier
from gan_zoo.plugin import (
    Arg,
    Batch,
    Data,
    Evaluation,
    Fakes,
    Film,
    Fixed,
    ImageFile,
    Losses,
    Networks,
    Page,
    Plugin,
    Preset,
    Step,
    Text,
    task,
)
from gan_zoo.plugins.cyclegan.convert import FORMATS, read_generator
from gan_zoo.plugins.cyclegan.drawn import SEASONS
from gan_zoo.plugins.cyclegan.imported import ImportedGenerator
from gan_zoo.plugins.cyclegan.networks import (
    PatchDiscriminator,
    ProjectedPatchDiscriminator,
    SeeingGenerator,
    TranslationGenerator,
)
from gan_zoo.plugins.cyclegan.pipeline import CycleGANPipeline, Generator
from gan_zoo.plugins.cyclegan.tab import draw_tab, find_examples
from gan_zoo.plugins.cyclegan.unpaired import Unpaired, read_domains, read_neutral

THERE, NOT_THERE = 0.62, 0.3  # evidence above and below which a gate's lesson is sure
POOL = 50  # pictures of a history buffer, as in the paper
MAX_SIDE = 4096  # of what `translate` takes
MAX_FRAMES = 60  # of an animation


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of CycleGAN. The paper's own are in train/recipes/cyclegan-paper.toml."""

    generator: str = setting(
        "light", "'seeing' looks through EfficientNet-Lite0; 'resnet' is the paper's of `blocks` (9), `width` 64"
    )
    discriminator: str = setting("projected", "or 'patch', the paper's 70 x 70 PatchGAN")
    width: int = setting(128, "channels of the generator", 1)
    blocks: int = setting(6, "of the generator", 1)
    size: int = setting(128, "of the crops", 64)
    load: int = setting(143, "pictures are scaled to this before they are cropped", 64)
    judged_at: int = setting(256, "size at which pictures kept apart are translated and scored", 64)
    domains: tuple[str, ...] = setting((), "names of two labels, where the data has more")
    loss: str = setting("hinge", "one of gan_zoo/losses.py")
    augment: str = setting("translation,cutout", "of what D sees: a picture and its translation alike")
    cycle: float = setting(5.0, "weight of |B(A(x)) - x|")
    coarse_cycle: float = setting(0.0, "the same at an eighth of the size, where stripes need not be remembered")
    things: tuple[int, ...] = setting(
        (), "first and last ImageNet class of what 'seeing' may change (mammals: 147,388)"
    )
    identity: float = setting(0.0, "weight of |A(y) - y| of pictures that are of the target already (paper: cycle / 2)")
    pool: bool = setting(False, "D sees fakes of the last steps too (Shrivastava et al. 2017)")
    neutral: str = setting("", "a data set, or DATA#LABEL, of neither domain, which both generators leave alone")
    leave: float = setting(1.5, "weight of that, reached over the first third; 10 from the start repainted nothing")
    lazy: int = setting(2, "`neutral` counts every so many steps, and as many times as much", 1)
    classes: tuple[int, ...] = setting((), "ImageNet classes of the domains, if each is one: `evaluate` counts them")
    drawn: int = setting(1000, "pictures of each season of the built-in data", 10)

    def __post_init__(self) -> None:
        check_ranges(self)
        for name, choices in (("generator", ("light", "seeing", "resnet")), ("discriminator", ("projected", "patch"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: expected {' or '.join(choices)}, got {getattr(self, name)!r}")
        if self.size % 32 or self.size > self.load:
            raise ValueError(f"size: expected a multiple of 32 from 64 to load ({self.load}), got {self.size}")
        if len(self.domains) not in (0, 2) or len(self.classes) not in (0, 2):
            raise ValueError(f"domains and classes: expected two or none, got {self.domains} and {self.classes}")
        if self.discriminator == "projected" and self.pool:
            raise ValueError("pool: only the patch discriminator looks at old fakes, got projected")
        if self.things and (self.generator != "seeing" or len(self.things) != 2):
            raise ValueError(f"things: expected two classes, and generator 'seeing', got {self.things}")
        policies(self.augment)
        losses.adversarial(self.loss)


class Translation(NamedTuple):
    """A picture translated, and translated back."""

    translated: Image.Image
    reconstruction: Image.Image


PROTOCOL = (
    "Pictures kept apart, translated at {size} px. KID (EfficientNet-Lite2) x1000 against real pictures of the target, "
    '50 subsets; "untouched" is the same of the pictures as they were. SSIM to the input; cycle_l1: mean distance in '
    "[0, 1] of a picture to itself translated there, saved as a JPEG of quality 90, and back. "
    "share: how many are of the target's ImageNet class by EfficientNet-Lite2, top 1. neutral: photos of neither. "
    "score: mean of both KIDs + 100 x (1 - mean SSIM); it chooses the checkpoint, since painting over everything has a "
    "good KID."
)

Picture = Annotated[ImageFile, Arg(Text("Picture", "Imagen"))]
Direction = Annotated[
    str,
    Arg(
        Text("Direction", "Dirección"),
        info=Text(
            "Such as horse2zebra or zebra2horse; empty: the preset's first.",
            "Por ejemplo horse2zebra o zebra2horse; vacío: la primera del modelo.",
        ),
    ),
]
Strength = Annotated[float, Arg(Text("Strength", "Fuerza"), minimum=0.0, maximum=1.0, step=0.05, rare=True)]
WorkingSize = Annotated[
    int,
    Arg(
        Text("Working size", "Tamaño de trabajo"),
        info=Text(
            "Shorter side in pixels at which the networks paint: smaller paints larger strokes.",
            "Lado menor en píxeles al que pintan las redes: cuanto menor, más grandes los trazos.",
        ),
        minimum=128,
        maximum=768,
        cli_maximum=4096,
        step=32,
        rare=True,
    ),
]
PAINTINGS = Text(
    "900 landscape photos without a stated licence, and {count} paintings of {name}, public domain: research only.",
    "900 fotos de paisajes sin licencia declarada y {count} cuadros de {name}, de dominio público: solo investigación.",
)


def _paintings(count: int, name: str) -> Text:
    return Text(*(text.format(count=count, name=name) for text in PAINTINGS))


class CycleGAN(Plugin):
    slug: ClassVar[str] = "cyclegan"
    title: ClassVar[Text] = Text("CycleGAN", "CycleGAN")
    summary: ClassVar[Text] = Text(
        "Horses become zebras, photos become paintings, and back: learned from two heaps of pictures without a pair.",
        "Los caballos se vuelven cebras, las fotos cuadros, y al revés: aprendido de imágenes sueltas, sin parejas.",
    )
    paper: ClassVar[str] = "https://arxiv.org/abs/1703.10593"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            name="seasons",
            title=Text("Summer and winter, drawn", "Verano e invierno, dibujados"),
            licence="open",
            licence_id="cc0-1.0",
            data=Text(
                "1,000 landscapes in summer and 1,000 in winter, drawn on the fly by gan_zoo, CC0.",
                "1000 paisajes de verano y 1000 de invierno, dibujados sobre la marcha por gan_zoo, CC0.",
            ),
        ),
        Preset(
            name="horse2zebra",
            title=Text("Horses and zebras", "Caballos y cebras"),
            licence="research",
            data=Text(
                "The CycleGAN paper's 1,067 photos of horses and 1,334 of zebras, from ImageNet: research only.",
                "Las 1067 fotos de caballos y 1334 de cebras del artículo de CycleGAN (ImageNet): solo investigación.",
            ),
        ),
        Preset("monet", Text("Photos and Monet", "Fotos y Monet"), "research", _paintings(270, "Claude Monet")),
        Preset(
            "vangogh", Text("Photos and Van Gogh", "Fotos y Van Gogh"), "research", _paintings(360, "Vincent van Gogh")
        ),
    )
    formats: ClassVar[dict[str, str]] = {
        name: f"one or two generators of {format.origin} (.pth, .bin or .safetensors), A to B first"
        for name, format in FORMATS.items()
    }
    Settings: ClassVar[type] = Settings
    Pipeline: ClassVar[type] = CycleGANPipeline
    settings: Settings
    score: ClassVar[dict[str, float]] = {"score": 1.0}
    opens_on: ClassVar[str | None] = "horse2zebra"
    pipeline_tag: ClassVar[str] = "image-to-image"
    example: ClassVar[str] = "--image photo.jpg"
    columns: ClassVar[int] = 8
    caption: ClassVar[str] = "Uncurated: pictures kept apart, translated; the way forth above, the way back below."
    domains: tuple[str, ...] = SEASONS  # of the data last read

    # -- train -------------------------------------------------------------------------------------------------------

    def networks(self) -> Networks:
        s = self.settings
        generators: dict[str, Any] = {name: self._generator() for name in ("forth", "back")}
        if s.discriminator == "patch":
            return Networks(generators, {name: PatchDiscriminator() for name in ("critic_a", "critic_b")})
        features = FeaturePyramid(s.size)
        critics = {
            name: ProjectedPatchDiscriminator(features.channels, features.sizes, places=s.size // 32)
            for name in ("critic_a", "critic_b")
        }
        return Networks(generators, {**critics, "features": features})

    def _generator(self) -> Generator:
        s = self.settings
        if s.generator == "light":
            return TranslationGenerator(s.width, s.blocks)
        if s.generator == "seeing":
            return SeeingGenerator(s.width, gated=bool(s.things))
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
        """Both translations, and what D sees of them and of what they came from, augmented alike."""
        s, fakes = self.settings, {}
        for net, x, y in (("forth", "a", "b"), ("back", "b", "a")):
            fake = nets[net](batch[x])
            seen_x, seen_fake = diff_augment_together((batch[x], fake), s.augment, step.rand)
            fakes |= {f"fake_{y}": fake, f"seen_{x}": self._look(nets, seen_x, real=True)}
            fakes[f"seen_fake_{y}"] = self._look(nets, seen_fake)
        return fakes

    def _look(self, nets: Networks, pictures: Tensor, real: bool = False) -> tuple[Any, ...]:
        """The arguments of a discriminator; the frozen network, dear, sees each picture once for both halves."""
        if self.settings.discriminator == "patch":
            return (pictures,)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not real):
            return pictures, nets["features"](pictures)

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        adversarial, terms, seen = losses.adversarial(self.settings.loss), {}, []
        for x in "ab":
            fake = fakes[f"seen_fake_{x}"]
            if self.settings.pool:
                fake = (pooled(fake[0], step, f"pool_{x}"),)
            real_logits, fake_logits = nets[f"critic_{x}"](*fakes[f"seen_{x}"]), nets[f"critic_{x}"](*fake)
            terms[f"adversarial_{x}"] = adversarial.discriminator(real_logits, fake_logits)
            seen.append(adversarial.metrics(real_logits, fake_logits))
        return Losses(terms, {name: (seen[0][name] + seen[1][name]) / 2 for name in seen[0]})

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s, adversarial, terms = self.settings, losses.adversarial(self.settings.loss), {}
        leave = s.leave * s.lazy * min(1.0, 3 * step.progress) if step.index % s.lazy == 0 else 0.0
        for net, other, x, y in (("forth", "back", "a", "b"), ("back", "forth", "b", "a")):
            real = None
            if adversarial.needs_real:
                with torch.no_grad():
                    real = nets[f"critic_{y}"](*fakes[f"seen_{y}"])
            terms[f"adversarial_{y}"] = adversarial.generator(nets[f"critic_{y}"](*fakes[f"seen_fake_{y}"]), real)
            if s.cycle > 0 or s.coarse_cycle > 0:
                again = nets[other](fakes[f"fake_{y}"])
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
        seen = evidence_of(pictures, self.settings.things)
        seen = F.pad(seen, (0, 0, 0, 0, 0, 0, 0, len(shown) - len(pictures)))  # on neutral pictures there is nothing
        return {f"gate_{net}": gate_loss(nets[net](shown, only_gate=True), seen) for net in ("forth", "back")}

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        """Of 16 pictures of each domain kept apart, their translations. No source is among them: cards show these."""
        made = torch.cat([nets[net](fixed.batch[x][:16]) for x, net in (("a", "forth"), ("b", "back"))])
        return F.interpolate(made, self.settings.judged_at // 2, mode="bilinear", antialias=True).clamp(-1, 1)

    def pipeline(self, nets: Networks) -> CycleGANPipeline:
        forth, back = nets["forth"], nets["back"]
        assert isinstance(forth, Generator) and isinstance(back, Generator)
        return CycleGANPipeline(forth, back, *self.domains)

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation:
        """KID, SSIM, the cycle and, for ImageNet classes, their shares; both ways."""
        assert isinstance(data, Unpaired)
        judge, scores = metrics.Judge(), {}
        real = dict(zip("ab", (pictures[:count] for pictures in data.domains.values())))
        names = dict(zip("ab", data.domains))
        known = dict(zip("ab", (judge.of_real(pictures)[:count] for pictures in data.domains.values())))
        classes = dict(zip("ab", self.settings.classes))
        ssim, kids = [], []
        for x, y, back in (("a", "b", False), ("b", "a", True)):
            way = f"{names[x]}2{names[y]}"
            fake = images.to_uint8(pipeline(zoo_data.to_float(real[x]), back))
            features = judge(fake)
            kids.append(1000 * metrics.kid(features, known[y]))
            ssim.append(float(metrics.ssim(fake / 255, real[x] / 255).mean()))
            scores[f"kid_x1000_{way}"], scores[f"ssim_{way}"] = kids[-1], ssim[-1]
            scores[f"kid_x1000_{way}_untouched"] = 1000 * metrics.kid(known[x], known[y])
            again = pipeline(zoo_data.to_float(through_jpeg(fake)), not back)
            scores[f"cycle_l1_{way}"] = float((images.to_uint8(again) / 255 - real[x] / 255).abs().mean())
            if classes:
                scores[f"share_{way}"] = judge.share(features, classes[y])
                scores[f"share_{way}_source_left"] = judge.share(features, classes[x])
        if data.neutral is not None:
            some = data.neutral[:count]
            for back, way in ((False, f"{names['a']}2{names['b']}"), (True, f"{names['b']}2{names['a']}")):
                fake = images.to_uint8(pipeline(zoo_data.to_float(some), back))
                scores[f"neutral_ssim_{way}"] = float(metrics.ssim(fake / 255, some / 255).mean())
                if classes:
                    scores[f"neutral_share_{way}"] = judge.share(judge(fake), classes["a" if back else "b"])
        scores["score"] = sum(kids) / 2 + 100 * (1 - sum(ssim) / 2)
        return Evaluation(scores, PROTOCOL.format(size=self.settings.judged_at))

    def check_evaluation(self) -> None:
        metrics.Judge()

    @property
    def feature_networks(self) -> str:
        if self.settings.discriminator == "patch":
            return ""
        who = "generators and discriminators" if self.settings.generator == "seeing" else "the discriminators"
        gate = ", whose classifier teaches the gates" if self.settings.things else ""
        return f"{who} look through EfficientNet-Lite0, frozen, trained on ImageNet{gate}"

    # -- load and infer ----------------------------------------------------------------------------------------------

    def import_weights(self, format: str, files: Sequence[Path], out: Path) -> Path:
        if len(files) > 2:
            raise ValueError(f"expected one or two generators, A to B first, got {len(files)} files")
        generators = [read_generator(file, format) for file in files]
        pipeline = CycleGANPipeline(generators[0], generators[1] if len(generators) > 1 else None)
        told = f"Imported from {FORMATS[format].origin}: {', '.join(Path(file).name for file in files)}."
        facts = hub.CardFacts(
            title=f"{self.title.en}: imported", plugin=self.slug, preset=out.name, licence="research",
            licence_id="other", licence_name="research only", data=f"{told} What it was trained on is not known here.",
            pipeline_tag=self.pipeline_tag, example=self.example, shipped=False,
        )  # fmt: skip
        return hub.save(
            pipeline, out, plugin=self.slug, preset=out.name, card=hub.model_card(facts), half=False
        )  # to 1e-4 of the original

    @task(
        Text("Translate", "Traducir"),
        Text(
            "A picture of any size goes to the other domain, and back again to close the cycle.",
            "Una imagen de cualquier tamaño pasa al otro dominio y vuelve, para cerrar el ciclo.",
        ),
    )
    def translate(
        self,
        pipeline: CycleGANPipeline,
        *,
        image: Picture,
        direction: Direction = "",
        strength: Strength = 1.0,
        size: WorkingSize = 256,
    ) -> Translation:
        back = pipeline.way(direction)
        picture = _checked(images.read_image(image))
        before = images.to_tensor(picture)
        after = _translated(pipeline, before, back, strength, size)
        made = [after]
        has_both = pipeline.forth is not None and pipeline.back is not None
        made.append(pipeline(after, not back, size) if has_both else after)
        return Translation(*(_with_alpha(images.to_images(x)[0], picture) for x in made))

    @task(
        Text("Translate a film", "Traducir una animación"),
        Text(
            "Each picture of an animated GIF, WebP or PNG goes to the other domain.",
            "Cada imagen de un GIF, WebP o PNG animado pasa al otro dominio.",
        ),
    )
    def animate(
        self,
        pipeline: CycleGANPipeline,
        *,
        image: Picture,
        direction: Direction = "",
        strength: Strength = 1.0,
        size: WorkingSize = 256,
        fps: Annotated[
            int, Arg(Text("Pictures a second", "Imágenes por segundo"), minimum=1, maximum=30, rare=True)
        ] = 10,
    ) -> Film:
        back = pipeline.way(direction)
        frames = [_checked(frame) for frame in images.read_frames(image, max_frames=MAX_FRAMES)]
        made = [_translated(pipeline, images.to_tensor(frame), back, strength, size) for frame in frames]
        return Film([images.to_images(x)[0] for x in made], fps=fps)

    # -- the page ----------------------------------------------------------------------------------------------------

    def examples(self, task: str) -> list[dict[str, Any]]:
        return find_examples(task)

    def tab(self, page: Page) -> None:
        draw_tab(page, self)


def evidence_of(pictures: Tensor, things: tuple[int, ...]) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, 2, H / 4, W / 4) in [0, 1]: where the classes from the first to the last are seen,
    by Lite0's classifier at twice the size, which knows what it is, and at four times, which knows where it ends.
    """
    size = tuple(side // 4 for side in pictures.shape[2:])
    seen = [
        classifier(pictures.device)(F.interpolate(pictures, scale_factor=factor, mode="bilinear"), things)
        for factor in (2, 4)
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


def _checked(picture: Image.Image) -> Image.Image:
    if max(picture.size) > MAX_SIDE or min(picture.size) < 8:
        raise ValueError(f"image: {picture.width} x {picture.height} pixels, expected sides from 8 to {MAX_SIDE}")
    return picture


def _translated(pipeline: CycleGANPipeline, before: Tensor, back: bool, strength: float, size: int) -> Tensor:
    return torch.lerp(before, pipeline(before, back, size), strength)


def _with_alpha(made: Image.Image, picture: Image.Image) -> Image.Image:
    """As transparent as the picture that it was made of."""
    if picture.mode == "RGBA":
        made = made.convert("RGBA")
        made.putalpha(picture.getchannel("A"))
    return made
