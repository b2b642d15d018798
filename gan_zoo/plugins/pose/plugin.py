"""PG2: a person in another pose, in two stages (Ma et al. 2017), begun where limbs carried by their joints end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from gan_zoo import images, losses, metrics
from gan_zoo.config import check_ranges, setting
from gan_zoo.features import FeaturePyramid
from gan_zoo.plugin import (
    Arg,
    Batch,
    Data,
    Evaluation,
    Fakes,
    Film,
    Fixed,
    ImageFile,
    Json,
    Losses,
    Networks,
    Page,
    Plugin,
    Preset,
    Stage,
    Step,
    Text,
    task,
)
from gan_zoo.plugins.pose import figures, photos, poses, skeleton
from gan_zoo.plugins.pose.drawn import draw_people
from gan_zoo.plugins.pose.networks import (
    CoarseGenerator,
    JointFinder,
    PairDiscriminator,
    ProjectedDiscriminator,
    RefiningGenerator,
    SeeingFinder,
    finding_loss,
    joint_loss,
)
from gan_zoo.plugins.pose.pairs import Pairs, read_people
from gan_zoo.plugins.pose.pipeline import PosePipeline
from gan_zoo.plugins.pose.tab import draw_tab
from gan_zoo.plugins.pose.warping import HEAD_LIMB, Warped, carry

MAX_SIDE, MIN_SIDE = 4096, 32  # of the pictures that tasks take
FILM_SIDE = 768  # of the pictures of a film of a photo
HEAD_PLANE = 36 + HEAD_LIMB  # of `Warped.pose`: the target's head


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of pose transfer.

    The plain configuration, close to PG2 as published: model = "pg2", loss = "logistic", background = 1, head = 0,
    perceptual = 0, recolor = 0, jitter = 0.
    """

    model: str = setting("warped", "or 'pg2', the plain configuration")
    height: int = setting(256, "of the pictures, which are half as wide", 32)
    finder_widths: tuple[int, ...] = setting((48, 96, 128, 192), "of the joint finder, at 1/4 ... 1/32")
    widths: tuple[int, ...] = setting((64, 128, 192), "of G1, at 1/4, 1/8, 1/16")
    refining_widths: tuple[int, ...] = setting((48, 96), "of G2, at 1/4, 1/8")
    finder_lr: float = setting(6e-4, "learning rate of the joint finder")
    coarse_lr: float = setting(8e-4, "of G1 alone; the run's own rates are G2's and D's")
    loss: str = setting("hinge", "one of gan_zoo/losses.py")
    l1: float = setting(2.0, "weight of the L1 distance")
    background: float = setting(0.3, "weight of the L1 distance off the person; on the person it is 1 more")
    head: float = setting(2.0, "and on the head so much more")
    perceptual: float = setting(0.25, "weight of the distance in the frozen network's features, relative to their mean")
    adversarial: float = setting(0.07, "weight of the GAN's loss")
    wrong: float = setting(0.5, "weight of real pictures in another pose than told, which D is to refuse")
    recolor: float = setting(0.15, "share of training pairs in other colours", 0, 1)
    jitter: float = setting(0.004, "deviation by which a training source's joints are moved, as a share of the picture")
    joints_share: float = setting(0.1, "of the run, in which the joint finder learns")
    coarse_share: float = setting(0.4, "of the run, in which G1 learns; the rest is G2's and D's")
    drawn: int = setting(400, "people of the built-in data", 20)
    finds_for: str = setting("", "a preset or weights folder: then a finder for photos learns, beside its generators")
    grounds: str = setting("", "a data set of photos before which that finder sees its people")

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.grounds and not self.finds_for:
            raise ValueError(f"grounds: only with finds_for, got {self.grounds!r} alone")
        if self.model not in ("warped", "pg2"):
            raise ValueError(f"model: expected warped or pg2, got {self.model!r}")
        if self.height not in (128, 256, 512):
            raise ValueError(f"height: expected 128, 256 or 512, got {self.height}")
        widths = {"finder_widths": 4, "widths": 3, "refining_widths": 2}
        for name, count in widths.items():
            value = getattr(self, name)
            if len(value) != count or any(width < 16 or width % 16 for width in value):
                raise ValueError(f"{name}: expected {count} multiples of 16, got {value}")
        if min(self.joints_share, self.coarse_share) <= 0 or self.joints_share + self.coarse_share >= 1:
            raise ValueError(
                "joints_share and coarse_share: expected more than 0, less than 1 together, got "
                f"{self.joints_share:g} and {self.coarse_share:g}"
            )
        losses.adversarial(self.loss)


