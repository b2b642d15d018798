import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

from gan_zoo import data
from gan_zoo.data import DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def picture(value: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("RGB", size, (value, 2 * value, 255 - value))


def folder(root: Path, **counts: int) -> Path:
    """A folder of pictures; `a__b=3` puts three into a/b, `_=3` three into the root. Red counts up within each."""
    for name, count in counts.items():
        place = root / name.strip("_").replace("__", "/")
        place.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture(i).save(place / f"{i:03}.png")
    return root


def reds(dataset) -> list[int]:
    return [row["image"].getpixel((0, 0))[0] for row in dataset]


def test_a_folder_holds_out_every_tenth_picture(tmp_path):
    folder(tmp_path, _=25)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._000.png").write_text("what some systems leave behind")
    assert reds(data.load(tmp_path, split="validation")) == [9, 19]
    assert reds(data.load(str(tmp_path))) == [i for i in range(25) if i not in (9, 19)]
    assert reds(data.load(tmp_path, split="all")) == list(range(25))


@pytest.mark.parametrize("n", [2, 5, 9, 10, 11])
def test_small_sets_have_both_splits_and_they_never_meet(n):
    rows = Dataset.from_dict({"image": [picture(i) for i in range(n)]}, features=Features({"image": ImageFeature()}))
    train, held = (reds(data.load(rows, split=split)) for split in ("train", "validation"))
    assert train and held and sorted(train + held) == list(range(n))


def test_subfolders_are_labels_and_domains_of_their_own_sizes(tmp_path):
    folder(tmp_path, zebra=6, horse=13)
    dataset = data.load(tmp_path, split="all")
    assert dataset.features["label"].names == ["horse", "zebra"]
    parts = data.domains(dataset)
    assert {name: len(rows) for name, rows in parts.items()} == {"horse": 13, "zebra": 6}
    assert reds(parts["zebra"]) == list(range(6))


def test_train_a_and_train_b(tmp_path):
    folder(tmp_path, trainA=4, trainB=7)
    held = data.load(tmp_path, split="validation")  # no split of its own: the last row of each of so few
    assert len(held) == 2 and len(data.load(tmp_path)) == 9
    folder(tmp_path, testA=2, testB=3)
    assert {k: len(v) for k, v in data.domains(data.load(tmp_path)).items()} == {"A": 4, "B": 7}
    assert {k: len(v) for k, v in data.domains(data.load(tmp_path, split="validation")).items()} == {"A": 2, "B": 3}


def test_half_of_a_two_domain_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="3 pictures in trainA and 0 in trainB; expected some in both"):
        data.load(folder(tmp_path, trainA=3))


def test_a_folder_with_its_own_splits(tmp_path):
    folder(tmp_path, train__cat=5, train__dog=12, validation__dog=3, test__cat=1)
    train, held = data.load(tmp_path), data.load(tmp_path, split="validation")
    assert len(train) == 17 and len(held) == 3
    assert held.features["label"].names == train.features["label"].names == ["cat", "dog"]
    assert {k: len(v) for k, v in data.domains(held).items()} == {"dog": 3}


def test_a_class_named_test_does_not_become_a_split(tmp_path):
    dataset = data.load(folder(tmp_path, test=3, other=3), split="all")
    assert dataset.features["label"].names == ["other", "test"] and len(dataset) == 6


def test_parquet_file_and_folder(tmp_path):
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=["x", "y"])})
    rows = Dataset.from_dict({"image": [picture(i) for i in range(20)], "label": [0, 1] * 10}, features=features)
    rows.to_parquet(tmp_path / "faces.parquet")
    for source in (tmp_path / "faces.parquet", tmp_path):
        assert reds(data.load(source, split="validation")) == [18, 19]  # each tenth row of all would be a y
        assert reds(data.domains(data.load(source))["x"]) == list(range(0, 18, 2))
    (tmp_path / "both").mkdir()
    rows.to_parquet(tmp_path / "both" / "train-00000-of-00001.parquet")
    rows.select(range(3)).to_parquet(tmp_path / "both" / "test-00000-of-00001.parquet")
    assert len(data.load(tmp_path / "both")) == 20 and len(data.load(tmp_path / "both", split="validation")) == 3


