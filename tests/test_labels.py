"""Labels of a data set, read from its columns, asked for by name, and learned by a generator to order."""

from __future__ import annotations

import collections
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from gan_zoo import presets
from gan_zoo.cli import train as train_cli
from gan_zoo.labels import DataError, Vocabulary, parse, read_labels, read_vocabulary
from gan_zoo.plugins.anime.plugin import Anime

HAIR = ("red", "blue", "red", "green")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """80 pictures; `hair` a column of names, `old` of yes and no, `person` a number for each."""
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)) for _ in range(80)]
    columns = {
        "image": pictures,
        "hair": [HAIR[i % 4] for i in range(80)],
        "old": [i % 2 == 0 for i in range(80)],
        "gap": [None if i == 3 else "x" for i in range(80)],
        "odd": ["a=b" if i == 3 else "x" for i in range(80)],
        "same": ["x"] * 80,
        "score": [i / 2 for i in range(80)],
    }
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "hair": datasets.ClassLabel(names=["red", "green", "blue"]),
            "old": datasets.Value("bool"),
            **{name: datasets.Value("string") for name in ("gap", "odd", "same")},
            "score": datasets.Value("float32"),
        }
    )
    path = tmp_path_factory.mktemp("labels") / "faces.parquet"
    datasets.Dataset.from_dict(columns, features).to_parquet(str(path))
    return str(path)


def test_values_and_their_number_are_read_from_the_data(source: str) -> None:
    known = read_vocabulary(source, ("old", "hair"))
    assert known.shares == {"hair": {"blue": 20, "green": 20, "red": 40}, "old": {"False": 40, "True": 40}}
    held_out = read_labels(source, "validation", ("old", "hair"))
    assert [list(known.shares["hair"])[n] for n in held_out[:, 0]] == [HAIR[i % 4] for i in range(9, 80, 10)]
    assert known.one_hot(held_out).tolist()[0] == [1, 0, 0, 1, 0]  # blue, not old


def test_a_folder_with_subfolders_has_the_label_that_they_are(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    assert read_vocabulary(str(tmp_path), ("label",)).shares == {"label": {"cat": 1, "dog": 1}}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("eyes",), "'eyes' is no column of labels; there are: hair, old, gap, odd, same"),
        (("score",), "'score' is no column of labels"),
        (("gap",), "column gap: 1 of 80 rows have no value"),
        (("odd",), "'a=b' cannot be asked for"),
        (("same",), "column same has 1 different values; expected 2 to 256"),
        (("hair", "hair"), "expected each once"),
    ],
)
def test_columns_that_are_no_labels_are_refused_with_reasons(source: str, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_vocabulary(source, names)


def test_chance_gives_values_as_often_as_the_data_and_an_order_changes_nothing_else() -> None:
    known = Vocabulary.of({"hair": {"red": 30, "blue": 10}, "eyes": {"gray": 1, "brown": 1}})
    drawn = collections.Counter(known.draw(seed)["hair"] for seed in range(2000))
    assert drawn["red"] / 2000 == pytest.approx(0.75, abs=0.03)
    for seed in range(20):
        assert known.draw(seed, {"hair": "blue"}) == known.draw(seed) | {"hair": "blue"}
    assert parse("any") == parse("") == {}


def test_labels_train_a_generator_to_order_in_one_command(source: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    small = "--resolution 40 --channels 16,16,8,8 --latent-dim 8 --feature-size 32 --batch-size 4 --evaluate-count 8"
    flags = f"{small} --steps 2 --sample-every 0 --log-every 1 --precision fp32"
    argv = ["anime.labelled", "--data", source, "--labels", "hair,old", "--out", str(out), *flags.split()]
    assert train_cli.main([*argv, "--trackers", ""]) == 0
    log = (out / "log.jsonl").read_text()
    assert all(term in log for term in ("d/reading", "g/reading", '"read_back_hair"', '"read_back_of_real"'))

    plugin = Anime()
    faces = plugin.infer("order", str(out), wishes="hair=green, old=True", seed=3, count=2)
    assert [face.size for face in faces] == [(40, 40)] * 2
    assert presets.as_trained(plugin, str(out)).settings.labels == ("hair", "old")
    pipeline = plugin.load(str(out))
    counts = {"hair": {"blue": 20, "green": 20, "red": 40}, "old": {"False": 40, "True": 40}}
    assert pipeline.vocabulary.shares == counts
    y = pipeline.wishes([3], parse("hair=green"))
    assert y is not None
    assert torch.equal(y[0, :3], torch.tensor([0.0, 1.0, 0.0]))
    for wishes, message in [
        ("hair=pink", "hair: 'pink' is none of any, blue, green, red"),
        ("hat=red", "no attribute"),
    ]:
        with pytest.raises(ValueError, match=message):
            plugin.infer("order", str(out), wishes=wishes)
    with pytest.raises(ValueError, match="no attribute 'glasses'; there are: hair, old"):
        plugin.infer("order", str(out), glasses="round")
    more = ["anime", "--out", str(out), "--resume", "--steps", "3"]
    assert train_cli.main(more) == 0
