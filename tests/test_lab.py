"""The lab: distributions, fights that can be taken up again, whose weights move when, training, tasks."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from gan_zoo.data import DataError
from gan_zoo.plugins.lab import game
from gan_zoo.plugins.lab.distributions import DISTRIBUTIONS, divergences, draw
from gan_zoo.plugins.lab.plugin import Lab, Settings
from gan_zoo.plugins.lab.tab import _player

RULES: dict[str, Any] = {"distribution": "ring", "rate_g": 0.003, "rate_d": 0.005, "seed": 3}


def fresh(**rules: Any) -> dict[str, Any]:
    return {"rules": RULES | rules, "moves": []}


def weights(fight: game.Game, name: str) -> list[torch.Tensor]:
    return [p.detach().clone() for p in fight.nets[name].parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions_lie_in_the_square_and_are_settled_by_their_seed(name):
    points = draw(name, 2000, torch.Generator().manual_seed(0))
    assert points.shape == (2000, 2) and points.abs().max() < 1.2 and points.std(0).min() > 0.2
    assert torch.equal(points, draw(name, 2000, torch.Generator().manual_seed(0)))


def test_divergence_is_0_for_equals_and_log_2_for_strangers():
    ring = draw("ring", 4000, torch.Generator().manual_seed(0))
    kl, js = divergences(ring, ring)
    assert kl == js == 0
    assert divergences(ring[:2000], ring[2000:])[1] < 0.02
    corner = torch.full((2000, 2), 0.95)
    kl, js = divergences(ring, corner)
    assert js == pytest.approx(math.log(2), abs=0.01) and kl > 5


def test_ds_move_leaves_g_untouched_and_gs_leaves_d_frozen():
    fight = game.Game(Lab(Settings()), 0)
    before = {name: weights(fight, name) for name in ("generator", "discriminator")}
    fight.move("d")
    assert same(before["generator"], weights(fight, "generator"))
    assert not same(before["discriminator"], weights(fight, "discriminator"))
    police = weights(fight, "discriminator")
    fight.move("g")
    assert same(police, weights(fight, "discriminator"))
    assert not same(before["generator"], weights(fight, "generator"))


def test_a_run_can_be_taken_up_again_and_replayed():
    first, _ = game.take_up(Lab, fresh(), "both", 5)
    first, _ = game.take_up(Lab, first, "d", 2)
    first, fight = game.take_up(Lab, first, "both", 3)
    assert first["moves"] == [["both", 5], ["d", 2], ["both", 3]]
    seen = fight.state()
    game._games.clear()  # forgotten: made again from its moves
    again, replayed = game.take_up(Lab, json.loads(json.dumps(first)), "both", 0)
    assert again == first and replayed is not fight
    assert replayed.state() | {"loss_d": 0, "loss_g": 0} == seen | {"loss_d": 0, "loss_g": 0}


def test_two_visitors_do_not_disturb_each_other():
    one, other = fresh() | {"visit": "one"}, fresh() | {"visit": "other"}
    one, _ = game.take_up(Lab, one, "both", 3)
    other, fight = game.take_up(Lab, other, "both", 3)
    _, same_fight = game.take_up(Lab, one, "both", 0)
    assert same_fight is not fight and same_fight.state() == fight.state()


def test_fights_are_forgotten_and_long_ones_refused():
    for seed in range(game.KEPT + 5):
        game.take_up(Lab, fresh(seed=seed), "both", 0)
    assert len(game._games) == game.KEPT
    long = fresh() | {"moves": [["both", game.MOST_REPLAYED + 1]]}
    with pytest.raises(ValueError, match=r"forgotten, and too long to be made again \(5,001 moves\)"):
        game.take_up(Lab, long, "both", 1)
    with pytest.raises(ValueError, match="expected at most 20,000"):
        game.take_up(Lab, fresh() | {"moves": [["both", game.MOST_MOVES]]}, "both", 1)


def test_a_fair_fight_comes_to_equilibrium():
    _, fight = game.take_up(Lab, fresh(distribution="ring", seed=1), "both", 1500)
    state = fight.state()
    assert state["js"] < 0.15
    assert abs(state["d_real"] - 0.5) < 0.1 and abs(state["d_fake"] - 0.5) < 0.1
    assert game.Game(Lab(Settings()), 0).state()["js"] > 0.4


def test_arrows_point_where_d_believes_more():
    fight = game.Game(Lab(Settings()), 0)
    for _ in range(100):
        fight.move("d")
    state = fight.state()
    fake, push = torch.tensor(state["fake"]), torch.tensor(state["push"])
    d = fight.nets["discriminator"]
    with torch.no_grad():
        rises = d(fake + 0.02 * push / push.norm(dim=1, keepdim=True).clamp(min=1e-6)) > d(fake)
    assert rises.float().mean() > 0.9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "run: not JSON"),
        ("{}", "run: expected a run"),
        (json.dumps(fresh(colour=1)), "'colour' is not part of a run"),
        (json.dumps(fresh() | {"more": 1}), "'more' is not part of a run"),
        (json.dumps(fresh() | {"moves": [["both", -1]]}), "is no move"),
        (json.dumps(fresh() | {"moves": [["both", True]]}), "is no move"),
        (json.dumps(fresh() | {"moves": [["x", 1]]}), "is no move"),
        (json.dumps(fresh() | {"visit": "v" * 41}), "at most 40 characters"),
        (json.dumps(fresh(seed=-1)), "seed -1, expected"),
        (json.dumps(fresh(points=7)), "points are no list"),
    ],
)
def test_runs_that_are_none_say_what_was_expected(text, message):
    with pytest.raises(ValueError, match=message):
        Lab().read(text)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"distribution": "cube"}, "distribution: expected line, gaussians, ring, disjoint, drawn, got 'cube'"),
        ({"distribution": "drawn"}, "points: expected 1 to 400 pairs"),
        ({"distribution": "drawn", "points": ((2, 0),)}, "points: expected 1 to 400 pairs"),
        ({"width_g": 1000}, "width_g: expected a whole number from 1 to 64, got 1000"),
        ({"d_steps": True}, "d_steps: expected a whole number"),
        ({"rate_g": float("nan")}, "rate_g: expected a number from 0 to 1"),
        ({"rate_d": "fast"}, "rate_d: expected a number from 0 to 1, got fast"),
    ],
)
def test_bad_rules_say_what_was_expected(rules, message):
    with pytest.raises(ValueError, match=message):
        Settings(**rules)


def test_the_page_plays_and_answers_bad_calls_with_a_line():
    play = _player(Lab())
    answer = play(json.dumps(fresh(distribution="drawn", points=[[0, 0], [0.5, 0.5]])), "both", 2)
    assert answer["state"]["step"] == 2 and len(answer["state"]["heat"]) == game.CELLS**2
    assert len(answer["state"]["real"]) == len(answer["state"]["fake"]) == len(answer["state"]["push"]) == game.SHOWN
    json.dumps(answer, allow_nan=False)
    assert play([json.dumps(answer["run"]), "d", 1])["state"]["step"] == 3
    for bad in ((None,), ("{}",), (json.dumps(fresh()), "x", 1), (json.dumps(fresh()), "d", 10**6), ("x" * 50_000,)):
        assert set(play(*bad)) == {"error"}


def test_it_trains_as_every_plugin_does_and_ships_both_networks(tmp_path):
    plugin = Lab(Settings())
    options: dict[str, Any] = {"lr_g": 2e-3, "lr_d": 3e-3, "beta1": 0.5, "precision": "fp32", "trackers": ""}
    out = plugin.train(out=tmp_path / "run", steps=600, batch_size=128, **options)
    loaded = plugin.load(str(out))
    assert loaded(0, 100).shape == (100, 2) and loaded.discriminator is not None
    scores = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()][-1]["scores"]
    untrained = plugin.evaluate(plugin.pipeline(plugin.networks()), plugin.data(None, "validation", 0), 0).scores
    assert scores["js"] < untrained["js"] - 0.1 and scores["js_floor"] < 0.05


def test_points_of_a_file_are_learned_from(tmp_path):
    (tmp_path / "p.csv").write_text("\n".join(f"{i / 100},{-i / 100}" for i in range(30)))
    data = Lab().data(str(tmp_path / "p.csv"), "train", 0)
    assert len(data) == 27 and data.batch(range(2))["point"][1].tolist() == pytest.approx([0.01, -0.01])
    (tmp_path / "bad.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match="expected a CSV file with two numbers a line"):
        Lab().data(str(tmp_path / "bad.csv"), "train", 0)


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> str:
    from gan_zoo import hub

    plugin = Lab()
    made = plugin.pipeline(plugin.networks())
    return str(hub.save(made, tmp_path_factory.mktemp("lab") / "weights", plugin="lab", preset="tiny", card=""))


def test_tasks_step_and_run(preset):
    first = Lab().infer("step", preset, times=3, seed=5)
    assert first.run["moves"] == [["both", 3]] and first.picture.size == (256, 256)
    second = Lab().infer("step", preset, run=first.run, what="d", times=2)
    assert second.run["moves"] == [["both", 3], ["d", 2]] and second.state["step"] == 5
    watched = Lab().infer("run", preset, moves=9, frames=4, seed=5)
    assert len(watched.film.frames) == 4 and [s["step"] for s in watched.states["states"]] == [0, 3, 6, 9]
    assert np.asarray(watched.film.frames[1]).shape == (256, 256, 3)
    assert np.array_equal(np.asarray(watched.film.frames[1]), np.asarray(first.picture))
