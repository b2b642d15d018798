"""The arguments of the tasks, as people and programs are told of them."""

from __future__ import annotations

from typing import Annotated, Literal

from gan_zoo.plugin import Arg, Json, Text

A_RUN = '{"rules": {"distribution": "ring"}, "moves": [["both", 10]]}'
MOVES = Text("Moves", "Turnos")
Distribution = Annotated[
    Literal["ring", "line", "gaussians", "disjoint"],
    Arg(
        Text("Distribution", "Distribución"),
        names=(
            Text("ring", "anillo"),
            Text("line", "línea"),
            Text("two Gaussians", "dos gaussianas"),
            Text("disjoint", "disjunta"),
        ),
    ),
]
Loss = Annotated[
    Literal["logistic", "least-squares"],
    Arg(Text("Loss", "Pérdida"), names=(Text("logistic", "logística"), Text("least squares", "mínimos cuadrados"))),
]
RateG = Annotated[float, Arg(Text("Rate of G", "Tasa de G"), minimum=0.0, maximum=1.0, step=0.001)]
RateD = Annotated[float, Arg(Text("Rate of D", "Tasa de D"), minimum=0.0, maximum=1.0, step=0.001)]
Updates = Annotated[int, Arg(Text("D's steps a move", "Pasos de D por turno"), minimum=1, maximum=10)]
What = Annotated[
    Literal["both", "d", "g"],
    Arg(
        Text("Who moves", "Quién juega"),
        names=(
            Text("both", "los dos"),
            Text("D, the police", "D, la policía"),
            Text("G, the forger", "G, el falsificador"),
        ),
    ),
]
Start = Annotated[
    Literal["nothing", "trained"],
    Arg(
        Text("Start from", "Empezar"),
        names=(Text("nothing", "desde cero"), Text("the trained model", "desde el modelo entrenado")),
    ),
]
Run = Annotated[
    Json,
    Arg(
        Text("Run", "Partida"),
        info=Text(
            "What an earlier call returned as `run`; empty: a fresh one, by the rules below.",
            "Lo que devolvió una llamada anterior como `run`; vacío: una nueva, con las reglas de abajo.",
        ),
        example=A_RUN,
    ),
]

Times = Annotated[int, Arg(MOVES, minimum=1, maximum=500, cli_maximum=20_000)]
Moves = Annotated[int, Arg(MOVES, minimum=2, maximum=5000, cli_maximum=20_000)]
Frames = Annotated[int, Arg(Text("Pictures", "Imágenes"), minimum=2, maximum=60, cli_maximum=600)]
FacesTimes = Annotated[int, Arg(MOVES, minimum=1, maximum=100, cli_maximum=6_000)]
FacesMoves = Annotated[int, Arg(MOVES, minimum=2, maximum=2000, cli_maximum=6_000)]
FilmRun = Annotated[
    Json,
    Arg(
        Text("Run", "Partida"),
        info=Text("What an earlier call returned as `run`.", "Lo que devolvió una llamada anterior como `run`."),
        example=A_RUN,
    ),
]
