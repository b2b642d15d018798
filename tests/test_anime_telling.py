"""Codes of real pictures: what they are, and that a generator is asked for every picture by its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_zoo.cli.train import main as train
from gan_zoo.data import sample_flips
from gan_zoo.duel import seeded_step
from gan_zoo.plugins.anime.plugin import Anime
from gan_zoo.plugins.anime.readback import draw_characters
from gan_zoo.plugins.anime.telling import codes_of
from gan_zoo.plugins.anime.training import Settings

COUNT = 8


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return draw_characters(range(60), 64)


@pytest.fixture(scope="module")
def codes(pictures: torch.Tensor) -> torch.Tensor:
    return codes_of(pictures, COUNT)


def test_codes_are_as_noise_is(codes: torch.Tensor) -> None:
    both = codes.flatten(0, 1)
    assert both.shape == (120, COUNT)
    assert both.mean(0).abs().max() < 0.1
    assert torch.allclose(both.std(0), torch.ones(COUNT), atol=0.15)  # less what lies farther out than 3
    alike = torch.corrcoef(both.T) - torch.eye(COUNT)
    assert alike.abs().max() < 0.2


def test_a_code_tells_its_picture_and_which_way_it_looks(pictures: torch.Tensor, codes: torch.Tensor) -> None:
    torch.testing.assert_close(codes_of(pictures.flip(3), COUNT), codes.flip(0), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(codes_of(pictures.clone(), COUNT), codes)  # as when a run goes on
    slightly = (pictures.int() + 4).clamp(max=255).to(torch.uint8)
    told = codes_of(torch.cat([pictures, slightly]), COUNT)[0]
    near = torch.cdist(told[60:], told[:60]).argmin(1)
    assert (near == torch.arange(60)).float().mean() > 0.9


def test_few_pictures_take_few_numbers(pictures: torch.Tensor) -> None:
    few = codes_of(pictures[:5], COUNT)
    assert few.shape == (2, 5, 5)
    assert few.isfinite().all()


def saved(folder: Path, pictures: torch.Tensor) -> str:
    folder.mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(np.asarray(picture.permute(1, 2, 0))).save(folder / f"{i:02d}.png")
    return str(folder)


def test_every_second_fake_is_asked_for_by_the_code_of_the_real_picture_beside_it(
    pictures: torch.Tensor, tmp_path: Path
) -> None:
    plugin = Anime(Settings(told=COUNT))
    source = saved(tmp_path / "faces", pictures)
    faces: Any = plugin.data(source, "train", 0)
    batch = faces.batch(range(4, 10))
    mirrored = sample_flips(torch.arange(4, 10), 0).long()
    rows = faces.rows(range(4, 10))
    wanted = codes_of(faces.pictures, COUNT)[mirrored, rows]
    z = plugin.noise(batch, seeded_step([0], 6))
    torch.testing.assert_close(z[::2, :COUNT], wanted[::2])
    assert (z[1::2, :COUNT] - wanted[1::2]).abs().min(1).values.max() > 1e-3
    assert "codes" not in plugin.data(source, "validation", 0).batch(range(4))


def test_the_processes_of_a_batch_ask_for_what_one_would() -> None:
    plugin, codes = Anime(Settings(told=COUNT)), torch.arange(6.0)[:, None].expand(6, COUNT)
    whole = plugin.noise({"codes": codes}, seeded_step([0], 6))
    parts = []
    for rows in (slice(0, 3), slice(3, 6)):
        step = seeded_step([0], 6)
        step.rows = rows
        parts.append(plugin.noise({"codes": codes[rows]}, step))
    torch.testing.assert_close(torch.cat(parts), whole)
    step = seeded_step([0], 6)
    step.rows = slice(1, 2)
    assert torch.equal(plugin.noise({"codes": codes[1:2]}, step)[:, :COUNT], codes[1:2])  # or a term is of nothing


def test_told_faces_train_in_one_command(pictures: torch.Tensor, tmp_path: Path) -> None:
    out = tmp_path / "run"
    small = "--resolution 32 --channels 16,16,8,8 --latent-dim 16 --feature-size 32 --batch-size 4 --evaluate-count 0"
    flags = f"{small} --told {COUNT} --steps 2 --sample-every 0 --log-every 1 --precision fp32".split()
    source = saved(tmp_path / "faces", pictures)
    assert train(["anime", "--data", source, "--out", str(out), *flags, "--trackers", ""]) == 0
    log = (out / "log.jsonl").read_text()
    assert all(term in log for term in ("g/likeness", "g/perceptual"))
