"""How much the models that are kept ready may take together, in this process; who was used longest ago goes first."""

from __future__ import annotations

import os
import threading
from collections.abc import MutableMapping
from typing import Any

from torch import nn

LIMIT = 1024  # MB of 1e6 bytes, where GAN_ZOO_MODELS_MB says nothing else

_used: dict[tuple[int, str], tuple[MutableMapping[str, Any], int]] = {}  # the longest unused first
_lock = threading.Lock()


def limit() -> float:
    """In bytes. Raises ValueError for a limit that is no number."""
    told = os.environ.get("GAN_ZOO_MODELS_MB", "")
    try:
        return 1e6 * float(told or LIMIT)
    except ValueError:
        raise ValueError(f"GAN_ZOO_MODELS_MB: expected a number of megabytes, got {told!r}") from None


def size_of(pipeline: Any) -> int:
    """Bytes of the networks of a diffusers pipeline."""
    networks = [part for part in getattr(pipeline, "components", {}).values() if isinstance(part, nn.Module)]
    return sum(x.nbytes for network in networks for x in (*network.parameters(), *network.buffers()))


def used(shelf: MutableMapping[str, Any], key: str) -> None:
    """`shelf[key]` was asked for just now. While all take more than the limit, what was not asked for the longest goes;
    whoever works with it goes on, and it is loaded again when asked for.
    """
    with _lock:
        _, size = _used.pop((id(shelf), key), (shelf, 0))
        _used[id(shelf), key] = shelf, size or size_of(shelf.get(key))
        total = sum(size for _, size in _used.values())
        for (number, name), (other, size) in list(_used.items())[:-1]:
            if total <= limit():
                break
            del _used[number, name]
            other.pop(name, None)
            total -= size
