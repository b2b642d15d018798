"""The lab: distributions, fights that can be taken up again, whose weights move when, training, tasks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from gan_zoo.data import DataError
from gan_zoo.plugins.lab import faces, game, runs, subjects
from gan_zoo.plugins.lab.distributions import DISTRIBUTIONS, divergences, draw
from gan_zoo.plugins.lab.plugin import Lab
from gan_zoo.plugins.lab.rules import FACES_RULES, Rules
from gan_zoo.plugins.lab.tab import _player
from gan_zoo.ui import calls

RULES: dict[str, Any] = {"distribution": "ring", "seed": 3}
FACES: dict[str, Any] = FACES_RULES | {"width_g": 8, "width_d": 8, "batch": 8}
LAB = Lab()


@pytest.fixture(autouse=True)
def forgotten() -> None:
    LAB.fights.games.clear()


def take_up(
    run: dict[str, Any], what: str = "both", times: int = 0, **options: Any
) -> tuple[dict[str, Any], game.Game]:
    return LAB.fights.take_up(run, what, times, lambda fight: fight, **options)


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


def test_divergence_is_0_for_equals_and_1_bit_for_strangers():
    ring = draw("ring", 4000, torch.Generator().manual_seed(0))
    kl, js = divergences(ring, ring)
    assert kl == js == 0
    assert divergences(ring[:2000], ring[2000:])[1] < 0.05
    corner = torch.full((2000, 2), 0.95)
    kl, js = divergences(ring, corner)
    assert js == pytest.approx(1, abs=0.01) and kl > 5


@pytest.mark.parametrize("rules", [RULES, FACES], ids=["points", "faces"])
def test_ds_move_leaves_g_untouched_and_gs_leaves_d_frozen(rules):
    _, fight = take_up({"rules": rules, "moves": []})
    before, shown = {name: weights(fight, name) for name in ("generator", "discriminator")}, fight.state()
    fight.move("d")
    after = fight.state()
    assert same(before["generator"], weights(fight, "generator"))
    assert not same(before["discriminator"], weights(fight, "discriminator"))
    assert after["weights_g"] == shown["weights_g"] and after["weights_d"] != shown["weights_d"]
    police, shown = weights(fight, "discriminator"), after
    fight.move("g")
    after = fight.state()
    assert same(police, weights(fight, "discriminator"))
    assert not same(before["generator"], weights(fight, "generator"))
    assert after["weights_d"] == shown["weights_d"] and after["weights_g"] != shown["weights_g"]


def test_a_run_can_be_taken_up_again_and_replayed():
    first, _ = take_up(fresh(), "both", 5)
    first, _ = take_up(first, "d", 2)
    first, fight = take_up(first, "both", 3)
    assert first["moves"] == [["both", 5], ["d", 2], ["both", 3]]
    seen = fight.state()
    LAB.fights.games.clear()  # forgotten: made again from its moves
    again, replayed = take_up(json.loads(json.dumps(first)), "both", 0)
    assert again == first and replayed is not fight
    assert replayed.state() | {"loss_d": 0, "loss_g": 0} == seen | {"loss_d": 0, "loss_g": 0}


def test_two_visitors_do_not_disturb_each_other():
    one, other = fresh() | {"visit": "one"}, fresh() | {"visit": "other"}
    one, _ = take_up(one, "both", 3)
    other, fight = take_up(other, "both", 3)
    _, same_fight = take_up(one, "both", 0)
    assert same_fight is not fight and same_fight.state() == fight.state()


def test_fights_are_forgotten_and_long_ones_refused():
    limits = subjects.POINTS_SUBJECT.limits
    for seed in range(limits.kept + 5):
        take_up(fresh(seed=seed))
    assert len(LAB.fights.games) == limits.kept
    long = fresh() | {"moves": [["both", limits.replayed + 1]]}
    with pytest.raises(ValueError, match=r"forgotten, and too long to be made again \(5,001 moves\)"):
        take_up(long, "both", 1)
    with pytest.raises(ValueError, match="expected at most 20,000"):
        take_up(fresh() | {"moves": [["both", limits.moves]]}, "both", 1)


def test_a_visitor_has_one_fight_and_idle_ones_are_freed(monkeypatch):
    one, _ = take_up(fresh(seed=1) | {"visit": "a"}, "both", 1)
    take_up(fresh(seed=2) | {"visit": "b"}, "both", 1)
    take_up(fresh(seed=3) | {"visit": "a"}, "both", 1)
    assert [kept.visit for kept in LAB.fights.games.values()] == ["b", "a"]
    _, again = take_up(one, "both", 0)  # still a run: made again from its moves
    assert again.made == 1
    monkeypatch.setattr(runs, "IDLE", -1)
    take_up(fresh(seed=4))
    assert len(LAB.fights.games) == 1


def test_a_refused_move_loses_no_fight():
    run, fight = take_up(fresh(), "both", 3)
    with pytest.raises(ValueError, match="expected at most 20,000"):
        take_up(run, "both", 20_000)
    assert take_up(run)[1] is fight


def test_a_call_makes_as_many_moves_as_its_time_suffices_for():
    run, fight = take_up(fresh(), "both", 500, seconds=0.05)
    assert 1 <= fight.made < 500 and run["moves"] == [["both", fight.made]]


@pytest.mark.parametrize("distribution", ["ring", "gaussians"])
def test_a_fair_fight_comes_to_rest(distribution):
    _, fight = take_up(fresh(distribution=distribution, seed=1), "both", 2000)
    real = draw(distribution, 5000, torch.Generator().manual_seed(9))
    generator = fight.nets["generator"]
    with torch.no_grad():
        fake = generator(generator.noise(5000, torch.Generator().manual_seed(9)))
    assert divergences(real, fake)[1] < 0.13  # of 10 seeds each, 0.03 to 0.1
    state = fight.state()
    assert abs(state["d_real"] - 0.5) < 0.1 and abs(state["d_fake"] - 0.5) < 0.1
    assert game.Game(LAB, 0).state()["js"] > 0.6


def test_faces_are_learned_and_filmed():
    run, fight = take_up({"rules": FACES | {"width_g": 16, "width_d": 16}, "moves": []}, "both", 60)

    def far(fakes: torch.Tensor) -> float:  # of the mean face
        return float((fakes.mean(0) - faces.heap().mean(0)).abs().mean())

    untrained = game.Game(fight.plugin, 0)
    assert far(fight._fakes()) < 0.6 * far(untrained._fakes())
    state = fight.state()
    assert sum(state["answers_real"]) == sum(state["answers_fake"]) == 64 and len(state["on_fake"]) == 24
    json.dumps(state, allow_nan=False)
    film = LAB.infer("film", run=json.dumps(run))
    assert 30 < len(film.frames) <= game.FRAMES and film.frames[0].size == fight.picture().size
    assert np.array_equal(np.asarray(film.frames[-1]), np.asarray(fight.picture()))


def test_drawn_faces_differ_and_are_settled_by_their_seed():
    some = faces.draw_faces(64, torch.Generator().manual_seed(5))
    assert some.shape == (64, 3, 32, 32) and some.min() >= -1 and some.max() <= 1
    assert torch.equal(some, faces.draw_faces(64, torch.Generator().manual_seed(5)))
    apart = torch.cdist(some.flatten(1), some.flatten(1)) + torch.eye(64) * 99
    assert apart.min() > 1  # no two alike


def test_few_train_faces_at_once_and_it_can_be_switched_off(monkeypatch):
    run = {"rules": FACES, "moves": []}
    monkeypatch.setattr(LAB.fights, "at_faces", runs.MOST_AT_FACES)
    with pytest.raises(ValueError, match="6 others are training faces here"):
        take_up(run, "both", 1)
    take_up(fresh(), "both", 1)  # points wait for nobody
    monkeypatch.setattr(LAB.fights, "at_faces", 0)
    monkeypatch.setenv(runs.SWITCH, "off")
    with pytest.raises(ValueError, match="faces are not trained here"):
        take_up(run, "both", 1)


def test_divergence_as_d_sees_it():
    sure, unsure = torch.tensor([0.999999] * 4), torch.tensor([0.5] * 4)
    assert subjects.seen_divergence(sure, 1 - sure) == pytest.approx(1, abs=1e-3)
    assert subjects.seen_divergence(unsure, unsure) == pytest.approx(0, abs=1e-6)


def test_arrows_point_where_d_believes_more():
    fight = game.Game(Lab(Rules()), 0)
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
        (json.dumps(fresh() | {"start": "/etc"}), "start: expected ring or faces, got '/etc'"),
        ("9" * 50_000, "at most 40,000 characters"),
    ],
)
def test_runs_that_are_none_say_what_was_expected(text, message):
    with pytest.raises(ValueError, match=message):
        Lab().read(text)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            {"distribution": "cube"},
            "disjoint, drawn or faces, got 'cube'",
        ),
        ({"distribution": "drawn"}, "points: expected 1 to 400 pairs"),
        ({"distribution": "drawn", "points": ((2, 0),)}, "points: expected 1 to 400 pairs"),
        ({"width_g": 1000}, "width_g: expected a whole number from 1 to 64, got 1000"),
        ({"d_steps": True}, "d_steps: expected a whole number"),
        ({"rate_g": float("nan")}, "rate_g: expected a number from 0 to 1"),
        ({"rate_d": "fast"}, "rate_d: expected a number from 0 to 1, got fast"),
        ({"latent_dim": 3}, "latent_dim: expected 1 or 2 for points, got 3"),
        ({"cooling": 10**400}, "cooling: expected a number from 0 to 1e"),
    ],
)
def test_bad_rules_say_what_was_expected(rules, message):
    with pytest.raises(ValueError, match=message):
        Rules(**rules)


def test_the_page_plays_and_answers_bad_calls_with_a_line():
    play = calls.answering(LAB, _player(LAB))
    answer = play(json.dumps(fresh(distribution="drawn", points=[[0, 0], [0.5, 0.5]])), "both", 2)
    state, shown = answer["state"], subjects.SHOWN
    assert state["step"] == 2 and len(state["heat"]) == subjects.CELLS**2
    assert len(state["real"]) == len(state["fake"]) == len(state["push"]) == shown
    json.dumps(answer, allow_nan=False)
    assert play([json.dumps(answer["run"]), "d", 1])["state"]["step"] == 3
    faces_now = play(json.dumps({"rules": FACES, "moves": []}), "both", 1)
    assert faces_now["state"]["step"] == 1 and faces_now["picture"].startswith("data:image/webp;base64,")
    for bad in ((None,), ("{}",), (json.dumps(fresh()), "x", 1), (json.dumps(fresh()), "d", 10**6), ("x" * 50_000,)):
        assert set(play(*bad)) == {"error"}


def test_it_trains_as_every_plugin_does_and_ships_both_networks(tmp_path):
    plugin = Lab(Rules())
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
    assert len(data) == 27 and data.batch(range(2))["real"][1].tolist() == pytest.approx([0.01, -0.01])
    (tmp_path / "bad.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match="expected a CSV file with two numbers a line"):
        Lab().data(str(tmp_path / "bad.csv"), "train", 0)


def test_tasks_step_run_and_film():
    first = LAB.infer("step", times=3, seed=5)
    assert first.run["moves"] == [["both", 3]] and first.picture.size == (256, 256)
    second = LAB.infer("step", run=first.run, what="d", times=2)
    assert second.run["moves"] == [["both", 3], ["d", 2]] and second.state["step"] == 5
    looks = list(LAB.infer("run", moves=9, frames=4, seed=5))
    assert [look.state["step"] for look in looks] == [0, 3, 6, 9] and [look.film is None for look in looks] == [
        1,
        1,
        1,
        0,
    ]
    assert np.array_equal(np.asarray(looks[1].picture), np.asarray(first.picture))
    assert len(looks[-1].film.frames) == 10
    with pytest.raises(ValueError, match="needs no weights, so it takes no preset; got 'ring'"):
        LAB.infer("step", "ring")


@pytest.mark.parametrize(("task", "name"), [("step", "ring"), ("step_faces", "faces")])
def test_a_fight_goes_on_from_the_trained_model(task, name, monkeypatch):
    monkeypatch.delenv("GAN_ZOO_WEIGHTS", raising=False)
    lab = Lab()  # others may have loaded other weights
    before = lab.infer(task, start="trained", times=1, rate_g=0.0, rate_d=0.0)
    assert before.run["start"] == name and before.state["js"] < 0.6
    assert before.state["weights_g"] == game.fingerprint(lab.load(name).generator)
    assert lab.infer(task, run=before.run, times=2).state["step"] == 3
    assert lab.infer(task, start="trained", times=1, rate_g=0.0, rate_d=0.0).state == before.state  # no other's fight


def test_faces_are_bounded_for_who_watches():
    with pytest.raises(ValueError, match="batch: expected at most 64 for faces, got 65"):
        take_up({"rules": FACES | {"batch": 65}, "moves": []})


@pytest.mark.parametrize(
    ("run", "line"),
    [
        ({"rules": {"rate_g": 1.0, "rate_d": 1.0, "optimizer": "sgd", "penalty": 100.0}}, "run: diverged at move"),
        ({"rules": {}, "visit": "\ud800"}, "run: half of a character"),
    ],
)
def test_a_fight_that_cannot_go_on_says_so_in_a_line(run, line):
    with pytest.raises(ValueError, match=line):
        Lab().infer("step", times=300, run=json.dumps({"moves": [], **run}))
