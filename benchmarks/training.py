"""What the trainer is worth: a step of the widely used scripts against one of ours, the same networks, side by side.

The textbook loop is written as those scripts write it: float32, contiguous tensors, a generator pass for each half of a
GAN's step, identity passes, a backward for each discriminator, plain Adam. Ours is the trainer's own: `Duel`, bfloat16
where the processor does it well, channels_last, one generator pass a step, frozen sides. Neither reads data nor writes
files.
"""

from __future__ import annotations

import itertools
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from gan_zoo import registry
from gan_zoo.contract import Batch, Networks
from gan_zoo.duel import Duel, adam, seeded_step
from gan_zoo.plugins.anime.plugin import Anime
from gan_zoo.plugins.anime.training import Settings as AnimeSettings
from gan_zoo.plugins.cyclegan.plugin import CycleGAN
from gan_zoo.plugins.cyclegan.training import Settings as CycleSettings
from gan_zoo.precision import bf16_is_fast
from gan_zoo.processes import keep_memory

Way = Callable[[int], object]
BATCHES = {"anime": 32, "colorize": 8, "cyclegan": 4, "pose": 8}
PRODUCTS = re.compile(r"conv|::(add|b|badd)?mm$|linear")
PAPER = CycleSettings(
    generator="resnet", width=64, blocks=9, discriminator="patch", loss="least-squares", augment="", cycle=10.0,
    identity=5.0, pool=False, size=256, load=256,
)  # fmt: skip


def pictures(count: int, side: int) -> Tensor:
    return torch.rand(count, 3, side, side) * 2 - 1


def ours(plugin: Any, batch: Batch, betas: tuple[float, float], **told: Any) -> Way:
    """A step of the trainer, on a batch that stays."""
    nets: Networks = plugin.networks()
    device = torch.device("cpu")
    for _, net in nets.items():
        net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    batch = {k: x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for k, x in batch.items()}
    fast = bf16_is_fast(device)
    duel = Duel(
        plugin,
        nets,
        adam(nets.generators.values(), 2e-4, betas),
        adam(nets.discriminators.values(), 2e-4, betas),
        autocast=lambda: torch.autocast("cpu", torch.bfloat16) if fast else nullcontext(),
    )
    count = len(next(iter(batch.values())))

    def step(number: int) -> None:
        keep_memory()
        here = seeded_step([number], count, index=number, **told)
        fakes = duel.generate(batch, here)
        duel.d_step(batch, fakes, here)
        duel.g_step(batch, fakes, here)

    return step


def textbook_cyclegan(batch: Batch) -> Way:
    """As pytorch-CycleGAN-and-pix2pix and its many children do it, with the paper's networks."""
    nets = CycleGAN(PAPER).networks()
    forth, back, critic_a, critic_b = (nets[name] for name in ("forth", "back", "critic_a", "critic_b"))
    both = itertools.chain(forth.parameters(), back.parameters())
    g = torch.optim.Adam(both, lr=2e-4, betas=(0.5, 0.999))
    d = torch.optim.Adam(itertools.chain(critic_a.parameters(), critic_b.parameters()), lr=2e-4, betas=(0.5, 0.999))
    a, b = batch["a"], batch["b"]

    def towards(logits: Tensor, real: bool) -> Tensor:
        return F.mse_loss(logits, torch.full_like(logits, float(real)))

    def learn(critics: Iterator[nn.Module], wanted: bool) -> None:
        for critic in critics:
            critic.requires_grad_(wanted)

    def step(_: int) -> None:
        fake_b, fake_a = forth(a), back(b)
        again_a, again_b = back(fake_b), forth(fake_a)
        learn(iter((critic_a, critic_b)), False)
        g.zero_grad()
        loss = towards(critic_b(fake_b), True) + towards(critic_a(fake_a), True)
        loss = loss + 10 * (F.l1_loss(again_a, a) + F.l1_loss(again_b, b))
        (loss + 5 * (F.l1_loss(forth(b), b) + F.l1_loss(back(a), a))).backward()
        g.step()
        learn(iter((critic_a, critic_b)), True)
        d.zero_grad()
        for critic, real, fake in ((critic_a, a, fake_a), (critic_b, b, fake_b)):
            ((towards(critic(real), True) + towards(critic(fake.detach()), False)) / 2).backward()
        d.step()

    return step