class Transfer(NamedTuple):
    """What each stage makes, and the pose over the result."""

    coarse: Image.Image
    refined: Image.Image
    skeleton: Image.Image


class Estimate(NamedTuple):
    """A pose as OpenPose JSON in the picture's pixels, and drawn over the picture."""

    pose: dict
    skeleton: Image.Image


PEOPLE = Path(__file__).parent / "people"
PROTOCOL = (
    "Pairs of people kept apart, whole persons: each of their pictures, with another one of that person as the target; "
    "both poses are given. SSIM: Gaussian window of 11 pixels, sigma 1.5, RGB. mask-SSIM (PG2): both pictures times "
    "the target's pose mask first, limbs 10/128 of the height wide and dilated by 5 pixels. KID (EfficientNet-Lite2) "
    'x1000. "of source" is the source, returned as it is. joint_error: mean distance of joints that the joint finder '
    "finds in the sources, in % of the height; joints_found: share of those annotated. "
    "KID - 100 x mask-SSIM chooses the checkpoint."
)
Picture = Annotated[ImageFile, Arg(Text("Person", "Persona"))]
SourcePose = Annotated[
    Json,
    Arg(
        Text("Pose in the picture", "Postura en la imagen"),
        info=Text("OpenPose JSON; found by the model if left empty.", "JSON de OpenPose; vacío: la busca el modelo."),
        rare=True,
    ),
]


