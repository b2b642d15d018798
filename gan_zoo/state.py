"""What of a run is saved and comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch.optim import Optimizer

from gan_zoo.config import Progress
from gan_zoo.contract import GAN, Networks
from gan_zoo.duel import Ema, adam
from gan_zoo.errors import one_line


def fresh_networks(plugin: GAN, seed: int, device: torch.device) -> Networks:
    """A plugin's networks on a device, in channels_last: the same weights in every process."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        nets = plugin.networks()
    for _, net in nets.items():
        net.to(device=device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return nets


class RunState:
    """Where a run stands: its position, its networks, their average, the optimisers of its stage, and what the plugin
    keeps between steps.

    The optimisers belong to a stage: whoever goes on with a run takes its `progress` first, enters the stage, and then
    loads the rest.
    """

    def __init__(self, nets: Networks):
        self.nets = nets
        self.trainable = {name: [p for p in net.parameters() if p.requires_grad] for name, net in nets.items()}
        self.ema = Ema(nets.generators)
        self.progress = Progress()
        self.optimizers: dict[str, Optimizer] = {}  # "g" and "d", of what learns in this stage
        self.kept: dict[str, Any] = {}  # `Step.state`; each process has its own

    def average(self) -> Networks:
        """The generators' averages, beside the discriminators."""
        return Networks(self.ema.networks, self.nets.discriminators)

    def enter(self, learning: Collection[str], rates: Mapping[str, float], betas: tuple[float, float]) -> None:
        """Adam, of the rates "g" and "d", over the networks that learn; all others are frozen in `eval()`, generators
        as their average: what learns now should meet what will be shipped.
        """
        for name, net in self.nets.generators.items():
            if name not in learning:
                net.load_state_dict(self.ema.networks[name].state_dict())
        for name, net in self.nets.items():
            net.train(name in learning)
            for p in self.trainable[name]:
                p.requires_grad_(name in learning)
        groups = {"g": self.nets.generators.values(), "d": self.nets.discriminators.values()}
        made = {half: adam(networks, rates[half], betas) for half, networks in groups.items()}
        self.optimizers = {half: optimizer for half, optimizer in made.items() if optimizer is not None}

    def set_rates(self, rates: Mapping[str, float]) -> None:
        for half, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rates[half]

    def begin_with(self, pipeline: Any, called: str) -> None:
        """Copies the generators of a pipeline. Raises ValueError where they do not fit."""
        for name, net in self.nets.generators.items():
            network = getattr(pipeline, name, None)
            if network is None:
                raise ValueError(f"init: {called} holds no network {name!r}")
            try:
                net.load_state_dict(network.state_dict())
            except RuntimeError as error:
                reason = one_line(error, 99, 200)
                raise ValueError(f"init: {called} was made with other settings of {name!r}: {reason}") from None
            self.ema.networks[name].load_state_dict(net.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """All but `kept`: equal in all processes."""
        return {
            "progress": dataclasses.asdict(self.progress),
            "networks": {name: net.state_dict() for name, net in self.nets.items() if self.trainable[name]},
            "ema": {name: net.state_dict() for name, net in self.ema.networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """All but `progress` and `kept`. Raises RuntimeError where the networks are others.

        Adam's betas stay those of the optimisers that are there, since a flag is stronger than the run.
        """
        for name, state in saved["networks"].items():
            self.nets[name].load_state_dict(state)
        for name, state in saved["ema"].items():
            self.ema.networks[name].load_state_dict(state)
        for name, optimizer in self.optimizers.items():
            betas = [group["betas"] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved["optimizers"][name])
            for group, own in zip(optimizer.param_groups, betas, strict=True):
                group["betas"] = own
