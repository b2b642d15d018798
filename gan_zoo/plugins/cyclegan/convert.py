"""Weights of other people's CycleGANs, read by the shapes of their layers into `ImportedGenerator`.

The ResNet and the U-Net of this field have the same layers in the same order under many names. So a file is a list of
convolutions, each perhaps with its norm; which network that is, its size and its norms tell. Whatever is left over,
missing or of another shape is named: nothing is guessed.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gan_zoo.plugins.cyclegan.imported import ImportedGenerator

Tensors = dict[str, Tensor]
WRAPPED = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod)\.")  # data parallelism, torch.compile
NO_TENSORS = {
    b"version https://git-lfs": "a git-lfs pointer, not the file itself: fetch that (git lfs pull)",
    b"<!doctype": "an HTML page, as a download that wanted a login or a confirmation gives",
    b"<html": "an HTML page, as a download that wanted a login or a confirmation gives",
    b"\x89hdf": "an HDF5 file, as Keras writes; expected weights of PyTorch",
}
EXPECTED = (
    "expected a ResNet (7 x 7 first and last, 6 + 2 x blocks in all) or a U-Net (4 x 4, twice as many as halvings)"
)


class Format(NamedTuple):
    """Where files come from. evaluated: batch norms use the statistics of training, as after `eval()`."""

    origin: str
    evaluated: bool = False


FORMATS = {
    "junyanz": Format("pytorch-CycleGAN-and-pix2pix or one like it, run as its test script runs"),
    "junyanz-eval": Format("the same with its option --eval: batch norms keep the statistics of training", True),
    "huggan": Format("the CycleGAN of the HugGAN sprint"),
}


def read_generators(path: str | Path, format: str) -> list[ImportedGenerator]:
    """The generators of a file (.pth, .ckpt, .bin or .safetensors), in eval mode: mostly one, and two where a
    checkpoint holds both ways. Raises ValueError of one line.
    """
    name, tensors = Path(path).name, read_tensors(path)
    try:
        return [_generator(tensors, FORMATS[format].evaluated)]
    except ValueError as error:
        parts: dict[str, Tensors] = {}
        for key, tensor in tensors.items():
            part, _, rest = key.partition(".")
            parts.setdefault(part, {})[rest] = tensor
        networks = len(parts) > 1 and all(any(x.ndim == 4 for x in part.values()) for part in parts.values())
        found = list(_those_that_are(parts, FORMATS[format].evaluated)) if networks else []
        if not found:
            raise ValueError(f"{name} is no generator of the format {format}: {error}") from None
        return found


def _those_that_are(parts: dict[str, Tensors], evaluated: bool) -> Iterator[ImportedGenerator]:
    for tensors in parts.values():
        try:
            yield _generator(tensors, evaluated)
        except ValueError:  # a discriminator, or another part of a whole training
            continue


def read_tensors(path: str | Path) -> Tensors:
    """The state dict of a file, in the order of its layers, without what programs wrap around it and its names. A
    pickle is opened for its tensors alone. Raises ValueError of one line.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {str(path)!r}")
    with open(path, "rb") as file:
        head = file.read(64).lstrip().lower()
    if told := next((told for begins, told in NO_TENSORS.items() if head.startswith(begins)), None):
        raise ValueError(f"{path.name} is {told}")
    if path.suffix == ".onnx":
        raise ValueError(f"{path.name} is an ONNX file, which holds a program; expected weights of PyTorch")
    try:
        if path.suffix == ".safetensors":
            values: Any = load_file(path)
            values = {key: values[key] for key in sorted(values, key=_natural)}  # the file has them by name
        else:
            values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(f"{path.name} holds more than tensors: it is not opened, since it could run code") from None
    except (SafetensorError, RuntimeError, EOFError, ValueError) as error:
        line = next(iter(str(error).splitlines()), "")[:100]
        raise ValueError(f"{path.name} is damaged, or no file of PyTorch: {line}") from None
    if not isinstance(values, dict) or not values:
        raise ValueError(f"{path.name} holds a {type(values).__name__}, expected a state dict: names and tensors")
    values = _unwrapped(path.name, values)
    return {WRAPPED.sub("", key): value for key, value in values.items()}


def _unwrapped(name: str, values: dict[Any, Any]) -> Tensors:
    """The state dict within a checkpoint, {"epoch": ..., "state_dict": ...}."""
    values = {key: value for key, value in values.items() if key != "_metadata"}
    if "state_dict" in values:
        return _unwrapped(name, values["state_dict"])
    inner = {key: value for key, value in values.items() if isinstance(value, dict) and _is_state(value)}
    if len(inner) == 1:
        return _unwrapped(name, next(iter(inner.values())))
    if inner:  # several networks: their names begin those of the layers
        return {f"{part}.{key}": value for part, state in inner.items() for key, value in state.items()}
    for key, value in values.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(f"{name}: {key!r} is a {type(value).__name__}, expected a tensor")
    return values


