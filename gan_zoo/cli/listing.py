"""`list`: what there is."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_zoo.plugin import Parameter, Plugin


def list_(args: argparse.Namespace) -> None:
    from gan_zoo import registry

    found = registry.discover()
    if args.json:
        plugins = [_describe(plugin) for plugin in found.plugins.values()]
        broken = [broken._asdict() for broken in found.broken]
        print(json.dumps({"plugins": plugins, "broken": broken}, indent=2, ensure_ascii=False))
        return
    for plugin in found.plugins.values():
        print(f"{plugin.slug}: {plugin.summary.en}")
        for name, task in plugin.tasks().items():
            flags = " ".join(f"--{p.name}" if p.required else f"[--{p.name}]" for p in task.parameters)
            print(f"    {plugin.slug}.{name} {flags}")
        for preset in plugin.presets:
            print(f"    --preset {preset.name}  ({preset.licence}) {preset.title.en}")
        for name, text in plugin.formats.items():
            print(f"    import --format {name}  {text}")
    for broken in found.broken:
        print(f"{broken.name}: cannot be used: {broken.reason}")


def _describe(plugin: Plugin) -> dict[str, Any]:
    tasks = [
        {
            "name": name,
            "endpoint": f"/{plugin.slug}_{name}",
            "summary": task.summary._asdict(),
            "arguments": [_describe_argument(parameter) for parameter in task.parameters],
            "outputs": list(task.outputs),
        }
        for name, task in plugin.tasks().items()
    ]
    presets = [
        {
            "name": preset.name,
            "title": preset.title._asdict(),
            "licence": preset.licence,
            "repo_id": preset.repo_id,
            "revision": preset.revision,
            "default": preset is plugin.default_preset,
        }
        for preset in plugin.presets
    ]
    return {
        "slug": plugin.slug,
        "title": plugin.title._asdict(),
        "summary": plugin.summary._asdict(),
        "paper": plugin.paper,
        "tasks": tasks,
        "presets": presets,
        "formats": dict(plugin.formats),
    }


def _describe_argument(parameter: Parameter) -> dict[str, Any]:
    described = {
        "name": parameter.name,
        "type": type(parameter.choices[0]).__name__ if parameter.choices else parameter.type.__name__,
        "label": parameter.arg.label._asdict(),
        "required": parameter.required,
        "default": None if parameter.required else parameter.default,
        "choices": parameter.choices,
        "minimum": parameter.arg.minimum,
        "maximum": parameter.maximum("cli"),
    }
    return {key: value for key, value in described.items() if value is not None}
