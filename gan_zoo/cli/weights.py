"""`evaluate`, `push`, `pull`, `import`: trained weights measured, sent, fetched, converted."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from gan_zoo.cli import check_empty


def evaluate(args: argparse.Namespace) -> None:
    from gan_zoo import presets, registry

    plugin, preset = registry.get(args.plugin), args.preset
    plugin = presets.as_trained(plugin, preset, dict(_setting(text) for text in args.set)).suited(args.data)
    data = plugin.data(args.data, "validation", 0)
    evaluation = plugin.evaluate(plugin.load(preset), data, args.count)
    if not evaluation.scores:
        raise ValueError(f"{plugin.slug} measures no scores")
    if args.json:
        what = {"plugin": plugin.slug, "preset": args.preset or plugin.preset().name, "data": args.data}
        counts = {"count": args.count, "rows": len(data)}
        print(json.dumps(what | counts | {"scores": evaluation.scores, "protocol": evaluation.protocol}, indent=2))
        return
    width = max(map(len, evaluation.scores))
    for name, value in evaluation.scores.items():
        print(f"{name:{width}}  {value:.4g}")
    print(f"{args.count} pictures asked for, {len(data)} rows held out. {evaluation.protocol}".strip())


def _setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as JSON, or else a text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"--set: expected NAME=VALUE, got {text[:40]!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def push(args: argparse.Namespace) -> None:
    from gan_zoo import hub, presets, registry

    if args.all is None:
        if args.source is None or args.repo_id is None:
            raise ValueError("push: expected PRESET_OR_RUN and REPO_ID, or --all OWNER")
        folder = named_weights(args.source)
        print(hub.push(folder, args.repo_id, revision=args.revision, private=args.private))
        return
    if args.source is not None or args.revision is not None:
        raise ValueError("push --all OWNER: takes neither a preset nor a revision")
    for plugin in registry.discover().plugins.values():
        for preset in plugin.presets:
            if presets.is_here(plugin, preset.name):
                repo_id = hub.repo_of(args.all, plugin.slug, preset.name)
                print(hub.push(presets.find(plugin, preset.name), repo_id, private=args.private), flush=True)


def named_weights(name: str) -> Path:
    """The weights folder at that path, of a run, or of the preset NAME or PLUGIN/NAME. Raises ValueError: none, or
    several of that name.
    """
    from gan_zoo import presets, registry

    if folder := presets.at(name):
        return folder
    known = [(plugin, preset) for plugin in registry.discover().plugins.values() for preset in plugin.presets]
    found = [(g, p) for g, p in known if name in (p.name, f"{g.slug}/{p.name}")]
    if not found:
        names = ", ".join(f"{g.slug}/{p.name}" for g, p in known) or "none"
        raise ValueError(f"{name!r} is neither a run nor a weights folder nor a preset; presets: {names}")
    if len(found) > 1:
        raise ValueError(f"{name!r} could be {' or '.join(f'{g.slug}/{p.name}' for g, p in found)}: say which")
    plugin, preset = found[0]
    return presets.find(plugin, preset.name)


def pull(args: argparse.Namespace) -> None:
    from gan_zoo import hub

    if args.out is not None:
        check_empty(args.out)
    folder = hub.pull(args.repo_id, revision=args.revision)
    if args.out is not None:
        folder = Path(shutil.copytree(folder, args.out, dirs_exist_ok=True))  # the cache's links become files
    print(folder)


def import_(args: argparse.Namespace) -> None:
    from gan_zoo import registry

    plugins = registry.discover().plugins.values()
    found = [plugin for plugin in plugins if args.format in plugin.formats]
    if not found:
        known = ", ".join(name for plugin in plugins for name in plugin.formats) or "none"
        raise ValueError(f"--format: no GAN imports {args.format!r}; there are: {known}")
    if len(found) > 1:
        raise ValueError(f"--format: {' and '.join(plugin.slug for plugin in found)} both import {args.format!r}")
    check_empty(args.out)
    print(found[0].import_weights(args.format, args.files, args.out))