def textbook_anime(settings: AnimeSettings, real: Tensor) -> Way:
    """As a DCGAN tutorial does it, with the anime plugin's networks: D looks twice, and G paints twice."""
    nets = Anime(settings).networks()
    generator, critic, features = nets["generator"], nets["discriminator"], nets["features"]
    g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.0, 0.99))
    d = torch.optim.Adam([p for p in critic.parameters() if p.requires_grad], lr=2e-4, betas=(0.0, 0.99))

    def step(_: int) -> None:
        fake = generator(torch.randn(len(real), settings.latent_dim)).detach()
        d.zero_grad()
        (F.relu(1 - critic(real, features(real))).mean() + F.relu(1 + critic(fake, features(fake))).mean()).backward()
        d.step()
        g.zero_grad()
        fake = generator(torch.randn(len(real), settings.latent_dim))
        (-critic(fake, features(fake)).mean()).backward()
        g.step()

    return step


def usually(step: Way) -> Way:
    """With memory given back to the system as the C library does it unasked."""

    def run(number: int) -> None:
        keep_memory(False)
        step(number)

    return run


def steps(quick: bool) -> dict[str, dict[str, Way]]:
    """{what: {"textbook": a step, "ours": a step}}."""
    torch.manual_seed(0)
    faces = AnimeSettings(augment="")
    made: dict[str, dict[str, Way]] = {}
    for side, count in ((128, 4),) if quick else ((256, 1), (128, 4)):
        batch = {"a": pictures(count, side), "b": pictures(count, side)}
        made[f"CycleGAN as published, {side} px, batch {count}"] = {
            "textbook": usually(textbook_cyclegan(batch)),
            "ours": ours(CycleGAN(replace(PAPER, size=side, load=side)), batch, (0.5, 0.999)),
        }
    real = pictures(64, faces.resolution)
    made["anime, 64 px, batch 64"] = {
        "textbook": usually(textbook_anime(faces, real)),
        "ours": ours(Anime(faces), {"image": real}, (0.0, 0.99)),
    }
    return made


class Share(NamedTuple):
    """Of a step: seconds, the share of them in convolutions and matrix products, and their GFLOP a second."""

    seconds: float
    products: float
    speed: float


def shares() -> Iterator[tuple[str, Share]]:
    """Of each plugin's own step, as `python -m gan_zoo train PLUGIN` makes it of the built-in data."""
    for slug, count in BATCHES.items():
        plugin: Any = registry.get(slug)
        torch.manual_seed(0)
        batch = plugin.data(None, "train", 0).batch(range(count))
        step = ours(plugin, batch, (0.0, 0.99), stage=plugin.stages()[-1].name)
        step(0)
        with FlopCounterMode(display=False) as counter:
            step(1)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            start = time.perf_counter()
            step(2)
            seconds = time.perf_counter() - start
        spent = {e.key: e.self_cpu_time_total for e in profiled.key_averages()}
        products = sum(us for name, us in spent.items() if PRODUCTS.search(name)) / 1e6
        yield f"{slug}, batch {count}", Share(seconds, products / seconds, counter.get_total_flops() / products / 1e9)


def bare() -> float:
    """GFLOP a second of a convolution alone, in the numbers that the trainer computes with."""
    kind = torch.bfloat16 if bf16_is_fast(torch.device("cpu")) else torch.float32
    x = torch.randn(8, 128, 32, 32, dtype=kind).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(128, 128, 3, 3, dtype=kind)
    seconds = []
    with torch.inference_mode():
        for _ in range(20):
            start = time.perf_counter()
            F.conv2d(x, weight, padding=1)
            seconds.append(time.perf_counter() - start)
    return 2 * x.numel() * 128 * 9 / statistics.median(seconds) / 1e9
