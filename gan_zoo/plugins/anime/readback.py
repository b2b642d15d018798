"""Are the attributes that were asked for there? A small judge, taught on fresh characters, reads them back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from gan_zoo.data import to_float
from gan_zoo.plugins.anime import attributes
from gan_zoo.plugins.anime.drawn import draw_character

FIRST = 2**31  # seeds of the judge's characters: neither trained on nor held out for scores

PROTOCOL = (
    "Read back: balanced accuracy of a small convolutional network, taught on {count:,} fresh characters of the "
    'definition, on the attributes asked of the generated pictures; "of real" is the same on characters held out.'
)


def draw_labelled(seeds: Sequence[int], size: int) -> tuple[Tensor, Tensor]:
    """The characters of those seeds -> uint8 (N, 3, size, size) and labels int64 (N, 6)."""
    pictures = np.stack([np.asarray(draw_character(seed, size)) for seed in seeds])
    labels = torch.stack([attributes.labels(attributes.draw(seed)) for seed in seeds])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2), labels


class Reader(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1], H and W multiples of 32 -> logits (B, attributes.SIZE)."""

    def __init__(self, size: int, width: int = 32):
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        channels, side = 12, size // 2
        while side > 4:
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels, width, side = width, min(2 * width, 128), side // 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * channels, 256), nn.ReLU())
        self.out = nn.Linear(256, attributes.SIZE)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.out(self.layers(pictures))

    @torch.inference_mode()
    def read(self, pictures: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) -> labels int64 (N, 6)."""
        logits = torch.cat([self(to_float(some)) for some in pictures.split(256)])
        return torch.stack([part.argmax(1) for part in logits.split(attributes.COUNTS, dim=1)], dim=1)


@lru_cache(maxsize=1)
def taught_reader(size: int, count: int, epochs: int = 12, batch: int = 64) -> Reader:
    """A judge taught on `count` fresh characters; the same one every time."""
    pictures, labels = draw_labelled(range(FIRST, FIRST + count), size)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reader = Reader(size)
        steps = epochs * (count // batch)
        optimizer = torch.optim.AdamW(reader.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=max(steps, 2))
        for _ in range(epochs):
            for rows in torch.randperm(count).split(batch)[: count // batch]:
                # A point of noise, so that it reads shapes and colours, not exact levels that only a renderer gives.
                x = to_float(pictures[rows])
                x = x + 0.05 * torch.randn_like(x)
                attributes.cross_entropy(reader(x), labels[rows]).backward()
                optimizer.step()
                schedule.step()
                optimizer.zero_grad(set_to_none=True)
    return reader.eval()


def balanced_accuracy(read: Tensor, asked: Tensor) -> dict[str, float]:
    """Labels (N, 6) twice -> per attribute the mean over its values of the share read right, in [0, 1]."""
    scores = {}
    for i, name in enumerate(attributes.ATTRIBUTES):
        values = asked[:, i].unique()
        scores[name] = float(torch.stack([(read[asked[:, i] == v, i] == v).float().mean() for v in values]).mean())
    return scores


def scores(fake: Tensor, asked: Tensor, real: Tensor, labels: Tensor, count: int) -> dict[str, float]:
    """What PROTOCOL says: pictures uint8 (N, 3, H, W), generated and real, and the labels (N, 6) of both."""
    reader = taught_reader(fake.shape[-1], count)
    found = balanced_accuracy(reader.read(fake), asked)
    of_real = balanced_accuracy(reader.read(real), labels)
    return {
        "read_back": sum(found.values()) / len(found),
        **{f"read_back_{name}": value for name, value in found.items()},
        "read_back_of_real": sum(of_real.values()) / len(of_real),
    }