class Pose(Plugin):
    slug: ClassVar[str] = "pose"
    title: ClassVar[Text] = Text("Pose", "Pose")
    summary: ClassVar[Text] = Text(
        "Move a skeleton, and the person in the picture takes its pose.",
        "Mueve un esqueleto y la persona de la imagen toma su postura.",
    )
    paper: ClassVar[str] = "https://arxiv.org/abs/1705.09368"
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            name="people",
            title=Text("Rendered people, 128 x 256", "Personas dibujadas por ordenador, 128 x 256"),
            licence="open",
            licence_id="cc0-1.0",
            data=Text(
                "3,000 pictures of 250 rendered people with exact joints, MakeHuman bodies and clothes, CC0.",
                "3000 imágenes de 250 personas generadas por ordenador, con articulaciones exactas; cuerpos y ropa de "
                "MakeHuman, CC0.",
            ),
        ),
        Preset(
            name="market1501",
            title=Text("Pedestrians, 64 x 128", "Peatones, 64 x 128"),
            licence="research",
            data=Text(
                "7,896 pictures of 450 pedestrians of Market-1501, from surveillance cameras: research only.",
                "7896 imágenes de 450 peatones de Market-1501, de cámaras de vigilancia: solo investigación.",
            ),
        ),
    )
    Settings: ClassVar[type] = Settings
    Pipeline: ClassVar[type] = PosePipeline
    settings: Settings
    score: ClassVar[dict[str, float]] = {"kid_x1000": 1.0, "mask_ssim": -100.0}
    pipeline_tag: ClassVar[str] = "image-to-image"
    example: ClassVar[str] = "--image person.png --pose walking"
    columns: ClassVar[int] = 9
    caption: ClassVar[str] = "Uncurated, of people kept apart: the pose asked for, coarse, refined."

    # -- train -------------------------------------------------------------------------------------------------------

    def networks(self) -> Networks:
        s, warped = self.settings, self.settings.model == "warped"
        if s.finds_for:
            served = self.load(s.finds_for)
            kept = {name: getattr(served, name).requires_grad_(False) for name in ("coarse", "refining")}
            return Networks({"finder": SeeingFinder(), **kept})
        generators: dict[str, Any] = {
            "finder": JointFinder(s.finder_widths),
            "coarse": CoarseGenerator(s.widths, warped, s.height),
            "refining": RefiningGenerator(s.refining_widths, warped),
        }
        if not warped:
            return Networks(generators, {"discriminator": PairDiscriminator()})
        features = FeaturePyramid(None)
        discriminator = ProjectedDiscriminator(features.channels, s.height)
        return Networks(generators, {"discriminator": discriminator, "features": features})

    def data(self, source: str | None, split: str, seed: int) -> Data:
        s, training = self.settings, split == "train"
        if s.finds_for:
            return figures.read(source, split, s.grounds, s.drawn, seed)
        if source is None:
            people = draw_people(s.drawn, split, s.height)
        else:
            people = read_people(source, split, s.height, s.height // 2)
        return Pairs(people, seed, training, s.recolor, s.jitter)

    def stages(self) -> tuple[Stage, ...]:
        s = self.settings
        if s.finds_for:
            return (Stage("finder", 1.0, ("finder",), ()),)
        return (
            Stage("joints", s.joints_share, ("finder",), (), lr_g=s.finder_lr),
            Stage("coarse", s.coarse_share, ("coarse",), (), lr_g=s.coarse_lr),
            Stage("refined", 1 - s.joints_share - s.coarse_share, ("refining",), None),
        )

    def generate(self, nets: Networks, batch: Batch, step: Step) -> Fakes:
        if step.stage in ("joints", "finder"):
            return {}
        source, target = batch["source"], batch["target"]
        if step.stage == "coarse":  # at the size at which G1 thinks: joints are shares of the picture, and fit any
            source, target = (_at_height(x, CoarseGenerator.thinks_at) for x in (source, target))
        seen = carry(source, batch["source_pose"], batch["target_pose"])
        with torch.set_grad_enabled(torch.is_grad_enabled() and step.stage == "coarse"):
            coarse = nets["coarse"](source, seen)
        fake = coarse if step.stage == "coarse" else nets["refining"](coarse, source, seen)
        fakes = {"source": source, "target": target, "seen": tuple(seen), "fake": fake}
        if self.settings.model == "warped":
            fakes["maps"] = nets["features"](fake)
            with torch.no_grad():
                fakes["real_maps"] = nets["features"](target)
        return fakes

    def _judge(self, nets: Networks, pictures: Tensor, maps: Any, fakes: Fakes) -> Tensor:
        if self.settings.model == "pg2":
            return nets["discriminator"](pictures, fakes["source"])
        return nets["discriminator"](pictures, maps, Warped(*fakes["seen"]))

    def discriminator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s, adversarial = self.settings, losses.adversarial(self.settings.loss)
        real = self._judge(nets, fakes["target"], fakes.get("real_maps"), fakes)
        fake = self._judge(nets, fakes["fake"], fakes.get("maps"), fakes)
        terms = {"adversarial": adversarial.discriminator(real, fake)}
        if s.model == "warped" and s.wrong > 0:  # a real picture in another pose than told is as bad as a forged one
            with torch.no_grad():
                maps = nets["features"](fakes["source"])
            wrong = self._judge(nets, fakes["source"], maps, fakes)
            terms["wrong"] = s.wrong * adversarial.discriminator(real, wrong)
        return Losses(terms, adversarial.metrics(real, fake))

    def generator_loss(self, nets: Networks, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        s = self.settings
        if step.stage == "finder":
            bumps, masks = nets["finder"](batch["image"])
            return Losses(finding_loss(bumps, masks, batch["pose"], batch["mask"]))
        if step.stage == "joints":
            pictures = torch.cat([batch["source"], batch["target"]])
            finder_poses = torch.cat([batch["source_pose"], batch["target_pose"]])
            small = _at_height(pictures, JointFinder.looks_at)
            places, presence = nets["finder"](small)
            return Losses({"joints": joint_loss(places, presence, finder_poses)})
        seen, fake, target = Warped(*fakes["seen"]), fakes["fake"], fakes["target"]
        head = F.interpolate(seen.pose[:, HEAD_PLANE : HEAD_PLANE + 1], size=target.shape[2:], mode="bilinear")
        weight = s.background + seen.body + s.head * head  # Ma et al. 2017, eq. 1: 1 + the pose mask
        terms = {"l1": s.l1 * ((fake - target).abs() * weight).mean()}
        if "maps" in fakes and s.perceptual > 0:
            terms["perceptual"] = s.perceptual * losses.feature_distance(fakes["maps"], fakes["real_maps"])
        if step.stage == "refined" and s.adversarial > 0:
            adversarial, real = losses.adversarial(s.loss), None
            if adversarial.needs_real:
                with torch.no_grad():
                    real = self._judge(nets, target, fakes.get("real_maps"), fakes)
            logits = self._judge(nets, fake, fakes.get("maps"), fakes)
            terms["adversarial"] = s.adversarial * adversarial.generator(logits, real)
        return Losses(terms)

    def sample(self, nets: Networks, fixed: Fixed) -> Tensor:
        """Of 16 pairs kept apart: the pose, coarse and refined. No source is among them: these grids go into cards."""
        batch = {name: tensor[:16] for name, tensor in fixed.batch.items()}
        if self.settings.finds_for:
            return figures.shown(cast(SeeingFinder, nets["finder"]), batch["image"])
        seen = carry(batch["source"], batch["source_pose"], batch["target_pose"])
        coarse = nets["coarse"](batch["source"], seen)
        refined = nets["refining"](coarse, batch["source"], seen)
        wanted = batch["target_pose"].cpu().numpy()
        drawn = torch.cat([images.to_tensor(skeleton.draw(pose, *refined.shape[2:])) for pose in wanted])
        return torch.stack([drawn.to(refined), coarse, refined], dim=1).flatten(0, 1).clamp(-1, 1)

    def pipeline(self, nets: Networks) -> PosePipeline:
        finder, coarse, refining = (nets[name] for name in ("finder", "coarse", "refining"))
        assert isinstance(finder, JointFinder | SeeingFinder) and isinstance(coarse, CoarseGenerator)
        assert isinstance(refining, RefiningGenerator)
        return PosePipeline(finder, coarse, refining)

    def evaluate(self, pipeline: Any, data: Data, count: int) -> Evaluation:
        """SSIM and mask-SSIM by PG2's protocol, KID of coarse and refined, the joint finder's error."""
        if isinstance(data, figures.Figures):
            return figures.evaluate(pipeline.finder, data, count)
        assert isinstance(data, Pairs)
        count = min(count, len(data))
        parts = [data.batch(range(start, min(start + 16, count))) for start in range(0, count, 16)]
        batch = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        source, target = batch["source"], batch["target"]
        coarse, refined = pipeline(source, batch["target_pose"], batch["source_pose"])
        judge = metrics.Judge()
        features = judge(images.to_uint8(target))
        scores: dict[str, float] = {}
        masks = skeleton.limb_mask(batch["target_pose"], *target.shape[2:]).float()
        for name, pictures in (("", refined), ("_of_coarse", coarse), ("_of_source", source)):
            unit, real = (pictures + 1) / 2, (target + 1) / 2
            scores[f"ssim{name}"] = float(metrics.ssim(unit, real).mean())
            scores[f"mask_ssim{name}"] = float(metrics.ssim(unit, real, masks).mean())
            if name != "_of_source":
                scores[f"kid_x1000{name}"] = 1000 * metrics.kid(judge(images.to_uint8(pictures)), features)
        scores |= joint_errors(pipeline.find(source).numpy(), batch["source_pose"].numpy())
        return Evaluation(scores, f"{PROTOCOL} {count} pairs.")

    def worth(self, scores: Mapping[str, float]) -> float:
        if self.settings.finds_for and scores:
            return -scores["pck_02"] - scores["mask_iou"]
        return super().worth(scores)

    def check_evaluation(self) -> None:
        if not self.settings.finds_for:
            metrics.Judge()

    @property
    def feature_networks(self) -> str:
        if self.settings.model == "pg2":
            return ""
        return "the discriminator and a loss look through EfficientNet-Lite0, frozen, trained on ImageNet"

    # -- load and infer ----------------------------------------------------------------------------------------------

    @task(
        Text("Another pose", "Otra postura"),
        Text(
            "The person of a picture takes a pose: first a coarse result, then the refined one.",
            "La persona de una imagen toma una postura: primero un resultado tosco y luego el refinado.",
        ),
    )
    def transfer(
        self,
        pipeline: PosePipeline,
        *,
        image: Picture,
        pose: Annotated[
            Json,
            Arg(
                Text("Pose", "Postura"),
                info=Text(
                    f"OpenPose JSON in the picture's pixels, or {', '.join(poses.POSES)}.",
                    f"JSON de OpenPose en píxeles de la imagen, o {', '.join(poses.POSES)}.",
                ),
            ),
        ] = Json("walking"),
        source_pose: SourcePose = Json(""),
    ) -> Transfer:
        if isinstance(pipeline.finder, SeeingFinder):
            scene = _Scene(pipeline, image, source_pose)
            ((coarse, refined, after),) = scene.move(
                poses.parse_pose(pose, scene.size)[None], poses.is_sketch(pose, scene.size)
            )
            return Transfer(coarse, refined, _over(after, refined))
        source, before, size = _source(pipeline, image, source_pose)
        after = poses.parse_pose(pose, size)
        coarse, refined = (images.to_images(x)[0] for x in pipeline(source, torch.from_numpy(after)[None], before))
        return Transfer(coarse, refined, skeleton.over(after, refined))

    @task(
        Text("Film", "Película"),
        Text(
            "The person of a picture moves through a sequence of poses.",
            "La persona de una imagen se mueve por una serie de posturas.",
        ),
    )
    def animate(
        self,
        pipeline: PosePipeline,
        *,
        image: Picture,
        sequence: Annotated[
            Json,
            Arg(
                Text("Sequence", "Secuencia"),
                info=Text(
                    f"{', '.join(poses.SEQUENCES)}, or a JSON list of poses, each OpenPose JSON or a pose's name.",
                    f"{', '.join(poses.SEQUENCES)}, o una lista JSON de posturas: JSON de OpenPose o nombres.",
                ),
            ),
        ] = Json("walk"),
        source_pose: SourcePose = Json(""),
        frames: Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=2, maximum=48, cli_maximum=480)] = 24,
        fps: Annotated[int, Arg(Text("Pictures a second", "Imágenes por segundo"), minimum=1, maximum=30)] = 12,
    ) -> Film:
        if isinstance(pipeline.finder, SeeingFinder):
            scene = _Scene(pipeline, image, source_pose, longest=FILM_SIDE)
            moves = np.stack(poses.parse_sequence(sequence, scene.size, frames))
            return Film(
                [refined for _, refined, _ in scene.move(moves, poses.is_sketch(sequence, scene.size))], fps=fps
            )
        source, before, size = _source(pipeline, image, source_pose)
        wanted = torch.from_numpy(np.stack(poses.parse_sequence(sequence, size, frames)))
        _, refined = pipeline(source.expand(frames, -1, -1, -1), wanted, before.expand(frames, -1, -1))
        return Film(images.to_images(refined), fps=fps)

    @task(
        Text("Find the pose", "Buscar la postura"),
        Text(
            "Where the joints of the person in a picture are, as OpenPose JSON.",
            "Dónde están las articulaciones de la persona de una imagen, como JSON de OpenPose.",
        ),
    )
    def estimate(self, pipeline: PosePipeline, *, image: Picture) -> Estimate:
        if isinstance(pipeline.finder, SeeingFinder):
            picture, size = _read(image)
            joints = photos.find(pipeline.finder, picture).joints
            return Estimate(poses.of_pixels(joints * (size[0] / picture.width, size[1] / picture.height, 1), size),
                            _over(joints, picture))  # fmt: skip
        source, found, size = _source(pipeline, image, "")
        pose = found[0].numpy()
        return Estimate(poses.to_json(pose, size), skeleton.over(pose, images.to_images(source)[0]))

    # -- the page ----------------------------------------------------------------------------------------------------

    def examples(self, task: str) -> list[dict[str, Any]]:
        """Rendered people, CC0."""
        return [{"image": str(path)} for path in sorted(PEOPLE.glob("*.png"))]

    def tab(self, page: Page) -> None:
        draw_tab(page)


