"""Publishing a run: its weights folder, with the card that it earned."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from PIL import Image

from gan_zoo import hub
from gan_zoo.config import TrainConfig
from gan_zoo.contract import GAN, Evaluation, Preset
from gan_zoo.state import RunState
from gan_zoo.tasks import Task, Text


def facts(plugin: GAN, preset: Preset, source: str | None, config: TrainConfig) -> dict[str, Any]:
    """What a run is: enough to resume it, and to write its card."""
    return {
        "plugin": plugin.slug,
        "preset": preset.name,
        "data": source,
        "config": dataclasses.asdict(config),
        "settings": dataclasses.asdict(plugin.settings),
        "commit": _commit(),
    }


def publish(
    out: Path,
    plugin: GAN,
    preset: Preset,
    state: RunState,
    told: dict[str, Any],
    *,
    grid: Image.Image,
    hardware: str,
    evaluation: Evaluation,
) -> None:
    """Writes a run's averaged weights as the weights folder `out`, with the card it earned; `told` are its facts."""
    pictures = {plugin.caption: grid} | evaluation.pictures
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
        steps=state.progress.updates,
        images_seen=state.progress.images,
        hours=state.progress.hours,
        hardware=hardware,
        feature_networks=plugin.feature_networks,
        pipeline_tag=plugin.pipeline_tag,
        example=plugin.example,
        parameters={name: sum(p.numel() for p in net.parameters()) for name, net in state.nets.items()},
        scores=evaluation.scores,
        protocol=evaluation.protocol,
        pictures=dict(zip(names, pictures, strict=True)),
        shipped=preset in plugin.presets,
        task=plugin.example_task,
        takes_preset=_example_task(plugin).needs_weights,
    )
    hub.save(
        plugin.pipeline(state.average()),
        out,
        plugin=plugin.slug,
        preset=preset.name,
        card=hub.model_card(card),
        images=dict(zip(names, pictures.values(), strict=True)),
        settings=settings,
    )


def _example_task(plugin: GAN) -> Task:
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
