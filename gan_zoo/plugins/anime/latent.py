"""Moves in latent space, as pure functions: near one picture, between two, along directions that no label gave."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_zoo.plugins.anime.networks import AnimeGenerator


def near(z: Tensor, noise: Tensor, amount: float) -> Tensor:
    """z (1, D) moved towards noise (N, D), both standard normal: amount 0 stays, 1 arrives. (N, D), standard normal."""
    return (1 - amount**2) ** 0.5 * z + amount * noise


def way(start: Tensor, end: Tensor, count: int) -> Tensor:
    """(1, ...), (1, ...) -> (count, ...): from start to end, at rest at both ends."""
    there = torch.linspace(0, 1, count, dtype=torch.float64)
    there = ((1 - torch.cos(torch.pi * there)) / 2).to(start).view(-1, *[1] * (start.ndim - 1))
    return start + there * (end - start)


def directions(generator: AnimeGenerator) -> Tensor:
    """Directions of codes that the first layer changes most by: (latent_dim, latent_dim), unit rows, most first.

    SeFa (Shen & Zhou 2021, arXiv:2007.06600, eq. 4): the eigenvectors of A^T A, of the largest eigenvalues first, where
    A (side^2 C, latent_dim) is the layer with its batch norm. A direction's sign is arbitrary: here its largest entry
    is positive.
    """
    norm = generator.start_norm
    assert norm.running_var is not None
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()  # (C,)
    weight = generator.start.weight[:, : generator.config["latent_dim"]].detach().float()
    a = weight * gain.detach().float().repeat_interleave(generator.side**2)[:, None]
    _, vectors = torch.linalg.eigh((a.T @ a).double().cpu())
    found = vectors.flip(1).T
    largest = found.gather(1, found.abs().argmax(dim=1, keepdim=True))
    return (found * largest.sign()).float()


def along(code: Tensor, direction: Tensor, strengths: Tensor) -> Tensor:
    """A code (1, D) moved by `strengths` (N,) along a unit direction (D,) -> (N, D). 1 is as long as noise."""
    length = code.shape[1] ** 0.5
    return code + length * strengths.to(code)[:, None] * direction.to(code)