def _at_height(pictures: Tensor, height: int) -> Tensor:
    times = pictures.shape[2] // height
    return F.avg_pool2d(pictures, times) if times > 1 else pictures


def _read(image: str, longest: int = MAX_SIDE) -> tuple[Image.Image, tuple[int, int]]:
    """A photo, made smaller where it is larger than `longest`, and the size it had: of that a pose counts pixels."""
    picture = images.on_white(images.read_image(image))
    if min(picture.size) < MIN_SIDE:
        raise ValueError(f"image: {picture.width} x {picture.height} pixels, expected sides of at least {MIN_SIDE}")
    size = picture.size
    if max(size) > longest:
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return picture, size


class _Scene:
    """A photo, its person, and the box in which the networks see them."""

    def __init__(self, pipeline: PosePipeline, image: str, source_pose: str, longest: int = MAX_SIDE):
        picture, self.size = _read(image, longest)
        self.pipeline, self.picture = pipeline, picture
        finder = cast(SeeingFinder, pipeline.finder)
        known = poses.to_pixels(poses.parse_pose(source_pose, self.size), picture.size) if source_pose else None
        found = photos.find(finder, picture, known)
        self.box = photos.box_of(found, picture.size)
        self.before = self.box.shares(found.joints)
        self.ground = photos.Ground(picture, found, self.box)

    def move(self, moves: np.ndarray, sketched: bool) -> Iterator[tuple[Image.Image, Image.Image, np.ndarray]]:
        """Of each pose (N, 18, 3), as shares of the photo's middle part or, sketched, of the box: coarse picture of the
        box, the photo with the person refined, and the joints in its pixels.
        """
        after = moves if sketched else self.box.shares(poses.to_pixels(moves, self.picture.size))
        after = photos.wanted(after, self.before).astype(np.float32)
        height = self.pipeline.height
        source = images.to_tensor(self.box.cut(self.picture, (height // 2, height)))
        count, before = len(after), torch.from_numpy(self.before)[None]
        made = self.pipeline(source.expand(count, -1, -1, -1), torch.from_numpy(after), before.expand(count, -1, -1))
        for coarse, refined, pose in zip(*(x.split(1) for x in made), after):
            mask = self._mask(refined, pose)
            yield images.to_images(coarse)[0], self.ground.put(refined, mask), self.box.pixels(pose)

    def _mask(self, made: Tensor, pose: np.ndarray) -> Tensor:
        """Where the person of a picture that was made is: as the finder sees it, near the limbs."""
        finder = cast(SeeingFinder, self.pipeline.finder)
        small = F.interpolate(made, (finder.looks_at, finder.looks_at // 2), mode="bilinear", antialias=True)
        height, width = small.shape[2:]
        seen = finder.look(small.to(finder.device))[1].cpu().float()
        near = skeleton.limb_mask(pose, height, width, 0.16, 6.0)[None].float()
        core = skeleton.limb_mask(pose, height, width, 0.02, 0.0)[None].float()
        return torch.maximum(seen * near, core)


def _over(joints: np.ndarray, picture: Image.Image) -> Image.Image:
    """The photo with the skeleton of joints in its pixels over it."""
    shares = joints.copy()
    shares[:, :2] /= picture.size
    return skeleton.over(shares, picture)


def _source(pipeline: PosePipeline, image: str, source_pose: str) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """The picture's middle part at the networks' size, (1, 3, H, W), its pose (1, 18, 3), and the picture's own size.

    Raises ValueError if nobody is found in it.
    """
    (picture, size), height = _read(image), pipeline.height
    source = images.to_tensor(ImageOps.fit(picture, (height // 2, height), Image.Resampling.LANCZOS))
    if source_pose:
        return source, torch.from_numpy(poses.parse_pose(source_pose, size))[None], size
    found = pipeline.find(source)
    if (found[..., 2] > 0).sum() < photos.LEAST_JOINTS:
        raise ValueError(photos.NOBODY)
    return source, found, size


def joint_errors(found: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Poses (N, 18, 3) found and annotated, of pictures half as wide as high; as PROTOCOL says."""
    inside = (known[..., 2] > 0) & (np.abs(known[..., :2] - 0.5) <= 0.5).all(-1)
    both = inside & (found[..., 2] > 0)
    apart = np.linalg.norm((found - known)[..., :2] * (0.5, 1), axis=-1)
    return {
        "joint_error": float(100 * apart[both].mean()) if both.any() else 100.0,
        "joints_found": float(both.sum() / max(1, inside.sum())),
    }
