"""Adversarial losses and penalties: short pure functions on logits.

Everywhere real = 1 and fake = 0. Logits have any shape, usually (B, K) for K patches or scales;
a loss is a scalar, the mean over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Literal["logistic", "hinge", "least-squares", "relativistic"]
Critic = Callable[..., Any]  # gives logits, or a tuple that begins with them


def logistic_d(real: Tensor, fake: Tensor) -> Tensor:
    """D's binary cross-entropy, real = 1 and fake = 0 (Goodfellow et al. 2014, eq. 1): -log D(x) - log(1 - D(G(z)))."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def logistic_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """The non-saturating generator loss (Goodfellow et al. 2014, section 3): -log D(G(z))."""
    return F.softplus(-fake).mean()


def hinge_d(real: Tensor, fake: Tensor) -> Tensor:
    """Lim & Ye 2017 (Geometric GAN), eq. 10: max(0, 1 - D(x)) + max(0, 1 + D(G(z)))."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """Lim & Ye 2017, eq. 11: -D(G(z))."""
    return -fake.mean()


def least_squares_d(real: Tensor, fake: Tensor) -> Tensor:
    """Mao et al. 2017 (LSGAN), eq. 9, labels 1 and 0: ((D(x) - 1)^2 + D(G(z))^2) / 2."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def least_squares_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """Mao et al. 2017, eq. 9, with the reference code's weight: (D(G(z)) - 1)^2."""
    return (fake - 1).square().mean()


def relativistic_d(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic (Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2024, eq. 2): -log sigmoid(D(x) - D(G(z)))."""
    return F.softplus(fake - real).mean()


def relativistic_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """The same with the roles exchanged: -log sigmoid(D(G(z)) - D(x)). Needs D's logits on the reals."""
    if real is None:
        raise ValueError("the relativistic generator loss needs D's logits on real pictures, got none")
    return F.softplus(real - fake).mean()


class Adversarial(NamedTuple):
    """A pair of losses. `probability` maps logits to D's belief in [0, 1] that its input is real."""

    discriminator: Callable[[Tensor, Tensor], Tensor]  # (real logits, fake logits)
    generator: Callable[..., Tensor]  # (fake logits, real logits or None)
    probability: Callable[[Tensor], Tensor]
    needs_real: bool = False  # does the generator's loss look at the reals too?

    def metrics(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """D's mean output on real and fake, and its accuracy: 1 is a perfect police, 1/2 is equilibrium.

        A relativistic D says which of two is the real one: there, its belief is about a pair.
        """
        real, fake = real.detach().float(), fake.detach().float()
        if self.needs_real:
            real, fake = real - fake, fake - real
        p_real, p_fake = self.probability(real), self.probability(fake)
        right = torch.sign(p_real - 0.5).mean() - torch.sign(p_fake - 0.5).mean()  # from -2 to 2; a tie counts half
        return {"d_real": p_real.mean(), "d_fake": p_fake.mean(), "d_accuracy": (right + 2) / 4}


ADVERSARIAL: dict[str, Adversarial] = {
    "logistic": Adversarial(logistic_d, logistic_g, torch.sigmoid),
    "hinge": Adversarial(hinge_d, hinge_g, torch.sigmoid),
    "least-squares": Adversarial(least_squares_d, least_squares_g, lambda x: x.clamp(0, 1)),
    "relativistic": Adversarial(relativistic_d, relativistic_g, torch.sigmoid, needs_real=True),
}


def adversarial(name: str) -> Adversarial:
    """The pair of losses of that name. Raises ValueError that lists the names there are."""
    if name not in ADVERSARIAL:
        raise ValueError(f"unknown adversarial loss {name!r}; there are: {', '.join(ADVERSARIAL)}")
    return ADVERSARIAL[name]


class Verdict(NamedTuple):
    """D's loss, its answers to real and fake pictures as the critic gave them, and its metrics."""

    loss: Tensor
    real: Any
    fake: Any
    metrics: dict[str, Tensor]


def d_loss(loss: Loss, critic: Critic, real: Sequence[Any], fake: Sequence[Any]) -> Verdict:
    """D's half: what it makes of real and of fake pictures, each given as the arguments of the critic."""
    pair, of_real, of_fake = adversarial(loss), critic(*real), critic(*fake)
    logits = _logits(of_real), _logits(of_fake)
    return Verdict(pair.discriminator(*logits), of_real, of_fake, pair.metrics(*logits))


class Answer(NamedTuple):
    """G's adversarial loss, and D's answer to its pictures as the critic gave it."""

    loss: Tensor
    fake: Any


def g_loss(loss: Loss, critic: Critic, fake: Sequence[Any], real: Sequence[Any]) -> Answer:
    """G's half. Real pictures are looked at where the loss compares with them, and then without a graph."""
    pair, beside = adversarial(loss), None
    if pair.needs_real:
        with torch.no_grad():
            beside = _logits(critic(*real))
    answer = critic(*fake)
    return Answer(pair.generator(_logits(answer), beside), answer)


def _logits(answer: Any) -> Tensor:
    return (answer if isinstance(answer, Tensor) else answer[0]).float()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """E[|grad_x D(x)|^2] / 2 (Mescheder et al. 2018, eq. 9): R1 on real pictures, R2 on fake ones.

    `images` (B, ...) must require grad and `logits` come from them. Multiply by gamma, and by the interval
    where the penalty is lazy (Karras et al. 2020, StyleGAN2, section 3.1).
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.float().square().flatten(1).sum(1).mean() / 2


def feature_distance(maps: Sequence[Tensor], wanted: Sequence[Tensor], weight: Tensor | float = 1.0) -> Tensor:
    """Sum over feature maps, each (B, C, H, W), of the L1 distance relative to the mean of the wanted one.

    A perceptual loss (Johnson et al. 2016, arXiv:1603.08155, eq. 2) with all maps on one scale. `weight` broadcasts
    against a map.
    """
    pairs = zip(maps, wanted, strict=True)
    apart = [((a.float() - b.float()).abs() * weight).mean() / b.float().abs().mean() for a, b in pairs]
    return torch.stack(apart).sum()
