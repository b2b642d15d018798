"""Template: its data, and what only it promises. The contract is tested for every plugin by test_contract.py."""

import torch

from gan_zoo.template.networks import TemplateGenerator, TemplatePipeline
from gan_zoo.template.plugin import Discs, Template


def test_discs_are_a_function_of_seed_split_and_number() -> None:
    discs = Discs("train", seed=0)
    five = discs.batch(range(5))["image"]
    assert torch.equal(discs.batch(range(3, 5))["image"], five[3:])
    assert not torch.equal(Discs("train", seed=1).batch(range(5))["image"], five)
    assert not torch.equal(Discs("validation", seed=0).batch(range(5))["image"], five)
    assert five.shape == (5, 3, 32, 32)
    assert five.abs().max() <= 1


def test_a_picture_depends_on_its_seed_alone() -> None:
    torch.manual_seed(0)
    pipeline = TemplatePipeline(TemplateGenerator())
    assert (pipeline([7]) - pipeline([5, 6, 7])[2]).abs().max() < 1 / 255


def test_scores_are_better_for_real_discs() -> None:
    data = Discs("validation", seed=0)
    same = Template().evaluate(lambda seeds: data.batch(range(100, 100 + len(seeds)))["image"], data, 64)
    noise = Template().evaluate(lambda seeds: torch.rand(len(seeds), 3, 32, 32) * 2 - 1, data, 64)
    assert Template().worth(same.scores) < Template().worth(noise.scores)
