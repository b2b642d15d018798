"""The one training loop, on Accelerate. It knows no plugin.

`train` makes a `Trainer`, whose `run` calls `_step` until something says stop; each step is D's half then G's half of a
`Duel`, from one generator pass. Everything random is a pure function of (seed, stage, step), so the position of a run
is its step number, and on one CPU process a resumed run equals an uninterrupted one in every parameter.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from tqdm.auto import tqdm

from gan_zoo import data as zoo_data
from gan_zoo import hub, images, publishing, saving
from gan_zoo.batches import Prefetcher
from gan_zoo.config import Progress, Stop, TrainConfig, learning_rate
from gan_zoo.duel import Duel, Ema, adam, named, not_finite, seeded_step
from gan_zoo.errors import one_line
from gan_zoo.plugin import Batch, Evaluation, Fakes, Fixed, Networks, Plugin, Preset, Stage, Step
from gan_zoo.processes import Signals, bf16_is_fast, make_accelerator
from gan_zoo.run_folder import RunFolder

PHASES = ("generate", "d", "g")


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
    Raises ValueError on an option that is out of range, TypeError on one that does not exist, and KeyboardInterrupt
    once everything is saved, where a signal ended the run.
    """
    config = dataclasses.replace(config or TrainConfig(), **options)
    out = out or Path("runs") / plugin.slug
    trainer = Trainer(plugin, config, data=data, out=out, resume=resume, preset=preset)
    weights = trainer.run()
    if trainer.stop is Stop.SIGNAL:
        raise KeyboardInterrupt
    return weights


