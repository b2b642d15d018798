"""PG2: a person in another pose, in two stages (Ma et al. 2017), begun where limbs carried by their joints end."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from PIL import Image

from gan_zoo.plugin import (
    Exported,
    Film,
    Json,
    Page,
    Preset,
    Text,
    task,
)
from gan_zoo.plugins.pose import poses
from gan_zoo.plugins.pose.arguments import Fps, Frames, Picture, Place, Sequence, SourcePose, WantedPose
from gan_zoo.plugins.pose.networks import (
    SeeingFinder,
)
from gan_zoo.plugins.pose.pipeline import Finds, Person, PosePipeline
from gan_zoo.plugins.pose.scenes import scene_of
from gan_zoo.plugins.pose.tab import draw_tab
from gan_zoo.plugins.pose.training import PoseTraining

FILM_SIDE = 768  # of the pictures of a film of a photo


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


class Pose(PoseTraining):
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
            name="street",
            title=Text("Photos of people, 128 x 256", "Fotos de personas, 128 x 256"),
            licence="research",
            data=Text(
                "1,904 photos of one person each in the street (Clothing Co-Parsing) and rendered ones: research only.",
                "1904 fotos de una persona en la calle (Clothing Co-Parsing) y personas generadas por ordenador: "
                "solo investigación.",
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
    score: ClassVar[dict[str, float]] = {"kid_x1000": 1.0, "mask_ssim": -100.0}
    pipeline_tag: ClassVar[str] = "image-to-image"
    example: ClassVar[str] = "--image person.png --pose walking"
    opens_on: ClassVar[str | None] = "street"
    columns: ClassVar[int] = 9
    caption: ClassVar[str] = "Uncurated, of people held out: the pose asked for, coarse, refined."

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
        pose: WantedPose = Json("walking"),
        source_pose: SourcePose = Json(""),
    ) -> Transfer:
        scene = scene_of(pipeline, image, source_pose)
        (moved,) = scene.move(poses.parse_pose(pose, scene.size)[None], poses.is_sketch(pose, scene.size))
        return Transfer(moved.coarse, moved.refined, scene.drawn(moved.joints, moved.refined))

    @task(
        Text("Film", "Película"),
        Text(
            "The person of a picture moves through a sequence of poses.",
            "La persona de una imagen se mueve por una serie de posturas.",
        ),
        gpu_seconds=20,
    )
    def animate(
        self,
        pipeline: PosePipeline,
        *,
        image: Picture,
        sequence: Sequence = Json("walk"),
        source_pose: SourcePose = Json(""),
        frames: Frames = 24,
        fps: Fps = 12,
    ) -> Film:
        scene = scene_of(pipeline, image, source_pose, longest=FILM_SIDE)
        moves = np.stack(poses.parse_sequence(sequence, scene.size, frames))
        return Film([moved.refined for moved in scene.move(moves, poses.is_sketch(sequence, scene.size))], fps=fps)

    @task(
        Text("Find the pose", "Buscar la postura"),
        Text(
            "Where the joints of a person in a picture are, as OpenPose JSON.",
            "Dónde están las articulaciones de una persona de una imagen, como JSON de OpenPose.",
        ),
    )
    def estimate(self, pipeline: PosePipeline, *, image: Picture, at: Place = "") -> Estimate:
        return Estimate(*scene_of(pipeline, image, at=at).found())

    # -- the page ----------------------------------------------------------------------------------------------------

    def examples(self, task: str) -> list[dict[str, Any]]:
        """Rendered people, and one of them in a photograph of hills (BuddiesOfBudgie): all CC0."""
        return [{"image": str(path)} for path in (*sorted(PEOPLE.glob("*.png")), PEOPLE / "hills.jpg")]

    def exports(self, pipeline: PosePipeline) -> dict[str, Exported]:
        height = pipeline.height
        random = torch.Generator().manual_seed(0)
        person = torch.rand(1, 3, height, height // 2, generator=random) * 2 - 1
        stands, walks = (torch.from_numpy(poses.POSES[name]())[None].float() for name in ("standing", "waving"))
        pose = "18 joints in the order of OpenPose: x and y as shares of width and height, and 1 where it is"
        told = {"source": "colour planes in [-1, 1]", "source_pose": pose, "pose": pose, "picture": "as the source"}
        inputs = {"source": person, "source_pose": stands, "pose": walks}
        whole = Exported(Person(pipeline.coarse, pipeline.refining), inputs, ("picture",), told)
        seeing = isinstance(pipeline.finder, SeeingFinder)
        outputs = ("joints", "person") if seeing else ("places", "presence")
        told = {
            "picture": f"colour planes in [-1, 1]; it learned at a height of {pipeline.finder.looks_at}",
            "joints": "logits of bumps at the 18 joints, at a quarter of the size",
            "person": "logits of the person's pixels, at a quarter of the size",
            "places": "logits, at a quarter of the size, a softmax over which tells where each joint is",
            "presence": "logits: is each joint there?",
        }
        free = {"picture": {2: "height", 3: "width"}}
        finder = Exported(Finds(pipeline.finder), {"picture": person[:, :, :128, :64]}, outputs, told, free, 32)
        return {"person": whole, "finder": finder}

    def tab(self, page: Page) -> None:
        draw_tab(page)
