"""The cyclegan plugin: unpaired data, the paper's configuration, directions, pictures of all kinds, import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_zoo import hub, images
from gan_zoo.cli.train import read_recipe
from gan_zoo.config import TrainConfig
from gan_zoo.data import DataError
from gan_zoo.plugin import Step
from gan_zoo.plugins.cyclegan import pipeline as pipeline_module
from gan_zoo.plugins.cyclegan.drawn import draw_landscape
from gan_zoo.plugins.cyclegan.gates import smoothed
from gan_zoo.plugins.cyclegan.imported import ImportedGenerator
from gan_zoo.plugins.cyclegan.networks import SeeingGenerator, TranslationGenerator
from gan_zoo.plugins.cyclegan.pipeline import CycleGANPipeline, Way
from gan_zoo.plugins.cyclegan.plugin import CycleGAN
from gan_zoo.plugins.cyclegan.training import POOL, Settings, pooled
from gan_zoo.plugins.cyclegan.unpaired import read_domains

TINY: dict[str, Any] = {"width": 16, "blocks": 1, "size": 64, "load": 72, "judged_at": 64, "drawn": 10}


def generator(seed: int, strength: float = 0.3) -> TranslationGenerator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TranslationGenerator(16, 1)
        torch.nn.init.normal_(network.out.weight, std=strength)
    return network.eval()


@pytest.fixture
def weights(tmp_path: Path) -> str:
    made = CycleGANPipeline(generator(0), generator(1), "horse", "zebra")
    return str(hub.save(made, tmp_path / "weights", plugin="cyclegan", preset="tiny", card=""))


def picture(width: int = 90, height: int = 70, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def translate(weights: str, path: Path, **arguments: Any) -> Any:
    return CycleGAN().infer("translate", weights, image=str(path), **arguments)


# -- data -------------------------------------------------------------------------------------------------------------


def test_drawn_landscapes_are_settled_by_number_and_season():
    summer = np.asarray(draw_landscape(3, "summer", 64)).astype(int)
    assert np.array_equal(summer, np.asarray(draw_landscape(3, "summer", 64)))
    assert np.abs(summer - np.asarray(draw_landscape(4, "summer", 64))).mean() > 5
    greener = summer[40:, :, 1].mean() - summer[40:, :, 2].mean()
    winter = np.asarray(draw_landscape(3, "winter", 64)).astype(int)
    assert greener > 20 > winter[40:, :, 1].mean() - winter[40:, :, 2].mean()
    with pytest.raises(ValueError, match="expected summer or winter, got 'spring'"):
        draw_landscape(0, "spring")


def folders(root: Path, counts: dict[str, int]) -> str:
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.full((40, 50, 3), 20 * len(name) + i, np.uint8)).save(root / name / f"{i}.png")
    return str(root)


def test_domains_of_two_folders_of_unequal_size(tmp_path):
    plugin = CycleGAN(Settings(**TINY))
    data = plugin.data(folders(tmp_path, {"trainA": 3, "trainB": 7}), "train", 0)
    assert plugin.domains == ("A", "B") and len(data) == 6  # every tenth of both together is held out
    batch = data.batch(range(5))
    assert {name: x.shape for name, x in batch.items()} == {"a": (5, 3, 64, 64), "b": (5, 3, 64, 64)}
    assert batch["a"].max() < batch["b"].max() + 1


def test_domains_of_labels_are_chosen_by_name(tmp_path):
    source = folders(tmp_path, {"monet": 10, "photo": 10, "vangogh": 10})
    found = read_domains(source, ("photo", "vangogh"), "train", 64, 0)
    assert list(found) == ["photo", "vangogh"]
    assert found["photo"].float().mean() < found["vangogh"].float().mean()
    with pytest.raises(DataError, match="domains monet, photo, vangogh; expected two"):
        read_domains(source, (), "train", 64, 0)
    with pytest.raises(DataError, match="expected two"):
        read_domains(source, ("photo", "degas"), "train", 64, 0)


def test_neutral_pictures_come_with_each_batch(tmp_path):
    source = folders(tmp_path, {"monet": 10, "photo": 10})
    data = CycleGAN(Settings(**TINY, neutral=f"{source}#photo")).data(None, "train", 0)
    assert data.batch(range(3))["neutral"].shape == (3, 3, 64, 64)
    with pytest.raises(DataError, match="no label 'degas'; there are: monet, photo"):
        CycleGAN(Settings(**TINY, neutral=f"{source}#degas")).data(None, "train", 0)


# -- training ---------------------------------------------------------------------------------------------------------


def step(state: dict[str, Any], index: int = 0) -> Step:
    random = torch.Generator().manual_seed(index)
    return Step(index, "gan", 0.0, slice(0, 4), 4, random, torch.device("cpu"), state)


def test_history_returns_old_fakes_and_stays_bounded():
    state: dict[str, Tensor] = {}
    seen_old = 0
    for i in range(40):
        fakes = torch.full((4, 3, 2, 2), float(i))
        shown = pooled(fakes, step(state, i), "pool_a")
        assert shown.shape == fakes.shape
        assert torch.equal(fakes, torch.full_like(fakes, i))  # the fakes themselves are left alone
        seen_old += int((shown < i).flatten(1).all(1).sum())
    assert state["pool_a"].shape == (POOL, 3, 2, 2)
    assert 30 < seen_old < 75  # half of those after the history is full


def test_the_papers_configuration_runs(tmp_path):
    recipe = read_recipe("cyclegan-paper")
    small = recipe["settings"] | {"width": 8, "blocks": 1, "size": 64, "load": 72, "judged_at": 64, "drawn": 10}
    plugin = CycleGAN(Settings(**small))
    config = TrainConfig(**recipe["train"] | {"steps": 2, "evaluate_count": 4})
    weights = plugin.train(out=tmp_path / "run", config=config)
    loaded = plugin.load(str(weights))
    assert isinstance(loaded.forth, ImportedGenerator)
    assert [way.name for way in loaded.ways] == ["summer2winter", "winter2summer"]
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert {"score", "ssim_summer2winter", "kid_x1000_winter2summer", "cycle_l1_summer2winter"} <= set(
        log[-1]["scores"]
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator": "unet"}, "generator: expected light, seeing or resnet, got 'unet'"),
        ({"size": 100}, "size: expected a multiple of 32"),
        ({"domains": ("one",)}, "domains and classes: expected two or none"),
        ({"pool": True}, "only the patch discriminator looks at old fakes"),
        ({"loss": "wasserstein"}, "or relativistic, got 'wasserstein'"),
    ],
)
def test_bad_settings_say_what_was_expected(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)


# -- use --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(90, 70), (33, 201), (8, 8), (640, 20)])
def test_any_size_keeps_its_size(weights, tmp_path, size):
    picture(*size).save(tmp_path / "p.png")
    made = translate(weights, tmp_path / "p.png")
    assert made.translated.size == made.reconstruction.size == size


def test_directions_go_by_the_domains_names(weights, tmp_path):
    picture().save(tmp_path / "p.png")
    results = {
        d: np.asarray(translate(weights, tmp_path / "p.png", direction=d).translated) for d in ("", "zebra", "horse")
    }
    assert np.array_equal(results[""], results["zebra"])
    assert not np.array_equal(results["zebra"], results["horse"])
    back = np.asarray(translate(weights, tmp_path / "p.png", direction="Zebra2Horse").translated)
    assert np.array_equal(back, results["horse"])
    with pytest.raises(ValueError, match="'cow' is neither horse2zebra nor zebra2horse"):
        translate(weights, tmp_path / "p.png", direction="cow")


def test_strength_leads_from_the_picture_to_its_translation(weights, tmp_path):
    picture().save(tmp_path / "p.png")
    start, half, end = (
        np.asarray(translate(weights, tmp_path / "p.png", strength=s).translated).astype(int) for s in (0.0, 0.5, 1.0)
    )
    assert np.array_equal(start, np.asarray(picture()))
    assert np.abs(half - (start + end) / 2).max() <= 1


def test_alpha_orientation_gray_and_16_bit(weights, tmp_path):
    clear = picture(mode="RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(tmp_path / "alpha.png")
    made = translate(weights, tmp_path / "alpha.png").translated
    assert made.mode == "RGBA"
    assert np.array_equal(np.asarray(made.getchannel("A")), np.asarray(clear.getchannel("A")))
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    picture().save(tmp_path / "turned.jpg", exif=exif)
    assert translate(weights, tmp_path / "turned.jpg").translated.size == (70, 90)
    picture(mode="L").save(tmp_path / "gray.png")
    deep = Image.fromarray((np.asarray(picture(mode="L")).astype(np.uint16)) * 257)
    deep.save(tmp_path / "deep.png")
    gray, sixteen = (np.asarray(translate(weights, tmp_path / name).translated) for name in ("gray.png", "deep.png"))
    assert np.array_equal(gray, sixteen)


def test_an_animation_is_translated_picture_by_picture(weights, tmp_path):
    frames = [Image.new("RGB", (40, 30), (60 * i, 90, 200)) for i in range(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    film = CycleGAN().infer("animate", weights, image=str(tmp_path / "a.gif"), fps=5)
    assert len(film.frames) == 4 and film.fps == 5 and film.frames[0].size == (40, 30)
    images.read_image(tmp_path / "a.gif").convert("RGB").save(tmp_path / "first.png")
    alone = translate(weights, tmp_path / "first.png").translated
    assert np.abs(np.asarray(film.frames[0]).astype(int) - np.asarray(alone).astype(int)).max() <= 1


@pytest.mark.parametrize("kind", ["gradient", "noise"])
def test_borders_of_tiles_cannot_be_seen(monkeypatch, kind):
    """A picture in tiles against the same in one piece: no row or column stands out."""
    made = CycleGANPipeline(generator(0, 0.1), generator(1, 0.1))
    pixels = torch.linspace(-1, 1, 400).expand(1, 3, 300, 400)
    if kind == "noise":
        pixels = torch.rand(1, 3, 300, 400, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def steepest() -> float:
        return float((made(pixels) - pixels).diff(dim=3).abs().mean(dim=(0, 1, 2)).max())

    whole = steepest()
    monkeypatch.setattr(pipeline_module, "TILE", 192)
    monkeypatch.setattr(pipeline_module, "OVERLAP", 64)
    assert steepest() < 1.1 * whole


def test_large_pictures_keep_their_own_detail():
    """Where the networks change nothing, a picture larger than they work at comes back as it was."""
    nothing = generator(0)
    torch.nn.init.zeros_(nothing.out.weight)
    x = torch.rand(1, 3, 300, 420) * 2 - 1
    torch.testing.assert_close(CycleGANPipeline(nothing, None)(x, size=128), x, atol=1e-5, rtol=0)


def test_a_large_picture_is_shrunk_and_a_tiny_one_refused(weights, tmp_path):
    picture(4100, 64).save(tmp_path / "long.png")
    assert translate(weights, tmp_path / "long.png").translated.size == (4096, 64)
    picture(64, 7).save(tmp_path / "low.png")
    with pytest.raises(ValueError, match="64 x 7 pixels, expected sides of at least 8"):
        translate(weights, tmp_path / "low.png")


# -- weights trained elsewhere ----------------------------------------------------------------------------------------


def test_imported_generators_become_a_preset(tmp_path):
    from test_import import trained, written

    file = written(trained("resnet-6"), tmp_path)
    out = CycleGAN().import_weights("junyanz", [file], tmp_path / "mine")
    picture(64, 64).save(tmp_path / "p.png")
    made = translate(str(out), tmp_path / "p.png", direction="A2B")
    with torch.no_grad():
        expected = trained("resnet-6")(images.to_tensor(picture(64, 64)))
    assert np.abs(np.asarray(made.translated).astype(int) - np.asarray(images.to_images(expected)[0])).max() <= 1
    with pytest.raises(ValueError, match="do not translate B2A"):
        translate(str(out), tmp_path / "p.png", direction="B2A")
    with pytest.raises(ValueError, match="got 3 files"):
        CycleGAN().import_weights("junyanz", [file] * 3, tmp_path / "other")


# -- the seeing generator ---------------------------------------------------------------------------------------------


def test_a_gate_learns_from_its_lesson_and_nothing_from_the_discriminator():

    torch.manual_seed(0)
    net = SeeingGenerator(width=48, gated=True)
    gate = net.gate
    assert gate is not None
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    net(pictures).square().mean().backward()
    assert all(p.grad is None for p in gate.parameters())
    assert net.out.weight.grad is not None
    net(pictures, only_gate=True).mean().backward()
    assert all(p.grad is not None for p in gate.parameters())


def test_what_the_gate_shuts_out_stays_as_it_is():

    torch.manual_seed(0)
    net = SeeingGenerator(width=48, gated=True).eval()
    gate = net.gate
    assert gate is not None
    torch.nn.init.zeros_(gate.out.weight)
    pictures = torch.rand(1, 3, 64, 64) * 2 - 1
    changed = {}
    for name, bias in (("shut", -20.0), ("open", 20.0)):
        torch.nn.init.constant_(gate.out.bias, bias)  # pyright: ignore[reportArgumentType]
        with torch.no_grad():
            changed[name] = (net(pictures) - pictures).abs().max()
    assert changed["shut"] < 1e-6 < changed["open"]


def test_the_gate_s_lesson_counts_sure_places_of_both_kinds_alike():
    from gan_zoo.plugins.cyclegan.training import gate_loss

    seen = torch.zeros(1, 2, 4, 4)
    seen[:, :, 0, 0] = 1.0  # one place is surely there
    seen[:, 0, 1] = 0.7  # a row is unsure: 0.7 x (1 + 0) / 2 = 0.35
    logits = torch.full((1, 1, 4, 4), 2.0)
    logits[:, :, 1] = 99.0
    expected = torch.nn.functional.softplus(torch.tensor([-2.0, 2.0])).sum()
    assert torch.allclose(gate_loss(logits, seen), expected)


@pytest.mark.parametrize("settings", [{"things": (147, 388)}, {"things": (147,), "generator": "seeing"}])
def test_things_need_a_generator_that_sees(settings):
    with pytest.raises(ValueError, match="things: expected two classes, and generator 'seeing'"):
        Settings(**settings)


def test_stripes_of_a_thing_are_smoothed_and_its_surroundings_do_not_bleed_in():
    pictures = torch.full((1, 3, 64, 64), -1.0)
    pictures[:, 1] = 1.0  # a green meadow
    inside = torch.zeros(1, 1, 16, 16)
    inside[..., 4:12, 4:12] = 1.0
    thing = torch.nn.functional.interpolate(inside, scale_factor=4).bool().expand(-1, 3, -1, -1)
    stripes = torch.where(torch.arange(64) % 8 < 4, 1.0, -1.0).expand(1, 3, 64, 64)
    smooth = smoothed(torch.where(thing, stripes, pictures), inside)[:, :, 16:48, 16:48]
    assert smooth.abs().max() < 0.15  # gray, neither black, white nor green
    with pytest.raises(ValueError, match="smooth and edges: expected a gated"):
        SeeingGenerator(48, smooth=True)


@pytest.mark.parametrize("striped", [False, True])
def test_a_gate_ends_where_the_thing_does(striped: bool):
    """A brown or striped square in a blue sky, and a gate that is twelve pixels too wide on all sides."""
    pictures = torch.tensor([-0.2, 0.3, 0.8]).view(1, 3, 1, 1).repeat(2, 1, 128, 128)
    thing = (slice(None), slice(None), slice(44, 84), slice(44, 84))
    brown, stripes = torch.tensor([0.4, -0.2, -0.6]).view(1, 3, 1, 1), torch.where(torch.arange(40) % 8 < 4, 1.0, -1.0)
    pictures[thing] = stripes if striped else brown
    logits = torch.full((2, 1, 32, 32), -4.0)
    logits[:, :, 8:24, 8:24] = 4.0
    wide, fine = (
        SeeingGenerator(48, gated=True, smooth=striped, edges=edges).opening(logits, pictures) for edges in (0, 16)
    )
    outside = torch.ones_like(wide)
    outside[thing] = 0
    assert fine[thing].mean() > 0.95 and (fine <= wide).all()
    assert (wide * outside).sum() > 10 * (fine * outside).sum()
    with pytest.raises(ValueError, match="edges: expected a gated"):
        SeeingGenerator(48, edges=8)


def test_one_way_learns_while_the_other_stays(tmp_path):
    small = TINY | {"generator": "seeing", "width": 48, "things": (147, 388), "smooth": True}
    options = {"steps": 2, "batch_size": 2, "evaluate_count": 0, "trackers": ""}
    first = CycleGAN(Settings(**small)).train(out=tmp_path / "first", **options)
    one_way = CycleGAN(Settings(**small | {"only": "back", "things_back": (340, 340), "cycle": 0.0}))
    second = one_way.train(out=tmp_path / "second", init=str(first), **options)
    before, after = one_way.load(str(first)), one_way.load(str(second))
    assert before.forth and before.back and after.forth and after.back
    assert not before.forth.config["smooth"] and before.back.config["smooth"]
    assert all(torch.equal(a, b) for a, b in zip(before.forth.parameters(), after.forth.parameters()))
    assert not torch.equal(before.back.out.weight, after.back.out.weight)
    assert not torch.equal(before.back.gate.out.weight, after.back.gate.out.weight)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"things_back": (340, 340)}, "things_back: expected two classes beside those of things"),
        ({"edges": 8}, "edges: of the gate of things, which are not named"),
        ({"smooth": True}, "smooth: of the gate of things, which are not named"),
        ({"only": "A2B"}, "only: expected both, forth or back, got 'A2B'"),
    ],
)
def test_settings_of_the_way_back_say_what_they_need(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)


def test_grain_breaks_the_grid_over_flat_places_and_is_not_seen():
    """On the way forth alone; of one picture always the same, and taken off again."""
    torch.manual_seed(0)
    net = SeeingGenerator(48)
    flat, way = torch.zeros(1, 3, 128, 128), Way("B", "A")
    plain, grained = CycleGANPipeline(net, net), CycleGANPipeline(net, net, grain=0.1)

    def peak(picture: torch.Tensor) -> float:
        """The highest autocorrelation of its change beyond some 6 pixels."""
        x = (picture - flat).mean(1)[0, 32:96, 32:96]
        found = torch.fft.irfft2(torch.fft.rfft2(x - x.mean()).abs().square())
        found[:6, :6] = found[-6:, :6] = found[:6, -6:] = found[-6:, -6:] = 0
        return float(found.max() / (x - x.mean()).square().sum())

    assert peak(grained(flat)) < peak(plain(flat)) - 0.2
    assert torch.equal(grained(flat), grained(flat))
    assert torch.equal(grained(flat, way), plain(flat, way))
    still = CycleGANPipeline(SeeingGenerator(48), None, grain=0.1)
    assert still.forth is not None
    torch.nn.init.zeros_(still.forth.out.weight)
    torch.testing.assert_close(still(flat), flat, atol=1e-5, rtol=0)
