"""The anime plugin: its built-in data, networks, pipeline, training and tasks."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from gan_zoo import metrics, precision
from gan_zoo.plugins.anime import AnimeCharacters, AnimeEnlarger, AnimeLabelled, enlarging, tab
from gan_zoo.plugins.anime.attributes import ATTRIBUTES
from gan_zoo.plugins.anime.drawn import draw_character
from gan_zoo.plugins.anime.networks import AnimeGenerator, ResidualDiscriminator, doubled_conv
from gan_zoo.plugins.anime.ordering import CharacterSettings, LabelledSettings
from gan_zoo.plugins.anime.pipeline import AnimePipeline
from gan_zoo.plugins.anime.plugin import Anime
from gan_zoo.plugins.anime.training import Settings

TINY = {"resolution": 32, "latent_dim": 16, "channels": (32, 16, 16, 8)}


@pytest.fixture(scope="module")
def pipeline() -> AnimePipeline:
    torch.manual_seed(0)
    generator = AnimeGenerator(**TINY)
    with torch.no_grad():
        generator(torch.randn(64, 16))  # batch norm has seen something
    generator.eval().measure_mean()
    return AnimePipeline(generator, None)


def test_the_same_seed_draws_the_same_character_at_every_size():
    small, large = draw_character(3, 32), draw_character(3, 128)
    assert small.size == (32, 32)
    assert large.mode == "RGB"
    assert np.array_equal(np.array(draw_character(3, 32)), np.array(small))
    assert not np.array_equal(np.array(draw_character(4, 32)), np.array(small))
    difference = np.abs(np.array(large.resize((32, 32))).astype(float) - np.array(small)).mean()
    assert difference < 12  # the same picture but for resampling


def test_a_face_depends_on_its_seed_alone(pipeline):
    many = pipeline(range(20))
    assert many.shape == (20, 3, 32, 32)
    assert many.abs().max() <= 1
    for seed in (0, 15, 16, 19):  # on both sides of a batch's border
        torch.testing.assert_close(pipeline([seed])[0], many[seed], rtol=0, atol=1 / 255)
    assert (many[0] - many[1]).abs().mean() > 0.003


def test_truncation_goes_from_the_mean_face_to_full_variety(pipeline):
    spread = [pipeline(range(8), truncation=t).std(0).mean().item() for t in (0.0, 0.5, 1.0)]
    assert spread[0] == pytest.approx(0, abs=1e-6)
    assert spread[0] < spread[1] < spread[2]


def test_interpolation_starts_and_ends_at_the_faces_of_its_seeds(pipeline):
    film = Anime().interpolate(pipeline, seed_a=5, seed_b=9, frames=6, truncation=0.7)
    assert len(film.frames) == 10  # there, and back without repeating the ends
    ends = [np.array(film.frames[i]).astype(int) for i in (0, 5)]
    faces = Anime().generate_task(pipeline, seed=5, count=5, truncation=0.7)
    for end, face in zip(ends, (faces[0], faces[4]), strict=True):
        assert np.abs(end - np.array(face)).max() <= 1
    steps = [
        np.abs(np.array(a).astype(int) - np.array(b)).mean()
        for a, b in zip(film.frames, film.frames[1:6], strict=False)
    ]
    assert max(steps) < 0.7 * np.abs(ends[0] - ends[1]).mean()  # no jump


def test_seeds_wrap_at_the_largest_one(pipeline):
    faces = Anime().generate_task(pipeline, seed=2**32 - 1, count=2, truncation=1.0)
    first = Anime().generate_task(pipeline, seed=0, count=1, truncation=1.0)
    assert np.abs(np.array(faces[1]).astype(int) - np.array(first[0])).max() <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AnimeGenerator(resolution=100), "resolution 100: expected 4 to 7 times 16"),
        (lambda: AnimeGenerator(**TINY).encode(torch.zeros(2, 3)), r"z of shape \(2, 3\): expected \(B, 16\)"),
        (lambda: AnimeGenerator(**TINY, attributes=2).map(torch.zeros(2, 16)), "expected 2 attributes"),
        (lambda: ResidualDiscriminator(64, (8, 8)), "resolution 64: expected 16"),
        (lambda: Settings(**dict[str, Any](discriminator="patch")), "expected projected or residual, got 'patch'"),
        (lambda: Settings(resolution=32), "resolution 32 does not fit 5 channel widths: expected 4 to 7 times 16"),
        (lambda: Settings(**dict[str, Any](loss="wasserstein")), "or relativistic, got 'wasserstein'"),
        (lambda: CharacterSettings(augment="color"), "conditional: expected discriminator projected and no augment"),
        (lambda: CharacterSettings(latent_dim=16), "latent_dim 16: details need 36"),
        (lambda: CharacterSettings(**dict[str, Any](conditional=False)), "conditional: expected True, got False"),
        (lambda: AnimeCharacters().data("faces", "train", 0), "only the built-in data"),
        (lambda: Settings(told=129), "told 129: expected at most latent_dim, 128"),
        (
            lambda: Settings(told=8, likeness=0.0, perceptual=0.0),
            "told: expected discriminator projected, and a weight",
        ),
        (lambda: Anime(Settings(told=8)).data(None, "train", 0), "told: expected data, got none"),
        (lambda: LabelledSettings(labels=()), "labels: expected names of columns"),
        (
            lambda: AnimeLabelled(LabelledSettings(labels=("hat",))).networks(),
            "the built-in data has no 'hat'",
        ),
        (
            lambda: AnimeGenerator(attributes=3, labels={"hair": {"red": 1, "blue": 2}}),
            "attributes 3: expected one",
        ),
        (lambda: AnimeGenerator(attributes=2, labels={"hair": {"red": 1, "blue": -2}}), "labels: expected names"),
    ],
)
def test_bad_settings_say_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("size", [4, 8, 10])
def test_doubling_and_convolving_at_once_is_the_same(size):
    x, weight = torch.randn(2, 5, size, size), torch.randn(4, 5, 3, 3)
    plain = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, padding=1)
    torch.testing.assert_close(doubled_conv(x, weight), plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("attributes", [0, 3])
def test_the_generator_grows_to_other_sizes_and_takes_attributes(attributes):
    generator = AnimeGenerator(128, 16, (16, 16, 8, 8, 8, 4), attributes).eval()
    y = torch.eye(3)[:2] if attributes else None
    assert generator(torch.randn(2, 16), y=y).shape == (2, 3, 128, 128)


@pytest.mark.parametrize("discriminator", ["projected", "residual"])
def test_both_configurations_train_on_the_built_in_data(tmp_path, discriminator):
    loss: Any = {"projected": "hinge", "residual": "logistic"}[discriminator]
    plugin = Anime(Settings(**TINY, discriminator=discriminator, loss=loss, feature_size=32, r1_every=2, drawn=40))
    weights = plugin.train(
        out=tmp_path / "run", steps=3, batch_size=4, evaluate_count=0, sample_every=0, log_every=1, trackers=""
    )
    lines = (tmp_path / "run" / "log.jsonl").read_text()
    assert ("d/r1" in lines) == (discriminator == "residual")
    assert "Open" in (weights / "README.md").read_text()
    assert len(plugin.infer("generate", preset=str(weights), count=3)) == 3


def test_evaluation_scores_pictures_kept_apart_and_shows_generated_ones_only(pipeline):
    plugin = Anime(Settings(**TINY, drawn=100))
    faces: Any = plugin.data(None, "validation", 0)
    evaluation = plugin.evaluate(pipeline, faces, 12)
    scores = evaluation.scores
    assert (scores["count_fake"], scores["count_real"]) == (12, 10)
    assert scores["kid_x1000"] > 100  # nobody trained this
    assert abs(scores["kid_x1000_floor"]) < scores["kid_x1000"] / 2
    assert "Lite2" in evaluation.protocol
    assert "read_back" not in scores  # nothing was asked
    assert len(evaluation.pictures) == 1
    assert plugin.evaluate(pipeline, faces, 12).scores == scores


def test_a_copied_training_picture_is_noticed():
    pictures = torch.randint(0, 256, (40, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    apart, training = pictures[:10], pictures[10:]
    honest, _ = metrics.copies(pictures[:5], apart, training)
    copied, nearest = metrics.copies(torch.cat([pictures[:4], pictures[20:21].flip(3)]), apart, training)
    assert nearest[0] == 4
    assert copied["nearest_training_min"] < 0.01 < 0.5 * honest["nearest_training_min"]


@pytest.mark.parametrize("scale", [2, 4])
def test_an_enlarger_learns_beside_a_generator_that_stays_as_it_is(tmp_path, pipeline, scale):
    """The weights of its run hold both, and tasks use it unless asked for raw pictures."""
    from gan_zoo import hub

    folder = tmp_path / "small"
    hub.save(pipeline, folder, plugin="anime", preset="small", card="")
    plugin = AnimeEnlarger(enlarging.Settings(enlarges=str(folder), scale=scale, feature_size=32))  # pyright: ignore[reportArgumentType]
    weights = plugin.train(out=tmp_path / "run", steps=2, batch_size=2, evaluate_count=0, trackers="")
    made = plugin.load(str(weights))
    kept = plugin.load(str(folder)).generator.state_dict()
    for name, tensor in made.generator.state_dict().items():
        torch.testing.assert_close(tensor, kept[name], atol=1e-3, rtol=1e-3)
    raw = made([3])
    large = made.enlarge(raw)
    assert (raw.shape, large.shape) == ((1, 3, 32, 32), (1, 3, 32 * scale, 32 * scale))
    torch.testing.assert_close(F.avg_pool2d(large, scale), raw, atol=0.2, rtol=0)  # the same picture
    sizes = [plugin.infer("generate", str(weights), seed=3, count=1, raw=raw)[0].size for raw in (False, True)]
    assert sizes == [(32 * scale, 32 * scale), (32, 32)]


def test_what_is_to_be_enlarged_is_softened_by_chance_alone():
    from gan_zoo.plugins.anime.enlarging import shrunk

    pictures = torch.rand(4, 3, 32, 32) * 2 - 1
    plain = shrunk(pictures, 4, 0.06, lambda *shape: torch.zeros(4, *shape))
    assert torch.equal(plain, F.avg_pool2d(pictures, 4))
    soft = shrunk(pictures, 4, 0.06, lambda *shape: torch.full((4, *shape), 0.5))
    assert soft.std() < plain.std()


@pytest.mark.parametrize("path", sorted(tab.SWATCHES.glob("*.png")), ids=lambda path: path.stem)
def test_a_swatch_shows_what_is_drawn(path):
    """After a wanted change: GAN_ZOO_UPDATE_SNAPSHOT=1 pytest tests/test_anime.py"""
    drawn = tab.draw_swatch(*path.stem.rsplit("-", 1))
    if os.environ.get("GAN_ZOO_UPDATE_SNAPSHOT"):
        drawn.save(path, optimize=True)
    assert np.array_equal(np.asarray(Image.open(path).convert("RGB")), np.asarray(drawn.convert("RGB")))


def test_every_value_without_a_colour_has_a_swatch():
    named = {f"{name}-{key}" for name, a in ATTRIBUTES.items() if not a.option.endswith("Color") for key in a.values}
    assert named == {path.stem for path in tab.SWATCHES.glob("*.png")}


def test_a_kept_kernel_follows_its_weight():
    """Made once while nothing is learned, it may not outlive a step of training, other numbers or another type."""
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 8, 8), torch.nn.Parameter(torch.randn(6, 4, 3, 3))
    with torch.inference_mode():
        first = doubled_conv(x, weight)
        assert torch.equal(first, doubled_conv(x, weight))
        with torch.autocast("cpu", torch.bfloat16):
            assert doubled_conv(x, weight).dtype == torch.bfloat16
        torch.testing.assert_close(doubled_conv(x, weight), first)
    loss = doubled_conv(x, weight).square().mean()
    loss.backward()
    torch.optim.Adam([weight], lr=0.1, fused=True).step()  # which leaves `_version` as it was
    with torch.inference_mode():
        plain = F.conv2d(F.interpolate(x, scale_factor=2), weight, padding=1)
        torch.testing.assert_close(doubled_conv(x, weight), plain, rtol=1e-4, atol=1e-4)
        weight.data = torch.zeros_like(weight)
        assert doubled_conv(x, weight).abs().max() == 0


def test_faces_are_computed_in_bfloat16_where_that_is_fast(monkeypatch):
    """Streams too, and only while they compute; what a plugin does not call rough stays exact."""
    seen: list[bool] = []

    def results():
        for _ in range(2):
            seen.append(torch.is_autocast_enabled("cpu"))
            yield 0

    monkeypatch.setattr(precision, "bf16_is_fast", lambda device: True)
    for _ in precision.each(results(), torch.device("cpu"), True):
        assert not torch.is_autocast_enabled("cpu")
    list(precision.each(results(), torch.device("cpu"), False))
    assert seen == [True, True, False, False]
