"""Pix2pix: its data, and what only it promises."""

import torch

from gan_zoo_pix2pix.networks import Pix2pixGenerator, Pix2pixPipeline
from gan_zoo_pix2pix.plugin import Outlines, Pix2pix


def test_outlines_are_a_function_of_seed_split_and_number() -> None:
    outlines = Outlines("train", 64, seed=0)
    five = outlines.batch(range(5))
    for name in ("image", "target"):
        assert torch.equal(outlines.batch(range(3, 5))[name], five[name][3:])
        assert five[name].shape == (5, 3, 64, 64) and five[name].abs().max() <= 1
    assert not torch.equal(Outlines("validation", 64, seed=0).batch(range(5))["image"], five["image"])


def test_pictures_of_any_size() -> None:
    assert Pix2pixPipeline(Pix2pixGenerator())(torch.zeros(1, 3, 50, 71)).shape == (1, 3, 50, 71)


def test_scores_are_better_for_the_targets_themselves() -> None:
    data, plugin = Outlines("validation", 64, seed=0), Pix2pix()
    best = plugin.evaluate(lambda pictures: data.batch(range(len(pictures)))["target"], data, 16)
    untouched = plugin.evaluate(lambda pictures: pictures, data, 16)
    assert plugin.worth(best.scores) < plugin.worth(untouched.scores)
