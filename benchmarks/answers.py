"""What answers cost: each plugin's generators by torch and by onnxruntime; many visitors at once over HTTP."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import torch

from gan_zoo import exporting, registry
from gan_zoo.precision import bf16_is_fast

CLIENTS = 16
Way = Callable[[int], object]


def generators(quick: bool) -> Iterator[tuple[str, dict[str, Way]]]:
    """Of each plugin's default preset, "slug: network", and its ways to answer the example that `exports` gives."""
    import onnxruntime

    for slug in ("anime", "cyclegan") if quick else ("anime", "colorize", "cyclegan", "pose", "lab"):
        plugin: Any = registry.get(slug)
        pipeline = plugin.load("faces" if slug == "lab" else None)
        networks = plugin.exports(pipeline)
        with tempfile.TemporaryDirectory() as folder:
            written = exporting.export(plugin, pipeline, folder)
            for (name, network), file in zip(networks.items(), written, strict=True):
                if slug == "cyclegan" and name != next(iter(networks)):
                    continue  # the way back has the same layers
                session: Any = onnxruntime.InferenceSession(str(file.path), providers=["CPUExecutionProvider"])
                yield f"{slug}: {name}", _ways(network, session)


def _ways(network: Any, session: Any) -> dict[str, Way]:
    inputs = {name: x.numpy() for name, x in network.inputs.items()}

    def by_torch(fast: bool) -> Way:
        def run(_: int) -> object:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=fast):
                return network.module(*network.inputs.values())

        return run

    ways = {"torch, float32": by_torch(False), "onnxruntime, float32": lambda _: session.run(None, inputs)}
    return ways | ({"torch, bfloat16": by_torch(True)} if bf16_is_fast(torch.device("cpu")) else {})


def visitors(address: str, rounds: int, body: dict[str, Any]) -> tuple[float, float, float]:
    """Answers a second, and the median and 95th percentile of their seconds: CLIENTS ask for anime faces, over again.

    They run in this process, and so take part of the same processor.
    """
    seconds: list[float] = []

    def visit(number: int) -> None:
        with httpx.Client(base_url=f"{address}gradio_api/call/", timeout=120) as client:
            for i in range(rounds):
                start = time.perf_counter()
                asked = client.post("v2/anime_generate", json={**body, "seed": 1000 * number + i})
                answer = client.get(f"anime_generate/{asked.raise_for_status().json()['event_id']}").text
                if "event: complete" not in answer:
                    raise SystemExit(f"error: a visitor was not answered: {answer[:200]}")
                seconds.append(time.perf_counter() - start)

    threads = [threading.Thread(target=visit, args=(i,)) for i in range(CLIENTS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed = time.perf_counter() - start
    if len(seconds) < CLIENTS * rounds:
        raise SystemExit("error: visitors were turned away")
    return len(seconds) / passed, statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]


def megabytes(process: int) -> float | None:
    """Of memory that a process holds, where the system tells."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), None)
