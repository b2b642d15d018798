"""Weights trained elsewhere: the networks below are written from their published layouts, and ours must do the same."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gan_zoo.plugins.cyclegan.convert import read_generators
from gan_zoo.plugins.cyclegan.imported import ImportedGenerator

WIDTH = 6


# ---------------------------------------------------------------------------------------------------------------------
# pytorch-CycleGAN-and-pix2pix


class SequentialBlock(nn.Module):
    """A residual block; `name` is what the program calls its Sequential."""

    def __init__(self, channels: int, norm: type[nn.Module], dropout: bool, bias: bool, name: str):
        super().__init__()
        self.name = name
        layers: list[nn.Module] = []
        for i in range(2):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), norm(channels)]
            if i == 0:
                layers += [nn.ReLU(True), nn.Dropout(0.5)] if dropout else [nn.ReLU(True)]
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.get_submodule(self.name)(x)


def sequential_resnet(norm: Any, blocks: int, dropout: bool) -> nn.Module:
    bias = norm is nn.InstanceNorm2d

    def conv(module: nn.Module, channels: int) -> list[nn.Module]:
        return [module, norm(channels), nn.ReLU(True)]

    w = WIDTH
    layers = [nn.ReflectionPad2d(3), *conv(nn.Conv2d(3, w, 7, bias=bias), w)]
    for i in (1, 2):
        layers += conv(nn.Conv2d(i * w, 2 * i * w, 3, stride=2, padding=1, bias=bias), 2 * i * w)
    layers += [SequentialBlock(4 * w, norm, dropout, bias, "conv_block") for _ in range(blocks)]
    for i in (2, 1):
        up = nn.ConvTranspose2d(2 * i * w, i * w, 3, stride=2, padding=1, output_padding=1, bias=bias)
        layers += conv(up, i * w)
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(w, 3, 7), nn.Tanh()]
    return InModel(nn.Sequential(*layers))


class InModel(nn.Module):
    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class NestedLevel(nn.Module):
    """One level of the U-Net around the next; all but the outermost put what came in beside what comes out."""

    def __init__(
        self, outer: int, inner: int, norm: type[nn.Module], within: nn.Module | None, dropout: bool, outermost: bool
    ):
        super().__init__()
        self.outermost = outermost
        bias = norm is nn.InstanceNorm2d
        down = nn.Conv2d(3 if outermost else outer, inner, 4, stride=2, padding=1, bias=bias)
        both = inner if within is None else 2 * inner
        up = nn.ConvTranspose2d(both, outer, 4, stride=2, padding=1, bias=bias or outermost)
        if outermost:
            assert within is not None
            layers = [down, within, nn.ReLU(True), up, nn.Tanh()]
        elif within is None:
            layers = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, norm(outer)]
        else:
            layers = [nn.LeakyReLU(0.2, True), down, norm(inner), within, nn.ReLU(True), up, norm(outer)]
            layers += [nn.Dropout(0.5)] if dropout else []
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


def nested_unet(norm: type[nn.Module], halvings: int, dropout: bool) -> nn.Module:
    w = WIDTH
    level = NestedLevel(8 * w, 8 * w, norm, None, False, False)
    for _ in range(halvings - 5):
        level = NestedLevel(8 * w, 8 * w, norm, level, dropout, False)
    for outer in (4 * w, 2 * w, w):
        level = NestedLevel(outer, 2 * outer, norm, level, False, False)
    return InModel(NestedLevel(3, w, norm, level, False, True))


# ---------------------------------------------------------------------------------------------------------------------
# HugGAN


def huggan_resnet(blocks: int) -> nn.Module:
    def conv(module: nn.Module, channels: int) -> list[nn.Module]:
        return [module, nn.InstanceNorm2d(channels), nn.ReLU(True)]

    w = WIDTH
    layers = [nn.ReflectionPad2d(3), *conv(nn.Conv2d(3, w, 7), w)]
    for i in (1, 2):
        layers += conv(nn.Conv2d(i * w, 2 * i * w, 3, stride=2, padding=1), 2 * i * w)
    layers += [SequentialBlock(4 * w, nn.InstanceNorm2d, False, True, "block") for _ in range(blocks)]
    for i in (2, 1):
        layers += [nn.Upsample(scale_factor=2), *conv(nn.Conv2d(2 * i * w, i * w, 3, padding=1), i * w)]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(w, 3, 7), nn.Tanh()]
    return InModel(nn.Sequential(*layers))


# ---------------------------------------------------------------------------------------------------------------------

INSTANCE, BATCH = nn.InstanceNorm2d, nn.BatchNorm2d


def affine_norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True)


def stateless_norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, track_running_stats=False)


def read_generator(path: Path, format: str) -> ImportedGenerator:
    (generator,) = read_generators(path, format)
    return generator


NETWORKS = {
    "resnet-9": ("junyanz", lambda: sequential_resnet(INSTANCE, 9, dropout=False), 32),
    "resnet-6": ("junyanz", lambda: sequential_resnet(INSTANCE, 6, dropout=False), 32),
    "resnet-6-dropout": ("junyanz", lambda: sequential_resnet(INSTANCE, 6, dropout=True), 32),
    "resnet-9-batch": ("junyanz-eval", lambda: sequential_resnet(BATCH, 9, dropout=False), 32),
    "resnet-6-batch-dropout": ("junyanz-eval", lambda: sequential_resnet(BATCH, 6, dropout=True), 32),
    "unet-128": ("junyanz", lambda: nested_unet(INSTANCE, 7, dropout=False), 128),
    "unet-128-batch": ("junyanz-eval", lambda: nested_unet(BATCH, 7, dropout=False), 128),
    "unet-256-dropout": ("junyanz", lambda: nested_unet(INSTANCE, 8, dropout=True), 256),
    "unet-256-batch-dropout": ("junyanz-eval", lambda: nested_unet(BATCH, 8, dropout=True), 256),
    "resnet-6-affine": ("huggan", lambda: sequential_resnet(affine_norm, 6, dropout=False), 32),
    "huggan-9": ("huggan", lambda: huggan_resnet(9), 32),
    "huggan-6": ("huggan", lambda: huggan_resnet(6), 32),
}


def trained(name: str) -> nn.Module:
    """The network with weights as far from their start as training brings them, statistics included; in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = NETWORKS[name][1]()
        for key, tensor in network.state_dict().items():
            if key.endswith("running_var") or (key.endswith("weight") and tensor.ndim == 1):
                tensor.uniform_(0.5, 2)
            elif tensor.is_floating_point() and tensor.ndim == 1:
                tensor.normal_(std=0.3)
    return network.eval()


