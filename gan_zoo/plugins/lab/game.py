"""One fight of forger and police, move by move, on the trainer's own `Duel`; and fights that callers take up again.

A fight is a pure function of its rules and moves. So a run travels with its caller as {"rules", "moves"}, nothing need
be kept for anybody, and the same calls give the same pictures; the last fights are remembered only to be quick.
"""

from __future__ import annotations

import json
import math
import threading
from collections import OrderedDict
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from gan_zoo import losses
from gan_zoo.duel import Duel, seeded_step
from gan_zoo.parsing import parse_json
from gan_zoo.plugin import Networks
from gan_zoo.plugins.lab.distributions import divergences

SHOWN = 150  # points of each kind in a picture
COUNTED = 1000  # points of each kind in a divergence
CELLS = 24  # of D's heat map, each way
MESH = 11  # lines of G's manifold, each way
KEPT = 64  # fights remembered
MOST_MOVES = 20_000  # of a fight
MOST_REPLAYED = 5_000  # of a fight that has been forgotten: some 15 seconds
MOVES = ("both", "d", "g")
TELL = 0.06  # D cannot tell where its mean distance from 1/2 is below this ...
NEAR = 0.12  # ... and the forgeries are good where the Jensen-Shannon divergence is below this


class Game:
    """Networks, optimisers and the number of moves made."""

    def __init__(self, plugin: Any, seed: int, nets: Networks | None = None):
        """plugin: a `Lab`. nets: networks to go on with; fresh ones, settled by the seed, if left out."""
        self.plugin, self.seed = plugin, seed
        s = plugin.settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.nets: Any = nets or plugin.networks()
        kind = torch.optim.Adam if s.optimizer == "adam" else torch.optim.SGD
        options: dict[str, Any] = {"betas": (0.5, 0.99)} if s.optimizer == "adam" else {}
        self.optimizers = {
            "g": kind(self.nets["generator"].parameters(), lr=s.rate_g, **options),
            "d": kind(self.nets["discriminator"].parameters(), lr=s.rate_d, **options),
        }
        self.duel = Duel(plugin, self.nets, self.optimizers["g"], self.optimizers["d"])
        self.made = 0
        self.losses = {"d": math.nan, "g": math.nan}
        random = torch.Generator().manual_seed(seed + 1)
        self.device = next(self.nets["generator"].parameters()).device
        self.real = plugin.points(COUNTED, random).to(self.device)
        self.z = self.nets["generator"].noise(COUNTED, random).to(self.device)

    def move(self, what: str) -> None:
        """D's step ("d", G untouched), G's ("g", D frozen), or as many of both as the rules say."""
        s = self.plugin.settings
        for half, times in (("d", s.d_steps if what == "both" else 1), ("g", s.g_steps if what == "both" else 1)):
            if what not in ("both", half):
                continue
            for i in range(times):
                step = seeded_step([self.seed, self.made, MOVES.index(half), i], s.batch, index=self.made)
                batch = {"point": self.plugin.points(s.batch, step.generator)}
                fakes = self.duel.generate(batch, step)
                take = self.duel.d_step if half == "d" else self.duel.g_step
                self.losses[half] = float(take(batch, fakes, step).total.detach())
        self.made += 1

    def state(self) -> dict[str, Any]:
        """What one sees: points, D's heat map, G's manifold, where D pushes the forgeries, and how it stands."""
        generator, discriminator = self.nets["generator"], self.nets["discriminator"]
        probability = losses.adversarial(self.plugin.settings.loss).probability
        with torch.no_grad():
            fake = generator(self.z)
            axis = (torch.arange(CELLS) + 0.5) / CELLS * 2 - 1
            places = torch.stack(torch.meshgrid(axis, -axis, indexing="xy"), -1).flatten(0, 1)  # from the top down
            heat = probability(discriminator(places.to(self.device))).flatten()
            on_real, on_fake = (probability(discriminator(x)).flatten() for x in (self.real, fake))
            mesh = generator(_mesh(self.plugin.settings).to(self.device))
        kl, js = divergences(self.real, fake)
        apart = float((torch.cat([on_real, on_fake]) - 0.5).abs().mean())
        return {
            "step": self.made,
            "real": _rounded(self.real[:SHOWN]),
            "fake": _rounded(fake[:SHOWN]),
            "push": _rounded(self._push(fake[:SHOWN].clone())),
            "heat": [round(100 * p) for p in heat.tolist()],
            "mesh": _rounded(mesh),
            "d_real": float(on_real.mean()),
            "d_fake": float(on_fake.mean()),
            "loss_d": _finite(self.losses["d"]),
            "loss_g": _finite(self.losses["g"]),
            "kl": kl,
            "js": js,
            "apart": apart,
            "equilibrium": apart < TELL and js < NEAR,
        }

    def _push(self, fake: Tensor) -> Tensor:
        """Which way each forgery would move to look more real to D: minus the gradient of G's loss, (N, 2)."""
        adversarial = losses.adversarial(self.plugin.settings.loss)
        fake.requires_grad_(True)
        loss = adversarial.generator(self.nets["discriminator"](fake)) * len(fake)
        (gradient,) = torch.autograd.grad(loss, fake)
        return -gradient