def test_parquet_of_encoded_bytes_without_the_image_type(tmp_path):
    files = [path.read_bytes() for path in sorted(folder(tmp_path / "p", _=3).iterdir())]
    Dataset.from_dict({"image": files}).to_parquet(tmp_path / "bytes.parquet")
    assert reds(data.load(tmp_path / "bytes.parquet", split="all")) == [0, 1, 2]


def test_dataset_dict_saved_folder_and_stream(tmp_path):
    rows = Dataset.from_dict({"image": [picture(i) for i in range(12)]}, features=Features({"image": ImageFeature()}))
    splits = DatasetDict({"train": rows, "test": rows.select(range(4)), "validation": rows.select(range(2))})
    assert len(data.load(splits)) == 12 and len(data.load(splits, split="validation")) == 2
    splits.save_to_disk(tmp_path)
    assert len(data.load(tmp_path, split="validation")) == 2
    assert reds(data.load(rows, split="validation", streaming=True)) == [9]
    assert reds(data.load(rows.to_iterable_dataset(), split="validation")) == [9]
    assert len(reds(data.load(rows.to_iterable_dataset()))) == 11


def test_pairs_of_columns_and_people():
    pictures = [picture(i) for i in range(10)]
    pairs = Dataset.from_dict(
        {"imageA": pictures, "imageB": pictures[::-1]},
        features=Features({"imageA": ImageFeature(), "imageB": ImageFeature()}),
    )
    parts = data.domains(data.load(pairs, split="all", columns=["imageA", "imageB"]))
    assert reds(parts["A"]) == reds(parts["B"])[::-1] == list(range(10))

    people = pairs.rename_column("imageA", "image").add_column("person", ["p"] * 10)
    people = people.add_column("keypoints", [[[1.0, 2.0, 2.0]] * 18] * 10)
    rows = data.load(people, columns=["image", "person", "keypoints"])
    assert np.array(rows[0]["keypoints"]).shape == (18, 3)


def test_wrong_columns_say_what_is_there():
    rows = Dataset.from_dict({"image": [picture(0)] * 3}, features=Features({"image": ImageFeature()}))
    with pytest.raises(DataError, match="no column person, keypoints; found image; expected image, person, keypoints"):
        data.load(rows, columns=["image", "person", "keypoints"])
    with pytest.raises(DataError, match="expected image \\+ label, or imageA \\+ imageB"):
        data.domains(rows)
    with pytest.raises(DataError, match="no column image; found text"):
        data.load(Dataset.from_dict({"text": ["a", "b"]}))
    with pytest.raises(DataError, match="column image holds int64; expected pictures"):
        data.load(Dataset.from_dict({"image": [1, 2]}))
    renamed = data.load(rows.rename_column("image", "img"), split="all")
    assert len(renamed) == 3 and "image" in renamed.features


def test_labels_without_names():
    rows = Dataset.from_dict(
        {"image": [picture(i) for i in range(4)], "label": ["b", "a", "b", "b"]},
        features=Features({"image": ImageFeature(), "label": Value("string")}),
    )
    assert {k: reds(v) for k, v in data.domains(rows).items()} == {"a": [1], "b": [0, 2, 3]}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing/folder/of/pictures", "no such file or folder"),
        ("./nowhere", "no such file or folder"),
        ("gone.parquet", "no such file or folder"),
        (3, "data is a int: expected a Hub dataset id"),
    ],
)
def test_missing_sources(source, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        data.load(source)


def test_unusable_files_and_folders(tmp_path):
    with pytest.raises(DataError, match="no pictures, found nothing; expected a Hub dataset id, a folder"):
        data.load(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="no pictures, found 1 .txt"):
        data.load(tmp_path)
    with pytest.raises(DataError, match="a .txt file"):
        data.load(tmp_path / "a.txt")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(DataError, match="bad.parquet: cannot be read as a data set") as caught:
        data.load(tmp_path / "bad.parquet")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="split 'trian': expected"):
        data.load(tmp_path, split="trian")


