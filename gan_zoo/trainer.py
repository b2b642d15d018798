"""The one training loop, on Accelerate. It knows no plugin.

Read it from the bottom up: `train` makes a `Trainer`, whose `run` calls `_step` until something says stop; each step
is D's half then G's half of a `Duel`, from one generator pass. Everything random is a pure function of (seed, stage,
step), so the position of a run is its step number, and a resumed run equals an uninterrupted one bit for bit.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import hashlib
import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from filelock import FileLock, Timeout
from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_map
from tqdm.auto import tqdm

from gan_zoo import checkpoints, hub, images
from gan_zoo.checkpoints import write_json, write_text
from gan_zoo.plugin import (
    Batch,
    Evaluation,
    Fakes,
    Film,
    Fixed,
    Losses,
    Networks,
    Plugin,
    Preset,
    Stage,
    Step,
    Text,
)

CHECKPOINT_FORMAT = 1
PHASES = ("generate", "d", "g")
RANGES = {
    "steps": (1, math.inf), "hours": (0, math.inf), "batch_size": (1, math.inf), "accumulate": (1, math.inf),
    "d_updates": (1, math.inf), "lr_g": (0, math.inf), "lr_d": (0, math.inf), "beta1": (0, 0.999999),
    "beta2": (0, 0.999999), "warmup": (0, math.inf), "decay_from": (0, 1), "max_grad_norm": (0, math.inf),
    "ema_half_life": (0, math.inf), "seed": (0, 2**32 - 1), "log_every": (1, math.inf), "sample_every": (0, math.inf),
    "checkpoint_every": (0, math.inf), "keep": (1, math.inf), "evaluate_every": (0, math.inf),
    "evaluate_count": (0, math.inf), "equilibrium": (0, 0.49), "patience": (1, math.inf),
}  # fmt: skip


@dataclass(frozen=True)
class TrainConfig:
    """How a run trains. Every field is a flag of `python -m train` and a key of a recipe."""

    steps: int = 1000  # generator updates; the learning-rate schedule is laid over them
    hours: float = 0.0  # end, schedules included, after this much training time over all resumes; 0 = no limit
    init: str = ""  # a preset or weights folder of this plugin whose generators the run begins with
    batch_size: int = 32  # samples per process and micro-batch
    accumulate: int = 1  # micro-batches per update
    d_updates: int = 1  # D updates per G update, each on a fresh batch
    lr_g: float = 2e-4
    lr_d: float = 2e-4
    beta1: float = 0.0
    beta2: float = 0.99
    warmup: int = 0  # steps over which the learning rate rises from 0
    decay_from: float = 1.0  # share of the run after which it falls linearly to 0 (CycleGAN: 0.5)
    max_grad_norm: float = 0.0  # 0 = no clipping
    ema_half_life: float = 10_000.0  # images after which an old weight counts half; 0 = no averaging
    precision: str = "auto"  # auto | bf16 | fp32: auto is bf16 where the processor does it well
    seed: int = 0
    log_every: int = 50
    sample_every: int = 500
    checkpoint_every: int = 500
    keep: int = 2  # checkpoints
    evaluate_every: int = 0  # steps; 0 = only at the end
    evaluate_count: int = 2000  # pictures per evaluation; 0 = never evaluate
    equilibrium: float = 0.0  # stop when D's accuracy is within this of 1/2 and the score stalls; 0 = off
    patience: int = 3  # evaluations without a better score that count as a stall
    trackers: str = "tensorboard"  # names of Accelerate's trackers, comma-separated; empty = none

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value, kind = getattr(self, name), type(getattr(TrainConfig, name))
            whole = kind is not int or value == int(value)
            if not (math.isfinite(value) and whole and low <= value <= high):
                number = "a whole number" if kind is int else "a number"
                span = f"of at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
                raise ValueError(f"{name}: expected {number} {span}, got {value}")
        if self.precision not in ("auto", "bf16", "fp32"):
            raise ValueError(f"precision: expected auto, bf16 or fp32, got {self.precision!r}")
        if self.equilibrium and not (self.evaluate_every and self.evaluate_count):
            raise ValueError("equilibrium: needs evaluate_every and evaluate_count, to know when the score stalls")


# ---------------------------------------------------------------------------------------------------------------------
# The two halves of a step


@contextmanager
def frozen(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, no parameter of the networks requires grad; afterwards each does what it did before."""
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)


def detached(fakes: Fakes) -> Fakes:
    return tree_map(lambda x: x.detach() if isinstance(x, Tensor) else x, fakes)


