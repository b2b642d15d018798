"""`export`: generators as ONNX."""

from __future__ import annotations

import argparse

from gan_zoo.cli import check_empty


def export(args: argparse.Namespace) -> None:
    from gan_zoo import exporting, registry
    from gan_zoo.cli.weights import named_weights
    from gan_zoo.weights import read_manifest

    folder = named_weights(args.source)
    check_empty(args.out)
    plugin = registry.get(read_manifest(folder).plugin)
    for file in exporting.export(plugin, plugin.load(str(folder)), args.out, args.precision):
        print(f"{file.path}: {file.path.stat().st_size / 1e6:.1f} MB, at most {file.apart:.2g} from what torch gives")