def test_a_corrupt_picture_names_its_file_or_row(tmp_path):
    folder(tmp_path / "p", _=4)
    whole = (tmp_path / "p" / "002.png").read_bytes()
    (tmp_path / "p" / "002.png").write_bytes(whole[:50])
    with pytest.raises(DataError, match=r"row 2 \(.*002.png\): cannot read this picture"):
        data.images_to_tensor(data.load(tmp_path / "p", split="all"), 8)
    Dataset.from_dict({"image": [whole, b"hello"]}).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(DataError, match="row 1: cannot read this picture: not a picture"):
        data.images_to_tensor(data.load(tmp_path / "p.parquet", split="all"), 8)


def save(path: Path, picture: Image.Image, **options) -> Path:
    path.parent.mkdir(exist_ok=True)
    picture.save(path, **options)
    return path.parent


def test_alpha_exif_sixteen_bit_and_palette(tmp_path):
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    clear.putpixel((0, 0), (200, 0, 0, 255))
    pixels = data.images_to_tensor(data.load(save(tmp_path / "alpha" / "a.png", clear), split="all"), 4)[0]
    assert pixels[:, 0, 0].tolist() == [200, 0, 0] and pixels[:, 1:, 1:].min() == 255

    turned = Image.new("RGB", (4, 2))
    turned.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise: the first pixel is at the top right
    source = save(tmp_path / "exif" / "e.png", turned, exif=exif)
    pixels = data.images_to_tensor(data.load(source, split="all"), (4, 2))[0, 0]
    assert pixels.tolist() == [[0, 255], [0, 0], [0, 0], [0, 0]]

    deep = Image.fromarray(np.full((4, 4), 128 * 257, np.uint16))
    pixels = data.images_to_tensor(data.load(save(tmp_path / "deep" / "d.png", deep), split="all"), 4)
    assert (pixels == 128).all()

    for mode in ("L", "P", "CMYK", "1"):
        source = save(tmp_path / mode / "x.tif", Image.new("RGB", (4, 4), "white").convert(mode))
        assert (data.images_to_tensor(data.load(source, split="all"), 4) == 255).all(), mode


def test_other_shapes_are_covered_and_cropped_at_the_centre():
    wide = Image.new("RGB", (24, 8))
    wide.paste((255, 255, 255), (8, 0, 16, 8))
    rows = Dataset.from_dict({"image": [wide]}, features=Features({"image": ImageFeature()}))
    assert (data.images_to_tensor(rows, 8) == 255).all()
    assert data.images_to_tensor(rows, (16, 4)).shape == (1, 3, 16, 4)


def test_float_covers_the_range_of_the_networks():
    floats = data.to_float(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert floats.tolist() == pytest.approx([-1, -0.6, 1])


@pytest.mark.parametrize("n", [1, 3, 7, 10])
def test_every_epoch_is_a_permutation(n):
    epochs = data.sample_rows(torch.arange(8 * n), n, seed=5).view(8, n).tolist()
    assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
    if n >= 7:
        assert len({tuple(epoch) for epoch in epochs}) > 1


def test_rows_depend_on_sample_seed_and_stream_alone():
    samples = torch.arange(250)
    rows = data.sample_rows(samples, 100, seed=1)
    parts = [data.sample_rows(part, 100, seed=1) for part in reversed(samples.split(48))]
    assert torch.equal(torch.cat(parts[::-1]), rows)
    assert not torch.equal(data.sample_rows(samples, 100, seed=2), rows)
    assert not torch.equal(data.sample_rows(samples, 100, seed=1, stream=1), rows)
    with pytest.raises(ValueError, match="a set of 0 rows"):
        data.sample_rows(samples, 0, seed=1)


def test_flips_are_fair_and_vary_between_epochs():
    flips = data.sample_flips(torch.arange(20000), seed=0)
    assert 0.48 < flips.float().mean() < 0.52
    assert 0.48 < (flips[:-1] == flips[1:]).float().mean() < 0.52
    other = data.sample_flips(torch.arange(20000), seed=1)
    assert 0.48 < (flips == other).float().mean() < 0.52


def test_flip_mirrors_the_chosen_ones():
    pictures = torch.arange(2 * 3 * 2 * 4).view(2, 3, 2, 4)
    out = data.flip(pictures, torch.tensor([False, True]))
    assert torch.equal(out[0], pictures[0]) and torch.equal(out[1], pictures[1].flip(-1))


def test_import_leaves_datasets_for_later():
    code = "import sys, gan_zoo.data, gan_zoo.metrics; sys.exit('datasets' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pictures_are_mirrored_and_cropped_by_their_numbers_alone() -> None:
    pictures = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 3, 8, 8)
    here = data.Pictures(pictures, seed=1, training=True, crop=4)
    whole = here.some(range(12))
    assert whole.shape == (12, 3, 4, 4)
    assert torch.equal(torch.cat([here.some(range(5)), here.some(range(5, 12))]), whole)
    assert len(whole[:10, 0, 0, 0].unique()) == 10  # an epoch shows each picture once
    apart = data.Pictures(pictures, seed=1, training=False, crop=4)
    assert torch.equal(apart.some(range(8, 12))[:, 0, 0, 0], data.to_float(torch.tensor([8, 9, 0, 1])))


