"""Folders as people have them: splits in any case and at either level, what systems leave, half a table, links."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_data import folder, own_cache  # noqa: F401

from gan_zoo import data, layouts


def counts(root: Path, split: str = "train") -> dict[str, int]:
    return {name: len(rows) for name, rows in data.domains(data.load(root, split=split)).items()}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train__horse Train__zebra", "Test__horse Test__zebra"),
        ("horse__train zebra__train", "horse__test zebra__test"),
        ("TRAIN__horse TRAIN__zebra", "VAL__horse VAL__zebra"),
    ],
)
def test_splits_are_known_in_any_case_and_at_either_level(tmp_path, train, test):
    folder(tmp_path, **dict.fromkeys(train.split(), 12), **dict.fromkeys(test.split(), 3))
    assert counts(tmp_path) == {"horse": 12, "zebra": 12}
    assert counts(tmp_path, "validation") == {"horse": 3, "zebra": 3}


def test_a_label_may_be_called_test(tmp_path):
    folder(tmp_path, test=20, other=20)
    assert counts(tmp_path) == {"other": 18, "test": 18}


def test_some_of_each_label_is_held_out(tmp_path):
    folder(tmp_path, trainA=5, trainB=20)
    assert counts(tmp_path, "validation") == {"A": 1, "B": 2}
    assert counts(tmp_path) == {"A": 4, "B": 18}


def test_what_systems_leave_is_not_read(tmp_path):
    folder(tmp_path, _=10)
    for name in ("@eaDir/000.png/SYNOPHOTO_THUMB_M.png", ".thumbnails/000.png", "__MACOSX/000.png", "._000.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((tmp_path / "000.png").read_bytes())
    assert len(data.load(tmp_path, split="all")) == 10


def test_links_to_folders_are_followed_once(tmp_path):
    folder(tmp_path / "elsewhere", _=12)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data")
    assert len(data.load(tmp_path / "data", split="all")) == 12


def test_a_table_counts_where_it_names_all_pictures(tmp_path):
    folder(tmp_path, _=10)
    rows = [json.dumps({"file_name": f"{i:03}.png", "text": "x"}) for i in range(10)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(rows[:4]) + "\n")
    assert len(data.load(tmp_path, split="all")) == 10
    (tmp_path / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    assert "text" in data.load(tmp_path, split="all").features


def test_brackets_spaces_and_jfif(tmp_path):
    root = folder(tmp_path / "my [old] photos", _=9)
    (root / "web.jfif").write_bytes((root / "000.png").read_bytes())
    assert len(data.load(root, split="all")) == 10


def test_a_run_is_told_what_it_reads(tmp_path):
    folder(tmp_path, horse=20, zebra=10)
    for i in range(3):
        (tmp_path / "horse" / f"IMG_{i}.CR2").write_bytes(b"II*\0")
    told = data.describe(str(tmp_path))
    assert told == f"{tmp_path}: 20 horse, 10 zebra; 3 held out; 3 .cr2 left out"


def test_half_of_a_pair_of_domains_is_named(tmp_path):
    folder(tmp_path, trainA=12)
    with pytest.raises(data.DataError, match="12 pictures in trainA and 0 in trainB; expected some in both"):
        data.load(tmp_path)


def test_a_path_that_is_not_there_is_told_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(data.DataError, match="^data/pictrues: no such file or folder"):
        data.load("data/pictrues")
    assert layouts.left_out([]) == ""
