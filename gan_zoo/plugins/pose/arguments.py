"""The arguments of the tasks, as people and programs are told of them."""

from __future__ import annotations

from typing import Annotated

from gan_zoo.plugin import Arg, ImageFile, Json, Text
from gan_zoo.plugins.pose import poses

Picture = Annotated[ImageFile, Arg(Text("Person", "Persona"))]
SourcePose = Annotated[
    Json,
    Arg(
        Text("Pose in the picture", "Postura en la imagen"),
        info=Text("OpenPose JSON; found by the model if left empty.", "JSON de OpenPose; vacío: la busca el modelo."),
        rare=True,
    ),
]
Place = Annotated[
    str,
    Arg(
        Text("Who", "Quién"),
        info=Text(
            "Of several people: a place x, y in the picture's pixels. Empty: the largest one.",
            "Si hay varias personas: un punto x, y en píxeles de la imagen. Vacío: la más grande.",
        ),
        rare=True,
    ),
]

WantedPose = Annotated[
    Json,
    Arg(
        Text("Pose", "Postura"),
        info=Text(
            f"OpenPose JSON in the picture's pixels, or {', '.join(poses.POSES)}.",
            f"JSON de OpenPose en píxeles de la imagen, o {', '.join(poses.POSES)}.",
        ),
    ),
]
Sequence = Annotated[
    Json,
    Arg(
        Text("Sequence", "Secuencia"),
        info=Text(
            f"{', '.join(poses.SEQUENCES)}, or a JSON list of poses, each OpenPose JSON or a pose's name.",
            f"{', '.join(poses.SEQUENCES)}, o una lista JSON de posturas: JSON de OpenPose o nombres.",
        ),
    ),
]
Frames = Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=2, maximum=48, cli_maximum=480)]
Fps = Annotated[int, Arg(Text("Pictures a second", "Imágenes por segundo"), minimum=1, maximum=30)]
