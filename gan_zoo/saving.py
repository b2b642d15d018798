"""How all processes of a run write a checkpoint together, and read it again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from gan_zoo import checkpoints
from gan_zoo.contract import Networks
from gan_zoo.duel import check_finite
from gan_zoo.state import RunState

if TYPE_CHECKING:
    from accelerate import Accelerator

CHECKPOINT_FORMAT = 1


class Saved(NamedTuple):
    """A checkpoint: what all processes have in common, and what is one's own; of another number of them, nothing is."""

    path: Path
    common: dict[str, Any]
    own: dict[str, Any] | None


def save(run: Path, name: str, state: RunState, accelerator: Accelerator, *, plugin: str, keep: int) -> None:
    """Writes the checkpoint `name` of a run, of which the last `keep` stay; nothing if it is there already."""
    if (run / "checkpoints" / name).exists():
        return
    checkpoints.check_readable(state.kept, "step.state")
    check_finite(state.trainable, state.progress.updates)  # never over good ones
    main, device = accelerator.is_main_process, accelerator.device
    if main:
        checkpoints.begin(run, name)
    accelerator.wait_for_everyone()
    part = run / "checkpoints" / f"{name}.part"
    fingerprint = _fingerprint(state.nets)
    everyones = torch.as_tensor(accelerator.gather(torch.tensor([fingerprint], device=device)))
    if not bool((everyones == fingerprint).all()):
        raise RuntimeError("the processes no longer have the same weights: their gradients were not exchanged")
    own = {"state": state.kept, "random": torch.get_rng_state()}
    if device.type == "cuda":
        own["random_cuda"] = torch.cuda.get_rng_state(device)
    checkpoints.write(part / f"rank{accelerator.process_index}.pt", own)
    if main:
        told = {"format": CHECKPOINT_FORMAT, "plugin": plugin, "processes": accelerator.num_processes}
        checkpoints.write(part / "common.pt", told | state.state_dict())
    accelerator.wait_for_everyone()
    if main:
        checkpoints.commit(part, keep)
    accelerator.wait_for_everyone()


def read(run: Path, accelerator: Accelerator, *, plugin: str) -> Saved | None:
    """The newest sound checkpoint of a run; None if it has none yet. Raises ValueError for one of another plugin."""
    path = checkpoints.latest(run)
    if path is None:
        return None
    common = checkpoints.read(path / "common.pt")
    if common["plugin"] != plugin or common["format"] != CHECKPOINT_FORMAT:
        raise ValueError(
            f"{path} is a checkpoint of {common['plugin']!r}, format {common['format']}; "
            f"expected {plugin!r}, format {CHECKPOINT_FORMAT}"
        )
    if common["processes"] != accelerator.num_processes:
        now = accelerator.num_processes
        print(f"resumed on {now} processes instead of {common['processes']}: close to, but not the same")
        return Saved(path, common, None)
    return Saved(path, common, checkpoints.read(path / f"rank{accelerator.process_index}.pt", accelerator.device))


def restore_random(own: dict[str, Any], device: torch.device) -> None:
    """PyTorch's own generators as they were, for what a plugin draws without its Step."""
    torch.set_rng_state(own["random"])
    if "random_cuda" in own and device.type == "cuda":
        torch.cuda.set_rng_state(own["random_cuda"], device)


def _fingerprint(nets: Networks) -> int:
    """A hash of every weight: equal in all processes for as long as they are synchronised."""
    digest = hashlib.sha256()
    for _, net in nets.items():
        for p in net.parameters():
            digest.update(p.detach().float().cpu().contiguous().numpy().tobytes())
    return int.from_bytes(digest.digest()[:7], "big")
