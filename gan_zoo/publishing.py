"""Publishing a run: its weights folder, with the card that it earned."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_zoo import hub
from gan_zoo.plugin import Evaluation, Plugin, Preset, Task, Text
from gan_zoo.processes import hardware

if TYPE_CHECKING:
    from gan_zoo.trainer import Trainer


def facts(run: Trainer) -> dict[str, Any]:
    """What a run is: enough to resume it, and to write its card."""
    return {
        "plugin": run.plugin.slug,
        "preset": run.preset.name,
        "data": run.source,
        "config": dataclasses.asdict(run.config),
        "settings": dataclasses.asdict(run.plugin.settings),
        "commit": _commit(),
    }


def publish(run: Trainer, evaluation: Evaluation) -> None:
    """Writes the averaged weights as the run's weights folder, with the card that this run earned."""
    plugin, preset, progress, told = run.plugin, run.preset, run.progress, facts(run)
    pictures = {plugin.caption: run.grid()} | evaluation.pictures
    names = [f"picture-{i + 1}.webp" for i in range(len(pictures))]
    settings = _published(told["settings"])
    card = hub.CardFacts(
        title=f"{plugin.title.en}: {preset.name}",
        plugin=plugin.slug,
        preset=preset.name,
        licence=preset.licence,
        licence_id=preset.licence_id,
        licence_name="research only" if preset.licence_id == "other" else "",
        data=preset.data.en,
        summary=plugin.summary.en,
        recipe={"train": _published(told["config"]), "settings": settings},
        commit=told["commit"],
        steps=progress.updates,
        images_seen=progress.images,
        hours=progress.hours,
        hardware=hardware(run.device, run.processes, run.bf16),
        feature_networks=plugin.feature_networks,
        pipeline_tag=plugin.pipeline_tag,
        example=plugin.example,
        parameters={name: sum(p.numel() for p in net.parameters()) for name, net in run.nets.items()},
        scores=evaluation.scores,
        protocol=evaluation.protocol,
        pictures=dict(zip(names, pictures, strict=True)),
        shipped=preset in plugin.presets,
        task=plugin.example_task,
        takes_preset=_example_task(plugin).needs_weights,
    )
    hub.save(
        plugin.pipeline(run.average()),
        run.folder.path / "weights",
        plugin=plugin.slug,
        preset=preset.name,
        card=hub.model_card(card),
        images=dict(zip(names, pictures.values(), strict=True)),
        settings=settings,
    )


def _example_task(plugin: Plugin) -> Task:
    """The task that a card's example calls: the one that the plugin names, else its first."""
    tasks = plugin.tasks()
    return tasks[plugin.example_task] if plugin.example_task else next(iter(tasks.values()))


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


def unnamed(name: str, source: str | None) -> Preset:
    """The preset that a run becomes which belongs to none; of strangers' data nothing is known."""
    local = source is not None and Path(source).exists()
    told = (Path(source).name if local else source) if source else "the plugin's built-in data"
    name, text = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "run", Text(told, told)
    if source:
        return Preset(name, text, "research", text)
    return Preset(name, text, "open", text, licence_id="cc0-1.0")