class Trainer:
    """Trains one plugin into one run folder (run_folder.py says what is in it)."""

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
        self.plugin, self.config = plugin, config
        self.source = str(Path(data).absolute()) if data and Path(data).exists() else data  # resumed from anywhere
        self.folder = RunFolder(out)
        self.preset = preset or publishing.unnamed(self.folder.path.name, data)
        hub.check_name("preset", self.preset.name)
        self._check_scores()
        self.accelerator = make_accelerator(self.config, self.folder.path)
        self.device = self.accelerator.device
        self.processes, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        precision = self.config.precision
        self.bf16 = precision == "bf16" or (precision == "auto" and bf16_is_fast(self.device))
        self.folder.check(resume)
        self._build()
        self.progress, self.state = Progress(), {}
        self.stop, self.signals = Stop.NOT_YET, Signals()
        if config.init and not resume:
            self._begin_with(config.init)
        self.enter_stage()
        if self.accelerator.is_main_process:
            self.folder.lock()
        if resume:
            saving.load(self)

    def _check_scores(self) -> None:
        if not self.config.evaluate_count:
            return
        try:
            self.plugin.check_evaluation()
        except ImportError as error:
            print(f"training without scores, so that the last weights count as the best: {error}")
            self.config = dataclasses.replace(self.config, evaluate_count=0, equilibrium=0.0)

    def _build(self) -> None:
        """Networks, their average, and the data."""
        plugin, seed = self.plugin, self.config.seed
        with torch.random.fork_rng():  # the networks' initial weights are the same in every process
            torch.manual_seed(seed)
            self.nets = plugin.networks()
        for _, net in self.nets.items():
            net.to(device=self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.trainable = {name: [p for p in net.parameters() if p.requires_grad] for name, net in self.nets.items()}
        self.ema = Ema(self.nets.generators)
        self.data = plugin.data(self.source, "train", seed)
        self.validation = plugin.data(self.source, "validation", seed)
        if self.source and self.accelerator.is_main_process:
            with suppress(zoo_data.DataError):  # a source of another kind, which its plugin alone can read
                print(zoo_data.describe(self.source))
        self.batches = Prefetcher(lambda samples: self.data.batch(samples))

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
                reason = one_line(error, 99, 200)
                raise ValueError(f"init: {weights} was made with other settings of {name!r}: {reason}") from None
            self.ema.networks[name].load_state_dict(net.state_dict())

    def enter_stage(self) -> None:
        """Optimisers over what learns in this stage; everything else is frozen for its length, generators averaged."""
        stage, config = self.stage, self.config
        learning = set(self.nets.generators if stage.generators is None else stage.generators)
        learning |= set(self.nets.discriminators if stage.discriminators is None else stage.discriminators)
        if unknown := learning - {name for name, _ in self.nets.items()}:
            raise ValueError(f"stage {stage.name!r} names {sorted(unknown)[0]!r}, which is no network of the plugin")
        for name, net in self.nets.generators.items():
            if name not in learning:  # what learns now should meet what will be shipped
                net.load_state_dict(self.ema.networks[name].state_dict())
        for name, net in self.nets.items():
            net.train(name in learning)
            for p in self.trainable[name]:
                p.requires_grad_(name in learning)

        def wrapped(name: str, net: nn.Module) -> nn.Module:
            return self.accelerator.prepare_model(net) if name in learning and self.trainable[name] else net

        self.learning = learning
        self.batch_size = config.batch_size if stage.batch_size is None else stage.batch_size
        self.micro = self.batch_size * self.processes
        self.global_batch = self.micro * config.accumulate
        self.rates = (
            config.lr_g if stage.lr_g is None else stage.lr_g,
            config.lr_d if stage.lr_d is None else stage.lr_d,
        )

        betas = (config.beta1, config.beta2)
        self.duel = Duel(
            self.plugin,
            self.nets,
            adam(self.nets.generators.values(), self.rates[0], betas),
            adam(self.nets.discriminators.values(), self.rates[1], betas),
            parallel=self.nets.map(wrapped),
            autocast=lambda: torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16),
            max_grad_norm=config.max_grad_norm,
        )

    # -- one step ----------------------------------------------------------------------------------------------------

    def _at(self, phase: str, micro: int = 0, draw: int = 0) -> Step:
        """The step's bookkeeping; each phase has its own random numbers, so that none depends on another's order."""
        start = micro * self.micro + self.rank * self.batch_size
        return seeded_step(
            [self.config.seed, self.progress.stage, self.progress.index, draw, PHASES.index(phase)],
            self.batch_size,
            index=self.progress.index,
            stage=self.stage.name,
            progress=self.position(),
            rows=slice(start, start + self.batch_size),
            global_batch=self.global_batch,
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

        wanted = [[self._samples(m, d) for m in range(config.accumulate)] for d in range(config.d_updates)]
        read = self.batches.read(wanted, ahead=config.d_updates * self.global_batch)
        batches = [[self._to_device(batch) for batch in row] for row in read]
        fakes: Fakes = None
        # Accumulated, the graphs of all micro-batches would not fit: G's half makes its fakes anew.
        whole = config.accumulate == 1
        for draw, micro_batches in enumerate(batches if duel.d_optimizer else ()):
            for m, batch in enumerate(micro_batches):
                with torch.set_grad_enabled(whole and draw == len(batches) - 1):
                    fakes = duel.generate(batch, self._at("generate", m, draw))
                with self._unsynchronised(duel.parallel.discriminators.values(), m == config.accumulate - 1):
                    losses = duel.d_backward(batch, fakes, self._at("d", m, draw), 1 / config.accumulate)
                report |= named("d", losses)
            duel.update(duel.d_optimizer)

        draw = len(batches) - 1
        for m, batch in enumerate(batches[draw] if duel.g_optimizer else ()):
            with self._unsynchronised(duel.parallel.generators.values(), m == config.accumulate - 1):
                if fakes is None or not whole:
                    fakes = duel.generate(batch, self._at("generate", m, draw))
                losses = duel.g_backward(batch, fakes, self._at("g", m, draw), 1 / config.accumulate)
            report |= named("g", losses)
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
                    self.enter_stage()
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
                    saving.save(self, f"step-{progress.updates:08d}")
                if self.stop is Stop.SIGNAL:
                    break
            if self.stop is not Stop.SIGNAL:
                self._finish()
            elif main and self._is_last_stage() and not (self.folder.path / "weights").exists():
                publishing.publish(self, Evaluation({}, ""))  # what there is, unscored, so that it can be tried
            self.accelerator.end_training()  # waits for the other processes: not after an error
        finally:
            bar.close()
            self._close()
        if main:
            self.folder.write_facts(publishing.facts(self) | {"stopped": self.stop.name.lower()})
            print(f"{self.stop.reason}: step {progress.updates}, {progress.images:,} images, {progress.hours:.2f} h")
        return self.folder.path / "weights"

    def _open(self) -> None:
        if self.accelerator.is_main_process:
            self.folder.open(publishing.facts(self))
        if self.accelerator.log_with:
            self.accelerator.init_trackers("logs", config=dataclasses.asdict(self.config))
        self.signals.open()
        self.accelerator.wait_for_everyone()

    def _close(self) -> None:
        self.signals.close()
        self.batches.close()
        self.folder.release()

    def _agree(self, stop: Stop) -> Stop:
        """All processes stop at the same step, for the strongest reason that any of them has."""
        if self.processes == 1:
            return stop
        reasons = self.accelerator.gather(torch.tensor([int(stop)], device=self.device))
        return Stop(int(torch.as_tensor(reasons).max()))

    def _limits(self) -> Stop:
        if self.signals.number is not None:
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
            raise not_finite(wrong, self.progress.updates)
        if not self.accelerator.is_main_process:
            return
        means["images_per_second"] = rate
        record = {"step": self.progress.updates, "images": self.progress.images, "hours": self.progress.hours, **means}
        self.folder.log(record)
        self.accelerator.log(means, step=self.progress.updates)
        shown = {name: f"{value:.3g}" for name, value in means.items() if name in ("d", "g", "d_real", "d_fake")}
        bar.set_postfix(shown | {"img/s": f"{rate:.0f}"})

    def average(self) -> Networks:
        return Networks(self.ema.networks, self.nets.discriminators)

    @torch.no_grad()
    def grid(self) -> Image.Image:
        """The same pictures each time: fixed noise, and the same pictures kept apart."""
        count = min(64, max(1, len(self.validation)))
        generator = torch.Generator().manual_seed(self.config.seed)
        step = dataclasses.replace(self._at("g"), rows=slice(0, count), global_batch=count, generator=generator)
        batch = self._to_device(self.validation.batch(range(count)))
        pictures = self.plugin.sample(self.average(), Fixed(batch, step))  # in float32, as people will see them
        return images.grid(images.to_images(pictures), self.plugin.columns)

    def _draw(self) -> None:
        self.folder.save_sample(self.grid(), self.progress.updates)

    def _evaluate(self) -> None:
        """Scores the averaged weights, once a step, and publishes them if they are the best so far."""
        progress, main = self.progress, self.accelerator.is_main_process
        if not self.config.evaluate_count or progress.evaluated == progress.updates:
            return
        value, accuracy = math.inf, progress.accuracy
        if main and (evaluation := self._scored()) is not None:
            value = self.plugin.worth(evaluation.scores)
            self.folder.log({"step": progress.updates, "images": progress.images, "scores": evaluation.scores})
            self.accelerator.log({f"score/{n}": v for n, v in evaluation.scores.items()}, step=progress.updates)
            tqdm.write(f"step {progress.updates}: " + ", ".join(f"{n} {v:.4g}" for n, v in evaluation.scores.items()))
            if self._is_last_stage() and (value <= progress.best or not (self.folder.path / "weights").exists()):
                publishing.publish(self, evaluation)
        if self.processes > 1:
            shared = torch.tensor([value if main else 0.0, accuracy / self.processes], device=self.device)
            value, progress.accuracy = torch.as_tensor(self.accelerator.reduce(shared, "sum")).tolist()
        better = value < progress.best
        undecided = abs(progress.accuracy - 0.5) <= self.config.equilibrium
        progress.stalled = progress.stalled + 1 if undecided and not better else 0
        progress.best = min(progress.best, value)
        progress.evaluated = progress.updates

    def _scored(self) -> Evaluation | None:
        """The scores; None where they fail: no run is lost to a score."""
        try:
            pipeline = self.plugin.pipeline(self.average())
            return self.plugin.evaluate(pipeline, self.validation, self.config.evaluate_count)
        except (ValueError, RuntimeError, IndexError) as error:
            tqdm.write(f"no scores at step {self.progress.updates}: {one_line(error)}")
            return None

    def _finish(self) -> None:
        """The last score, grid and film; then a checkpoint that knows of the score."""
        self._evaluate()
        if self.accelerator.is_main_process:
            if not self.config.evaluate_count or not (self.folder.path / "weights").exists():
                publishing.publish(self, Evaluation({}, ""))
            self._draw()
            self.folder.save_film()
        saving.save(self, f"step-{self.progress.updates:08d}-end")