def _mesh(settings: Any) -> Tensor:
    """z on a regular mesh, row by row (MESH^2, 2), or along a line (MESH^2, 1)."""
    reach = 1.0 if settings.latent == "uniform" else 2.0
    if settings.latent_dim == 1:
        return torch.linspace(-reach, reach, MESH * MESH)[:, None]
    axis = torch.linspace(-reach, reach, MESH)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).flatten(0, 1)


def _rounded(points: Tensor) -> list[list[float]]:
    return [[round(x, 3), round(y, 3)] for x, y in points.clamp(-99, 99).tolist()]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def picture(state: dict[str, Any], size: int = 256) -> Image.Image:
    """The state as people see it: D's belief (blue real, orange fake), real points green, forgeries violet."""
    heat = Image.new("RGB", (CELLS, CELLS))
    heat.putdata([_tint(p / 100) for p in state["heat"]])
    sheet = heat.resize((2 * size, 2 * size), Image.Resampling.BICUBIC)
    pen, radius = ImageDraw.Draw(sheet), max(2, size // 64)
    for kind, color in (("real", (35, 130, 70)), ("fake", (125, 60, 165))):
        for x, y in state[kind]:
            cx, cy = (x + 1) * size, (1 - y) * size
            pen.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=color)
    return sheet.resize((size, size), Image.Resampling.LANCZOS)


def _tint(p: float) -> tuple[int, int, int]:
    """White at 1/2, blue towards 1 (real), orange towards 0 (fake)."""
    r, g, b = (70, 130, 210) if p > 0.5 else (240, 150, 60)
    share = min(1.0, abs(p - 0.5) * 2) * 0.75
    return tuple(round(255 + (c - 255) * share) for c in (r, g, b))  # pyright: ignore[reportReturnType]


# ---------------------------------------------------------------------------------------------------------------------
# Fights that callers take up again


_games: OrderedDict[str, Game] = OrderedDict()
_lock = threading.Lock()


def take_up(plugin_class: Any, run: dict[str, Any], what: str, times: int) -> tuple[dict[str, Any], Game]:
    """The run after `times` more moves, and its fight. Raises ValueError for what is no run, or too long a one."""
    rules, moves = run["rules"], [list(move) for move in run["moves"]]
    made = sum(count for _, count in moves)
    if made + times > MOST_MOVES:
        raise ValueError(f"run: {made + times:,} moves, expected at most {MOST_MOVES:,}: begin a new one")
    key = json.dumps([rules, moves, run.get("visit")], sort_keys=True)
    with _lock:
        game = _games.pop(key, None)
    if game is None:
        if made > MOST_REPLAYED:
            raise ValueError(f"run: forgotten, and too long to be made again ({made:,} moves): begin anew")
        game = Game(plugin_class(plugin_class.Settings(**_tuples(rules))), int(rules.get("seed", 0)))
        for past, count in moves:
            for _ in range(count):
                game.move(past)
    for _ in range(times):
        game.move(what)
    if times:
        if moves and moves[-1][0] == what:
            moves[-1][1] += times
        else:
            moves.append([what, times])
    after = {"rules": rules, "moves": moves} | ({"visit": run["visit"]} if "visit" in run else {})
    with _lock:
        _games[json.dumps([rules, moves, run.get("visit")], sort_keys=True)] = game
        while len(_games) > KEPT:
            _games.popitem(last=False)
    return after, game


def parse_run(text: str, allowed: set[str]) -> dict[str, Any]:
    """A run from its JSON, as `take_up` gives it. Raises ValueError of one line."""
    expected = 'a run as `step` returns it: {"rules": {...}, "moves": [["both", 10], ...]}'
    try:
        run = parse_json(text)
    except ValueError:
        raise ValueError(f"run: not JSON; expected {expected}") from None
    if not isinstance(run, dict) or not isinstance(run.get("rules"), dict) or not isinstance(run.get("moves"), list):
        raise ValueError(f"run: expected {expected}")
    unknown = (set(run["rules"]) - allowed) | (set(run) - {"rules", "moves", "visit"})
    if unknown:
        raise ValueError(f"run: {min(unknown)[:40]!r} is not part of a run")
    if not isinstance(run.get("visit", ""), str) or len(run.get("visit", "")) > 40 or len(run["moves"]) > 2000:
        raise ValueError("run: expected a visit of at most 40 characters and at most 2,000 kinds of moves")
    for move in run["moves"]:
        sound = isinstance(move, list) and len(move) == 2 and move[0] in MOVES and type(move[1]) is int
        if not sound or not 1 <= move[1] <= MOST_MOVES:
            raise ValueError(f"run: {str(move)[:40]} is no move; expected such as ['both', 10]")
    return run


def _tuples(rules: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(tuple(p) for p in v) if isinstance(v, list) else v for k, v in rules.items() if k != "seed"}
