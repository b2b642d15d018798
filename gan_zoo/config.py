"""How a run trains, and where it stands."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints


def setting(default: Any, about: str, low: float = 0.0, high: float = math.inf, *, multiple: int = 1) -> Any:
    """A field of a dataclass of settings: its default, what it means and why, the range of a number, and of what it is
    a multiple.
    """
    return field(default=default, metadata={"help": about, "range": (low, high), "multiple": multiple})


def check_settings(settings: Any) -> None:
    """Raises ValueError for a field that is none of its Literal's values, or a number that is not as `setting` says."""
    kinds = get_type_hints(type(settings))
    for known in fields(settings):
        value, kind = getattr(settings, known.name), kinds[known.name]
        if get_origin(kind) is Literal and value not in get_args(kind):
            *some, last = map(str, get_args(kind))
            expected = f"{', '.join(some)} or {last}" if some else last
            raise ValueError(f"{known.name}: expected {expected}, got {repr(value)[:40]}")
        if "range" not in known.metadata or kind not in (int, float):
            continue
        low, high = known.metadata["range"]
        sound = type(value) is int or (type(value) is float and kind is float and math.isfinite(value))
        if not (sound and low <= value <= high):
            number = "a whole number" if kind is int else "a number"
            span = f"of at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
            raise ValueError(f"{known.name}: expected {number} {span}, got {str(value)[:40]}")
        if (multiple := known.metadata["multiple"]) > 1 and value % multiple:
            raise ValueError(f"{known.name}: expected a multiple of {multiple}, got {value}")


def fitting(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those values that belong to a dataclass of settings, lists, as JSON and TOML have them, as tuples."""
    names = {known.name for known in fields(kind)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in names}


@dataclass(frozen=True)
class TrainConfig:
    """How a run trains. Every field is a flag of `python -m gan_zoo train` and a key of a recipe."""

    steps: int = setting(1000, "generator updates; the learning-rate schedule is laid over them", 1)
    hours: float = setting(0.0, "end, schedules included, after this much training over all resumes; 0: no limit")
    init: str = setting("", "a preset or weights folder of this plugin whose generators the run begins with")
    batch_size: int = setting(32, "samples per process and micro-batch", 1)
    accumulate: int = setting(1, "micro-batches per update", 1)
    d_updates: int = setting(1, "D updates per G update, each on a fresh batch", 1)
    lr_g: float = setting(2e-4, "G's learning rate; DCGAN's, from which most GANs start")
    lr_d: float = setting(2e-4, "D's learning rate; twice G's is another usual choice (TTUR)")
    beta1: float = setting(0.0, "Adam's; no momentum, since the other network moves the target", 0, 0.999999)
    beta2: float = setting(0.99, "Adam's; some 100 steps of memory, as in StyleGAN", 0, 0.999999)
    warmup: int = setting(0, "steps over which the learning rate rises from 0")
    decay_from: float = setting(1.0, "share of the run after which the rate falls linearly to 0 (CycleGAN: 0.5)", 0, 1)
    max_grad_norm: float = setting(0.0, "0: no clipping")
    ema_half_life: float = setting(10_000.0, "images after which an old weight counts half (ADA's 10k); 0: no average")
    precision: Literal["auto", "bf16", "fp32"] = setting("auto", "auto is bf16 where the processor does it well")
    threads: int = setting(0, "of the processor, a process; 0: PyTorch's own choice, all of its cores")
    seed: int = setting(0, "of the networks, the data's order and all noise", 0, 2**32 - 1)
    log_every: int = setting(50, "steps", 1)
    sample_every: int = setting(500, "steps; 0: never")
    checkpoint_every: int = setting(500, "steps; 0: only at the end")
    keep: int = setting(2, "checkpoints: one more than the newest, which may be damaged", 1)
    evaluate_every: int = setting(0, "steps; 0: only at the end")
    evaluate_count: int = setting(2000, "pictures an evaluation, enough for a KID to within a unit; 0: never evaluate")
    equilibrium: float = setting(0.0, "stop when D's accuracy is this near 1/2 and the score stalls; 0: off", 0, 0.49)
    patience: int = setting(3, "evaluations without a better score that count as a stall", 1)
    trackers: str = setting("tensorboard", "names of Accelerate's trackers, comma-separated; empty: none")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.equilibrium and not (self.evaluate_every and self.evaluate_count):
            raise ValueError("equilibrium: needs evaluate_every and evaluate_count, to know when the score stalls")


def learning_rate(config: TrainConfig, index: int, position: float) -> float:
    """The factor on the learning rate at step `index`, `position` in [0, 1] of the stage: warm-up, flat, decay to 0."""
    warmup = min(1.0, (index + 1) / config.warmup) if config.warmup else 1.0
    left = (1 - position) / (1 - config.decay_from) if config.decay_from < 1 else 1.0
    return warmup * min(1.0, max(0.0, left))


def stage_steps(config: TrainConfig, shares: Sequence[float], stage: int) -> int:
    """Updates of a stage, of which each has its share of the run."""
    return max(1, round(config.steps * shares[stage] / sum(shares)))


def position(config: TrainConfig, shares: Sequence[float], progress: Progress) -> float:
    """From 0 at the stage's start to 1 at its end: by steps, or by the clock where `hours` has it end earlier."""
    now = progress.stage
    by_steps = progress.index / stage_steps(config, shares, now)
    if not config.hours:
        return min(1.0, by_steps)
    by_clock = (progress.hours / config.hours * sum(shares) - sum(shares[:now])) / shares[now]
    return min(1.0, max(by_steps, by_clock))


class Stop(enum.IntEnum):
    """Why a run ends; the strongest reason of any process counts for all."""

    NOT_YET = 0
    STEPS = 1
    HOURS = 2
    EQUILIBRIUM = 3
    SIGNAL = 4

    @property
    def reason(self) -> str:
        return {
            Stop.NOT_YET: "training",
            Stop.STEPS: "all steps done",
            Stop.HOURS: "time is up",
            Stop.EQUILIBRIUM: "equilibrium: D can no longer tell, and the score no longer improves",
            Stop.SIGNAL: "interrupted and saved, go on with --resume",
        }[self]


@dataclass
class Progress:
    """Where a run stands; saved with each checkpoint."""

    stage: int = 0
    index: int = 0  # G updates made in this stage
    updates: int = 0  # G updates made in all stages
    images: int = 0  # real pictures seen, over all processes
    hours: float = 0.0
    best: float = math.inf
    stalled: int = 0  # evaluations without a better score while D could not tell
    accuracy: float = 1.0  # D's, running mean over some 50 steps
    evaluated: int = -1  # `updates` at the last evaluation
