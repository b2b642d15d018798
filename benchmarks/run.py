"""How long people wait, for the page to start, for 16 anime faces after a click and among 16 visitors; what generators
take by torch and by onnxruntime; and a step of training beside the same step as the widely used scripts write it.
Writes docs/benchmarks.md.

    make bench                    # or: python -m benchmarks.run [--quick] [--rounds N] [--out FILE]

The ways of asking are interleaved, a round of each in turn, so that a busy moment of the machine touches all of them;
the medians are compared. Loading is not counted: each way has answered once before the first round. Networks that
nobody trained take as long as trained ones, so that this also runs where there are no weights (and says so).
"""

from __future__ import annotations

import argparse
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from importlib import metadata
from pathlib import Path

import torch

from benchmarks import answers, training
from gan_zoo import hub, registry

ROOT = Path(__file__).resolve().parents[1]
COUNT = 16
STARTS = 3  # rounds
STEPS = 3
ALONE = 7
LIMIT = 1.0  # seconds from the click to the faces, on two cores
IMPORTS = "import torch, gradio, mcp, diffusers.pipelines.pipeline_utils, diffusers.models.modeling_utils"


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@contextmanager
def page() -> Iterator[tuple[str, int]]:
    """The page in a process of its own, as `make app` starts it. Gives its address and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "gan_zoo", "app", "--port", str(port)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            for _ in range(600):
                with suppress(OSError):
                    urllib.request.urlopen(address).read()
                    break
                if process.poll() is not None:
                    log.seek(0)
                    raise SystemExit(f"error: the page did not start:\n{log.read()[-2000:]}")
                time.sleep(0.05)
            yield address, process.pid
        finally:
            process.terminate()
            process.wait()


def measure(ways: dict[str, Callable[[int], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, {name: [round]}, after one call of each that is not counted."""
    for ask in ways.values():
        ask(0)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(1, rounds + 1):  # another seed each round: nothing is answered from a cache
        for name, ask in ways.items():
            start = time.perf_counter()
            ask(seed)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def open_once(_: int) -> None:
    with page():
        pass


def import_once(_: int) -> None:
    subprocess.run([sys.executable, "-c", IMPORTS], cwd=ROOT, check=True)


