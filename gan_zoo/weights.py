"""A weights folder, on disk or on the Hub:

    gan_zoo.json                                    format version, plugin, preset, size and sha256 of what is loaded
    model_index.json                                diffusers' index: the pipeline and its networks
    generator/config.json                           one subfolder a network
    generator/diffusion_pytorch_model.safetensors   half precision; nothing is ever pickled
    pipeline.py, generator/networks.py              one-line imports for diffusers' trust_remote_code; never run here
    README.md, samples.png ...                      the model card and its pictures

`save` and `load` are the two ends of it. What can go wrong is a `WeightsError` of one line. The hashes tell damage, not
forgery: who can change a file can change its hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import io
import json
import re
import shutil
import threading
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gan_zoo.errors import one_line
from gan_zoo.parsing import parse_json

if TYPE_CHECKING:  # imported late below: torch and diffusers take seconds, and the Hub's side needs neither
    import torch
    from diffusers.models.modeling_utils import ModelMixin
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline
    from PIL import Image

MAX_ENTRIES = 256  # files of a weights folder
FORMAT = 1  # raise it when older code could not read what `save` writes
MANIFEST = "gan_zoo.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"

# What a weights folder may hold. Names come from other people's files: none may lead out of the folder.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a plugin or a preset
FILE = re.compile(rf"(model_index\.json|pipeline\.py|[A-Za-z0-9_]+/(config\.json|networks\.py|{re.escape(WEIGHTS)}))")
PAGE = re.compile(r"README\.md|[A-Za-z0-9][A-Za-z0-9_-]*\.(png|jpg|gif|webp)")
DTYPES = ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
PICKLES = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}

P = TypeVar("P", bound="DiffusionPipeline")


class WeightsError(ValueError):
    """Weights that cannot be written, read, found, fetched or sent. The message is one line."""


@dataclass(frozen=True)
class Manifest:
    """What `gan_zoo.json` says of its folder."""

    plugin: str
    preset: str
    files: dict[str, dict[str, Any]]  # path: {"size": bytes, "sha256": hex} of all that is loaded
    pages: list[str]  # the card and its pictures; people edit a card on the Hub, so these carry no hash
    settings: dict[str, Any] = field(default_factory=dict)  # of the plugin that trained it, as far as they are known


def save(
    pipeline: DiffusionPipeline,
    folder: str | Path,
    *,
    plugin: str,
    preset: str,
    card: str,
    images: Mapping[str, Image.Image] | None = None,
    half: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Writes `pipeline` as a weights folder, in place of an older one, and returns its path.

    `card` is the text of README.md (see `model_card`); `images` are the pictures it shows, by file name; `settings` are
    the plugin's, as they trained it. The pipeline's `__init__` annotates each network with its class, and the classes
    live in importable modules. Floating tensors are stored as float16 (as they are unless `half`), others as they are;
    equal weights give equal bytes.

    The folder is written under another name and then renamed: a kill leaves the old folder or the new one, whole.
    Raises WeightsError, before anything is written, for values outside float16 and for what could not be loaded again.
    """
    check_name("plugin", plugin)
    check_name("preset", preset)
    files = _files(pipeline, half)
    pages = {"README.md": card.encode()}
    for name, image in (images or {}).items():
        if name == "README.md" or not PAGE.fullmatch(name):
            raise WeightsError(f"a picture is named like samples.png (or .jpg, .gif, .webp), not {name!r}")
        pages[name] = _image_bytes(image, name)

    manifest = {
        "format": FORMAT,
        "plugin": plugin,
        "preset": preset,
        "files": {name: {"size": len(data), "sha256": _sha256(data)} for name, data in sorted(files.items())},
        "pages": list(pages),
        "settings": dict(settings or {}),
    }
    return _write_folder(Path(folder), {MANIFEST: _json_bytes(manifest), **files, **pages})


