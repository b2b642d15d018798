"""Which numbers a machine computes fast with, and answers computed with those."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch


def bf16_is_fast(device: torch.device) -> bool:
    """Does this processor have bf16 instructions for matrices? (Accelerate's own check is always true on CPU, and
    oneDNN's with AVX-512 of any kind, where it computes bf16 by detours.)
    """
    if device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64"):
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def computed_in(device: torch.device, otherwise: torch.dtype) -> torch.dtype:
    """The type that networks compute in here: autocast's, or `otherwise` without it."""
    kind = device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else otherwise


def answering(device: torch.device, rough: bool) -> AbstractContextManager[Any]:
    """Inside, networks compute in bfloat16 if `rough` and where that is fast; what they give may be of that type."""
    return torch.autocast(device.type, torch.bfloat16, enabled=rough and bf16_is_fast(device))


def each(results: Iterator[Any], device: torch.device, rough: bool) -> Iterator[Any]:
    """The results of a stream, each computed so; between them, whoever asked for them computes as before."""
    end = object()
    while True:
        with answering(device, rough):
            result = next(results, end)
        if result is end:
            return
        yield result