def _is_state(value: dict[Any, Any]) -> bool:
    return bool(value) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def _natural(key: str) -> list[Any]:
    """model.4 before model.10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in key.split(".")]


class Layer(NamedTuple):
    """A convolution and its norm, each {"weight": ..., "bias": ...}, and what the file calls them."""

    name: str
    conv: Tensors
    norm_name: str
    norm: Tensors


def _layers(tensors: Tensors) -> list[Layer]:
    """Convolutions in their order, each with the norm that comes after it."""
    groups: dict[str, Tensors] = {}
    for key, tensor in tensors.items():
        name, _, kind = key.rpartition(".")
        groups.setdefault(name, {})[kind] = tensor
    layers: list[Layer] = []
    for name, group in groups.items():
        weight = group.get("weight")
        if weight is not None and weight.ndim == 4:
            layers.append(Layer(name, group, "", {}))
        elif weight is None and "running_mean" in group:
            continue  # PyTorch before 0.4 wrote statistics of instance norms, which it never used
        elif layers and not layers[-1].norm and weight is not None and weight.ndim == 1:
            layers[-1] = layers[-1]._replace(norm_name=name, norm=group)
        else:
            kind = next(iter(group))
            raise ValueError(f"its key {f'{name}.{kind}'.lstrip('.')!r} fits nowhere")
    return layers


def _generator(tensors: Tensors, evaluated: bool) -> ImportedGenerator:
    layers = _layers(tensors)
    first = layers[0].conv["weight"].shape if layers else ()
    if len(first) != 4 or first[1] != 3:
        where = f"its key {layers[0].name + '.weight'!r} has shape {tuple(first)}" if layers else "it has none"
        raise ValueError(f"{where}, expected a convolution of pictures of 3 channels")
    names, config = _plan(layers)
    norms = [layer.norm for layer in layers if layer.norm]
    config["normalisation"] = "instance"
    if any("weight" in norm for norm in norms):
        kept = evaluated and all("running_mean" in norm for norm in norms)
        config["normalisation"] = "batch" if kept else "affine"  # of one picture, its statistics are the batch's
    network = ImportedGenerator(**config, bias="bias" in layers[1].conv)
    network.load_state_dict(_renamed(dict(zip(names, layers, strict=True)), network))
    return network.eval()


def _plan(layers: list[Layer]) -> tuple[list[str], dict[str, Any]]:
    """Our names of the layers, and the arguments of `ImportedGenerator`."""
    shapes = [layer.conv["weight"].shape for layer in layers]
    width, count, kernel = shapes[0][0], len(layers), shapes[0][-1]
    if kernel == 7 and shapes[-1][-1] == 7 and count >= 6 and count % 2 == 0:
        depth = (count - 6) // 2
        blocks = [f"blocks.{i}.{half}" for i in range(depth) for half in ("first", "second")]
        upsampling = "transposed" if shapes[-3][0] == 4 * width else "nearest"
        names = ["stem", "downs.0", "downs.1", *blocks, "ups.0", "ups.1", "to_rgb"]
        return names, {"architecture": "resnet", "width": width, "depth": depth, "upsampling": upsampling}
    if kernel == 4 and shapes[-1][-1] == 4 and count >= 6 and count % 2 == 0 and shapes[-1][1] == 3:
        depth = count // 2  # the outermost level holds the next, and so on: down to the innermost, and up again
        names = [*(f"downs.{i}" for i in range(depth)), *(f"ups.{i}" for i in reversed(range(depth)))]
        return names, {"architecture": "unet", "width": width, "depth": depth}
    raise ValueError(
        f"its {count} convolutions, the first of {kernel} x {kernel} pixels, are those of neither network; {EXPECTED}"
    )


def _renamed(layers: dict[str, Layer], network: ImportedGenerator) -> Tensors:
    """Their tensors under our names. Raises ValueError naming the first that does not fit."""
    own, renamed, used = network.state_dict(), {}, set()
    for key, value in own.items():
        place, kind = key.removeprefix("net.").rsplit(".", 1)
        of_norm = place.endswith(".norm")
        layer = layers[re.sub(r"\.(conv|norm)$", "", place)]
        name, tensors = (layer.norm_name, layer.norm) if of_norm else (layer.name, layer.conv)
        if kind == "num_batches_tracked" and kind not in tensors:  # PyTorch counts them since 0.4.1
            renamed[key] = value
            continue
        if kind not in tensors:
            raise ValueError(f"it has no key {f'{name}.{kind}'!r}" if name else f"{layer.name!r} has no norm after it")
        tensor = renamed[key] = tensors[kind]
        used.add((name, kind))
        if tensor.shape != value.shape:
            shapes = f"{tuple(tensor.shape)}, expected {tuple(value.shape)}"
            raise ValueError(f"its key {f'{name}.{kind}'!r} has shape {shapes}")
        if not tensor.isfinite().all():
            raise ValueError(f"its key {f'{name}.{kind}'!r} holds values that are not finite")
    for layer in layers.values():  # of norms, statistics may be left over
        over = [(layer.name, kind) for kind in layer.conv]
        over += [(layer.norm_name, kind) for kind in layer.norm if kind in ("weight", "bias")]
        if unused := [each for each in over if each not in used]:
            raise ValueError(f"its key {'.'.join(unused[0])!r} fits nowhere")
    return renamed
