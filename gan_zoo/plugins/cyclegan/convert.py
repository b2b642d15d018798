"""Weights of other people's CycleGANs, read key by key into `ImportedGenerator`.

A format knows one published layout: `Layout.layers` says for each of our layers which of theirs it is. Whatever key of
the file is then left over, missing or of another shape is named: nothing is guessed.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gan_zoo.plugins.cyclegan.imported import ImportedGenerator

Tensors = dict[str, Tensor]
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class Layout(NamedTuple):
    """What a file holds: the arguments of `ImportedGenerator`, and {our layer: theirs}."""

    config: dict[str, Any]
    layers: dict[str, str]


def read_generator(path: str | Path, format: str) -> ImportedGenerator:
    """The generator of a file (.pth, .bin or .safetensors), in eval mode. Raises ValueError of one line."""
    name = Path(path).name
    tensors = read_tensors(path)
    try:
        config, layers = FORMATS[format].read(tensors)
        network = ImportedGenerator(**config)
        network.load_state_dict(_renamed(tensors, network, layers))
    except ValueError as error:
        raise ValueError(f"{name} is no generator of the format {format}: {error}") from None
    return network.eval()


def read_tensors(path: str | Path) -> Tensors:
    """A state dict, without the `module.` of data-parallel training. A pickle is opened for its tensors alone."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {str(path)!r}")
    try:
        if path.suffix == ".safetensors":
            values = load_file(path)
        else:
            values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(f"{path.name} holds more than tensors: it is not opened, since it could run code") from None
    except (SafetensorError, RuntimeError, EOFError, ValueError) as error:
        line = next(iter(str(error).splitlines()), "")[:100]
        raise ValueError(f"{path.name} is damaged, or no file of PyTorch: {line}") from None
    if not isinstance(values, dict) or not values:
        raise ValueError(f"{path.name} holds a {type(values).__name__}, expected a state dict: names and tensors")
    values = {key: value for key, value in values.items() if key != "_metadata"}
    for key, value in values.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(f"{path.name}: {key!r} is a {type(value).__name__}, expected a tensor")
    prefix = "module." if all(key.startswith("module.") for key in values) else ""
    return {key.removeprefix(prefix): value for key, value in values.items()}


def _renamed(tensors: Tensors, network: nn.Module, layers: dict[str, str]) -> Tensors:
    """Their tensors under our names. Raises ValueError naming the first key that does not fit."""
    own = network.state_dict()
    theirs = {key: f"{layers[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}" for key in own}
    # PyTorch before 0.4 wrote running statistics of instance norms too, which it never used.
    instance = [layers[name] for name, module in network.named_modules() if isinstance(module, nn.InstanceNorm2d)]
    unused = {f"{layer}.{kind}" for layer in instance for kind in STATISTICS}
    unknown = [key for key in tensors if key not in unused and key not in theirs.values()]
    if unknown:
        raise ValueError(f"its key {unknown[0]!r} fits nowhere")

    renamed = {}
    for key, value in own.items():
        if theirs[key] not in tensors and key.endswith(".num_batches_tracked"):  # PyTorch counts them since 0.4.1
            renamed[key] = value
            continue
        tensor = renamed[key] = _tensor(tensors, theirs[key])
        if tensor.shape != value.shape:
            shapes = f"{tuple(tensor.shape)}, expected {tuple(value.shape)}"
            raise ValueError(f"its key {theirs[key]!r} has shape {shapes}")
        if not tensor.isfinite().all():
            raise ValueError(f"its key {theirs[key]!r} holds values that are not finite")
    return renamed


def _tensor(tensors: Tensors, key: str) -> Tensor:
    if key not in tensors:
        raise ValueError(f"it has no key {key!r}; its first is {next(iter(tensors))!r}")
    return tensors[key]


def _width(tensors: Tensors, key: str) -> int:
    """How many channels the first convolution makes of the three of a picture."""
    shape = _tensor(tensors, key).shape
    if len(shape) != 4 or shape[1] != 3:
        raise ValueError(f"its key {key!r} has shape {tuple(shape)}, expected a convolution of pictures of 3 channels")
    return shape[0]


def _count(tensors: Tensors, key: str, start: int) -> int:
    """How many of `key` there are in a row, with the numbers start, start + 1 ... in place of {}."""
    count = 0
    while key.format(start + count) in tensors:
        count += 1
    return count


# ---------------------------------------------------------------------------------------------------------------------
# pytorch-CycleGAN-and-pix2pix: nn.Sequential throughout, so that keys are positions


