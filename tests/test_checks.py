"""What `gan_zoo check` finds in a plugin that breaks the contract: each fault in a toy of its own."""

from __future__ import annotations

import re
from typing import Annotated, Any

import pytest
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from toy import Toy

from gan_zoo import checks
from gan_zoo.plugin import Arg, Losses, Networks, Text, task


class UsesMore(Toy):
    def generate(self, nets: Networks, batch: Any, step: Any) -> Any:
        generator: Any = nets["generator"]
        return super().generate(nets, batch, step) + 0 * generator.config["width"]


class KeepsAnObject(Toy):
    def generator_loss(self, nets: Networks, batch: Any, fakes: Any, step: Any) -> Losses:
        step.state["moment"] = re.compile("a")
        return super().generator_loss(nets, batch, fakes, step)


class HidingNetwork(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(self, layers: int = 2):
        super().__init__()
        self.layers = nn.Linear(4, 192 * layers // 2)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).view(-1, 3, 8, 8)


class Hides(Toy):
    def networks(self) -> Networks:
        return Networks({"generator": HidingNetwork()}, super().networks().discriminators)


class AssertsBarely(Toy):
    def discriminator_loss(self, nets: Networks, batch: Any, fakes: Any, step: Any) -> Losses:
        raise AssertionError


class Fails(Toy):
    def generator_loss(self, nets: Networks, batch: Any, fakes: Any, step: Any) -> Losses:
        return Losses({"adversarial": torch.stack(batch["pictures"]).sum()})


class Corrupting(Toy):
    def networks(self) -> Networks:
        nets = super().networks()
        head = nn.Sequential(nn.Flatten(), nn.Linear(192, 3000), nn.Unflatten(1, (3000, 1, 1)), nn.Conv2d(3000, 1, 1))
        nets.discriminators["discriminator"].net = nn.Sequential(head, nn.Flatten())
        return nets


class Boundless(Toy):
    @task(Text("Much"), Text("As much as one likes."))
    def much(self, pipeline: Any, *, many: Annotated[int, Arg(Text("Many"), minimum=1)] = 2) -> str:
        return "x" * many


class TakesAList(Toy):
    @task(Text("Much"), Text("As many as one likes."))
    def much(self, pipeline: Any, *, some: Annotated[list, Arg(Text("Some"))] = ()) -> str:  # pyright: ignore
        return "x"


@pytest.mark.parametrize(
    ("faulty", "found"),
    [
        (Boundless, r"'many' has no minimum and maximum: a stranger may ask for 10\*\*9"),
        (TakesAList, r"'some' is a .*list.*, which no form, flag or endpoint can ask for"),
        (Corrupting, r"discriminator.net.0.3 is a 1x1 convolution of 3000 to 1 channels .*use nn.Linear"),
        (UsesMore, r"'generator' is used by its 'config': .*call it as a function"),
        (KeepsAnObject, r"step.state\['moment'\] is a Pattern, which a checkpoint cannot bring back"),
        (Hides, r"generator has a submodule named like its config argument \['layers'\]"),
        (AssertsBarely, r"an assertion failed \(test_checks.py, line \d+\)"),
        (Fails, r"KeyError.*\(test_checks.py, line \d+\)"),
    ],
)
def test_a_fault_is_found_and_told_in_one_line(faulty: type[Toy], found: str) -> None:
    reasons = [reason for _, reason in checks.run(faulty()) if reason is not None]
    assert any(re.search(found, reason) for reason in reasons), reasons
    assert all("\n" not in reason for reason in reasons)


def test_a_sound_plugin_passes() -> None:
    halves = [(name, reason) for name, reason in checks.run(Toy()) if name.startswith("D's half")]
    assert [reason for _, reason in halves] == [None]
