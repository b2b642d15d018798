"""What a run runs on: devices, processes, precision; and the signals that end it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor

from gan_zoo.config import TrainConfig

SLOW_FOLDER = 5.0  # seconds after which all machines see what one wrote


def keep_memory(keeps: bool = True) -> None:
    """Has the C library keep what is freed, where it can: each step asks for as much again, and fresh pages cost up
    to a fifth of its time. What answers take comes and goes, so training alone does this.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library than glibc
        library = ctypes.CDLL(None)
        kept, usual = (0, 2**31 - 1, 2**26), (2**16, 2**17, 2**17)
        for name, value in zip((-4, -1, -2), kept if keeps else usual):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            library.mallopt(name, value)
        if not keeps:
            library.malloc_trim(0)


def make_accelerator(config: TrainConfig, folder: Path) -> Accelerator:
    """Raises ValueError for what is not supported, and for processes that would not find each other."""
    for name in ("FSDP", "DEEPSPEED", "MEGATRON_LM"):  # as `accelerate launch` asks for them
        if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() == "true":
            raise ValueError(
                f"{name} is not supported: it shards the parameters of two networks that freeze each other in turn; "
                "use plain data parallelism (torchrun, or accelerate launch --multi_gpu)"
            )
    if config.threads:
        torch.set_num_threads(config.threads)
    trackers: list[Any] = [name for name in config.trackers.split(",") if name]
    accelerator = Accelerator(
        mixed_precision="no",  # the trainer enters autocast once a half: Accelerate's casts every output to fp32
        log_with=trackers or None,
        project_dir=str(folder),
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )
    if int(os.environ.get("WORLD_SIZE", 1)) != accelerator.num_processes:
        started = os.environ["WORLD_SIZE"]
        raise ValueError(f"{started} processes were started but would not synchronise: set ACCELERATE_USE_CPU=true")
    if accelerator.num_processes > 1:
        _check_shared(accelerator, folder)
    return accelerator


def _check_shared(accelerator: Accelerator, folder: Path) -> None:
    """Raises ValueError, in every process, where one of them does not see what the first writes into the run's folder:
    on several machines it must be one that they share, and a run is not to find out at its first checkpoint.
    """
    token = accelerator.reduce(
        torch.tensor([time.time_ns() % 2**31 * accelerator.is_main_process]).to(accelerator.device)
    )
    sign = folder / f".meeting-{int(torch.as_tensor(token)[0])}"
    if accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        sign.touch()
    accelerator.wait_for_everyone()
    until = time.monotonic() + SLOW_FOLDER
    while not sign.exists() and time.monotonic() < until:
        time.sleep(0.2)
    blind = accelerator.reduce(torch.tensor([float(not sign.exists())]).to(accelerator.device))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        sign.unlink()
    if count := int(torch.as_tensor(blind)[0]):
        raise ValueError(
            f"{folder}: {count} of {accelerator.num_processes} processes see another folder of that name; expected one "
            "that all machines share"
        )


def hardware(device: torch.device, processes: int, bf16: bool) -> str:
    """What a card says of it."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    return f"{processes} x {name}, {'bfloat16' if bf16 else 'float32'}"


def mean_over_processes(window: Sequence[dict[str, Tensor]], accelerator: Accelerator) -> dict[str, float]:
    """The mean of each named number over the steps that have it, and over all processes."""
    names = list(dict.fromkeys(name for report in window for name in report))
    means = [torch.stack([report[n].float() for report in window if n in report]).mean() for n in names]
    return dict(zip(names, torch.as_tensor(accelerator.reduce(torch.stack(means), "mean")).tolist(), strict=True))


class Signals:
    """While open, SIGINT and SIGTERM are noted and not obeyed; a second one is not waited for."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def open(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError):  # not the main thread: whoever runs us there stops us by other means
                self._before[number] = signal.signal(number, self._note)

    def close(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: Any) -> None:
        if self.number is not None:
            raise KeyboardInterrupt  # asked twice: do not wait for the save
        self.number = number
