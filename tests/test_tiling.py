"""Pictures of any size through networks of limited size: nothing lost, nothing added, no borders to be seen."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_zoo.tiling import apply_at_side, apply_tiled

TILE, OVERLAP = 64, 16


def noise(height: int, width: int, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def normalised(windows: Tensor) -> Tensor:
    """The worst case of instance norm: every window is brought to the same mean and deviation."""
    mean, deviation = windows.mean((2, 3), keepdim=True), windows.std((2, 3), keepdim=True)
    return 0.3 * (windows - mean) / (deviation + 1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 64), (7, 300), (63, 65), (64, 64), (129, 127), (1024, 768)])
@pytest.mark.parametrize("settings", [{}, {"tile": TILE, "overlap": OVERLAP}, {"tile": 48, "overlap": 40}])
def test_identity_gives_the_picture_back(size, settings):
    picture = noise(*size)
    torch.testing.assert_close(apply_tiled(picture, lambda x: x, **settings), picture, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("tile", "multiple", "least"), [(64, 4, 16), (64, 64, 16), (60, 12, 40), (64, 1, 1)])
@pytest.mark.parametrize("size", [(1, 1), (7, 300), (61, 62), (200, 131)])
def test_network_sees_only_sizes_it_can_take(size, tile, multiple, least):
    seen = []

    def run(windows: Tensor) -> Tensor:
        seen.append(windows.shape)
        return windows

    apply_tiled(noise(*size), run, tile=tile, overlap=OVERLAP, multiple=multiple, least=least, batch=3)
    for count, _, height, width in seen:
        assert count <= 3
        assert height % multiple == width % multiple == 0
        assert least <= height <= tile and least <= width <= tile


def test_weights_add_up_to_one_everywhere():
    """A constant stays that constant, whatever the windows were."""
    result = apply_tiled(noise(333, 517), torch.ones_like, tile=TILE, overlap=OVERLAP)
    torch.testing.assert_close(result, torch.ones_like(result), atol=1e-6, rtol=0)


def test_windows_lie_within_the_picture():
    """From a tile up nothing is invented at the border: all that the network sees is in the picture."""
    picture = torch.arange(70.0 * 90).view(1, 1, 70, 90)
    seen = []

    def run(windows: Tensor) -> Tensor:
        steps = windows.diff(dim=3)
        seen.append(bool((steps == 1).all()) and bool((windows.diff(dim=2) == 90).all()))
        return windows

    apply_tiled(picture, run, tile=TILE, overlap=OVERLAP)
    assert seen and all(seen)


def test_small_picture_is_mirrored_outward():
    ramp = torch.tensor([0.0, 1.0, 2.0])[None, None, None].expand(1, 1, 8, 3)
    seen = []
    apply_tiled(ramp, lambda x: seen.append(x) or x, multiple=8, least=8)
    assert seen[0][0, 0, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]


def test_strided_network_keeps_its_grid():
    """A network that works on blocks of 4 gives in tiles what it gives at once."""

    def blocks(x: Tensor) -> Tensor:
        return F.interpolate(F.avg_pool2d(x, 4), scale_factor=4, mode="nearest")

    picture = noise(200, 264)
    torch.testing.assert_close(apply_tiled(picture, blocks, tile=TILE, overlap=OVERLAP), blocks(picture))


def test_channels_may_change():
    assert apply_tiled(noise(70, 80), lambda x: x[:, :1], tile=TILE, overlap=OVERLAP).shape == (1, 1, 70, 80)


def borders(result: Tensor) -> tuple[Tensor, Tensor]:
    """Mean step between neighbouring columns: where a window begins or ends, and everywhere else."""
    steps = result.diff(dim=3).abs().mean((0, 1, 2))
    at = torch.zeros(len(steps), dtype=torch.bool)
    for start in range(0, 193, 48):  # the windows of 64 pixels, sharing 16, along a side of 256
        for border in (start, start + TILE):
            if 0 < border < 256:
                at[border - 1] = True
    assert at.sum() == 8
    return steps[at], steps[~at]


GRADIENT = torch.linspace(-1, 1, 256).expand(1, 3, 256, 256)


@pytest.mark.parametrize("picture", [GRADIENT, GRADIENT.flip(3), noise(256, 256), GRADIENT / 2 + noise(256, 256) / 8])
def test_borders_of_tiles_are_invisible(picture):
    """Where windows meet, neighbouring columns differ no more than they do elsewhere, though tiles differ in tone."""
    at, elsewhere = borders(apply_tiled(picture, normalised, tile=TILE, overlap=OVERLAP))
    assert at.max() <= 1.01 * elsewhere.max()
    assert at.mean() <= 1.01 * elsewhere.mean()


def test_the_measure_sees_a_border():
    """Without fading the same tiles would fail: the step is many times the gradient's own."""
    tiles = [normalised(part) for part in GRADIENT.split(TILE, dim=3)]
    steps = torch.cat(tiles, 3).diff(dim=3).abs().mean((0, 1, 2))
    assert steps[TILE - 1] > 20 * steps[: TILE - 1].max()


def test_batch_changes_nothing():
    picture = noise(150, 170)
    one = apply_tiled(picture, normalised, tile=TILE, overlap=OVERLAP, batch=1)
    torch.testing.assert_close(one, apply_tiled(picture, normalised, tile=TILE, overlap=OVERLAP, batch=7))


@pytest.mark.parametrize("settings", [{"tile": 62}, {"tile": 64, "overlap": 64}, {"tile": 64, "overlap": 0}])
def test_settings_that_cannot_be(settings):
    with pytest.raises(ValueError, match="expected a multiple of 4"):
        apply_tiled(noise(8, 8), lambda x: x, **settings)


def test_only_one_picture():
    with pytest.raises(ValueError, match="expected one picture"):
        apply_tiled(torch.zeros(2, 3, 8, 8), lambda x: x)


def test_what_is_made_anew_keeps_nothing_of_the_large_picture():
    """Elsewhere only the change is enlarged, and the picture keeps its own sharpness."""
    stripes = torch.where(torch.arange(64) % 2 == 0, 1.0, -1.0).expand(1, 3, 64, 64)
    left = torch.zeros(1, 1, 16, 16)
    left[..., :8] = 1.0
    made = apply_at_side(stripes, lambda small: small + 0.1, 16, anew=lambda small: left)
    assert made[..., :24].std() < 0.05
    assert made[..., 40:].std() > 0.9
    torch.testing.assert_close(
        apply_at_side(stripes, lambda small: small * 0 + 0.5, 64, anew=lambda small: left), 0 * stripes + 0.5
    )
