"""One fight of forger and police, move by move, on the trainer's own `Duel`."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from gan_zoo import losses
from gan_zoo.duel import Duel, seeded_step
from gan_zoo.plugin import Film, Networks
from gan_zoo.plugins.lab.rules import FACES, Rules
from gan_zoo.plugins.lab.subjects import subject_of

MOVES = ("both", "d", "g")
TELL = 0.06  # D cannot tell where its mean distance from 1/2 is below this
FRAMES = 64  # of a fight's film
COOLED = 10  # a fight that goes on from trained weights begins at 1 / (1 + COOLED) of its rates


class Game:
    """Networks, optimisers and the number of moves made."""

    def __init__(self, plugin: Any, seed: int, nets: Networks | None = None):
        """plugin: a `Lab`. nets: trained networks to go on with; fresh ones, settled by the seed, if left out."""
        self.plugin, self.seed, settings = plugin, seed, plugin.settings
        self.rules = settings if isinstance(settings, Rules) else Rules(**dataclasses.asdict(settings))
        self.subject = subject_of(plugin.settings)
        self.head_start = 0 if nets is None else COOLED
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.nets: Any = nets or plugin.networks()
        self.device = next(self.nets["generator"].parameters()).device
        self.bf16 = plugin.settings.distribution == FACES and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        self.optimizers = {"g": self._optimizer("generator"), "d": self._optimizer("discriminator")}
        self.duel = Duel(plugin, self.nets, self.optimizers["g"], self.optimizers["d"], autocast=self._autocast)
        self.made = 0
        self.losses = {"d": math.nan, "g": math.nan}
        self.every, self.frames = 1, list[tuple[int, dict[str, Any]]]()
        random = torch.Generator().manual_seed(seed + 1)
        self.real = self.subject.real(plugin.settings, self.subject.counted, random).to(self.device)
        self.z = self.nets["generator"].noise(self.subject.counted, random).to(self.device)

    def _optimizer(self, name: str) -> torch.optim.Optimizer:
        s = self.rules
        parameters, rate = self.nets[name].parameters(), s.rate_g if name == "generator" else s.rate_d
        if s.optimizer == "sgd":
            return torch.optim.SGD(parameters, lr=rate)
        # No momentum: it makes the two circle each other (Gidel et al. 2019); a short memory, for few steps.
        return torch.optim.Adam(parameters, lr=rate, betas=(0.0, 0.9), fused=True)

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def move(self, what: str) -> None:
        """D's step ("d", G untouched), G's ("g", D frozen), or as many of both as the rules say."""
        s = self.rules
        if not self.frames:
            self.frames.append((0, self._glimpse()))
        cooled = 1 / (1 + self.made / s.cooling + self.head_start) if s.cooling else 1.0
        for half, times in (("d", s.d_steps if what == "both" else 1), ("g", s.g_steps if what == "both" else 1)):
            if what not in ("both", half):
                continue
            for group in self.optimizers[half].param_groups:
                group["lr"] = cooled * (s.rate_d if half == "d" else s.rate_g)
            for i in range(times):
                step = seeded_step([self.seed, self.made, MOVES.index(half), i], s.batch, index=self.made)
                batch = {"real": self.subject.real(s, s.batch, step.generator)}
                fakes = self.duel.generate(batch, step)
                take = self.duel.d_step if half == "d" else self.duel.g_step
                self.losses[half] = float(take(batch, fakes, step).terms["adversarial"].detach())
                moved = self.nets["generator" if half == "g" else "discriminator"]
                if not (math.isfinite(self.losses[half]) and is_finite(moved)):
                    raise ValueError(f"run: diverged at move {self.made + 1}: begin anew with lower rates")
        self.made += 1
        if self.made >= self.frames[-1][0] + self.every:
            self.frames.append((self.made, self._glimpse()))
            if len(self.frames) > FRAMES:  # of a long fight, every second, every fourth ...
                self.frames, self.every = self.frames[::2], 2 * self.every

    def believes(self, some: Tensor) -> Tensor:
        """D's belief that each is real, (N,) in [0, 1]."""
        probability = losses.adversarial(self.plugin.settings.loss).probability
        with torch.no_grad(), self._autocast():
            return probability(self.nets["discriminator"](some).float()).flatten()

    def _fakes(self) -> Tensor:
        with torch.no_grad(), self._autocast():
            return self.nets["generator"](self.z).float()

    def _glimpse(self) -> dict[str, Any]:
        fake = self._fakes()
        return self.subject.glimpse(self, fake, self.believes(self.real), self.believes(fake))

    def state(self) -> dict[str, Any]:
        return self.look()[0]

    def picture(self) -> Image.Image:
        return self.subject.draw(self._glimpse())

    def look(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """How it stands, as JSON: beliefs, losses, divergence, whose weights are which, and what its subject shows;
        and the glimpse of that moment, for `subject.draw`.
        """
        fake = self._fakes()
        on_real, on_fake = self.believes(self.real), self.believes(fake)
        apart = float((torch.cat([on_real, on_fake]) - 0.5).abs().mean())
        details = self.subject.details(self, fake, on_real, on_fake)
        near = details.pop("near")
        shown = self.subject.glimpse(self, fake, on_real, on_fake)
        state = {
            "step": self.made,
            "d_real": float(on_real.mean()),
            "d_fake": float(on_fake.mean()),
            "loss_d": _finite(self.losses["d"]),
            "loss_g": _finite(self.losses["g"]),
            "apart": apart,
            "equilibrium": apart < TELL and near,
            "weights_d": fingerprint(self.nets["discriminator"]),
            "weights_g": fingerprint(self.nets["generator"]),
            **details,
            **{name: value for name, value in shown.items() if not isinstance(value, Tensor)},
        }
        return state, shown

    def film(self) -> Film:
        """From the first move to this one, in at most FRAMES pictures."""
        seen = [glimpse for made, glimpse in self.frames if made < self.made] + [self._glimpse()]
        return Film([self.subject.draw(glimpse) for glimpse in seen], fps=8)


def fingerprint(network: torch.nn.Module) -> str:
    """Eight hex digits of a network's weights: other digits, other weights."""
    digest = hashlib.sha256()
    for parameter in network.parameters():
        digest.update(parameter.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:8]


def is_finite(network: torch.nn.Module) -> bool:
    """Are all of a network's weights numbers?"""
    return all(bool(norm.isfinite()) for norm in torch._foreach_norm([p.detach() for p in network.parameters()]))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
