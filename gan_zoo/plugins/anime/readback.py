"""Are the labels that were asked for there? A small judge, taught on pictures with labels, reads them back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from gan_zoo.data import to_float
from gan_zoo.labels import Vocabulary
from gan_zoo.plugins.anime.attributes import BUILT_IN
from gan_zoo.plugins.anime.drawn import draw_character

FIRST = 2**31  # seeds of the judge's characters: neither trained on nor held out for scores

PROTOCOL = (
    "Read back: balanced accuracy of a small convolutional network, taught on {taught}, on the labels asked of the "
    'generated pictures; "of real" is the same on pictures held out.'
)


def draw_characters(seeds: Sequence[int], size: int) -> Tensor:
    """The characters of those seeds -> uint8 (N, 3, size, size)."""
    pictures = np.stack([np.asarray(draw_character(seed, size)) for seed in seeds])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


class Reader(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1], of the size given -> logits (B, vocabulary.size)."""

    def __init__(self, size: int, vocabulary: Vocabulary, width: int = 32):
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        channels, side = 12, size // 2
        while side > 4:
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels, width, side = width, min(2 * width, 128), (side + 1) // 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(side * side * channels, 256), nn.ReLU())
        self.out = nn.Linear(256, vocabulary.size)
        self.vocabulary = vocabulary

    def forward(self, pictures: Tensor) -> Tensor:
        return self.out(self.layers(pictures))

    @torch.inference_mode()
    def read(self, pictures: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) -> labels int64 (N, L)."""
        return torch.cat([self.vocabulary.read(self(to_float(some))) for some in pictures.split(256)])


@lru_cache(maxsize=1)
def taught_reader(size: int, count: int, epochs: int = 12, batch: int = 64) -> Reader:
    """A judge taught on `count` fresh characters; the same one every time."""
    seeds = range(FIRST, FIRST + count)
    return teach(draw_characters(seeds, size), BUILT_IN.drawn(seeds), BUILT_IN, epochs, batch)


def teach(pictures: Tensor, labels: Tensor, vocabulary: Vocabulary, epochs: int = 12, batch: int = 64) -> Reader:
    """A judge taught on pictures, uint8 (N, 3, H, W), and their labels (N, L); the same one every time."""
    count = len(pictures)
    batch = min(batch, count)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reader = Reader(pictures.shape[-1], vocabulary)
        steps = epochs * (count // batch)
        optimizer = torch.optim.AdamW(reader.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=max(steps, 2))
        for _ in range(epochs):
            for rows in torch.randperm(count).split(batch)[: count // batch]:
                # A point of noise, so that it reads shapes and colours, not exact levels that only a renderer gives.
                x = to_float(pictures[rows])
                x = x + 0.05 * torch.randn_like(x)
                vocabulary.cross_entropy(reader(x), labels[rows]).backward()
                optimizer.step()
                schedule.step()
                optimizer.zero_grad(set_to_none=True)
    return reader.eval()


def balanced_accuracy(read: Tensor, asked: Tensor, vocabulary: Vocabulary = BUILT_IN) -> dict[str, float]:
    """Labels (N, L) twice -> per label the mean over its values of the share read right, in [0, 1]."""
    scores = {}
    for i, name in enumerate(vocabulary.shares):
        values = asked[:, i].unique()
        scores[name] = float(torch.stack([(read[asked[:, i] == v, i] == v).float().mean() for v in values]).mean())
    return scores


def scores(reader: Reader, fake: Tensor, asked: Tensor, real: Tensor, labels: Tensor) -> dict[str, float]:
    """What PROTOCOL says: pictures uint8 (N, 3, H, W), generated and real, and the labels (N, L) of both."""
    found = balanced_accuracy(reader.read(fake), asked, reader.vocabulary)
    of_real = balanced_accuracy(reader.read(real), labels, reader.vocabulary)
    return {
        "read_back": sum(found.values()) / len(found),
        **{f"read_back_{name}": value for name, value in found.items()},
        "read_back_of_real": sum(of_real.values()) / len(of_real),
    }