def table(seconds: dict[str, list[float]]) -> list[str]:
    """Rows of a table in Markdown; ratios to the first way."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    first = next(iter(medians.values()))
    return [
        "| way | median | least to most | ratio of medians |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {1000 * medians[name]:.0f} ms | {1000 * min(values):.0f} to {1000 * max(values):.0f} ms "
            f"| {medians[name] / first:.2f} |"
            for name, values in seconds.items()
        ),
    ]


def report(
    starts: dict[str, list[float]],
    seconds: dict[str, list[float]],
    trained: dict[str, dict[str, list[float]]],
    crowd: list[str],
    generators: dict[str, dict[str, list[float]]],
    weights: str,
    shares: dict[str, training.Share],
    limit: float,
) -> str:
    slowest = max(statistics.median(values) for values in seconds.values())
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "diffusers", "gradio"))
    rounds = [len(next(iter(each.values()))) for each in (starts, seconds)]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Made by `make bench`. From the start of the program to the whole page:",
            "",
            *table(starts),
            "",
            f"{COUNT} anime faces from a click, once the weights are loaded:",
            "",
            *table(seconds),
            "",
            f"The slowest median is {'under' if slowest < LIMIT else '**over**'} the limit of {LIMIT:g} s.",
            "",
            *crowd,
            "",
            "A generator alone, on the example of its export:",
            "",
            "| network | torch, float32 | torch, bfloat16 | onnxruntime, float32 |",
            "| --- | --- | --- | --- |",
            *_networks(generators),
            "",
            "A step of training, D's half and G's: as the widely used scripts write it (float32, contiguous, a",
            "generator pass for each half, identity passes, plain Adam), and the trainer's own, with the same networks",
            "and losses:",
            "",
            "| step | textbook | ours | times as fast |",
            "| --- | --- | --- | --- |",
            *_steps(trained),
            "",
            "Where the time of a plugin's own step goes, on the built-in data; a convolution alone (8 x 128 x 32 x 32,",
            f"3 x 3) reaches {limit:.0f} GFLOP/s here:",
            "",
            "| step | seconds | in convolutions and matrix products | their GFLOP/s |",
            "| --- | --- | --- | --- |",
            *(f"| {name} | {s.seconds:.2f} | {s.products:.0%} | {s.speed:.0f} |" for name, s in shares.items()),
            "",
            f"{rounds[0]}, {rounds[1]} and {STEPS} interleaved rounds, a new seed each; {weights}.",
            f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads of torch.",
            f"Python {platform.python_version()}, {versions}; {date.today().isoformat()}.",
            "",
        ]
    )


def _steps(trained: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    for what, ways in trained.items():
        textbook, ours = (statistics.median(ways[name]) for name in ("textbook", "ours"))
        yield f"| {what} | {textbook:.2f} s | {ours:.2f} s | {textbook / ours:.1f} |"


def _networks(generators: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    for name, ways in generators.items():
        medians = {way: f"{1000 * statistics.median(seconds):.0f} ms" for way, seconds in ways.items()}
        cells = [medians.get(way, "-") for way in ("torch, float32", "torch, bfloat16", "onnxruntime, float32")]
        yield f"| {name} | {' | '.join(cells)} |"


def crowded(address: str, process: int, quick: bool) -> list[str]:
    """Rows: many visitors at once, and what the page's process holds before and after."""
    rested = answers.megabytes(process)
    rows = ["| 16 visitors ask for | answers a second | median | 95th percentile |", "| --- | --- | --- | --- |"]
    for what, body in (("one face", {"count": 1}), (f"{COUNT} faces", {"count": COUNT})):
        rate, middle, late = answers.visitors(address, 2 if quick else 5, body)
        rows.append(f"| {what} | {rate:.1f} | {middle:.2f} s | {late:.2f} s |")
    used = answers.megabytes(process)
    held = f"The page holds {rested:.0f} MB before, {used:.0f} MB after." if rested and used else ""
    return [*rows, "", held]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="two minutes: fewer rounds, and no step at 256 px")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    args = parser.parse_args()
    rounds = min(args.rounds, 5) if args.quick else args.rounds

    plugin = registry.get("anime")
    preset = plugin.preset().name
    with tempfile.TemporaryDirectory() as folder:
        weights = f"weights {preset}"
        try:
            plugin.load(preset)
        except hub.WeightsError:
            weights = "networks that nobody trained, since there are no weights here"
            torch.manual_seed(0)
            pipeline = plugin.pipeline(plugin.networks())
            hub.save(pipeline, Path(folder) / plugin.slug / preset, plugin=plugin.slug, preset=preset, card="")
            os.environ["GAN_ZOO_WEIGHTS"] = folder
        starts = measure({"imports of torch, gradio and diffusers": import_once, "the page": open_once}, STARTS)
        with page() as (address, process):
            from gradio_client import Client

            client = Client(address, verbose=False)
            ways: dict[str, Callable[[int], object]] = {
                "Python, `plugin.infer`": lambda seed: plugin.infer("generate", seed=seed, count=COUNT),
                "HTTP, `gradio_client`, pictures fetched": lambda seed: client.predict(
                    seed=seed, count=COUNT, api_name="/anime_generate"
                ),
            }
            asked = measure(ways, rounds)
            crowd = crowded(address, process, args.quick)
        shipped = os.environ.get("GAN_ZOO_WEIGHTS") != folder
        alone = {what: measure(ways, ALONE) for what, ways in answers.generators(args.quick)} if shipped else {}
        trained = {what: measure(ways, STEPS) for what, ways in training.steps(args.quick).items()}
        shares, limit = dict(training.shares()), training.bare()
        text = report(starts, asked, trained, crowd, alone, weights, shares, limit)
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