class Duel:
    """Forger against police: the two halves of a GAN step. No Accelerator, no files, no clock.

    `d_step` leaves the generators bit for bit as they were, `g_step` the discriminators.
    `parallel` holds the networks as wrapped for data parallelism: the side that learns is called through its wrapper,
    whose hooks average gradients; the frozen side is called plain, since the wrapper would wait for gradients.
    """

    def __init__(
        self,
        plugin: Plugin,
        nets: Networks,
        g_optimizer: Optimizer | None,
        d_optimizer: Optimizer | None,
        *,
        parallel: Networks | None = None,
        autocast: Callable[[], Any] = nullcontext,
        max_grad_norm: float = 0.0,
    ):
        self.plugin, self.nets, self.parallel = plugin, nets, parallel or nets
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
        self.autocast, self.max_grad_norm = autocast, max_grad_norm

    def generate(self, batch: Batch, step: Step) -> Fakes:
        """The step's one generator pass, with its graph."""
        with self.autocast():
            return self.plugin.generate(Networks(self.parallel.generators, self.nets.discriminators), batch, step)

    def d_step(self, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        losses = self.d_backward(batch, fakes, step)
        self.update(self.d_optimizer)
        return losses

    def g_step(self, batch: Batch, fakes: Fakes, step: Step) -> Losses:
        losses = self.g_backward(batch, fakes, step)
        self.update(self.g_optimizer)
        return losses

    def d_backward(self, batch: Batch, fakes: Fakes, step: Step, weight: float = 1.0) -> Losses:
        nets = Networks(self.nets.generators, self.parallel.discriminators)
        with frozen(self.nets.generators.values()):
            with self.autocast():
                losses = self.plugin.discriminator_loss(nets, batch, detached(fakes), step)
            (losses.total * weight).backward()
        return losses

    def g_backward(self, batch: Batch, fakes: Fakes, step: Step, weight: float = 1.0) -> Losses:
        nets = Networks(self.parallel.generators, self.nets.discriminators)
        with frozen(self.nets.discriminators.values()):
            with self.autocast():
                losses = self.plugin.generator_loss(nets, batch, fakes, step)
            (losses.total * weight).backward()
        return losses

    def update(self, optimizer: Optimizer | None) -> None:
        if optimizer is None:
            raise ValueError("this half has nothing to update: its networks are frozen in this stage")
        if self.max_grad_norm > 0:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


class Ema:
    """Exponential moving average of networks: weights and floating-point buffers; other buffers are copied."""

    def __init__(self, networks: dict[str, nn.Module]):
        self.networks = {n: copy.deepcopy(network).requires_grad_(False).eval() for n, network in networks.items()}

    @torch.no_grad()
    def update(self, networks: dict[str, nn.Module], decay: float) -> None:
        """average <- decay * average + (1 - decay) * network."""
        for name, network in networks.items():
            pairs = list(zip(_tensors(self.networks[name]), _tensors(network), strict=True))
            floats = [(a, b.detach()) for a, b in pairs if a.is_floating_point()]
            torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - decay)
            for a, b in pairs:
                if not a.is_floating_point():
                    a.copy_(b)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def learning_rate(config: TrainConfig, index: int, position: float) -> float:
    """The factor on the learning rate at step `index`, `position` in [0, 1] of the stage: warm-up, flat, decay to 0."""
    warmup = min(1.0, (index + 1) / config.warmup) if config.warmup else 1.0
    left = (1 - position) / (1 - config.decay_from) if config.decay_from < 1 else 1.0
    return warmup * min(1.0, max(0.0, left))


def bf16_is_fast(device: torch.device) -> bool:
    """Does this processor have bf16 instructions for matrices? (Accelerate's own check is always true on CPU.)"""
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


# ---------------------------------------------------------------------------------------------------------------------
# The run


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


