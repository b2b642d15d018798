"""Generators as ONNX files (https://onnx.ai), for programs without torch: servers, phones, browsers.

    export(plugin, pipeline, "exported")       # a NAME.onnx for each network, README.md and run.py

Every file is opened by onnxruntime and compared with torch before it counts.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gan_zoo.contract import GAN, Exported

BESIDE = Path(__file__).parent / "template_onnx"
OPSET = 18
TOLERANCE = 1e-3  # of float32 against torch
LOOSE = 0.05  # of float16, in pictures of [-1, 1]
Precision = Literal["fp32", "fp16"]
MISSING = "export needs {0}, which is missing: pip install 'gan-zoo[onnx]'"


class Written(NamedTuple):
    """A file that was written, and how far its outputs are from torch's at most."""

    path: Path
    apart: float


def export(plugin: GAN, pipeline: Any, out: str | Path, precision: Precision = "fp32") -> list[Written]:
    """Writes each network of `plugin.exports` as NAME.onnx into a folder, with README.md and run.py.

    precision: fp16 halves the files; inputs and outputs stay float32.
    Raises ImportError without the packages, ValueError where there is nothing to export, or where what was written
    does not give what torch gives.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(package)
        except ImportError:
            raise ImportError(MISSING.format(package)) from None
    networks = plugin.exports(pipeline)
    if not networks:
        raise ValueError(f"{plugin.slug} exports no networks")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, network in networks.items():
        path = out / f"{name}.onnx"
        _write(network, path)
        if precision == "fp16":
            _halve(path)
        apart = _apart(network, path)
        if not apart <= (limit := LOOSE if precision == "fp16" else TOLERANCE):
            raise ValueError(f"{path.name}: {apart:.2g} from what torch gives; expected {limit:g} at most")
        written.append(Written(path, apart))
        for given, example in network.inputs.items():
            if _example(given, example).endswith(".npy"):
                np.save(out / f"{given}.npy", example.cpu().numpy())
    shutil.copyfile(BESIDE / "run.py", out / "run.py")
    (out / "README.md").write_text(_card(plugin, networks, written, precision), encoding="utf-8")
    return written


def _write(network: Exported, path: Path) -> None:
    """A batch of two is traced: a one would be taken for a constant."""
    inputs = {name: torch.cat([x, x]) for name, x in network.inputs.items()}
    batch, sizes = torch.export.Dim("batch"), {}
    shapes: dict[str, dict[int, Any]] = {}
    for name in inputs:
        shapes[name] = {0: batch}
        for dimension, called in network.free.get(name, {}).items():
            some = sizes.setdefault(called, torch.export.Dim(f"{called}_cells", min=1, max=4096))
            shapes[name][dimension] = network.multiple * some if network.multiple > 1 else some
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            network.module.eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(network.outputs),
            dynamic_shapes=tuple(shapes.values()),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            optimize=True,
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of its own progress."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("torch.onnx").setLevel(level)


def _halve(path: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(str(path)), keep_io_types=True), str(path))


def _apart(network: Exported, path: Path) -> float:
    """The largest difference between torch and onnxruntime, for one sample and for three, larger where it may be."""
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    apart = 0.0
    for count in (1, 3):
        inputs = {name: torch.cat([x] * count) for name, x in network.inputs.items()}
        if count > 1:
            inputs = {name: _larger(x, network.free.get(name, {}), network.multiple) for name, x in inputs.items()}
        with torch.no_grad():
            wanted = network.module(*inputs.values())
        given = session.run(None, {name: x.numpy() for name, x in inputs.items()})
        for a, b in zip([wanted] if isinstance(wanted, Tensor) else wanted, given, strict=True):
            apart = max(apart, float(np.abs(a.numpy() - np.asarray(b)).max()))
    return apart


def _larger(x: Tensor, free: dict[int, str], multiple: int) -> Tensor:
    for dimension in free:
        x = torch.cat([x, x.narrow(dimension, 0, multiple)], dim=dimension)
    return x


def _card(plugin: GAN, networks: dict[str, Exported], written: list[Written], precision: str) -> str:
    parts = [f"# {plugin.title.en}: ONNX, {precision}\n", plugin.summary.en, ""]
    for (name, network), file in zip(networks.items(), written, strict=True):
        size = file.path.stat().st_size / 1e6
        parts += [f"## {file.path.name}\n", f"{size:.1f} MB; at most {file.apart:.1g} from what torch gives.\n"]
        parts += ["| | shape | |", "|---|---|---|"]
        for given in network.inputs:
            parts.append(f"| {given} | {_shape(network, given)} | {network.told.get(given, '')} |")
        parts += [f"| -> {given} | | {network.told.get(given, '')} |" for given in network.outputs]
        parts += [
            "",
            "```bash",
            f"python run.py {name}.onnx {' '.join(_example(*each) for each in network.inputs.items())}",
            "```\n",
        ]
    return "\n".join(parts) + (BESIDE / "browser.md").read_text(encoding="utf-8")


def _shape(network: Exported, name: str) -> str:
    sides = {i: f"{called}, a multiple of {network.multiple}" for i, called in network.free.get(name, {}).items()}
    shape = network.inputs[name].shape
    return " x ".join(["batch", *(sides.get(i, str(side)) for i, side in enumerate(shape) if i)])


def _example(name: str, x: Tensor) -> str:
    if x.ndim == 2 and x.is_floating_point():
        return f"{name}=0,12" if set(x.unique().tolist()) == {0.0, 1.0} else f"{name}=7"
    return f"{name}=photo.png" if x.ndim == 4 and x.shape[1] in (1, 3) else f"{name}={name}.npy"