def _junyanz(tensors: Tensors) -> Layout:
    return _junyanz_unet(tensors) if "model.model.0.weight" in tensors else _junyanz_resnet(tensors)


def _junyanz_resnet(tensors: Tensors) -> Layout:
    """pad, conv, norm, relu; twice conv, norm, relu; the blocks from 10 on; twice conv, norm, relu; pad, conv."""
    depth = _count(tensors, "model.{}.conv_block.1.weight", 10)
    # In a block: pad, conv, norm, relu, (dropout), pad, conv, norm.
    second = 5 if "model.10.conv_block.5.weight" in tensors else 6
    layers = _resnet_head()
    for i in range(depth):
        layers |= _conv_norm(f"blocks.{i}.first", f"model.{10 + i}.conv_block", 1)
        layers |= _conv_norm(f"blocks.{i}.second", f"model.{10 + i}.conv_block", second)
    after = 10 + depth
    layers |= _conv_norm("ups.0", "model", after) | _conv_norm("ups.1", "model", after + 3)
    layers["to_rgb"] = f"model.{after + 7}"
    return Layout(_resnet_config(tensors, depth) | {"upsampling": "transposed"}, _within_net(layers))


def _junyanz_unet(tensors: Tensors) -> Layout:
    """Each level is a Sequential that holds the next: relu, conv, norm, next level, relu, conv, norm, (dropout).

    The outermost has neither the first relu nor norms, the innermost no next level and no norm on the way down.
    """
    levels = ["model.model", "model.model.1.model"]
    while f"{levels[-1]}.3.model.1.weight" in tensors:
        levels.append(f"{levels[-1]}.3.model")
    last = len(levels) - 1
    layers = {"downs.0": f"{levels[0]}.0", "ups.0": f"{levels[0]}.3"}
    for i, level in enumerate(levels[1:-1], start=1):
        layers |= _conv_norm(f"downs.{i}", level, 1) | _conv_norm(f"ups.{i}", level, 5)
    layers |= {f"downs.{last}": f"{levels[last]}.1"} | _conv_norm(f"ups.{last}", levels[last], 3)
    config = {
        "architecture": "unet",
        "width": _width(tensors, "model.model.0.weight"),
        "depth": len(levels),
        "normalisation": "batch" if f"{levels[1]}.2.weight" in tensors else "instance",
    }
    return Layout(config, _within_net(layers))


# ---------------------------------------------------------------------------------------------------------------------
# CycleGAN of the HugGAN sprint: the same ResNet, but each doubling is a nearest-neighbour one and then a convolution


def _huggan(tensors: Tensors) -> Layout:
    """As above, but for the ups: upsample, conv, norm, relu. In a block: pad, conv, norm, relu, pad, conv, norm."""
    depth = _count(tensors, "model.{}.block.1.weight", 10)
    layers = _resnet_head()
    for i in range(depth):
        layers |= _conv_norm(f"blocks.{i}.first", f"model.{10 + i}.block", 1)
        layers |= _conv_norm(f"blocks.{i}.second", f"model.{10 + i}.block", 5)
    after = 10 + depth
    layers |= _conv_norm("ups.0", "model", after + 1) | _conv_norm("ups.1", "model", after + 5)
    layers["to_rgb"] = f"model.{after + 9}"
    return Layout(_resnet_config(tensors, depth) | {"upsampling": "nearest"}, _within_net(layers))


def _resnet_head() -> dict[str, str]:
    return _conv_norm("stem", "model", 1) | _conv_norm("downs.0", "model", 4) | _conv_norm("downs.1", "model", 7)


def _resnet_config(tensors: Tensors, depth: int) -> dict[str, Any]:
    return {
        "architecture": "resnet",
        "width": _width(tensors, "model.1.weight"),
        "depth": depth,
        "normalisation": "batch" if "model.2.weight" in tensors else "instance",
    }


def _conv_norm(ours: str, theirs: str, position: int) -> dict[str, str]:
    """A convolution at `position` of their Sequential, and its norm right after it."""
    return {f"{ours}.conv": f"{theirs}.{position}", f"{ours}.norm": f"{theirs}.{position + 1}"}


def _within_net(layers: dict[str, str]) -> dict[str, str]:
    return {f"net.{ours}": theirs for ours, theirs in layers.items()}


class Format(NamedTuple):
    """A published layout: where its files come from, and how to tell what one holds."""

    origin: str
    read: Callable[[Tensors], Layout]


FORMATS = {
    "junyanz": Format("pytorch-CycleGAN-and-pix2pix", _junyanz),
    "huggan": Format("the CycleGAN of the HugGAN sprint", _huggan),
}
