"""Forger against police: the two halves of a GAN step, and the average of weights. No Accelerator, files or clock."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from gan_zoo.contract import GAN, Batch, Fakes, Losses, Networks, Step


def seeded_step(seed: Sequence[int], count: int, **told: Any) -> Step:
    """A step over `count` samples whose random numbers follow from `seed` alone.

    `told` are fields of Step: index, stage, progress, rows, global_batch, device, state.
    """
    number = int(np.random.SeedSequence(list(seed)).generate_state(1, np.uint64)[0])
    known: dict[str, Any] = {
        "index": 0, "stage": "gan", "progress": 0.0, "rows": slice(0, count), "global_batch": count,
        "device": torch.device("cpu"),
    }  # fmt: skip
    return Step(generator=torch.Generator().manual_seed(number), **(known | told))


def adam(networks: Iterable[nn.Module], lr: float, betas: tuple[float, float]) -> Optimizer | None:
    """Adam over what learns in the networks; None if nothing does."""
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    if not parameters:
        return None
    return torch.optim.Adam(parameters, lr=lr, betas=betas, fused=parameters[0].device.type in ("cpu", "cuda"))


@contextmanager
def frozen(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, no parameter of the networks requires grad; afterwards each does what it did before."""
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)


def detached(fakes: Fakes) -> Fakes:
    return tree_map(lambda x: x.detach() if isinstance(x, Tensor) else x, fakes)


class Duel:
    """Forger against police: the two halves of a GAN step. No Accelerator, no files, no clock.

    `d_step` leaves every parameter of the generators bit for bit as it was, `g_step` those of the discriminators (the
    buffers of a spectral norm move with each forward pass, in either half).
    `parallel` holds the networks as wrapped for data parallelism: the side that learns is called through its wrapper,
    whose hooks average gradients; the frozen side is called plain, since the wrapper would wait for gradients.
    """

    def __init__(
        self,
        plugin: GAN,
        nets: Networks,
        g_optimizer: Optimizer | None,
        d_optimizer: Optimizer | None,
        *,
        parallel: Networks | None = None,
        autocast: Callable[[], Any] = nullcontext,
        max_grad_norm: float = 0.0,
    ):
        self.plugin, self.nets, self.parallel = plugin, nets, parallel or nets
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
        self.autocast, self.max_grad_norm = autocast, max_grad_norm

    def generate(self, batch: Batch, step: Step) -> Fakes:
        """The step's one generator pass, with its graph."""
        with self.autocast():
            return self.plugin.generate(Networks(self.parallel.generators, self.nets.discriminators), batch, step)

    def d_step(self, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        losses = self.d_backward(batch, fakes, step)
        self.update(self.d_optimizer)
        return losses

    def g_step(self, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        losses = self.g_backward(batch, fakes, step)
        self.update(self.g_optimizer)
        return losses

    def d_backward(self, batch: Batch, fakes: Fakes, step: Step, weight: float = 1.0) -> Losses:
        nets = Networks(self.nets.generators, self.parallel.discriminators)
        with frozen(self.nets.generators.values()):
            with self.autocast():
                losses = self.plugin.discriminator_loss(nets, batch, detached(fakes), step)
            (losses.total * weight).backward()
        return losses

    def g_backward(self, batch: Batch, fakes: Fakes, step: Step, weight: float = 1.0) -> Losses:
        nets = Networks(self.parallel.generators, self.nets.discriminators)
        with frozen(self.nets.discriminators.values()):
            with self.autocast():
                losses = self.plugin.generator_loss(nets, batch, fakes, step)
            (losses.total * weight).backward()
        return losses

    def update(self, optimizer: Optimizer | None) -> None:
        if optimizer is None:
            raise ValueError("this half has nothing to update: its networks are frozen in this stage")
        if self.max_grad_norm > 0:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


class Ema:
    """Exponential moving average of networks: weights and floating-point buffers; other buffers are copied."""

    def __init__(self, networks: dict[str, nn.Module]):
        self.networks = {n: copy.deepcopy(network).requires_grad_(False).eval() for n, network in networks.items()}

    @torch.no_grad()
    def update(self, networks: dict[str, nn.Module], decay: float) -> None:
        """average <- decay * average + (1 - decay) * network."""
        for name, network in networks.items():
            pairs = list(zip(_tensors(self.networks[name]), _tensors(network), strict=True))
            floats = [(a, b.detach()) for a, b in pairs if a.is_floating_point()]
            torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - decay)
            for a, b in pairs:
                if not a.is_floating_point():
                    a.copy_(b)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def named(half: str, losses: Losses) -> dict[str, Tensor]:
    """A half's total, terms and metrics, as the log calls them."""
    terms = {f"{half}/{name}": value.detach() for name, value in losses.terms.items()}
    metrics = {name: value.detach() for name, value in losses.metrics.items()}
    return {half: losses.total.detach(), **terms, **metrics}


def not_finite(what: str, step: int) -> FloatingPointError:
    return FloatingPointError(
        f"{what} is not finite at step {step}: lower the learning rate, and go on from the last checkpoint with "
        "--resume"
    )


def check_finite(parameters: dict[str, list[nn.Parameter]], step: int) -> None:
    """Raises FloatingPointError if a network, {name: its parameters}, has weights that are no numbers."""
    for name, some in parameters.items():
        if some and not all(bool(norm.isfinite()) for norm in torch._foreach_norm([p.detach() for p in some])):
            raise not_finite(f"a weight of {name!r}", step)
