"""A run's checkpoints: what is in them, and how all processes write and read them together."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

import torch

from gan_zoo import checkpoints
from gan_zoo.config import Progress
from gan_zoo.duel import check_finite
from gan_zoo.errors import one_line
from gan_zoo.plugin import Networks

if TYPE_CHECKING:
    from gan_zoo.trainer import Trainer

CHECKPOINT_FORMAT = 1


def save(run: Trainer, name: str) -> None:
    if (run.folder.path / "checkpoints" / name).exists():
        return
    checkpoints.check_readable(run.state, "step.state")
    check_finite(run.trainable, run.progress.updates)  # never over good ones
    if run.accelerator.is_main_process:
        checkpoints.begin(run.folder.path, name)
    run.accelerator.wait_for_everyone()
    part = run.folder.path / "checkpoints" / f"{name}.part"
    fingerprint = _fingerprint(run.nets)
    everyones = torch.as_tensor(run.accelerator.gather(torch.tensor([fingerprint], device=run.device)))
    if not bool((everyones == fingerprint).all()):
        raise RuntimeError("the processes no longer have the same weights: their gradients were not exchanged")
    own = {"state": run.state, "random": torch.get_rng_state()}
    if run.device.type == "cuda":
        own["random_cuda"] = torch.cuda.get_rng_state(run.device)
    checkpoints.write(part / f"rank{run.rank}.pt", own)
    if run.accelerator.is_main_process:
        checkpoints.write(part / "common.pt", _common(run))
    run.accelerator.wait_for_everyone()
    if run.accelerator.is_main_process:
        checkpoints.commit(part, run.config.keep)
    run.accelerator.wait_for_everyone()


def _common(run: Trainer) -> dict[str, Any]:
    optimizers = {"g": run.duel.g_optimizer, "d": run.duel.d_optimizer}
    return {
        "format": CHECKPOINT_FORMAT,
        "plugin": run.plugin.slug,
        "processes": run.processes,
        "progress": dataclasses.asdict(run.progress),
        "networks": {n: net.state_dict() for n, net in run.nets.items() if run.trainable[n]},
        "ema": {n: net.state_dict() for n, net in run.ema.networks.items()},
        "optimizers": {n: o.state_dict() for n, o in optimizers.items() if o is not None},
    }


def load(run: Trainer) -> None:
    path = checkpoints.latest(run.folder.path)
    if path is None:
        (run.folder.path / "log.jsonl").unlink(missing_ok=True)
        return  # interrupted before its first checkpoint: begin again
    common = checkpoints.read(path / "common.pt")
    if common["plugin"] != run.plugin.slug or common["format"] != CHECKPOINT_FORMAT:
        raise ValueError(
            f"{path} is a checkpoint of {common['plugin']!r}, format {common['format']}; "
            f"expected {run.plugin.slug!r}, format {CHECKPOINT_FORMAT}"
        )
    run.progress = Progress(**common["progress"])
    run.enter_stage()
    if run.accelerator.is_main_process:
        run.folder.forget_log_after(run.progress.updates)
    try:
        for name, state in common["networks"].items():
            run.nets[name].load_state_dict(state)
        for name, state in common["ema"].items():
            run.ema.networks[name].load_state_dict(state)
    except RuntimeError as error:
        reason = one_line(error, 99, 200)
        raise ValueError(f"{path} was made with other settings of the networks: {reason}") from None
    for name, optimizer in (("g", run.duel.g_optimizer), ("d", run.duel.d_optimizer)):
        if optimizer is not None:
            optimizer.load_state_dict(common["optimizers"][name])
            for group in optimizer.param_groups:
                group["betas"] = (run.config.beta1, run.config.beta2)  # a flag is stronger than the run
    if common["processes"] != run.processes:
        print(f"resumed on {run.processes} processes instead of {common['processes']}: close to, but not the same")
        return
    own = checkpoints.read(path / f"rank{run.rank}.pt", run.device)
    run.state.update(own["state"])
    torch.set_rng_state(own["random"])
    if "random_cuda" in own and run.device.type == "cuda":
        torch.cuda.set_rng_state(own["random_cuda"], run.device)


def _fingerprint(nets: Networks) -> int:
    """A hash of every weight: equal in all processes for as long as they are synchronised."""
    digest = hashlib.sha256()
    for _, net in nets.items():
        for p in net.parameters():
            digest.update(p.detach().float().cpu().contiguous().numpy().tobytes())
    return int.from_bytes(digest.digest()[:7], "big")
