"""The one training loop, on Accelerate. It knows no plugin.

`train` makes a `Trainer`, whose `run` calls `_step` until something says stop; each step is D's half then G's half of a
`Duel`, from one generator pass. Everything random is a pure function of (seed, stage, step), so the position of a run
is its step number, and on one CPU process a resumed run equals an uninterrupted one in every parameter.
"""

from __future__ import annotations

import dataclasses
import math
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from tqdm.auto import tqdm

from gan_zoo import data as zoo_data
from gan_zoo import hub, images, precision, publishing, saving
from gan_zoo.batches import Batches, Share, to_device
from gan_zoo.config import Progress, Stop, TrainConfig, learning_rate, position, stage_steps
from gan_zoo.contract import GAN, Batch, Evaluation, Fakes, Fixed, Preset, Stage, Step
from gan_zoo.duel import Duel, named, not_finite, seeded_step
from gan_zoo.errors import one_line
from gan_zoo.processes import Signals, hardware, keep_memory, make_accelerator, mean_over_processes
from gan_zoo.run_folder import RunFolder
from gan_zoo.state import RunState, fresh_networks

PHASES = ("generate", "d", "g")


def train(
    plugin: GAN,
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
    """Trains one plugin into one run folder (run_folder.py says what is in it).

    `state` is all that is saved and comes back; the rest follows from plugin, config and source.
    """

    def __init__(
        self,
        plugin: GAN,
        config: TrainConfig,
        *,
        data: str | None = None,
        out: str | Path,
        resume: bool = False,
        preset: Preset | None = None,
    ):
        self.source = str(Path(data).absolute()) if data and Path(data).exists() else data  # resumed from anywhere
        self.plugin, self.config = plugin.suited(self.source), config
        self.folder = RunFolder(out)
        self.preset = preset or publishing.unnamed(self.folder.path.name, data)
        hub.check_name("preset", self.preset.name)
        self._check_scores()
        self.accelerator = make_accelerator(self.config, self.folder.path)
        self.device = self.accelerator.device
        self.processes, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        self.bf16 = config.precision == "bf16" or (config.precision == "auto" and precision.bf16_is_fast(self.device))
        self.folder.check(resume)
        self.state = RunState(fresh_networks(self.plugin, config.seed, self.device))
        self._read_data()
        self.stop, self.signals = Stop.NOT_YET, Signals()
        self.undigested: list[Tensor] = []  # D's accuracies since the last look: looking waits for the device
        if self.accelerator.is_main_process:
            self.folder.lock()
        if resume:
            self._go_on()
        else:
            if config.init:
                self.state.begin_with(plugin.load(config.init), config.init)
            self.enter_stage()

    @property
    def progress(self) -> Progress:
        return self.state.progress

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
                    if config.equilibrium > 0 and progress.stalled >= config.patience:
                        self.stop = self.stop or Stop.EQUILIBRIUM  # the theory's own rule
                if self.stop:
                    break
                if self.position() >= 1:
                    self._next_stage()
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
                    self._save(f"step-{progress.updates:08d}")
                if self.stop is Stop.SIGNAL:
                    break
            if self.stop is not Stop.SIGNAL:
                self._finish()
            elif main and self._is_last_stage() and not (self.folder.path / "weights").exists():
                self._publish(Evaluation({}, ""))  # what there is, unscored, so that it can be tried
            self.accelerator.end_training()  # waits for the other processes: not after an error
        finally:
            bar.close()
            self._close()
        if main:
            self.folder.write_facts(self._facts() | {"stopped": self.stop.name.lower()})
            print(f"{self.stop.reason}: step {progress.updates}, {progress.images:,} images, {progress.hours:.2f} h")
        return self.folder.path / "weights"

    def _next_stage(self) -> None:
        self._digest()
        self.progress.stage, self.progress.index = self.progress.stage + 1, 0
        self.progress.best, self.progress.stalled, self.progress.accuracy = math.inf, 0, 1.0
        self.enter_stage()

    def _save(self, name: str) -> None:
        self._digest()
        saving.save(
            self.folder.path, name, self.state, self.accelerator, plugin=self.plugin.slug, keep=self.config.keep
        )

    def _open(self) -> None:
        if self.accelerator.is_main_process:
            self.folder.open(self._facts())
        if self.accelerator.log_with:
            self.accelerator.init_trackers("logs", config=dataclasses.asdict(self.config))
        self.signals.open()
        keep_memory()
        self.accelerator.wait_for_everyone()

    def _close(self) -> None:
        self.signals.close()
        keep_memory(False)
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
        whole = self.progress.index >= stage_steps(self.config, self.shares(), self.progress.stage)
        return Stop.STEPS if whole and self._is_last_stage() else Stop.NOT_YET

    def _is_last_stage(self) -> bool:
        return self.progress.stage + 1 == len(self.plugin.stages())

    # -- one step ------------------------------------------------------------------------------------------------------

    def _step(self) -> dict[str, Tensor]:
        """D's half (as often as asked), then G's half. Returns the terms and metrics of the last of each."""
        factor = learning_rate(self.config, self.progress.index, self.position())
        self.state.set_rates({half: rate * factor for half, rate in self.rates.items()})
        batches = self.batches.of_step(self.share, self.progress.images)
        report, fakes = self._d_half(batches)
        report |= self._g_half(batches[-1], fakes)
        self._count(report)
        return report

    def _d_half(self, batches: list[list[Batch]]) -> tuple[dict[str, Tensor], Fakes]:
        """D's updates; and the fakes of the last, with their graph, which serve G's half too.

        Accumulated, the graphs of all micro-batches would not fit: then None, and G's half makes its fakes anew.
        """
        duel, config, report, fakes = self.duel, self.config, {}, None
        whole = config.accumulate == 1
        for draw, micro_batches in enumerate(batches if duel.d_optimizer else ()):
            for m, batch in enumerate(micro_batches):
                with torch.set_grad_enabled(whole and draw == len(batches) - 1):
                    fakes = duel.generate(batch, self._at("generate", m, draw))
                with self._apart(duel.parallel.discriminators, m):
                    losses = duel.d_backward(batch, fakes, self._at("d", m, draw), 1 / config.accumulate)
                report |= named("d", losses)
            duel.update(duel.d_optimizer)
        return report, fakes if whole else None

    def _g_half(self, micro_batches: list[Batch], fakes: Fakes) -> dict[str, Tensor]:
        duel, config, report = self.duel, self.config, {}
        if not duel.g_optimizer:
            return report
        draw = config.d_updates - 1
        for m, batch in enumerate(micro_batches):
            with self._apart(duel.parallel.generators, m):
                made = duel.generate(batch, self._at("generate", m, draw)) if fakes is None else fakes
                losses = duel.g_backward(batch, made, self._at("g", m, draw), 1 / config.accumulate)
            report |= named("g", losses)
        duel.update(duel.g_optimizer)
        return report

    def _count(self, report: dict[str, Tensor]) -> None:
        """The step is made: the position moves on, and the average after the networks."""
        if "d_accuracy" in report:
            self.undigested.append(report["d_accuracy"])
        self.progress.index += 1
        self.progress.updates += 1
        self.progress.images += self.share.step
        # Early on, the average forgets as fast as the network moves (Karras et al. 2020, ADA code: ramp-up of 0.05).
        half_life = min(self.config.ema_half_life, 0.05 * self.progress.index * self.share.step)
        decay = 0.5 ** (self.share.update / half_life) if half_life > 0 else 0.0
        self.state.ema.update({n: net for n, net in self.state.nets.generators.items() if n in self.learning}, decay)

    def _digest(self) -> None:
        """D's running accuracy, in steps of 1/50, from what has come since the last look."""
        for accuracy in torch.stack(self.undigested).tolist() if self.undigested else ():
            self.progress.accuracy += 0.02 * (accuracy - self.progress.accuracy)
        self.undigested.clear()

    def _at(self, phase: str, micro: int = 0, draw: int = 0) -> Step:
        """The step's bookkeeping; each phase has its own random numbers, so that none depends on another's order."""
        return seeded_step(
            [self.config.seed, self.progress.stage, self.progress.index, draw, PHASES.index(phase)],
            self.share.size,
            index=self.progress.index,
            stage=self.stage.name,
            progress=self.position(),
            rows=self.share.rows(micro),
            global_batch=self.share.update,
            device=self.device,
            state=self.state.kept,
        )

    def _apart(self, networks: dict[str, nn.Module], micro: int) -> ExitStack:
        """While micro-batches accumulate, only the last one exchanges gradients between processes."""
        stack = ExitStack()
        for network in networks.values() if micro < self.config.accumulate - 1 else ():
            stack.enter_context(self.accelerator.no_sync(network))
        return stack

    # -- stages ------------------------------------------------------------------------------------------------------

    @property
    def stage(self) -> Stage:
        return self.plugin.stages()[self.progress.stage]

    def shares(self) -> list[float]:
        return [stage.share for stage in self.plugin.stages()]

    def position(self) -> float:
        """From 0 at the stage's start to 1 at its end."""
        return position(self.config, self.shares(), self.progress)

    def enter_stage(self) -> None:
        """Optimisers over what learns in this stage; everything else is frozen for its length, generators averaged."""
        stage, config = self.stage, self.config
        self.learning = learning = stage.learning(self.state.nets)
        size = config.batch_size if stage.batch_size is None else stage.batch_size
        self.share = Share(size, self.processes, self.rank, config.accumulate, config.d_updates)
        self.rates = {
            "g": config.lr_g if stage.lr_g is None else stage.lr_g,
            "d": config.lr_d if stage.lr_d is None else stage.lr_d,
        }
        self.state.enter(learning, self.rates, (config.beta1, config.beta2))

        def wrapped(name: str, net: nn.Module) -> nn.Module:
            return self.accelerator.prepare_model(net) if name in learning and self.state.trainable[name] else net

        self.duel = Duel(
            self.plugin,
            self.state.nets,
            self.state.optimizers.get("g"),
            self.state.optimizers.get("d"),
            parallel=self.state.nets.map(wrapped),
            autocast=lambda: torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16),
            max_grad_norm=config.max_grad_norm,
        )

    # -- what a run shows --------------------------------------------------------------------------------------------

    def _log(self, window: list[dict[str, Tensor]], rate: float, bar: tqdm) -> None:
        means = mean_over_processes(window, self.accelerator)
        self._digest()
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

    @torch.no_grad()
    def grid(self) -> Image.Image:
        """The same pictures each time: fixed noise, and the same pictures held out."""
        count = min(64, max(1, len(self.validation)))
        generator = torch.Generator().manual_seed(self.config.seed)
        step = dataclasses.replace(self._at("g"), rows=slice(0, count), global_batch=count, generator=generator)
        batch = to_device(self.validation.batch(range(count)), self.device)
        pictures = self.plugin.sample(self.state.average(), Fixed(batch, step))  # in float32, as people will see them
        return images.grid(images.to_images(pictures), self.plugin.columns)

    def _draw(self) -> None:
        self.folder.save_sample(self.grid(), self.progress.updates)

    def _evaluate(self) -> None:
        """Scores the averaged weights, once a step, and publishes them if they are the best so far."""
        progress, main = self.progress, self.accelerator.is_main_process
        if not self.config.evaluate_count or progress.evaluated == progress.updates:
            return
        self._digest()
        value, accuracy = math.inf, progress.accuracy
        if main and (evaluation := self._scored()) is not None:
            value = self.plugin.worth(evaluation.scores)
            self.folder.log({"step": progress.updates, "images": progress.images, "scores": evaluation.scores})
            self.accelerator.log({f"score/{n}": v for n, v in evaluation.scores.items()}, step=progress.updates)
            tqdm.write(f"step {progress.updates}: " + ", ".join(f"{n} {v:.4g}" for n, v in evaluation.scores.items()))
            if self._is_last_stage() and (value <= progress.best or not (self.folder.path / "weights").exists()):
                self._publish(evaluation)
        if self.processes > 1:
            shared = torch.tensor([value if main else 0.0, accuracy / self.processes], device=self.device)
            value, progress.accuracy = torch.as_tensor(self.accelerator.reduce(shared, "sum")).tolist()
        better = value < progress.best
        undecided = abs(progress.accuracy - 0.5) <= self.config.equilibrium
        progress.stalled = progress.stalled + 1 if undecided and not better else 0
        progress.best = min(progress.best, value)
        progress.evaluated = progress.updates

    def _facts(self) -> dict[str, Any]:
        return publishing.facts(self.plugin, self.preset, self.source, self.config)

    def _publish(self, evaluation: Evaluation) -> None:
        publishing.publish(
            self.folder.path / "weights",
            self.plugin,
            self.preset,
            self.state,
            self._facts(),
            grid=self.grid(),
            hardware=hardware(self.device, self.processes, self.bf16),
            evaluation=evaluation,
        )

    def _scored(self) -> Evaluation | None:
        """The scores; None where they fail: no run is lost to a score."""
        try:
            pipeline = self.plugin.pipeline(self.state.average())
            return self.plugin.evaluate(pipeline, self.validation, self.config.evaluate_count)
        except (ValueError, RuntimeError, IndexError) as error:
            tqdm.write(f"no scores at step {self.progress.updates}: {one_line(error)}")
            return None

    def _finish(self) -> None:
        """The last score, grid and film; then a checkpoint that knows of the score."""
        self._evaluate()
        if self.accelerator.is_main_process:
            if not self.config.evaluate_count or not (self.folder.path / "weights").exists():
                self._publish(Evaluation({}, ""))
            self._draw()
            self.folder.save_film()
        self._save(f"step-{self.progress.updates:08d}-end")

    # -- how a run begins ----------------------------------------------------------------------------------------------

    def _check_scores(self) -> None:
        if not self.config.evaluate_count:
            return
        try:
            self.plugin.check_evaluation()
        except ImportError as error:
            print(f"training without scores, so that the last weights count as the best: {error}")
            self.config = dataclasses.replace(self.config, evaluate_count=0, equilibrium=0.0)

    def _read_data(self) -> None:
        plugin, seed = self.plugin, self.config.seed
        self.data = plugin.data(self.source, "train", seed)
        self.validation = plugin.data(self.source, "validation", seed)
        if self.source and self.accelerator.is_main_process:
            with suppress(zoo_data.DataError):  # a source of another kind, which its plugin alone can read
                print(zoo_data.describe(self.source))
        self.batches = Batches(lambda samples: self.data.batch(samples), self.device)

    def _go_on(self) -> None:
        """Everything as the last checkpoint has it; from the beginning if there is none yet."""
        saved = saving.read(self.folder.path, self.accelerator, plugin=self.plugin.slug)
        if saved is not None:
            self.state.progress = Progress(**saved.common["progress"])
        self.enter_stage()
        if self.accelerator.is_main_process:
            self.folder.forget_log_after(self.progress.updates)
        if saved is None:
            return
        try:
            self.state.load_state_dict(saved.common)
        except RuntimeError as error:
            reason = one_line(error, 99, 200)
            raise ValueError(f"{saved.path} was made with other settings of the networks: {reason}") from None
        if saved.own is not None:
            self.state.kept.update(saved.own["state"])
            saving.restore_random(saved.own, self.device)