def test_domains_of_unequal_size_are_not_paired() -> None:
    heaps = [torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 3, 4, 4) for n in (6, 4)]
    sets = {name: data.Pictures(heap, 0, True, stream=i) for i, (name, heap) in enumerate(zip("ab", heaps))}
    both = data.Domains(sets)
    assert len(both) == 6
    batch = both.batch(range(12))
    rows = {name: ((tensor[:, 0, 0, 0] + 1) * 127.5).round().int() for name, tensor in batch.items()}
    assert sorted(rows["a"].tolist()) == sorted([*range(6)] * 2)
    assert sorted(rows["b"].tolist()) == sorted([*range(4)] * 3)
    assert rows["a"][:4].tolist() != rows["b"][:4].tolist()


def test_uniform_numbers_are_even_and_independent_between_streams() -> None:
    numbers = torch.arange(4000)
    first, second = (data.sample_uniform(numbers, 0, stream) for stream in (0, 1))
    assert float(first.min()) >= 0 and float(first.max()) < 1
    assert torch.histc(first.float(), 10, 0, 1).min() > 330
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.05


def test_a_set_too_large_for_memory_is_decoded_on_demand(tmp_path, monkeypatch):
    """The same pictures, in the same order, whatever fits."""
    from gan_zoo import decoding

    rows = data.load(folder(tmp_path, _=20), split="all")
    whole = data.images_to_tensor(rows, 16)
    monkeypatch.setattr(decoding, "IN_MEMORY", 5 * 3 * 16 * 16)  # five of them
    some = decoding.pictures_of(rows, 16)
    assert isinstance(some, decoding.OnDemand) and some.shape == whole.shape
    for asked in (torch.tensor([3, 3, 0]), slice(2, 9), 4, [1, 5], torch.tensor([[7, 8]])):
        for _ in range(2):  # decoded, and kept
            assert torch.equal(some[asked], whole[asked])
    assert len(some.kept) == 5
    assert torch.equal(torch.cat(list(some.split(4))), whole)
    in_memory, on_demand = (data.Pictures(each, seed=1, training=True, crop=8) for each in (whole, some))
    assert torch.equal(in_memory.batch(range(6, 30))["image"], on_demand.batch(range(6, 30))["image"])


def test_addresses_are_no_pictures():
    rows = Dataset.from_dict({"url": ["https://example.com/a.jpg"] * 4, "image": ["https://example.com/a.jpg"] * 4})
    with pytest.raises(data.DataError, match="column image holds addresses; expected pictures: fetch them first"):
        data.load(rows)


def test_a_column_of_paths_under_another_name(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    rows = data.load(Dataset.from_dict({"img": [str(tmp_path / "a.png")] * 4}), split="all")
    assert data.images_to_tensor(rows, 8).shape == (4, 3, 8, 8)
