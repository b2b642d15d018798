"""Characters to order, and the tools in the space of z: data, labels, tasks, and what a picture's file says of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_zoo import images
from gan_zoo.labels import parse
from gan_zoo.plugins.anime import attributes, latent, readback
from gan_zoo.plugins.anime.attributes import ATTRIBUTES, BUILT_IN, DETAILS
from gan_zoo.plugins.anime.drawn import draw_character
from gan_zoo.plugins.anime.networks import AnimeGenerator
from gan_zoo.plugins.anime.ordering import AnimeCharacters, CharacterSettings
from gan_zoo.plugins.anime.pipeline import AnimePipeline
from gan_zoo.plugins.anime.plugin import Anime

TINY = {"resolution": 32, "latent_dim": 40, "channels": (32, 16, 16, 8)}


def make(wishes: int) -> AnimePipeline:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = AnimeGenerator(**TINY, attributes=wishes, details=tuple(DETAILS.values()) if wishes else ())
        for block in generator.blocks:
            if wishes:
                torch.nn.init.normal_(block.style.weight)  # type: ignore[union-attr, arg-type]
        with torch.no_grad():  # strong colours, and batch norm has seen something
            generator.to_rgb.weight *= 20
            generator(torch.randn(256, 40), y=BUILT_IN.one_hot(labels(range(256))) if wishes else None)
    generator.eval().measure_mean()
    return AnimePipeline(generator, None)


def labels(seeds: range) -> torch.Tensor:
    return torch.stack([BUILT_IN.numbers(BUILT_IN.draw(seed)) for seed in seeds])


@pytest.fixture(scope="module")
def ordered() -> AnimePipeline:
    return make(BUILT_IN.size)


@pytest.fixture(scope="module")
def free() -> AnimePipeline:
    return make(0)


def pixels(picture) -> np.ndarray:
    return np.asarray(picture).astype(int)


# -- data and labels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_every_value_can_be_seen_in_the_drawing(name):
    """The same character in all values of one attribute: no two drawings are alike."""
    drawings = [pixels(draw_character(5, 64, {"glasses": "none"} | {name: v})) for v in ATTRIBUTES[name].values]
    for i, a in enumerate(drawings):
        for b in drawings[i + 1 :]:
            assert (np.abs(a - b).max(axis=2) > 40).sum() >= 3


def test_what_is_asked_changes_nothing_else():
    for seed in range(20):
        drawn = BUILT_IN.draw(seed)
        assert BUILT_IN.draw(seed, {"eyes": "red"}) == drawn | {"eyes": "red"}
        assert BUILT_IN.draw(seed, {"eyes": "any"}) == drawn


def test_labels_come_as_often_as_the_definition_says():
    drawn = labels(range(3000))
    for i, (name, count) in enumerate(zip(ATTRIBUTES, BUILT_IN.counts, strict=True)):
        shares = drawn[:, i].bincount(minlength=count) / len(drawn)
        expected = torch.tensor([0.5] + [0.5 / 3] * 3) if name == "glasses" else torch.full((count,), 1 / count)
        torch.testing.assert_close(shares, expected, atol=0.035, rtol=0)


def test_one_hot_holds_a_one_for_each_attribute():
    y = BUILT_IN.one_hot(labels(range(8)))
    assert y.shape == (8, BUILT_IN.size)
    for part, n in zip(y.split(BUILT_IN.counts, dim=1), labels(range(8)).unbind(1), strict=True):
        assert torch.equal(part.argmax(1), n)
        assert (part.sum(1) == 1).all()


def test_settled_noise_tells_the_details_and_is_still_noise():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4000, 40, generator=generator)
    details = torch.stack([torch.randint(n, (4000,), generator=generator) for n in DETAILS.values()], dim=1)
    settled = attributes.settle(z, details)
    parts = settled[:, : sum(DETAILS.values())].split(tuple(DETAILS.values()), dim=1)
    assert torch.equal(torch.stack([part.argmax(1) for part in parts], dim=1), details)
    assert torch.equal(settled.sort(dim=1).values, z.sort(dim=1).values)
    assert settled.mean(0).abs().max() < 0.1
    assert (settled.std(0) - 1).abs().max() < 0.1


def test_wishes_are_read_and_refused_with_reasons():
    assert parse("any") == {}
    assert parse(" hair_color = blue ,eyes=any") == {"hair_color": "blue", "eyes": "any"}
    for text, message in [("blue", "expected wishes such as"), ("hair_color=blue=red", "expected wishes such as")]:
        with pytest.raises(ValueError, match=message):
            parse(text)
    with pytest.raises(ValueError, match="no attribute 'hat'; there are: hair_color"):
        BUILT_IN.draw(0, {"hat": "red"})
    with pytest.raises(ValueError, match="skin: 'plaid' is none of any, pale"):
        BUILT_IN.draw(0, {"skin": "plaid"})


def test_the_judge_reads_what_was_drawn():
    reader = readback.taught_reader(32, 320, epochs=12, batch=16)
    pictures, asked = readback.draw_characters(range(100), 32), BUILT_IN.drawn(range(100))
    found = readback.balanced_accuracy(reader.read(pictures), asked)
    assert found["hair_color"] > 0.8
    assert found["hair_color"] > readback.balanced_accuracy(reader.read(pictures.flip(0)), asked)["hair_color"] + 0.4


# -- training ---------------------------------------------------------------------------------------------------------


def test_characters_train_on_the_built_in_data(tmp_path):
    settings = CharacterSettings(**TINY, feature_size=32, drawn=80, judged_by=64)
    options = {"batch_size": 4, "evaluate_count": 8, "sample_every": 0, "log_every": 1, "trackers": ""}
    weights = AnimeCharacters(settings).train(out=tmp_path / "run", steps=2, **options)
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert all(term in log for term in ("d/reading", "g/reading", "g/likeness"))
    assert '"read_back_hair_color"' in log
    again = Anime()
    first, second = again.infer("change", str(weights), to="skin=deep", wishes="skin=pale")
    assert (pixels(first) != pixels(second)).any()


# -- tasks ------------------------------------------------------------------------------------------------------------


def test_a_face_is_found_and_then_changed(tmp_path):
    plugin, path = Anime(), tmp_path / "face.png"
    draw_character(5, 128).save(path)  # one that no seed gives
    asked = {"wishes": "hair_color=green", "steps": 30}
    *_, last = plugin.infer("find", "characters", image=path, **asked)
    given, found, changed = (pixels(picture) for picture in last)
    faces = [pixels(face) for face in plugin.infer("order", "characters", seed=0, count=64)]
    assert np.abs(found - given).mean() < 0.65 * min(np.abs(face - given).mean() for face in faces)
    hair = np.abs(pixels(draw_character(5, 128, {"hair_color": "green"})) - given).max(axis=2) > 40
    assert np.abs(changed - found)[hair].mean() > 4 * np.abs(changed - found)[~hair].mean()
    path = tmp_path / "found.png"
    images.save_png(last[2], path)
    assert plugin.infer("restore", image=path)["arguments"] == asked
    with pytest.raises(ValueError, match="no attribute 'hat'"):
        next(plugin.infer("find", "characters", image=path, wishes="hat=red"))


def test_an_order_sets_its_attributes_and_leaves_the_rest_to_the_seed(ordered):
    plugin = Anime()
    chance = BUILT_IN.draw(3)
    some = plugin.order(ordered, eyes="red", seed=3, count=2)
    same = plugin.order(ordered, **(chance | {"eyes": "red"}), seed=3, count=1)
    other = plugin.order(ordered, **(chance | {"eyes": "blue"}), seed=3, count=1)
    assert np.abs(pixels(some[0]) - pixels(same[0])).max() <= 1
    assert np.abs(pixels(other[0]) - pixels(same[0])).max() > 1


def test_nothing_can_be_ordered_of_weights_that_know_no_attributes(free):
    with pytest.raises(ValueError, match="take no attributes: choose a preset of characters to order"):
        Anime().order(free, eyes="red")
    assert len(Anime().order(free, count=2)) == 2  # nothing is asked


def test_a_change_keeps_the_character(ordered):
    before, after = Anime().change(ordered, to="glasses=round", seed=4, wishes="eyes=red")
    expected = ordered([4], asked={"eyes": "red"}), ordered([4], asked={"eyes": "red", "glasses": "round"})
    for picture, pictures in zip((before, after), expected, strict=True):
        assert np.abs(pixels(picture) - pixels(images.to_images(pictures)[0])).max() <= 1


@pytest.mark.parametrize("kind", ["ordered", "free"])
def test_variations_are_nearer_the_smaller_the_amount(kind, request):
    pipeline = request.getfixturevalue(kind)
    face = pixels(Anime().generate_task(pipeline, seed=9, count=1)[0])
    spread = []
    for amount in (0.0, 0.2, 0.8):
        made = Anime().variations(pipeline, seed=9, amount=amount, number=6)
        assert np.abs(pixels(made[0]) - face).max() <= 1
        spread.append(np.mean([np.abs(pixels(picture) - face).mean() for picture in made[1:]]))
    assert spread[0] <= 1 < spread[1] < spread[2]
    fewer = Anime().variations(pipeline, seed=9, amount=0.8, number=3)
    for a, b in zip(fewer, made, strict=False):
        assert np.abs(pixels(a) - pixels(b)).max() <= 1


@pytest.mark.parametrize("kind", ["ordered", "free"])
def test_directions_are_orthonormal_and_the_first_moves_most(kind, request):
    generator = request.getfixturevalue(kind).generator
    found = latent.directions(generator)
    torch.testing.assert_close(found @ found.T, torch.eye(40), atol=1e-4, rtol=0)

    def moved(direction):  # before the activation, on which SeFa's argument stands
        weight = generator.start.weight[:, :40]
        x = generator.start_norm((direction @ weight.T).view(1, -1, 4, 4))
        return float((x - generator.start_norm(torch.zeros_like(x))).norm())

    with torch.no_grad():
        lengths = [moved(direction) for direction in found]
        others = torch.nn.functional.normalize(torch.randn(20, 40, generator=torch.Generator().manual_seed(0)))
        assert lengths == sorted(lengths, reverse=True)
        assert lengths[0] > max(moved(direction) for direction in others) > lengths[-1]


def test_a_walk_passes_through_the_face(free):
    walk = Anime().directions(free, seed=2, direction=3, strength=0.5, steps=5)
    face = pixels(Anime().generate_task(free, seed=2, count=1)[0])
    away = [np.abs(pixels(picture) - face).mean() for picture in walk.pictures]
    assert away[2] < 0.5 < min(away[1], away[3])
    assert len(walk.film.frames) == 8
    assert [picture.info["caption"] for picture in walk.pictures] == ["-0.50", "-0.25", "+0.00", "+0.25", "+0.50"]


def test_a_sheet_shows_each_face_over_its_seed(free):
    sheet = Anime().sheet(free, seed=5, columns=3, rows=2)
    faces = Anime().generate_task(free, seed=5, count=6)
    height = sheet.height // 2 + 4
    assert sheet.width == 3 * 32 + 2 * 8
    for i in (0, 4):
        x, y = i % 3 * 40, i // 3 * height
        assert np.array_equal(pixels(sheet.crop((x, y, x + 32, y + 32))), pixels(faces[i]))
        assert pixels(sheet.crop((x, y + 33, x + 32, y + height - 9))).min() < 150  # its seed


# -- what a picture says of itself ------------------------------------------------------------------------------------


def test_a_saved_picture_says_how_to_make_it_again(ordered, tmp_path):
    plugin = Anime()
    plugin._pipelines["somewhere"] = ordered
    picture = plugin.infer("order", "somewhere", skin="deep", seed=7, count=3, truncation=0.8)[2]
    images.save_png(picture, tmp_path / "picture.png")
    made = plugin.restore(ordered, image=str(tmp_path / "picture.png"))
    assert (made["task"], made["preset"]) == ("order", "somewhere")
    assert (made["arguments"]["seed"], made["arguments"]["skin"]) == (9, "deep")
    again = plugin.infer(made["task"], made["preset"], **made["arguments"] | {"count": 1})[0]
    assert np.abs(pixels(again) - pixels(picture)).max() <= 1


@pytest.mark.parametrize(
    "told",
    [
        None,
        "nonsense",
        "[" * 100_000,
        "[1]",
        '{"plugin": "anime"}',
        '{"plugin": "other", "task": "order", "preset": "p", "arguments": {}}',
        '{"plugin": "anime", "task": "bake", "preset": "p", "arguments": {}}',
    ],
)
def test_a_picture_that_says_nothing_useful_restores_nothing(told, free, tmp_path):
    picture = Anime().generate_task(free, seed=0, count=1)[0]
    if told is not None:
        picture.info["gan_zoo"] = told
    images.save_png(picture, tmp_path / "picture.png")
    assert Anime().restore(free, image=str(tmp_path / "picture.png")) == {}


def test_a_picture_cannot_ask_for_what_nobody_may(free, tmp_path):
    picture = Anime().generate_task(free, seed=0, count=1)[0]
    picture.info["gan_zoo"] = '{"plugin": "anime", "task": "order", "preset": "p", "arguments": {"eyes": "plaid"}}'
    images.save_png(picture, tmp_path / "picture.png")
    with pytest.raises(ValueError, match="eyes: 'plaid' is not one of any, black"):
        Anime().restore(free, image=str(tmp_path / "picture.png"))