class Trainer:
    """Trains one plugin into one run folder.

    run.json          plugin, preset, data, settings and config: what --resume goes on with
    log.jsonl         a line per `log_every` steps
    samples/          the fixed-noise grid over time, and the film made of it
    checkpoints/      the last `keep`
    weights/          the best weights so far by score, as published
    """

    def __init__(
        self,
        plugin: Plugin,
        config: TrainConfig,
        *,
        data: str | None = None,
        out: str | Path,
        resume: bool = False,
        preset: Preset | None = None,
    ):
        self.plugin, self.config, self.source = plugin, config, data
        self.run_folder = Path(out)
        told = str(data) if data else "the plugin's built-in data"
        text = Text(told, told)
        self.preset = preset or (
            Preset(self.run_folder.name, text, "research", text)  # of strangers' data nothing is known
            if data
            else Preset(self.run_folder.name, text, "open", text, licence_id="cc0-1.0")
        )
        for name in ("FSDP", "DEEPSPEED", "MEGATRON_LM"):  # as `accelerate launch` asks for them
            if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() == "true":
                raise ValueError(
                    f"{name} is not supported: it shards the parameters of two networks that freeze each other in "
                    "turn; use plain data parallelism (torchrun, or accelerate launch --multi_gpu)"
                )
        hub.check_name("preset", self.preset.name)
        if config.evaluate_count:
            try:
                plugin.check_evaluation()
            except ImportError as error:
                print(f"training without scores, so that the last weights count as the best: {error}")
                config = self.config = dataclasses.replace(config, evaluate_count=0, equilibrium=0.0)
        trackers: list[Any] = [name for name in config.trackers.split(",") if name]
        self.accelerator = Accelerator(
            mixed_precision="no",  # autocast is entered once per half, below: Accelerate's casts every output to fp32
            log_with=trackers or None,
            project_dir=str(self.run_folder),
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        if int(os.environ.get("WORLD_SIZE", 1)) != self.accelerator.num_processes:
            started = os.environ["WORLD_SIZE"]
            raise ValueError(f"{started} processes were started but would not synchronise: set ACCELERATE_USE_CPU=true")
        known = (self.run_folder / "run.json").exists()
        if resume and not known:
            raise ValueError(f"nothing to resume: {self.run_folder} holds no run")
        if known and not resume:
            raise ValueError(f"{self.run_folder} already holds a run: go on with --resume, or choose another --out")
        self.device = self.accelerator.device
        self.processes, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        self.bf16 = config.precision == "bf16" or (config.precision == "auto" and bf16_is_fast(self.device))
        with torch.random.fork_rng():  # the networks' initial weights are the same in every process
            torch.manual_seed(config.seed)
            self.nets = plugin.networks()
        for _, net in self.nets.items():
            net.to(device=self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.data = plugin.data(data, "train", config.seed)
        self.validation = plugin.data(data, "validation", config.seed)
        self.ema = Ema(self.nets.generators)
        self._trainable = {name: [p for p in net.parameters() if p.requires_grad] for name, net in self.nets.items()}
        self._reader = ThreadPoolExecutor(1)
        self._prefetched: tuple[list[list[range]], Future[list[list[Batch]]]] | None = None
        self.progress, self.state = Progress(), {}
        if config.init and not resume:
            self._begin_with(config.init)
        self._enter_stage()
        self._lock = FileLock(self.run_folder / ".lock")  # released by the system, however this process ends
        if self.accelerator.is_main_process:
            self.run_folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise ValueError(f"another process is training in {self.run_folder}") from None
        if resume:
            self._load_checkpoint()
        self.stop = Stop.NOT_YET
        self._signal: int | None = None

    # -- stages ------------------------------------------------------------------------------------------------------

    @property
    def stage(self) -> Stage:
        return self.plugin.stages()[self.progress.stage]

    def stage_steps(self) -> int:
        stages = self.plugin.stages()
        return max(1, round(self.config.steps * self.stage.share / sum(s.share for s in stages)))

    def position(self) -> float:
        """From 0 at the stage's start to 1 at its end: by steps, or by the clock where `hours` has it end earlier."""
        stages, now = self.plugin.stages(), self.progress.stage
        by_steps = self.progress.index / self.stage_steps()
        if not self.config.hours:
            return min(1.0, by_steps)
        whole, before = sum(s.share for s in stages), sum(s.share for s in stages[:now])
        by_clock = (self.progress.hours / self.config.hours * whole - before) / stages[now].share
        return min(1.0, max(by_steps, by_clock))

    def _begin_with(self, weights: str) -> None:
        """Copies the generators of a weights folder or preset. Raises ValueError where they do not fit."""
        pipeline = self.plugin.load(weights)
        for name, net in self.nets.generators.items():
            network = getattr(pipeline, name, None)
            if network is None:
                raise ValueError(f"init: {weights} holds no network {name!r}")
            try:
                net.load_state_dict(network.state_dict())
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:200]
                raise ValueError(f"init: {weights} was made with other settings of {name!r}: {reason}") from None
            self.ema.networks[name].load_state_dict(net.state_dict())

    def _enter_stage(self) -> None:
        """Optimisers over what learns in this stage; everything else is frozen for its length, generators averaged."""
        stage, config = self.stage, self.config
        learning = set(self.nets.generators if stage.generators is None else stage.generators)
        learning |= set(self.nets.discriminators if stage.discriminators is None else stage.discriminators)
        if unknown := learning - {name for name, _ in self.nets.items()}:
            raise ValueError(f"stage {stage.name!r} names {sorted(unknown)[0]!r}, which is no network of the plugin")
        for name, net in self.nets.generators.items():
            if name not in learning:  # what learns now should meet what will be shipped
                net.load_state_dict(self.ema.networks[name].state_dict())
        parallel = {}
        for name, net in self.nets.items():
            net.train(name in learning)
            for p in self._trainable[name]:
                p.requires_grad_(name in learning)
            parallel[name] = self.accelerator.prepare_model(net) if name in learning and self._trainable[name] else net
        self.learning = learning
        self.batch_size = config.batch_size if stage.batch_size is None else stage.batch_size
        self.micro = self.batch_size * self.processes
        self.global_batch = self.micro * config.accumulate
        self.rates = (
            config.lr_g if stage.lr_g is None else stage.lr_g,
            config.lr_d if stage.lr_d is None else stage.lr_d,
        )

        def optimizer(group: dict[str, nn.Module], lr: float) -> Optimizer | None:
            parameters = [p for name in group if name in learning for p in self._trainable[name]]
            if not parameters:
                return None
            betas = (config.beta1, config.beta2)
            fused = self.device.type in ("cpu", "cuda")
            return torch.optim.Adam(parameters, lr=lr, betas=betas, fused=fused)

        self.duel = Duel(
            self.plugin,
            self.nets,
            optimizer(self.nets.generators, self.rates[0]),
            optimizer(self.nets.discriminators, self.rates[1]),
            parallel=Networks(
                {name: parallel[name] for name in self.nets.generators},
                {name: parallel[name] for name in self.nets.discriminators},
            ),
            autocast=lambda: torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16),
            max_grad_norm=config.max_grad_norm,
        )

    # -- one step ----------------------------------------------------------------------------------------------------

    def _at(self, phase: str, micro: int = 0, draw: int = 0) -> Step:
        """The step's bookkeeping; each phase has its own random numbers, so that none depends on another's order."""
        seed = [self.config.seed, self.progress.stage, self.progress.index, draw, PHASES.index(phase)]
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]))
        start = micro * self.micro + self.rank * self.batch_size
        return Step(
            index=self.progress.index,
            stage=self.stage.name,
            progress=self.position(),
            rows=slice(start, start + self.batch_size),
            global_batch=self.global_batch,
            generator=generator,
            device=self.device,
            state=self.state,
        )

    def _samples(self, micro: int, draw: int) -> range:
        """Sample numbers of this process: a pure function of the step number."""
        first = self.progress.images + draw * self.global_batch
        start = first + micro * self.micro + self.rank * self.batch_size
        return range(start, start + self.batch_size)

    def _to_device(self, batch: Batch) -> Batch:
        def move(x: Tensor) -> Tensor:
            x = x.to(self.device, non_blocking=True)
            return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x

        return {name: move(x) for name, x in batch.items()}

    def _batches(self) -> list[list[Batch]]:
        """This step's batches, [d_updates][accumulate]; the next step's are prepared by a thread meanwhile."""
        wanted = [[self._samples(m, d) for m in range(self.config.accumulate)] for d in range(self.config.d_updates)]
        if self._prefetched is not None and self._prefetched[0] == wanted:
            batches = self._prefetched[1].result()
        else:
            batches = self._read(wanted)
        ahead = self.config.d_updates * self.global_batch
        following = [[range(r.start + ahead, r.stop + ahead) for r in row] for row in wanted]
        self._prefetched = (following, self._reader.submit(self._read, following))
        return [[self._to_device(batch) for batch in row] for row in batches]

    def _read(self, wanted: list[list[range]]) -> list[list[Batch]]:
        return [[self.data.batch(samples) for samples in row] for row in wanted]

    def _unsynchronised(self, networks: Iterable[nn.Module], last: bool) -> ExitStack:
        """While micro-batches accumulate, only the last one exchanges gradients between processes."""
        stack = ExitStack()
        for network in networks:
            if not last:
                stack.enter_context(self.accelerator.no_sync(network))
        return stack

    def _step(self) -> dict[str, Tensor]:
        """D's half (as often as asked), then G's half. Returns the terms and metrics of the last of each."""
        duel, config, report = self.duel, self.config, {}
        factor = learning_rate(config, self.progress.index, self.position())
        for optimizer, lr in zip((duel.g_optimizer, duel.d_optimizer), self.rates):
            for group in optimizer.param_groups if optimizer else ():
                group["lr"] = lr * factor

        batches = self._batches()
        fakes: Fakes = None
        whole = (
            config.accumulate == 1
        )  # accumulated, the graphs of all micro-batches would not fit: G's half makes anew
        for draw, micro_batches in enumerate(batches if duel.d_optimizer else ()):
            for m, batch in enumerate(micro_batches):
                with torch.set_grad_enabled(whole and draw == len(batches) - 1):
                    fakes = duel.generate(batch, self._at("generate", m, draw))
                with self._unsynchronised(duel.parallel.discriminators.values(), m == config.accumulate - 1):
                    losses = duel.d_backward(batch, fakes, self._at("d", m, draw), 1 / config.accumulate)
                report |= _named("d", losses)
            duel.update(duel.d_optimizer)

        draw = len(batches) - 1
        for m, batch in enumerate(batches[draw] if duel.g_optimizer else ()):
            with self._unsynchronised(duel.parallel.generators.values(), m == config.accumulate - 1):
                if fakes is None or not whole:
                    fakes = duel.generate(batch, self._at("generate", m, draw))
                losses = duel.g_backward(batch, fakes, self._at("g", m, draw), 1 / config.accumulate)
            report |= _named("g", losses)
        if duel.g_optimizer:
            duel.update(duel.g_optimizer)

        if "d_accuracy" in report:
            self.progress.accuracy += 0.02 * (float(report["d_accuracy"]) - self.progress.accuracy)
        self.progress.index += 1
        self.progress.updates += 1
        self.progress.images += self.global_batch * config.d_updates
        # Early on, the average forgets as fast as the network moves (Karras et al. 2020, ADA code: ramp-up of 0.05).
        half_life = min(config.ema_half_life, 0.05 * self.progress.index * self.global_batch * config.d_updates)
        decay = 0.5 ** (self.global_batch / half_life) if half_life > 0 else 0.0
        self.ema.update({n: net for n, net in self.nets.generators.items() if n in self.learning}, decay)
        return report

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> Path:
        """Trains until a limit, equilibrium or a signal. Returns the folder of the finished weights."""
        config, progress = self.config, self.progress
        main = self.accelerator.is_main_process
        self._open()
        self.stop = self._agree(self._limits())
        bar = tqdm(total=config.steps, initial=progress.updates, disable=not main, unit="step", dynamic_ncols=True)
        window: list[dict[str, Tensor]] = []
        before = dataclasses.replace(progress)
        if main and progress.updates == 0:
            self._draw()

        def every(interval: int) -> bool:
            return interval > 0 and progress.updates % interval == 0

        try:
            while True:
                if every(config.evaluate_every) and progress.updates > 0:
                    self._evaluate()
                    self.stop = self.stop or self._equilibrium()
                if self.stop:
                    break
                if self.position() >= 1:
                    progress.stage, progress.index = progress.stage + 1, 0
                    progress.best, progress.stalled, progress.accuracy = math.inf, 0, 1.0
                    self._enter_stage()
                start = time.monotonic()
                window.append(self._step())
                progress.hours += (time.monotonic() - start) / 3600  # drawing, scoring and saving are not training
                if config.hours and self.processes > 1:  # one clock for all, since schedules follow it
                    hours = self.accelerator.gather(torch.tensor([progress.hours], device=self.device))
                    progress.hours = float(torch.as_tensor(hours)[0])
                bar.update()
                if every(config.log_every):
                    rate = (progress.images - before.images) / max(1e-9, (progress.hours - before.hours) * 3600)
                    self._log(window, rate, bar)
                    window, before = [], dataclasses.replace(progress)
                if main and every(config.sample_every):
                    self._draw()
                self.stop = self._agree(self._limits())
                if every(config.checkpoint_every) or self.stop:
                    self._save_checkpoint(f"step-{progress.updates:08d}")
                if self.stop is Stop.SIGNAL:
                    break
            if self.stop is not Stop.SIGNAL:
                self._finish()
            elif main and self._is_last_stage() and not (self.run_folder / "weights").exists():
                self._publish(Evaluation({}, ""))  # what there is, unscored, so that it can be tried
            self.accelerator.end_training()  # waits for the other processes: not after an error
        finally:
            bar.close()
            self._close()
        if main:
            write_json(self.run_folder / "run.json", self.facts() | {"stopped": self.stop.name.lower()})
            print(f"{self.stop.reason}: step {progress.updates}, {progress.images:,} images, {progress.hours:.2f} h")
        return self.run_folder / "weights"

    def _open(self) -> None:
        if self.accelerator.is_main_process:
            for name in ("samples", "checkpoints"):
                (self.run_folder / name).mkdir(parents=True, exist_ok=True)
            write_json(self.run_folder / "run.json", self.facts())
        if self.accelerator.log_with:
            self.accelerator.init_trackers("logs", config=dataclasses.asdict(self.config))
        self._handlers = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError):  # not the main thread: whoever runs us there stops us by other means
                self._handlers[number] = signal.signal(number, self._on_signal)
        self.accelerator.wait_for_everyone()

    def _close(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._reader.shutdown(cancel_futures=True)
        self._lock.release()

    def _on_signal(self, number: int, _frame: Any) -> None:
        if self._signal is not None:
            raise KeyboardInterrupt  # asked twice: do not wait for the save
        self._signal = number

    def _agree(self, stop: Stop) -> Stop:
        """All processes stop at the same step, for the strongest reason that any of them has."""
        if self.processes == 1:
            return stop
        reasons = self.accelerator.gather(torch.tensor([int(stop)], device=self.device))
        return Stop(int(torch.as_tensor(reasons).max()))

    def _limits(self) -> Stop:
        if self._signal is not None:
            return Stop.SIGNAL
        if self.config.hours and self.progress.hours >= self.config.hours:
            return Stop.HOURS
        if self.progress.index >= self.stage_steps() and self._is_last_stage():
            return Stop.STEPS
        return Stop.NOT_YET

    def _is_last_stage(self) -> bool:
        return self.progress.stage + 1 == len(self.plugin.stages())

    def _equilibrium(self) -> Stop:
        """The theory's own rule: D can no longer tell (accuracy about 1/2), and the score no longer improves."""
        reached = self.config.equilibrium > 0 and self.progress.stalled >= self.config.patience
        return Stop.EQUILIBRIUM if reached else Stop.NOT_YET

    # -- what a run shows --------------------------------------------------------------------------------------------

    def _log(self, window: list[dict[str, Tensor]], rate: float, bar: tqdm) -> None:
        names = list(dict.fromkeys(name for report in window for name in report))
        averages = [torch.stack([r[name].float() for r in window if name in r]).mean() for name in names]
        averages = torch.as_tensor(self.accelerator.reduce(torch.stack(averages), "mean"))
        means = dict(zip(names, averages.tolist(), strict=True))
        if wrong := next((name for name, value in means.items() if not math.isfinite(value)), None):
            raise self._not_finite(wrong)
        if not self.accelerator.is_main_process:
            return
        means["images_per_second"] = rate
        record = {"step": self.progress.updates, "images": self.progress.images, "hours": self.progress.hours, **means}
        self._append(record)
        self.accelerator.log(means, step=self.progress.updates)
        shown = {name: f"{value:.3g}" for name, value in means.items() if name in ("d", "g", "d_real", "d_fake")}
        bar.set_postfix(shown | {"img/s": f"{rate:.0f}"})

    def _not_finite(self, what: str) -> FloatingPointError:
        return FloatingPointError(
            f"{what} is not finite at step {self.progress.updates}: lower the learning rate, and go on from the last "
            "checkpoint with --resume"
        )

    def _check_finite(self) -> None:
        """Weights that are not numbers are never saved over good ones."""
        for name, parameters in self._trainable.items():
            tensors = [p.detach() for p in parameters]
            if tensors and not all(bool(t.isfinite().all()) for t in torch._foreach_norm(tensors)):
                raise self._not_finite(f"a weight of {name!r}")

    def _append(self, record: dict[str, Any]) -> None:
        with open(self.run_folder / "log.jsonl", "a") as file:
            file.write(json.dumps(record) + "\n")

    def _forget_log_after(self, step: int) -> None:
        """Drops the lines of steps that a resumed run makes again, and a last line that a kill cut short."""
        path = self.run_folder / "log.jsonl"
        kept = []
        for line in path.read_text().splitlines() if path.exists() else ():
            with suppress(json.JSONDecodeError):
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
        write_text(path, "".join(kept))

    def _average(self) -> Networks:
        return Networks(self.ema.networks, self.nets.discriminators)

    @torch.no_grad()
    def _grid(self) -> Image.Image:
        """The same pictures each time: fixed noise, and the same pictures kept apart."""
        count = min(64, max(1, len(self.validation)))
        generator = torch.Generator().manual_seed(self.config.seed)
        step = dataclasses.replace(self._at("g"), rows=slice(0, count), global_batch=count, generator=generator)
        batch = self._to_device(self.validation.batch(range(count)))
        with self.duel.autocast():
            pictures = self.plugin.sample(self._average(), Fixed(batch, step))
        return images.grid(images.to_images(pictures), self.plugin.columns)

    def _draw(self) -> None:
        self._grid().save(self.run_folder / "samples" / f"{self.progress.updates:08d}.png")

    def _evaluate(self) -> None:
        """Scores the averaged weights, once a step, and publishes them if they are the best so far."""
        progress, main = self.progress, self.accelerator.is_main_process
        if not self.config.evaluate_count or progress.evaluated == progress.updates:
            return
        value, accuracy = math.inf, progress.accuracy
        if main:
            evaluation = self.plugin.evaluate(
                self.plugin.pipeline(self._average()), self.validation, self.config.evaluate_count
            )
            value = self.plugin.worth(evaluation.scores)
            self._append({"step": progress.updates, "images": progress.images, "scores": evaluation.scores})
            self.accelerator.log({f"score/{n}": v for n, v in evaluation.scores.items()}, step=progress.updates)
            tqdm.write(f"step {progress.updates}: " + ", ".join(f"{n} {v:.4g}" for n, v in evaluation.scores.items()))
            if self._is_last_stage() and (value <= progress.best or not (self.run_folder / "weights").exists()):
                self._publish(evaluation)
        if self.processes > 1:
            shared = torch.tensor([value if main else 0.0, accuracy / self.processes], device=self.device)
            value, progress.accuracy = torch.as_tensor(self.accelerator.reduce(shared, "sum")).tolist()
        better = value < progress.best
        undecided = abs(progress.accuracy - 0.5) <= self.config.equilibrium
        progress.stalled = progress.stalled + 1 if undecided and not better else 0
        progress.best = min(progress.best, value)
        progress.evaluated = progress.updates

    def _finish(self) -> None:
        """The last score, grid and film; then a checkpoint that knows of the score."""
        self._evaluate()
        if self.accelerator.is_main_process:
            if not self.config.evaluate_count:
                self._publish(Evaluation({}, ""))
            self._draw()
            self._save_film()
        self._save_checkpoint(f"step-{self.progress.updates:08d}-end")

    def _save_film(self) -> None:
        """The fixed-noise grid over time."""
        paths = sorted((self.run_folder / "samples").glob("*.png"))
        paths = paths[:: max(1, len(paths) // 200)]
        frames = [Image.open(path).convert("RGB") for path in paths]
        if len(frames) > 1:
            images.save_film(Film(frames, fps=8), self.run_folder / "samples" / "film.mp4")

    def facts(self) -> dict[str, Any]:
        """What a run is: enough to resume it, and to write its card."""
        return {
            "plugin": self.plugin.slug,
            "preset": self.preset.name,
            "data": self.source,
            "config": dataclasses.asdict(self.config),
            "settings": dataclasses.asdict(self.plugin.settings),
            "commit": _commit(),
        }

    def _publish(self, evaluation: Evaluation) -> None:
        """Publishes the averaged weights as the run's weights folder, with the card that this run earned."""
        facts, progress, preset = self.facts(), self.progress, self.preset
        pipeline = self.plugin.pipeline(self._average())
        pictures = {self.plugin.caption: self._grid()} | evaluation.pictures
        names = [f"picture-{i + 1}.png" for i in range(len(pictures))]
        card = hub.CardFacts(
            title=f"{self.plugin.title.en}: {preset.name}",
            plugin=self.plugin.slug,
            preset=preset.name,
            licence=preset.licence,
            licence_id=preset.licence_id,
            licence_name="research only" if preset.licence_id == "other" else "",
            data=preset.data.en,
            summary=self.plugin.summary.en,
            recipe={"train": _published(facts["config"]), "settings": _published(facts["settings"])},
            commit=facts["commit"],
            steps=progress.updates,
            images_seen=progress.images,
            hours=progress.hours,
            hardware=self._hardware(),
            feature_networks=self.plugin.feature_networks,
            pipeline_tag=self.plugin.pipeline_tag,
            example=self.plugin.example,
            parameters={name: sum(p.numel() for p in net.parameters()) for name, net in self.nets.items()},
            scores=evaluation.scores,
            protocol=evaluation.protocol,
            pictures=dict(zip(names, pictures, strict=True)),
        )
        hub.save(
            pipeline,
            self.run_folder / "weights",
            plugin=self.plugin.slug,
            preset=preset.name,
            card=hub.model_card(card),
            images=dict(zip(names, pictures.values(), strict=True)),
            settings=_published(facts["settings"]),
        )

    def _hardware(self) -> str:
        name = torch.cuda.get_device_name() if self.device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
        return f"{self.processes} x {name}, {'bfloat16' if self.bf16 else 'float32'}"

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, name: str) -> None:
        if (self.run_folder / "checkpoints" / name).exists():
            return
        checkpoints.check_readable(self.state, "step.state")
        self._check_finite()
        if self.accelerator.is_main_process:
            checkpoints.begin(self.run_folder, name)
        self.accelerator.wait_for_everyone()
        part = self.run_folder / "checkpoints" / f"{name}.part"
        fingerprint = _fingerprint(self.nets)
        everyones = torch.as_tensor(self.accelerator.gather(torch.tensor([fingerprint], device=self.device)))
        if not bool((everyones == fingerprint).all()):
            raise RuntimeError("the processes no longer have the same weights: their gradients were not exchanged")
        own = {"state": self.state, "random": torch.get_rng_state()}
        if self.device.type == "cuda":
            own["random_cuda"] = torch.cuda.get_rng_state(self.device)
        checkpoints.write(part / f"rank{self.rank}.pt", own)
        if self.accelerator.is_main_process:
            checkpoints.write(part / "common.pt", self._common())
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            checkpoints.commit(part, self.config.keep)
        self.accelerator.wait_for_everyone()

    def _common(self) -> dict[str, Any]:
        optimizers = {"g": self.duel.g_optimizer, "d": self.duel.d_optimizer}
        return {
            "format": CHECKPOINT_FORMAT,
            "plugin": self.plugin.slug,
            "processes": self.processes,
            "progress": dataclasses.asdict(self.progress),
            "networks": {n: net.state_dict() for n, net in self.nets.items() if self._trainable[n]},
            "ema": {n: net.state_dict() for n, net in self.ema.networks.items()},
            "optimizers": {n: o.state_dict() for n, o in optimizers.items() if o is not None},
        }

    def _load_checkpoint(self) -> None:
        path = checkpoints.latest(self.run_folder)
        if path is None:
            (self.run_folder / "log.jsonl").unlink(missing_ok=True)
            return  # interrupted before its first checkpoint: begin again
        common = checkpoints.read(path / "common.pt")
        if common["plugin"] != self.plugin.slug or common["format"] != CHECKPOINT_FORMAT:
            raise ValueError(
                f"{path} is a checkpoint of {common['plugin']!r}, format {common['format']}; "
                f"expected {self.plugin.slug!r}, format {CHECKPOINT_FORMAT}"
            )
        self.progress = Progress(**common["progress"])
        self._enter_stage()
        if self.accelerator.is_main_process:
            self._forget_log_after(self.progress.updates)
        try:
            for name, state in common["networks"].items():
                self.nets[name].load_state_dict(state)
            for name, state in common["ema"].items():
                self.ema.networks[name].load_state_dict(state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{path} was made with other settings of the networks: {reason}") from None
        for name, optimizer in (("g", self.duel.g_optimizer), ("d", self.duel.d_optimizer)):
            if optimizer is not None:
                optimizer.load_state_dict(common["optimizers"][name])
                for group in optimizer.param_groups:
                    group["betas"] = (self.config.beta1, self.config.beta2)  # a flag is stronger than the run
        if common["processes"] != self.processes:
            print(f"resumed on {self.processes} processes instead of {common['processes']}: close to, but not the same")
            return
        own = checkpoints.read(path / f"rank{self.rank}.pt", self.device)
        self.state.update(own["state"])
        torch.set_rng_state(own["random"])
        if "random_cuda" in own and self.device.type == "cuda":
            torch.cuda.set_rng_state(own["random_cuda"], self.device)


def _fingerprint(nets: Networks) -> int:
    """A hash of every weight: equal in all processes for as long as they are synchronised."""
    digest = hashlib.sha256()
    for _, net in nets.items():
        for p in net.parameters():
            digest.update(p.detach().float().cpu().contiguous().numpy().tobytes())
    return int.from_bytes(digest.digest()[:7], "big")


def _named(half: str, losses: Losses) -> dict[str, Tensor]:
    terms = {f"{half}/{name}": value.detach() for name, value in losses.terms.items()}
    metrics = {name: value.detach() for name, value in losses.metrics.items()}
    return {half: losses.total.detach(), **terms, **metrics}


def _published(values: dict[str, Any]) -> dict[str, Any]:
    """Without the folders of the machine that trained: of paths, the name alone."""
    return {k: Path(v).name if isinstance(v, str) and os.path.isabs(v) else v for k, v in values.items()}


def _commit() -> str:
    """The repository's commit, if this is one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def train(
    plugin: Plugin,
    *,
    data: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    preset: Preset | None = None,
    config: TrainConfig | None = None,
    **options: Any,
) -> Path:
    """Trains a plugin and returns the folder of its finished weights.

    `options` are fields of TrainConfig, for short calls: `plugin.train(steps=100, batch_size=8)`.
    Raises ValueError on an option that is out of range, TypeError on one that does not exist.
    """
    config = dataclasses.replace(config or TrainConfig(), **options)
    out = out or Path("runs") / plugin.slug
    return Trainer(plugin, config, data=data, out=out, resume=resume, preset=preset).run()
