"""Fights that callers take up again.

A fight is a pure function of its rules and moves. So a run travels with its caller as {"rules", "moves"}, nothing need
be kept for anybody, and the same calls give the same pictures; the last fights are remembered only to be quick.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from gan_zoo import presets
from gan_zoo.parsing import parse_json
from gan_zoo.plugin import MAX_SEED, Networks
from gan_zoo.plugins.lab.game import MOVES, Game
from gan_zoo.plugins.lab.rules import FACES, FACES_MOST, SHAPE, Rules
from gan_zoo.tasks import is_text

IDLE = 900  # seconds after which a fight that nobody plays is forgotten
MOST_AT_FACES = 6  # calls that train faces, move by move in turn
SWITCH = "GAN_ZOO_LAB_FACES"  # "off" where faces must not be trained
MOST_TEXT = 40_000  # characters of a run
T = TypeVar("T")
EXPECTED = 'a run as `step` returns it: {"rules": {...}, "moves": [["both", 10], ...]}'


class Kept(NamedTuple):
    game: Game
    visit: str | None
    since: float


class Fights:
    """The fights of one plugin, a `Lab`: the last ones, ready to go on, and whose turn it is."""

    def __init__(self, plugin: Any):
        self.plugin = plugin
        self.games: OrderedDict[str, Kept] = OrderedDict()
        self.at_faces = 0  # calls that train faces at the moment
        self._lock = threading.Lock()
        self._points_turn, self._faces_turn = threading.Lock(), threading.Lock()

    def take_up(
        self, run: dict[str, Any], what: str, times: int, look: Callable[[Game], T], seconds: float = math.inf
    ) -> tuple[dict[str, Any], T]:
        """The run after `times` more moves, or as many as `seconds` suffice for, and what `look` sees then.

        Raises ValueError for what is no run, for too long a one, and where faces are not trained.
        """
        moves = [list(move) for move in run["moves"]]
        made = sum(count for _, count in moves)
        with self._lock:
            kept = self.games.pop(_key(run), None)
        game = kept.game if kept else self._fresh(run)
        limits = game.subject.limits
        try:
            if made + times > limits.moves:
                raise ValueError(f"run: {made + times:,} moves, expected at most {limits.moves:,}: begin a new one")
            if kept is None and made > limits.replayed:
                raise ValueError(f"run: forgotten, and too long to be made again ({made:,} moves): begin anew")
            with self._place(game) as turn:
                for past, count in [] if kept else moves:
                    for _ in range(count):
                        with turn:
                            game.move(past)
                until = time.monotonic() + seconds
                while game.made < made + times and time.monotonic() < until:
                    with turn:
                        game.move(what)
                with turn:
                    seen = look(game)
        finally:
            if game.made == made:  # not one move: the run is as it was
                self._keep(run, game)
        if game.made == made:
            return run, seen
        if moves and moves[-1][0] == what:
            moves[-1][1] += game.made - made
        else:
            moves.append([what, game.made - made])
        after = run | {"moves": moves}
        self._keep(after, game)
        return after, seen

    def _fresh(self, run: dict[str, Any]) -> Game:
        """A fight by its rules, or from the trained networks of the preset `start`, whose own shapes then hold."""
        rules: dict[str, Any] = dict(run["rules"])
        seed, start = rules.pop("seed", 0), run.get("start")
        if "points" in rules:
            rules["points"] = tuple(tuple(p) for p in rules["points"])
        if start is None:
            nets, own = None, type(self.plugin)(Rules(**rules))
        else:
            pipeline = self.plugin.load(start)  # a copy of its own, on the CPU
            nets = Networks({"generator": pipeline.generator}, {"discriminator": pipeline.discriminator})
            nets.map(lambda _, network: network.requires_grad_(True))
            trained = dataclasses.asdict(presets.as_trained(self.plugin, start).settings)
            own = type(self.plugin)(
                Rules(**trained | {name: value for name, value in rules.items() if name not in SHAPE})
            )
        for name, most in FACES_MOST.items() if own.settings.distribution == FACES else ():
            if getattr(own.settings, name) > most:
                raise ValueError(f"{name}: expected at most {most} for faces, got {getattr(own.settings, name)}")
        return Game(own, seed, nets)

    @contextmanager
    def _place(self, game: Game) -> Iterator[threading.Lock]:
        """Among those who play: the lock to hold for each move.

        Of each subject one move is made at a time: threads that share Python's lock would wait for each other at every
        tensor, and faces would take the processor from other tabs.
        """
        if game.plugin.settings.distribution != FACES:
            yield self._points_turn
            return
        if not faces_are_trained():
            raise ValueError(f"faces are not trained here ({SWITCH}=off)")
        with self._lock:
            if self.at_faces >= MOST_AT_FACES:
                raise ValueError(f"{MOST_AT_FACES} others are training faces here: try again in a moment")
            self.at_faces += 1
        try:
            yield self._faces_turn
        finally:
            with self._lock:
                self.at_faces -= 1

    def _keep(self, run: dict[str, Any], game: Game) -> None:
        """Remembers a fight: one of a visitor, the last ones of each subject, none for long."""
        visit, now = run.get("visit"), time.monotonic()
        with self._lock:
            self.games[_key(run)] = Kept(game, visit, now)
            self.games.move_to_end(_key(run))
            for key, kept in list(self.games.items())[:-1]:
                if kept.since < now - IDLE or (visit is not None and kept.visit == visit):
                    del self.games[key]
            alike = [key for key, kept in self.games.items() if kept.game.subject is game.subject]
            for key in alike[: -game.subject.limits.kept]:
                del self.games[key]


def faces_are_trained() -> bool:
    """Not where the owner of a public page has switched them off."""
    return os.environ.get(SWITCH) != "off"


def _key(run: dict[str, Any]) -> str:
    return json.dumps(run, sort_keys=True)


def parse_run(text: str, presets: list[str]) -> dict[str, Any]:
    """A run from its JSON, as `Fights.take_up` gives it. Raises ValueError of one line."""
    try:
        run = parse_json(text) if len(text) <= MOST_TEXT else None
    except ValueError:
        raise ValueError(f"run: not JSON; expected {EXPECTED}") from None
    if not isinstance(run, dict) or not isinstance(run.get("rules"), dict) or not isinstance(run.get("moves"), list):
        raise ValueError(f"run: expected {EXPECTED}, at most {MOST_TEXT:,} characters")
    allowed = {field.name for field in dataclasses.fields(Rules)} | {"seed"}
    unknown = (set(run["rules"]) - allowed) | (set(run) - {"rules", "moves", "visit", "start"})
    if unknown:
        raise ValueError(f"run: {min(unknown)[:40]!r} is not part of a run")
    if not is_text(json.dumps(run, ensure_ascii=False)):
        raise ValueError(f"run: half of a character (a lone surrogate); expected {EXPECTED}")
    if not isinstance(run.get("visit", ""), str) or len(run.get("visit", "")) > 40 or len(run["moves"]) > 2000:
        raise ValueError("run: expected a visit of at most 40 characters and at most 2,000 kinds of moves")
    if "start" in run and run["start"] not in presets:
        raise ValueError(f"run: start: expected {' or '.join(presets)}, got {str(run['start'])[:40]!r}")
    _check_moves(run["moves"])
    _check_rules(run["rules"])
    return run


def _check_moves(moves: list[Any]) -> None:
    for move in moves:
        sound = isinstance(move, list) and len(move) == 2 and move[0] in MOVES and type(move[1]) is int
        if not sound or not 1 <= move[1] <= 10**6:
            raise ValueError(f"run: {str(move)[:40]} is no move; expected such as ['both', 10]")


def _check_rules(rules: dict[str, Any]) -> None:
    """What Rules cannot: the seed, and that points are lists."""
    seed, points = rules.get("seed", 0), rules.get("points", [])
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"run: seed {str(seed)[:40]}, expected a whole number from 0 to {MAX_SEED}")
    if not isinstance(points, list) or not all(isinstance(p, list) for p in points):
        raise ValueError("run: points are no list of pairs")