def _files(pipeline: DiffusionPipeline, half: bool) -> dict[str, bytes]:
    """What is loaded of a pipeline, by path."""
    import diffusers
    from safetensors.torch import save as safetensors_bytes

    classes = network_classes(type(pipeline))
    networks = {name: network for name, network in pipeline.components.items() if network is not None}
    for name, network in networks.items():
        if type(network) not in classes.get(name, ()):
            raise WeightsError(
                f"{type(pipeline).__name__}.__init__ must annotate {name!r} as {type(network).__name__}, not "
                f"{_names(classes[name]) if name in classes else 'leave it open'}"
            )

    parameters = inspect.signature(type(pipeline).__init__).parameters
    for name in classes.keys() - networks.keys() - set(type(pipeline)._optional_components):
        if parameters[name].default is inspect.Parameter.empty:  # diffusers alone would not open the folder
            raise WeightsError(f"{type(pipeline).__name__} may lack {name!r}: name it in its _optional_components")

    # One text for every networks.py: diffusers copies them all to one path before it runs them, and Python takes a
    # .pyc of the same second and size for current, so that a second file of equal length would never be read.
    imports = "".join(sorted({_import_line(type(network)) for network in networks.values()}))
    index: dict[str, Any] = {"_class_name": ["pipeline", type(pipeline).__name__]}
    index["_diffusers_version"] = diffusers.__version__
    for name, value in pipeline.config.items():
        if name in networks:
            index[name] = ["networks", type(networks[name]).__name__]
        elif not name.startswith("_"):
            index[name] = [None, None] if name in pipeline.components else value

    files = {"model_index.json": _json_bytes(index), "pipeline.py": _import_line(type(pipeline)).encode()}
    for name, network in networks.items():
        config = json.loads(network.to_json_string())
        config.pop("_name_or_path", None)  # a path of the machine it was loaded on
        files[f"{name}/config.json"] = _json_bytes(config)
        files[f"{name}/networks.py"] = imports.encode()
        files[f"{name}/{WEIGHTS}"] = safetensors_bytes(_tensors(network, name, half), metadata={"format": "pt"})
    return files


def _tensors(network: ModelMixin, name: str, half: bool) -> dict[str, torch.Tensor]:
    """The state dict on the CPU, contiguous; if `half` as float16. Raises WeightsError where that overflows."""
    import torch

    tensors = {}
    for key, tensor in network.state_dict().items():
        dtype = torch.float16 if half and tensor.is_floating_point() else tensor.dtype
        tensors[key] = tensor.detach().to("cpu", dtype, copy=True).contiguous()  # a copy: tied tensors share no memory
        if not tensors[key].isfinite().all():
            raise WeightsError(
                f"{name}: {key!r} does not fit half precision: its largest value is {tensor.abs().max().item():.3g}, "
                f"the limit 65504"
            )
    return tensors


def _import_line(cls: type) -> str:
    if cls.__module__ == "__main__" or "." in cls.__qualname__:
        raise WeightsError(
            f"{cls.__qualname__} must be a top-level class of an importable module, not of {cls.__module__}"
        )
    return f"from {cls.__module__} import {cls.__name__}\n"


