"""One room for names: what `--preset`, `--init` and Python may be told, and what pictures are signed with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import Toy

from gan_zoo import hub, presets
from gan_zoo.weights import WeightsError

SHORT: dict[str, Any] = {"steps": 2, "batch_size": 4, "evaluate_count": 0, "trackers": ""}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    Toy().train(out=tmp_path / "runs" / "circles", **SHORT)
    return tmp_path / "runs" / "circles"


def test_a_run_its_weights_and_a_path_without_a_slash_are_the_same(run, monkeypatch):
    folder = run / "weights"
    monkeypatch.chdir(run.parent)
    assert {presets.find(Toy(), str(text)) for text in (run, folder, "circles", "./circles/weights")} == {folder}


def test_training_begins_with_what_a_preset_may_be_called(run, tmp_path):
    Toy().train(out=tmp_path / "next", init=str(run), **SHORT | {"lr_g": 1e-12})
    before, after = (Toy().load(str(path)).generator.state_dict() for path in (run, tmp_path / "next"))
    assert all(torch.allclose(before[name], after[name], atol=1e-3) for name in before)


def test_pictures_are_signed_by_the_manifest_s_name(run):
    (picture, *_) = Toy().infer(preset=str(run))
    assert json.loads(picture.info["gan_zoo"])["preset"] == "circles"


@pytest.mark.parametrize("text", ["runs/nothing", "weights/toy/none", "/nowhere/at/all", "./a"])
def test_a_path_that_is_none_is_told_so_and_no_hub_is_asked(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="there is no weights folder or finished run at"):
        presets.find(Toy(), text)


def test_an_owner_and_a_name_are_asked_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []
    monkeypatch.setattr(hub, "pull", lambda repo_id, **_: asked.append(repo_id) or tmp_path)
    assert presets.find(Toy(), "ana/squares-of-hers") == tmp_path
    assert asked == ["ana/squares-of-hers"]


def test_a_score_that_fails_loses_no_run(tmp_path, capsys):
    class Failing(Toy):
        def evaluate(self, pipeline, data, count):
            raise ValueError("3 and 3 pictures: expected at least 4 of each")

    weights = Failing().train(out=tmp_path / "mi run", **SHORT | {"evaluate_count": 8, "evaluate_every": 1})
    assert "no scores at step 2: 3 and 3 pictures" in capsys.readouterr().out
    assert hub.verify(weights).preset == "mi-run"
