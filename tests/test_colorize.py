"""The colorize plugin: line extraction, hints, palettes, networks, pipeline, training and tasks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageDraw

from gan_zoo import images
from gan_zoo.plugins.colorize import lines as art
from gan_zoo.plugins.colorize.colours import (
    MAX_HINTS,
    PALETTE,
    Hint,
    ciede2000,
    dabs_to_hints,
    hint_map,
    palette,
    parse_hints,
    to_lab,
)
from gan_zoo.plugins.colorize.drawn import draw_character
from gan_zoo.plugins.colorize.networks import ColorizeGenerator, Layers
from gan_zoo.plugins.colorize.pipeline import ColorizePipeline, refilled
from gan_zoo.plugins.colorize.plugin import Colorize, _read
from gan_zoo.plugins.colorize.tab import split_drawing
from gan_zoo.plugins.colorize.training import Drawings, Settings, disobedience, take_hints

TINY: dict[str, Any] = {"resolution": 64, "channels": (8, 8, 16, 16), "feature_size": 64, "drawn": 40}


@pytest.fixture(scope="module")
def pipeline() -> ColorizePipeline:
    torch.manual_seed(0)
    generator = ColorizeGenerator("guided", TINY["channels"])
    generator.keep(torch.randint(0, 256, (50, PALETTE), dtype=torch.uint8))
    return ColorizePipeline(generator.eval())


def discs(size: int = 128) -> torch.Tensor:
    """A picture (3, size, size): a light disc with a dark outline on a light ground of another colour."""
    picture = Image.new("RGB", (size, size), (240, 230, 200))
    box = [size // 4, size // 4, 3 * size // 4, 3 * size // 4]
    ImageDraw.Draw(picture).ellipse(box, fill=(230, 120, 110), outline=(30, 20, 20), width=3)
    return (images.to_tensor(picture)[0] + 1) / 2


OUTLINE = (64, 33)  # (y, x) on the outline of `discs`, and far from it:
INSIDE, OUTSIDE = (64, 64), (10, 10)


# -- lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extractor",
    [
        lambda picture: art.difference_of_gaussians(art.luminance(picture)),
        lambda picture: art.xdog(art.luminance(picture), epsilon=0.3),
        lambda picture: art.pencil(art.luminance(picture)),
        art.line_art,
    ],
    ids=["difference_of_gaussians", "xdog", "pencil", "line_art"],
)
def test_extractors_draw_dark_strokes_on_white_where_the_picture_has_them(extractor):
    lines = extractor(discs())
    assert lines.shape == (1, 128, 128)
    assert lines.min() >= 0 and lines.max() <= 1
    assert lines[0][OUTLINE] < 0.35
    assert lines[0][INSIDE] > 0.9 and lines[0][OUTSIDE] > 0.9


def test_edges_without_a_stroke_are_one_thin_line():
    picture = torch.full((3, 64, 64), 0.5)
    picture[0, :, 32:] = 0.9  # green and blue do not change
    lines = art.thin_edges(picture)[0]
    ink = (lines[32] < 0.6).nonzero().flatten()
    assert 1 <= len(ink) <= 3
    assert ((ink >= 30) & (ink <= 33)).all()
    assert lines[32, :24].min() > 0.95


@pytest.mark.parametrize("seed", range(12))
def test_every_hand_leaves_paper_white_and_draws_the_outline(seed):
    lines = art.draw(discs(), np.random.default_rng(seed))
    assert lines.shape == (1, 128, 128)
    assert lines.median() > 0.85
    near = lines[0, 62:67, 29:38]  # a thin edge may run beside the stroke's middle
    assert near.min() < 0.6
    assert torch.equal(lines, art.draw(discs(), np.random.default_rng(seed)))


def test_cleaning_takes_light_and_paper_away_and_leaves_clean_lines_alone():
    clean = torch.ones(1, 200, 160)
    clean[:, 100:103, 20:140] = 0
    clean[:, 20:180, 80:82] = 0
    torch.testing.assert_close(art.clean(clean), clean, atol=0.05, rtol=0)
    light = torch.linspace(0.45, 0.95, 160).expand(1, 200, 160)
    photographed = light * (0.25 + 0.75 * clean)
    found = art.clean(photographed)
    assert found[clean == 1].quantile(0.02) > 0.85
    assert found[clean == 0].quantile(0.95) < 0.25
    assert art.clean(torch.full((1, 40, 40), 0.7)).min() > 0.9  # an empty grey sheet has no lines


# -- colours ------------------------------------------------------------------------------------------------------


def test_hints_are_dots_of_their_colour_where_they_are():
    dots = hint_map([Hint(10, 20, (255, 0, 0)), Hint(0, 0, (0, 0, 255))], 32, 48, radii=[3, 2])
    assert dots.shape == (4, 32, 48)
    torch.testing.assert_close(dots[:, 20, 10], torch.tensor([1.0, -1.0, -1.0, 1.0]))
    torch.testing.assert_close(dots[:, 0, 0], torch.tensor([-1.0, -1.0, 1.0, 1.0]))
    assert dots[3, 20, 13] == 1 and dots[3, 20, 14] == 0 and dots[3, 16, 10] == 0
    assert (dots[:3, dots[3] == 0] == 0).all()
    assert dots[3].sum() < 29 + 10


def test_a_hint_on_the_last_pixel_is_drawn():
    assert hint_map([Hint(47, 31, (0, 0, 0))], 32, 48)[3, 31, 47] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"x": 1}', "found dict"),
        (json.dumps([{"x": 0, "y": 0, "color": "#fff"}] * (MAX_HINTS + 1)), f"found {MAX_HINTS + 1} of them"),
        ("[3]", r"hints\[0\]: expected x, y and color"),
        ('[{"x": 1, "y": 2}]', r"hints\[0\]: expected x, y and color"),
        ('[{"x": 100, "y": 2, "color": "#ff8800"}]', r"hints\[0\].x: 100 is not in the picture, .* 0 to 99"),
        ('[{"x": 1, "y": NaN, "color": "#ff8800"}]', r"hints\[0\].y: nan is not in the picture"),
        ('[{"x": 1, "y": "2", "color": "#ff8800"}]', r"hints\[0\].y: '2' is not in the picture"),
        ('[{"x": true, "y": 2, "color": "#ff8800"}]', r"hints\[0\].x"),
        ('[{"x": 1, "y": 2, "color": "#ff88"}, {"x": 1, "y": 2, "color": "mud"}]', r"hints\[1\].color: 'mud'"),
        ('[{"x": 1, "y": 2, "color": 7}]', r"hints\[0\].color: 7 is no colour"),
    ],
)
def test_bad_hints_say_what_was_expected(text, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_hints(text, (100, 50))
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


def test_good_hints_are_read():
    hints = parse_hints('[{"x": 40, "y": 6.5, "color": "#ff8800"}, {"x": 0, "y": 0, "color": "navy"}]', (100, 50))
    assert hints == [Hint(40, 6.5, (255, 136, 0)), Hint(0, 0, (0, 0, 128))]
    assert parse_hints("[]", (1, 1)) == []


def test_dabs_become_hints_on_paint_and_in_its_colour():
    layer = Image.new("RGBA", (300, 200))
    pen = ImageDraw.Draw(layer)
    pen.ellipse([40, 40, 48, 48], fill=(255, 0, 0, 255))
    pen.line([100, 150, 280, 150], fill=(0, 128, 0, 255), width=6)
    hints = dabs_to_hints(layer)
    pixels = np.array(layer)
    assert all(tuple(pixels[int(h.y), int(h.x)]) == (*h.color, 255) for h in hints)
    red = [h for h in hints if h.color == (255, 0, 0)]
    green = [h.x for h in hints if h.color == (0, 128, 0)]
    assert 1 <= len(red) <= 4
    assert len(green) >= 8 and max(green) - min(green) > 150  # a stroke is a row of dots
    full = dabs_to_hints(Image.new("RGBA", (500, 500), (1, 2, 3, 255)))
    assert 0 < len(full) <= MAX_HINTS
    assert dabs_to_hints(Image.new("RGBA", (30, 30))) == []


def test_a_drawing_is_split_into_ink_and_hints():
    layer = Image.new("RGBA", (120, 90))
    pen = ImageDraw.Draw(layer)
    pen.line([10, 10, 110, 10], fill=(0, 0, 0, 255), width=4)
    pen.ellipse([60, 50, 66, 56], fill=(255, 136, 0, 255))
    background = Image.new("RGBA", (120, 90))
    ImageDraw.Draw(background).line([10, 80, 110, 80], fill=(0, 0, 0, 255), width=4)
    lines, hints = split_drawing(background, [layer])
    gray = np.array(lines.convert("L"))
    assert gray[10, 60] == 0 and gray[80, 60] == 0 and gray[53, 63] == 255  # the dab is no line
    found = parse_hints(hints, (120, 90))
    assert found and {h.color for h in found} == {(255, 136, 0)}
    assert split_drawing(None, [])[1] == "[]"


@pytest.mark.parametrize(  # Sharma, Wu & Dalal 2005, table 1: pairs 1, 4, 7, 9, 11, 13, 16, 17, 20, 23, 25, 32, 34
    ("a", "b", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((50, 2.5, 0), (50, 3.2592, 0.335), 1.0),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_ciede2000_gives_the_published_differences(a, b, expected):
    pair = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    assert float(ciede2000(*pair)) == pytest.approx(expected, abs=1e-4)
    assert float(ciede2000(*reversed(pair))) == pytest.approx(expected, abs=1e-4)


def test_lab_of_known_colours():
    lab = to_lab(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    expected = torch.tensor([[100.0, 0.0, 0.0], [53.24, 80.09, 67.20], [0.0, 0.0, 0.0]]).double()
    torch.testing.assert_close(lab, expected, atol=0.05, rtol=0)


def test_a_palette_tells_colours_but_not_places():
    picture = discs(96)[None] * 2 - 1
    here = palette(picture)
    assert here.shape == (1, PALETTE) and here.dtype == torch.uint8
    assert (palette(picture.flip(3)).int() - here.int()).abs().max() <= 1
    assert (palette(picture.flip(1)).int() - here.int()).abs().max() > 50  # red and blue exchanged


# -- the model ----------------------------------------------------------------------------------------------------


def test_layers_show_ink_where_the_lines_are_and_grow_without_blurring_them():
    layers = Layers(torch.full((1, 3, 16, 16), 0.5), torch.full((1, 3, 16, 16), -0.9))
    lines = torch.ones(1, 1, 64, 64)
    lines[..., 32] = 0
    picture = layers.resized((64, 64)).under(lines)
    torch.testing.assert_close(picture[..., 32], torch.full((1, 3, 64), -0.9))
    torch.testing.assert_close(picture[..., 31], torch.full((1, 3, 64), 0.5))


@pytest.mark.parametrize("diagonal", [False, True])
def test_colours_that_grew_do_not_bleed_across_a_thin_line(diagonal):
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    side = columns - rows if diagonal else columns - 32
    lines = (side != 0).float()[None, None]
    colour = (side.float() / 8).clamp(-1, 1)[None, None].expand(1, 3, -1, -1)  # a soft step, 16 pixels wide
    sharp = refilled(colour, lines, 8)
    inner = sharp[0, 0, 8:-8, 8:-8]
    left, right = side[8:-8, 8:-8] < 0, side[8:-8, 8:-8] > 0
    assert inner[left].max() < -0.95 and inner[right].min() > 0.95
    torch.testing.assert_close(refilled(colour, torch.ones_like(lines), 8), colour)  # nothing to keep apart


@pytest.mark.parametrize(("height", "width"), [(64, 64), (17, 333), (257, 91), (700, 500)])
def test_any_size_is_painted_with_its_lines_where_they_were(pipeline, height, width):
    lines = torch.ones(1, height, width)
    lines[:, height // 2 : height // 2 + 2] = 0
    picture = pipeline(lines)
    assert picture.shape == (1, 3, height, width)
    assert picture.isfinite().all()
    gray = picture.mean(dim=(0, 1, 3))
    assert gray[height // 2] < gray[height // 2 - 3] - 0.3
    assert gray[height // 2 + 1] < gray[height // 2 + 4] - 0.3


def test_seed_and_drawing_choose_the_palette_and_hints_choose_among_a_few(pipeline):
    drawing = torch.ones(1, 1, 64, 64)
    drawing[..., 20:40, 30] = 0

    def chosen(seed: int, hints: list[Hint], lines: torch.Tensor = drawing) -> torch.Tensor:
        return pipeline._palette(lines, hint_map(hints, 64, 64), seed)[0]

    plain = [chosen(seed, []) for seed in range(8)]
    assert torch.equal(plain[3], chosen(3, []))
    assert len({tuple(p.tolist()) for p in plain}) > 4
    assert not torch.equal(plain[0], chosen(0, [], drawing.transpose(2, 3)))
    wanted = palette(torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1))[0].float()
    red = [Hint(30, 30, (255, 0, 0))]
    better = [float(chosen(s, red).float() @ wanted - plain[s].float() @ wanted) for s in range(8)]
    assert min(better) >= 0 and max(better) > 0


def test_remembered_palettes_stop_at_their_number():
    generator = ColorizeGenerator("guided", TINY["channels"])
    first = torch.randint(0, 256, (1000, PALETTE), dtype=torch.uint8)
    generator.keep(first)
    generator.keep(first + 1)
    generator.keep(first + 2)
    assert int(generator.known) == 1024
    assert torch.equal(generator.palettes[:1000], first)
    assert torch.equal(generator.palettes[1000:], first[:24] + 1)


def test_evaluation_notices_whether_hints_are_obeyed():
    picture = discs(96)
    lines = art.line_art(picture)
    hints = take_hints(picture, lines, 8, np.random.default_rng(0))
    assert len(hints) == 8
    obeyed, ignored = disobedience(picture, picture, hints), disobedience(picture.flip(0), picture, hints)
    assert max(obeyed) < 6 and len(obeyed) == 8
    assert sum(ignored) / len(ignored) > 20


def test_evaluation_scores_pictures_kept_apart_and_shows_none_of_them(pipeline):
    plugin = Colorize(Settings(**TINY | {"drawn": 100}))  # pyright: ignore[reportArgumentType]
    drawings: Any = plugin.data(None, "validation", 0)
    scores, protocol, pictures = plugin.evaluate(pipeline, drawings, 10)
    assert scores["count_fake"] == scores["count_real"] == 10
    assert scores["kid_x1000"] > 20 and scores["hints_ciede2000"] > 12  # nobody trained this
    assert "Lite2" in protocol and not pictures


# -- data and training --------------------------------------------------------------------------------------------


def test_drawn_lines_fit_the_colours_they_are_drawn_under():
    drawn = [(picture, own) for picture, own in (draw_character(seed, 128) for seed in range(12)) if own is not None]
    assert 4 <= len(drawn) < 12
    for picture, own in drawn:
        ink = own[0] < 0.2
        assert 0.01 < ink.float().mean() < 0.3
        assert picture[:, ink].mean() < 0.35  # what is ink in the drawing is dark in colour


def test_a_sample_is_settled_by_its_number_and_validation_never_moves():
    pictures = (discs(64)[None] * 255).to(torch.uint8).repeat(10, 1, 1, 1)
    training = Drawings(pictures, range(10), 64, seed=1, training=True)
    whole, part = training.batch(range(9, 14)), training.batch(range(12, 14))
    for name, tensor in whole.items():
        assert torch.equal(tensor[3:], part[name]), name
    assert not torch.equal(whole["lines"][0], whole["lines"][1])
    assert whole["hints"].shape == (5, 4, 64, 64) and whole["lines"].shape == (5, 1, 64, 64)
    kept_apart = Drawings(pictures, range(10), 64, seed=1, training=False).batch(range(4))["image"]
    torch.testing.assert_close(kept_apart, pictures[:4].float() / 127.5 - 1)


@pytest.mark.parametrize("model", ["guided", "pix2pix"])
def test_both_configurations_train_on_the_built_in_data_and_paint(tmp_path, model):
    loss: Any = {"guided": "hinge", "pix2pix": "least-squares"}[model]
    plugin = Colorize(Settings(**TINY, model=model, loss=loss))
    weights = plugin.train(
        out=tmp_path / "run", steps=2, batch_size=2, evaluate_count=0, sample_every=0, log_every=1, trackers=""
    )
    path = tmp_path / "lines.png"
    drawing = Image.new("RGBA", (130, 70))  # black on transparent
    ImageDraw.Draw(drawing).rectangle([20, 20, 100, 50], outline=(0, 0, 0, 255), width=3)
    drawing.save(path)
    hints = '[{"x": 60, "y": 35, "color": "#ff8800"}]'
    painted = plugin.infer("paint", preset=str(weights), image=str(path), hints=hints, seed=5)
    assert painted.size == (130, 70) and painted.mode == "RGB"
    again = Colorize(Settings(**TINY)).infer("paint", preset=str(weights), image=str(path), hints=hints, seed=5)
    assert np.abs(np.array(again).astype(int) - np.array(painted)).max() <= 1  # a run knows what it is


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA", "I;16"])
def test_drawings_of_every_mode_are_read(pipeline, tmp_path, mode):
    drawing = Image.new("L", (80, 60), 255)
    ImageDraw.Draw(drawing).line([10, 30, 70, 30], fill=0, width=2)
    if mode == "I;16":
        saved = Image.fromarray(np.array(drawing).astype(np.uint16) * 257)
    elif mode in ("LA", "RGBA"):  # black, with the line in the alpha channel
        alpha = drawing.point(lambda v: 255 - v)
        saved = Image.merge(mode, [Image.new("L", drawing.size, 0)] * (len(mode) - 1) + [alpha])
    else:
        saved = drawing.convert(mode)
    saved.save(tmp_path / "lines.png")
    plugin = Colorize(Settings(**TINY))
    painted = np.array(plugin.paint(pipeline, image=str(tmp_path / "lines.png"))).astype(int)
    assert painted.shape == (60, 80, 3)
    assert painted[30, 15:65].mean() < painted[20, 15:65].mean() - 30
    lines = np.array(plugin.extract(pipeline, image=str(tmp_path / "lines.png"))).astype(int)
    assert lines[30, 40].max() < 90 and lines[10, 40].min() > 240


def test_pictures_out_of_bounds_are_refused(pipeline, tmp_path):
    Image.new("L", (500, 12)).save(tmp_path / "low.png")
    with pytest.raises(ValueError, match="500 x 12 pixels, expected sides of at least 16"):
        Colorize().paint(pipeline, image=str(tmp_path / "low.png"))


def test_a_large_sheet_is_shrunk_and_its_hints_with_it(pipeline, tmp_path, monkeypatch):
    """Hints count the pixels of the file that was given."""
    monkeypatch.setitem(Colorize.paint.__globals__, "MAX_SIDE", 128)
    sheet = Image.new("L", (256, 128), 255)
    ImageDraw.Draw(sheet).ellipse([20, 16, 200, 120], outline=0, width=6)
    sheet.save(tmp_path / "large.png")
    sheet.resize((128, 64), Image.Resampling.LANCZOS).save(tmp_path / "small.png")
    made = [
        Colorize().paint(pipeline, image=str(tmp_path / f"{name}.png"), hints=json.dumps([dot]))
        for name, dot in (
            ("large", {"x": 201, "y": 61, "color": "#ff0000"}),
            ("small", {"x": 100.5, "y": 30.5, "color": "#ff0000"}),
        )
    ]
    assert made[0].size == made[1].size == (128, 64)
    assert np.abs(np.asarray(made[0], float) - np.asarray(made[1], float)).mean() < 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "unet"}, "expected guided or pix2pix, got 'unet'"),
        ({"resolution": 100}, "expected a multiple of 64, got 100"),
        ({"channels": (8, 8)}, "expected 4 widths"),
        ({"feature_size": 100}, "expected a multiple of 32, got 100"),
        ({"strangers": 1.0}, "strangers: expected a number from 0 to 0.99"),
        ({"augment": "rotation"}, "augment 'rotation'"),
    ],
)
def test_bad_settings_say_what_was_expected(changes, message):
    with pytest.raises(ValueError, match=message):
        Settings(**changes)


def test_light_lines_on_dark_are_the_same_drawing(tmp_path):
    """A negative, a blueprint and chalk on nothing are painted as the sheet is from which they were made."""
    sheet = Image.new("L", (96, 96), 255)
    ImageDraw.Draw(sheet).ellipse([20, 16, 70, 80], outline=0, width=3)
    ink = ImageChops.invert(sheet)
    chalk = Image.new("RGBA", sheet.size, (255, 255, 255, 0))
    chalk.paste((255, 255, 255, 255), mask=ink)
    blueprint = Image.new("RGB", sheet.size, (20, 60, 140))
    blueprint.paste((235, 240, 255), mask=ink)
    made = []
    for name, picture in (("as", sheet.convert("RGB")), ("negative", ink), ("chalk", chalk), ("blueprint", blueprint)):
        picture.save(tmp_path / f"{name}.png")
        made.append(art.clean(art.luminance(_read(str(tmp_path / f"{name}.png"), sheet=True)[0])))
    assert all((lines - made[0]).abs().mean() < 0.02 for lines in made)
    assert float(made[0].min()) < 0.1


def test_an_empty_sheet_is_called_one(tmp_path, pipeline):
    plugin = Colorize()
    plugin._pipelines["mine"] = pipeline
    Image.new("RGB", (64, 64), (240, 236, 230)).save(tmp_path / "empty.png")
    with pytest.raises(ValueError, match="image: an empty sheet"):
        plugin.infer("paint", "mine", image=str(tmp_path / "empty.png"))
