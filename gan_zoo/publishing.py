"""Publishing a run: its weights folder, with the card that it earned."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path
from typing import Any

from PIL import Image

from gan_zoo import hub
from gan_zoo.config import Progress, TrainConfig
from gan_zoo.plugin import Evaluation, Networks, Plugin, Preset, Text


def facts(plugin: Plugin, preset: Preset, source: str | None, config: TrainConfig) -> dict[str, Any]:
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
    folder: Path,
    plugin: Plugin,
    preset: Preset,
    pipeline: Any,
    grid: Image.Image,
    evaluation: Evaluation,
    facts: dict[str, Any],
    progress: Progress,
    hardware: str,
    parameters: dict[str, int],
) -> None:
    """Writes the weights folder of a run. `facts` are those above, `parameters` their numbers by network."""
    pictures = {plugin.caption: grid} | evaluation.pictures
    names = [f"picture-{i + 1}.png" for i in range(len(pictures))]
    card = hub.CardFacts(
        title=f"{plugin.title.en}: {preset.name}",
        plugin=plugin.slug,
        preset=preset.name,
        licence=preset.licence,
        licence_id=preset.licence_id,
        licence_name="research only" if preset.licence_id == "other" else "",
        data=preset.data.en,
        summary=plugin.summary.en,
        recipe={"train": _published(facts["config"]), "settings": _published(facts["settings"])},
        commit=facts["commit"],
        steps=progress.updates,
        images_seen=progress.images,
        hours=progress.hours,
        hardware=hardware,
        feature_networks=plugin.feature_networks,
        pipeline_tag=plugin.pipeline_tag,
        example=plugin.example,
        parameters=parameters,
        scores=evaluation.scores,
        protocol=evaluation.protocol,
        pictures=dict(zip(names, pictures, strict=True)),
    )
    hub.save(
        pipeline,
        folder,
        plugin=plugin.slug,
        preset=preset.name,
        card=hub.model_card(card),
        images=dict(zip(names, pictures.values(), strict=True)),
        settings=_published(facts["settings"]),
    )


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
    told = str(source) if source else "the plugin's built-in data"
    text = Text(told, told)
    if source:
        return Preset(name, text, "research", text)
    return Preset(name, text, "open", text, licence_id="cc0-1.0")


def sizes(nets: Networks) -> dict[str, int]:
    """Numbers by network."""
    return {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}