def pictures(size: int) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def written(network: nn.Module, folder: Path, name: str = "latest_net_G.pth", **options) -> Path:
    torch.save(network.state_dict(), folder / name, **options)
    return folder / name


@torch.no_grad()
def assert_same(theirs: nn.Module, ours: nn.Module, size: int) -> None:
    x = pictures(size)
    expected = theirs(x.clone())
    assert expected.std() > 0.05  # else anything would be close
    torch.testing.assert_close(ours(x), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_same_pictures_as_the_original(name: str, tmp_path: Path):
    network, (format, _, size) = trained(name), NETWORKS[name]
    assert_same(network, read_generator(written(network, tmp_path), format), size)


def test_files_of_data_parallel_training(tmp_path: Path):
    network = trained("resnet-6")
    path = written(nn.ModuleDict({"module": network}), tmp_path)
    assert_same(network, read_generator(path, "junyanz"), 32)


def test_statistics_of_instance_norm_are_dropped(tmp_path: Path):
    """PyTorch before 0.4 saved them and never used them; nor did it wrap files in zip, nor know _metadata."""
    network = trained("resnet-6-dropout")
    state = OrderedDict(network.state_dict())
    for name, module in network.named_modules():
        if isinstance(module, nn.InstanceNorm2d):
            state[f"{name}.running_mean"] = torch.full((module.num_features,), 3.0)
            state[f"{name}.running_var"] = torch.full((module.num_features,), 9.0)
    assert len(state) > len(network.state_dict())
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_same(network, read_generator(tmp_path / "old.pth", "junyanz"), 32)


def test_batch_norm_of_before_batches_were_counted(tmp_path: Path):
    network = trained("resnet-6-batch-dropout")
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    assert_same(network, read_generator(tmp_path / "old.pth", "junyanz-eval"), 32)


def test_metadata_as_a_key(tmp_path: Path):
    network = trained("huggan-6")
    torch.save({**network.state_dict(), "_metadata": {"": {"version": 1}}}, tmp_path / "pytorch_model.bin")
    assert_same(network, read_generator(tmp_path / "pytorch_model.bin", "huggan"), 32)


def test_safetensors(tmp_path: Path):
    network = trained("huggan-6")
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    assert_same(network, read_generator(tmp_path / "model.safetensors", "huggan"), 32)


@pytest.mark.parametrize("name", ["resnet-6-batch-dropout", "unet-128-batch"])
@pytest.mark.parametrize("norm", [BATCH, stateless_norm])
def test_batch_norm_as_the_authors_test_script_runs_it(name: str, norm, tmp_path: Path):
    """Without --eval: by the statistics of the one picture that is there."""
    network = trained(name)
    for module in network.modules():
        if isinstance(module, BATCH):
            module.train()
            module.momentum = 0.0
    path = written(network, tmp_path)
    if norm is stateless_norm:
        torch.save({k: v for k, v in network.state_dict().items() if "running" not in k and "num_b" not in k}, path)
    ours, x = read_generator(path, "junyanz"), pictures(128)[:1]
    with torch.no_grad():
        torch.testing.assert_close(ours(x), network(x.clone()), atol=1e-3, rtol=0)


def test_names_do_not_matter(tmp_path: Path):
    """Neither how layers are called nor what is wrapped around them: their shapes and order tell."""
    network = trained("huggan-6")
    state = {f"_orig_mod.{k}": v for k, v in network.state_dict().items()}
    torch.save({"epoch": 7, "state_dict": state, "optimizer": {"lr": 0.1}}, tmp_path / "lightning.ckpt")
    assert_same(network, read_generator(tmp_path / "lightning.ckpt", "junyanz"), 32)
    named = {f"enc.layer_{k.replace('.', '_', k.count('.') - 1)}": v for k, v in network.state_dict().items()}
    torch.save(named, tmp_path / "named.pth")
    assert_same(network, read_generator(tmp_path / "named.pth", "huggan"), 32)


def test_a_checkpoint_of_a_whole_training(tmp_path: Path):
    forth, back = trained("resnet-6"), trained("unet-128")
    critic = nn.Sequential(nn.Conv2d(3, 6, 4, stride=2, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(6, 1, 4))
    parts = {"G_AB": forth, "G_BA": back, "D_A": critic}
    torch.save({"epoch": 3, **{k: v.state_dict() for k, v in parts.items()}}, tmp_path / "all.pth")
    flat = {f"{part}.{key}": v for part, net in parts.items() for key, v in net.state_dict().items()}
    torch.save({"state_dict": flat, "epoch": 3}, tmp_path / "all.ckpt")
    for name in ("all.pth", "all.ckpt"):
        found = read_generators(tmp_path / name, "junyanz")
        assert len(found) == 2
        assert_same(forth, found[0], 32)
        assert_same(back, found[1], 128)


# ---------------------------------------------------------------------------------------------------------------------
# What does not fit is named


def refusal(path: Path, format: str = "junyanz") -> str:
    with pytest.raises(ValueError, match=path.name) as caught:
        read_generator(path, format)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(folder: Path, name: str = "resnet-6", **changes: Tensor | None) -> Path:
    """The file with some keys (`__` for the full stop) replaced, or taken out where None."""
    state = dict(trained(name).state_dict())
    for key, value in changes.items():
        key = key.replace("__", ".")
        if value is None:
            del state[key]
        else:
            state[key] = value
    torch.save(state, folder / "changed.pth")
    return folder / "changed.pth"


def test_a_key_too_many_or_too_few(tmp_path: Path):
    assert "'attention.weight' fits nowhere" in refusal(changed(tmp_path, attention__weight=torch.zeros(2, 2)))
    assert "no key 'model.7.bias'" in refusal(changed(tmp_path, model__7__bias=None))
    missing = "model.model.1.model.3.model.5.weight"
    assert "fits nowhere" in refusal(changed(tmp_path, "unet-128", **{missing: None}))


def test_a_shape_or_value_that_cannot_be(tmp_path: Path):
    assert "'model.4.bias' has shape (5,), expected (12,)" in refusal(changed(tmp_path, model__4__bias=torch.ones(5)))
    assert "'model.4.bias' holds values" in refusal(changed(tmp_path, model__4__bias=torch.full((12,), torch.nan)))
    gray = refusal(changed(tmp_path, model__1__weight=torch.zeros(6, 1, 7, 7)))
    assert "'model.1.weight' has shape (6, 1, 7, 7), expected a convolution of pictures of 3 channels" in gray


def test_a_discriminator_is_no_generator(tmp_path: Path):
    layers = [nn.Conv2d(3, 6, 4, stride=2, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(6, 1, 4)]
    line = refusal(written(InModel(nn.Sequential(*layers)), tmp_path))
    assert "its 2 convolutions, the first of 4 x 4 pixels, are those of neither network" in line


class Trap:
    """What a hostile pickle does: it runs when it is opened."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_pickled_code_never_runs(tmp_path: Path):
    mark = tmp_path / "ran"
    torch.save({"model.1.weight": Trap(mark)}, tmp_path / "trap.pth")
    assert "it could run code" in refusal(tmp_path / "trap.pth")
    torch.save(trained("resnet-6"), tmp_path / "whole.pth")  # a whole network is pickled code, too
    assert "it could run code" in refusal(tmp_path / "whole.pth")
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 cut short"])
@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
def test_damaged_file(name: str, content: bytes, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    refusal(tmp_path / name)


def test_files_that_hold_something_else(tmp_path: Path):
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    assert "holds a list, expected a state dict" in refusal(tmp_path / "list.pth")
    torch.save({"model.1.weight": 3}, tmp_path / "number.pth")
    assert "'model.1.weight' is a int, expected a tensor" in refusal(tmp_path / "number.pth")
    assert "there is no file" in refusal(tmp_path / "nowhere.pth")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\n", "a git-lfs pointer"),
        (b"<!DOCTYPE html><html>404", "an HTML page"),
        (b"\n<html>", "an HTML page"),
        (b"\x89HDF\r\n", "an HDF5 file"),
    ],
)
def test_what_is_no_file_of_weights_is_called_what_it_is(content: bytes, told: str, tmp_path: Path):
    (tmp_path / "net.pth").write_bytes(content)
    assert told in refusal(tmp_path / "net.pth")
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07")
    assert "an ONNX file" in refusal(tmp_path / "net.onnx")
