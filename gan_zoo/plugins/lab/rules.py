"""The rules of a fight: what it is about, how large forger and police are, how they learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from gan_zoo.config import check_settings, setting
from gan_zoo.plugins.lab.distributions import DRAWN

FACES = "faces"  # the one subject that is no distribution of points
MOST_POINTS = 400  # drawn by hand
SHAPE = ("distribution", "points", "latent", "latent_dim", "width_g", "layers_g", "width_d", "layers_d")  # of networks
# What suits faces, where the defaults suit points.
FACES_RULES: dict[str, Any] = {
    "distribution": FACES, "latent": "gaussian", "latent_dim": 32, "rate_g": 0.002, "rate_d": 0.002, "d_steps": 1,
    "batch": 32, "cooling": 500.0, "penalty": 1.0,
}  # fmt: skip
FACES_MOST = {"width_g": 48, "width_d": 48, "batch": 64}  # in a fight that is watched


@dataclass(frozen=True)
class Settings:
    """What a fight is about, and how large the two are: what a training is told, too."""

    distribution: Literal["ring", "line", "gaussians", "disjoint", "drawn", "faces"] = setting(
        "ring", "what is forged: points, those drawn by the middle points `points`, or faces"
    )
    points: tuple[tuple[float, float], ...] = ()
    latent: Literal["uniform", "gaussian"] = setting("uniform", "of the noise")
    latent_dim: int = setting(2, "numbers that G makes a fake of; points: 1 or 2", 1, 64)
    width_g: int = setting(32, "units of a layer of G; faces: channels at 16 x 16", 1, 64)
    layers_g: int = setting(2, "hidden layers of G; faces have their own", 1, 4)
    width_d: int = setting(32, "as of G", 1, 64)
    layers_d: int = setting(2, "as of G", 1, 4)
    loss: Literal["logistic", "least-squares"] = setting("logistic", "of both sides (gan_zoo/losses.py)")
    penalty: float = setting(0.02, "gamma of R1, the squared slope of D at real ones (Mescheder et al. 2018)", 0, 100)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.distribution != FACES and self.latent_dim > 2:
            raise ValueError(f"latent_dim: expected 1 or 2 for points, got {self.latent_dim}")
        if self.distribution == DRAWN:
            sound = 1 <= len(self.points) <= MOST_POINTS and all(
                len(p) == 2 and all(type(v) in (int, float) and -1 <= v <= 1 for v in p) for p in self.points
            )
            if not sound:
                raise ValueError(f"points: expected 1 to {MOST_POINTS} pairs of numbers from -1 to 1")


@dataclass(frozen=True)
class Rules(Settings):
    """The rules of a fight that is watched; `python -m gan_zoo train` has optimisers, rates and batches of its own."""

    optimizer: Literal["adam", "sgd"] = setting("adam", "of both sides")
    rate_g: float = setting(0.003, "learning rate of G at the start", 0, 1)
    rate_d: float = setting(0.012, "of D, four times G's: the police must keep up (TTUR, Heusel et al. 2017)", 0, 1)
    d_steps: int = setting(2, "of D in a move of both", 1, 10)
    g_steps: int = setting(1, "of G in a move of both", 1, 10)
    batch: int = setting(256, "real ones, and fakes, in a step", 8, 512)
    cooling: float = setting(
        300.0, "rates are divided by 1 + move / cooling, so that the two come to rest; 0: never", 0, 1e6
    )