def _image_bytes(image: Image.Image, name: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format={"jpg": "jpeg"}.get(suffix := name.rsplit(".")[-1], suffix), quality=90)
    return buffer.getvalue()


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Writes all files beside `folder`, then swaps the folders by renaming."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    recover(folder)
    shutil.rmtree(new, ignore_errors=True)  # what a killed save left
    shutil.rmtree(old, ignore_errors=True)
    for name, data in files.items():
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).write_bytes(data)
    if folder.exists():
        folder.rename(old)  # a kill between these two renames leaves nothing here, and recover brings the old one back
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def recover(folder: Path) -> None:
    """Brings back the folder that a save was about to replace when it was killed."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        old.rename(folder)


# ---------------------------------------------------------------------------------------------------------------------
# Load


def load(
    folder: str | Path,
    pipeline_class: type[P],
    *,
    plugin: str | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
) -> P:
    """The pipeline of a weights folder: networks in eval mode, as `dtype` (float32 unless given), on `device`.

    The type hints of `pipeline_class.__init__` say which network classes are built; no code of the folder is run.
    `plugin` is the one whose weights these should be. Raises WeightsError for a folder or file that is missing,
    truncated, changed, pickled, of another plugin or pipeline or of a newer format, and names a tensor that is
    missing, unexpected, of the wrong shape or not finite.
    """
    import torch

    folder = Path(folder)
    manifest = read_manifest(folder)
    if plugin is not None and manifest.plugin != plugin:
        raise WeightsError(f"{folder} holds weights of {manifest.plugin!r} ({manifest.preset}), not of {plugin!r}")
    index = _read_json(folder, manifest, "model_index.json")
    if index.pop("_class_name", None) != ["pipeline", pipeline_class.__name__]:
        raise WeightsError(f"{folder / 'model_index.json'}: its pipeline is not a {pipeline_class.__name__}")

    parameters = inspect.signature(pipeline_class.__init__).parameters
    classes = network_classes(pipeline_class)
    arguments = {}
    for name, value in index.items():
        if name in classes and value != [None, None]:
            arguments[name] = _load_network(folder, manifest, name, classes[name], value)
            # nn.Module's own `to`: diffusers' warns at every change of dtype, of networks without float32 parts too
            torch.nn.Module.to(arguments[name], device=device, dtype=dtype or torch.float32).eval()
        elif name in parameters:
            arguments[name] = None if value == [None, None] else value
        elif not name.startswith("_"):
            raise WeightsError(f"{folder / 'model_index.json'}: {pipeline_class.__name__} takes no {name!r}")
    hints = typing.get_type_hints(pipeline_class.__init__)
    for name in classes:
        if arguments.setdefault(name, None) is None and type(None) not in typing.get_args(hints[name]):
            raise WeightsError(f"{folder / 'model_index.json'}: the network {name!r} is missing")
    try:
        return pipeline_class(**arguments)
    except Exception as error:
        raise WeightsError(f"{folder / 'model_index.json'} does not fit: {one_line(error)}") from None


def _load_network(
    folder: Path, manifest: Manifest, name: str, classes: tuple[type[ModelMixin], ...], entry: Any
) -> ModelMixin:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as safetensors_load

    config = _read_json(folder, manifest, f"{name}/config.json")
    kind = config.get("_class_name")
    cls = next((cls for cls in classes if cls.__name__ == kind), None)
    if cls is None or entry != ["networks", kind]:
        raise WeightsError(f"{folder}: the network {name!r} is a {kind}, not a {_names(classes)}")
    try:
        tensors = safetensors_load(read_file(folder, manifest, f"{name}/{WEIGHTS}"))
    except (SafetensorError, ValueError, KeyError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{folder / name / WEIGHTS} is no safetensors file: {one_line(error)}") from None
    if odd := next((key for key, tensor in tensors.items() if str(tensor.dtype)[6:] not in DTYPES), None):
        raise WeightsError(f"{folder / name / WEIGHTS}: {odd!r} is {tensors[odd].dtype}, expected {', '.join(DTYPES)}")
    arguments = {key: value for key, value in config.items() if not key.startswith("_")}
    try:
        with _no_larger_than(tensors), torch.random.fork_rng(devices=[]):  # initial values draw from the global one
            with contextlib.suppress(NotImplementedError), torch.device("meta"):  # first where a tensor takes no room
                cls(**arguments)
            network = cls(**arguments)
    except Exception as error:  # whatever a constructor makes of what a stranger wrote
        raise WeightsError(f"{folder / name / 'config.json'} does not fit {cls.__name__}: {one_line(error)}") from None

    wanted = network.state_dict()
    where = f"{folder / name / WEIGHTS}:"
    for key in sorted(wanted.keys() | tensors.keys()):
        if key not in tensors:
            raise WeightsError(f"{where} the tensor {key!r} is missing")
        if key not in wanted:
            raise WeightsError(f"{where} unexpected tensor {key!r}, {cls.__name__} has none of that name")
        if tensors[key].shape != wanted[key].shape:
            shapes = f"{tuple(tensors[key].shape)}, not {tuple(wanted[key].shape)}"
            raise WeightsError(f"{where} the tensor {key!r} has shape {shapes}")
        if tensors[key].is_floating_point() != wanted[key].is_floating_point():
            raise WeightsError(f"{where} the tensor {key!r} is {tensors[key].dtype}, not {wanted[key].dtype}")
        if not tensors[key].isfinite().all():
            raise WeightsError(f"{where} the tensor {key!r} holds values that are not finite")
    network.load_state_dict(tensors)
    return network


@contextlib.contextmanager
def _no_larger_than(tensors: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Inside, a network that this thread builds may have about as many numbers as there are in these tensors.

    Raises WeightsError as soon as it has more: a config of a few bytes must not ask for all the memory there is.
    """
    from torch.nn.modules import module

    thread, left = threading.get_ident(), {"tensors": 8 * len(tensors) + 64}  # built twice, and parametrised
    left["numbers"] = 8 * sum(tensor.numel() for tensor in tensors.values()) + 1_000_000

    def registered(_module: Any, _name: str, tensor: Any) -> None:
        if threading.get_ident() != thread or tensor is None:
            return
        left["tensors"] -= 1
        left["numbers"] -= tensor.numel()
        if min(left.values()) < 0:
            raise WeightsError("it asks for a network far larger than the tensors that are there")

    hooks = [
        module.register_module_parameter_registration_hook(registered),
        module.register_module_buffer_registration_hook(registered),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def network_classes(pipeline_class: type) -> dict[str, tuple[type[ModelMixin], ...]]:
    """The networks of a pipeline, {name: classes}, by the hints of its `__init__`: `Net`, `Net | None`, `A | B` ..."""
    from diffusers.models.modeling_utils import ModelMixin

    classes = {}
    for name, hint in typing.get_type_hints(pipeline_class.__init__).items():
        kinds = [kind for kind in typing.get_args(hint) or (hint,) if isinstance(kind, type)]
        if networks := tuple(kind for kind in kinds if issubclass(kind, ModelMixin)):
            classes[name] = networks
    return classes


def _names(classes: tuple[type, ...]) -> str:
    return " or ".join(cls.__name__ for cls in classes)


def read_manifest(folder: str | Path) -> Manifest:
    """Reads `gan_zoo.json`. Raises WeightsError if this is no weights folder, or one of a newer format."""
    folder = Path(folder)
    recover(folder)
    path = folder / MANIFEST
    if not folder.is_dir():
        raise WeightsError(f"no weights folder at {folder}")
    if not path.is_file():
        raise _missing(path)
    try:
        values = parse_json(_contents(folder, MANIFEST))
        if type(values["format"]) is not int or values["format"] < 1:
            raise WeightsError(f"{path}: expected a format from 1 to {FORMAT}, got {str(values['format'])[:40]}")
        if values["format"] > FORMAT:
            raise WeightsError(
                f"{folder} has weights format {values['format']}, this gan_zoo reads up to {FORMAT}: update gan_zoo"
            )
        settings = values.get("settings", {})
        manifest = Manifest(values["plugin"], values["preset"], values["files"], values["pages"], settings)
        sound = all(map(FILE.fullmatch, manifest.files)) and all(map(PAGE.fullmatch, manifest.pages))
        sound = sound and isinstance(settings, dict) and isinstance(manifest.pages, list)
        sound = sound and bool(NAME.fullmatch(manifest.plugin) and NAME.fullmatch(manifest.preset))
        sound = sound and all(type(entry["size"]) is int and entry["size"] >= 0 for entry in manifest.files.values())
        sound = sound and len(manifest.files) + len(manifest.pages) <= MAX_ENTRIES
        sound = sound and all({"size", "sha256"} <= entry.keys() for entry in manifest.files.values())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, WeightsError):
            raise
        sound = False
    if not sound:
        raise WeightsError(f"{path} is damaged, or names files that no weights folder holds")
    return manifest


