"""The terms of each plugin's losses, computed by hand on networks that give constants."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.duel import seeded_step
from gan_zoo.plugin import Networks
from gan_zoo.plugins.anime.ordering import AnimeCharacters, CharacterSettings
from gan_zoo.plugins.anime.plugin import Anime
from gan_zoo.plugins.anime.training import Fakes as AnimeFakes
from gan_zoo.plugins.anime.training import Settings as AnimeSettings
from gan_zoo.plugins.colorize.plugin import Colorize
from gan_zoo.plugins.colorize.training import Fakes as ColorizeFakes
from gan_zoo.plugins.colorize.training import Settings as ColorizeSettings
from gan_zoo.plugins.cyclegan.plugin import CycleGAN
from gan_zoo.plugins.cyclegan.training import Settings as CycleSettings
from gan_zoo.plugins.pose.plugin import Pose
from gan_zoo.plugins.pose.training import HEAD_PLANE, PLANES, Warped
from gan_zoo.plugins.pose.training import Fakes as PoseFakes
from gan_zoo.plugins.pose.training import Settings as PoseSettings


class Adds(nn.Module):
    """A generator that adds a number."""

    def __init__(self, number: float):
        super().__init__()
        self.number = number

    def forward(self, x: Tensor) -> Tensor:
        return x + self.number


class Says(nn.Module):
    """A discriminator that gives the mean of what it is shown first, plus a number."""

    def __init__(self, number: float = 0.0):
        super().__init__()
        self.number = number

    def forward(self, pictures: Tensor, *_: Any, **__: Any) -> Tensor:
        return pictures.mean((1, 2, 3))[:, None] + self.number


class Sees(nn.Module):
    """Feature maps: the pictures, and twice the pictures."""

    def forward(self, pictures: Tensor) -> list[Tensor]:
        return [pictures, 2 * pictures]


def values(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: round(value.item(), 4) for name, value in terms.items()}


def flat(value: float, channels: int = 3, side: int = 64) -> Tensor:
    return torch.full((2, channels, side, side), value)


@pytest.mark.parametrize(("progress", "ramp"), [(0.0, 0.0), (1 / 6, 0.5), (0.9, 1.0)])
def test_cyclegan(progress: float, ramp: float) -> None:
    settings = CycleSettings(
        discriminator="patch", loss="least-squares", augment="", cycle=10.0, coarse_cycle=2.0, identity=5.0, leave=3.0,
        lazy=2,
    )  # fmt: skip
    plugin = CycleGAN(settings)
    nets = Networks({"forth": Adds(0.25), "back": Adds(-0.05)}, {"critic_a": Says(), "critic_b": Says()})
    batch = {"a": flat(0.0), "b": flat(0.5), "neutral": flat(-0.5)}
    step = seeded_step([0], 2, index=4, progress=progress)
    fakes = plugin.generate(nets, batch, step)
    expected = {
        "adversarial_b": (0.25 - 1) ** 2, "cycle_a": 10 * 0.2, "coarse_cycle_a": 2 * 0.2, "identity_b": 5 * 0.25,
        "adversarial_a": (0.45 - 1) ** 2, "cycle_b": 10 * 0.2, "coarse_cycle_b": 2 * 0.2, "identity_a": 5 * 0.05,
    }  # fmt: skip
    if ramp:  # reached over the first third; every second step, and then twice as much
        expected |= {"leave_b": 2 * 3 * ramp * 0.25, "leave_a": 2 * 3 * ramp * 0.05}
    assert values(plugin.generator_loss(nets, batch, fakes, step).terms) == pytest.approx(expected, abs=1e-4)
    between = seeded_step([0], 2, index=5, progress=progress)
    assert "leave_a" not in plugin.generator_loss(nets, batch, fakes, between).terms
    d = values(plugin.discriminator_loss(nets, batch, fakes, step).terms)
    # ((D(real) - 1)^2 + D(fake)^2) / 2
    assert d == pytest.approx({"adversarial_a": (1 + 0.45**2) / 2, "adversarial_b": (0.5**2 + 0.25**2) / 2}, abs=1e-4)


def test_colorize_counts_what_is_near_a_dot_three_times() -> None:
    plugin = Colorize(ColorizeSettings(l1=10.0, feature=2.0))
    hints = torch.zeros(2, 4, 64, 64)
    hints[:, 3, 30, 30] = 1
    batch = {"image": flat(0.5), "hints": hints}
    painted = flat(0.2)
    own = torch.tensor([[True], [False]])  # the second was given the palette of a stranger
    fakes = ColorizeFakes(painted, own, (painted, Sees()(painted)), (flat(0.5), Sees()(flat(0.5))))
    nets = Networks({}, {"discriminator": Says(), "features": Sees()})
    terms = values(plugin.generator_loss(nets, batch, fakes, seeded_step([0], 2)).terms)
    near = 20 * 20 / 64**2  # 5 x 5 cells of 4 x 4 pixels
    assert terms == pytest.approx(
        {
            "adversarial": -0.2,
            "l1": 10 * 0.3 * (0.5 + 2 * near),  # half of the pictures have their own palette, all have the dot
            "feature": 2 * 2 * (0.3 / 0.5) / 2,  # of two maps, relative to the real one's mean, of half the pictures
        },
        abs=1e-4,
    )
    d = values(plugin.discriminator_loss(nets, batch, fakes, seeded_step([0], 2)).terms)
    assert d == pytest.approx({"adversarial": (1 - 0.5) + (1 + 0.2)}, abs=1e-4)


def test_pose_counts_the_person_more_and_the_head_most() -> None:
    settings = PoseSettings(l1=2.0, background=0.3, head=2.0, perceptual=0.25, adversarial=0.07, wrong=0.5)
    plugin = Pose(settings)
    made, target, source = (torch.full((2, 3, 64, 32), value) for value in (0.1, 0.5, -0.2))
    planes, body = torch.zeros(2, PLANES, 32, 16), torch.zeros(2, 1, 64, 32)
    body[:, :, :32] = 1  # the upper half is the person,
    planes[:, HEAD_PLANE, :, :8] = 1  # the left half the head
    carried = Warped(torch.zeros(2, 3, 64, 32), torch.zeros(2, 5, 4, 64, 32), planes, body)
    views = [(x, Sees()(x), carried.worn(), carried.pose) for x in (made, target)]
    fakes = PoseFakes(made, target, source, carried, body, *views)
    nets = Networks({}, {"discriminator": Says(), "features": Sees()})
    step = seeded_step([0], 2, stage="refined")
    terms = values(plugin.generator_loss(nets, {}, fakes, step).terms)
    assert terms == pytest.approx(
        {
            "l1": 2 * 0.4 * (0.3 + 0.5 + 2 * 0.5),
            "perceptual": 0.25 * 2 * (0.4 / 0.5),
            "adversarial": 0.07 * -0.1,
        },
        abs=1e-4,
    )
    d = values(plugin.discriminator_loss(nets, {}, fakes, step).terms)
    # real 0.5, forged 0.1; and the source, in another pose than told, -0.2
    assert d == pytest.approx({"adversarial": 0.5 + 1.1, "wrong": 0.5 * (0.5 + 0.8)}, abs=1e-4)
    coarse = plugin.generator_loss(nets, {}, fakes, seeded_step([0], 2, stage="coarse")).terms
    assert set(coarse) == {"l1", "perceptual"}  # D comes with G2


def test_anime_to_order_is_compared_with_the_picture_ordered() -> None:
    settings = CharacterSettings(likeness=50.0, perceptual=3.0, reading=2.0)

    class Reads(Says):
        def forward(self, pictures: Tensor, *_: Any, y: Tensor) -> Any:
            return super().forward(pictures), torch.zeros_like(y)

    batch = {"image": flat(0.5), "labels": torch.zeros(2, 6, dtype=torch.long)}
    views = [(x, Sees()(x)) for x in (flat(0.1), flat(0.5))]
    nets = Networks({}, {"discriminator": Reads(), "features": Sees()})
    terms = values(AnimeCharacters(settings).generator_loss(nets, batch, AnimeFakes(*views), seeded_step([0], 2)).terms)
    reading = terms.pop("reading")
    assert terms == pytest.approx({"adversarial": -0.1, "likeness": 50 * 0.4, "perceptual": 3 * 2 * 0.8}, abs=1e-4)
    assert reading > 0  # nothing read: the entropy of a guess


def test_r1_is_lazy_and_weighs_as_much_more() -> None:
    settings = AnimeSettings(discriminator="residual", augment="", loss="logistic", r1=1000.0, r1_every=16)
    views = [(flat(0.1),), (flat(0.5),)]
    nets, plugin = Networks({}, {"discriminator": Says()}), Anime(settings)
    terms = [
        values(plugin.discriminator_loss(nets, {}, AnimeFakes(*views), seeded_step([0], 2, index=index)).terms)
        for index in (0, 1)
    ]
    pixels = 3 * 64 * 64
    assert terms[0]["r1"] == pytest.approx(1000 * 16 * pixels * (1 / pixels) ** 2 / 2, abs=1e-4)  # |gradient|^2 / 2
    assert "r1" not in terms[1]