def verify(folder: str | Path) -> Manifest:
    """Checks that every file that `load` reads is there and as it was saved. Raises WeightsError naming the bad one."""
    manifest = read_manifest(folder)
    for name in manifest.files:
        read_file(Path(folder), manifest, name)
    for name in manifest.pages:
        if (Path(folder) / name).exists():
            _contents(Path(folder), name)
    return manifest


def read_file(folder: Path, manifest: Manifest, name: str) -> bytes:
    """The bytes of a file that the manifest lists. Raises WeightsError if they are not those that were saved."""
    path = folder / name
    if not path.is_file() or name not in manifest.files:
        raise _missing(path)
    data, entry = _contents(folder, name), manifest.files[name]
    if len(data) != entry["size"]:
        raise WeightsError(f"{path} is truncated or changed: it has {len(data)} bytes, {entry['size']} were saved")
    if _sha256(data) != entry["sha256"]:
        raise WeightsError(f"{path} is damaged or changed: its sha256 is not the one in {MANIFEST}")
    return data


def _contents(folder: Path, name: str) -> bytes:
    """A file of the folder. A link is followed within the folder, and in the Hub's cache, whose files are links.

    Raises WeightsError for one that leads elsewhere: a picture of the card must not send a stranger's file along.
    """
    path, home = (folder / name).resolve(), folder.resolve()
    if not (path.is_relative_to(home) or path.is_relative_to(home.parents[1] / "blobs")):
        raise WeightsError(f"{folder / name} is a link out of the weights folder: copy the file there instead")
    return path.read_bytes()


def _read_json(folder: Path, manifest: Manifest, name: str) -> dict[str, Any]:
    try:
        values = parse_json(read_file(folder, manifest, name))
    except WeightsError:
        raise
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise WeightsError(f"{folder / name} is not a JSON object")
    return values


def _missing(path: Path) -> WeightsError:
    for other in sorted(path.parent.rglob("*")):
        if other.suffix in PICKLES:
            return WeightsError(f"{other} is a pickle, which can run code when read: only safetensors files are loaded")
    return WeightsError(f"{path} is missing: this is no weights folder, or not all of one")


def check_name(kind: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise WeightsError(f"a {kind} is named by letters, digits, '-', '_' and '.', not {name!r}")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json_bytes(values: Any) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()
