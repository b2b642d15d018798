"""Weights: save, load, push, pull.

A weights folder, on disk or on the Hub:

    gan_zoo.json                                    format version, plugin, preset, size and sha256 of what is loaded
    model_index.json                                diffusers' index: the pipeline and its networks
    generator/config.json                           one subfolder a network
    generator/diffusion_pytorch_model.safetensors   half precision; nothing is ever pickled
    pipeline.py, generator/networks.py              one-line imports for diffusers' trust_remote_code; never run here
    README.md, samples.png ...                      the model card and its pictures

`save` and `load` are the two ends of it, `pull` and `push` carry a folder from and to the Hub, `resolve` finds the
folder of a preset. What can go wrong is a `WeightsError` of one line. The hashes tell damage, not forgery: who can
change a file can change its hash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import inspect
import io
import json
import logging
import os
import re
import shutil
import threading
import typing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:  # imported late below: torch and diffusers take seconds, and resolve, pull and push need neither
    import torch
    from diffusers.models.modeling_utils import ModelMixin
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline
    from PIL import Image

    from gan_zoo.plugin import Plugin

MAX_ENTRIES = 256  # files of a weights folder
MAX_PAGE = 20_000_000  # bytes of the manifest, the card or one of its pictures, when fetched
MAX_WHOLE = 4_000_000_000  # bytes of all that is loaded
ETAG = re.compile(r'(W/)?"?(?!\.)[A-Za-z0-9_.:+=-]{1,128}"?')
FORMAT = 1  # raise it when older code could not read what `save` writes
MANIFEST = "gan_zoo.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"

# What a weights folder may hold. Names come from other people's files: none may lead out of the folder.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a plugin or a preset
FILE = re.compile(rf"(model_index\.json|pipeline\.py|[A-Za-z0-9_]+/(config\.json|networks\.py|{re.escape(WEIGHTS)}))")
PAGE = re.compile(r"README\.md|[A-Za-z0-9][A-Za-z0-9_-]*\.(png|jpg|gif|webp)")
DTYPES = ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
PICKLES = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}

logger = logging.getLogger(__name__)

P = TypeVar("P", bound="DiffusionPipeline")
T = TypeVar("T")


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


# ---------------------------------------------------------------------------------------------------------------------
# Save


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
    the plugin's, as they trained it. The
    pipeline's `__init__` annotates each network with its class, and the classes live in importable modules. Floating
    tensors are stored as float16 (as they are unless `half`), others as they are; equal weights give equal bytes.

    The folder is written under another name and then renamed: a kill leaves the old folder or the new one, whole.
    Raises WeightsError, before anything is written, for values outside float16 and for what could not be loaded again.
    """
    import diffusers
    from safetensors.torch import save as safetensors_bytes

    check_name("plugin", plugin)
    check_name("preset", preset)
    classes = network_classes(type(pipeline))
    networks = {name: network for name, network in pipeline.components.items() if network is not None}
    for name, network in networks.items():
        if type(network) not in classes.get(name, ()):
            raise WeightsError(
                f"{type(pipeline).__name__}.__init__ must annotate {name!r} as {type(network).__name__}, not "
                f"{_names(classes[name]) if name in classes else 'leave it open'}"
            )

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
    image.save(buffer, format={"jpg": "jpeg"}.get(suffix := name.rsplit(".")[-1], suffix))
    return buffer.getvalue()


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Writes all files beside `folder`, then swaps the folders by renaming."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    _recover(folder)
    shutil.rmtree(new, ignore_errors=True)  # what a killed save left
    shutil.rmtree(old, ignore_errors=True)
    for name, data in files.items():
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).write_bytes(data)
    if folder.exists():
        folder.rename(old)  # a kill between these two renames leaves nothing here, and _recover brings the old one back
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def _recover(folder: Path) -> None:
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
        if arguments.get(name) is None and type(None) not in typing.get_args(hints[name]):
            raise WeightsError(f"{folder / 'model_index.json'}: the network {name!r} is missing")
    try:
        return pipeline_class(**arguments)
    except Exception as error:
        raise WeightsError(f"{folder / 'model_index.json'} does not fit: {_one_line(error)}") from None


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
        tensors = safetensors_load(_read(folder, manifest, f"{name}/{WEIGHTS}"))
    except (SafetensorError, ValueError, KeyError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{folder / name / WEIGHTS} is no safetensors file: {_one_line(error)}") from None
    if odd := next((key for key, tensor in tensors.items() if str(tensor.dtype)[6:] not in DTYPES), None):
        raise WeightsError(f"{folder / name / WEIGHTS}: {odd!r} is {tensors[odd].dtype}, expected {', '.join(DTYPES)}")
    arguments = {key: value for key, value in config.items() if not key.startswith("_")}
    try:
        with _no_larger_than(tensors), torch.random.fork_rng(devices=[]):  # initial values draw from the global one
            with contextlib.suppress(NotImplementedError), torch.device("meta"):  # first where a tensor takes no room
                cls(**arguments)
            network = cls(**arguments)
    except Exception as error:  # whatever a constructor makes of what a stranger wrote
        raise WeightsError(f"{folder / name / 'config.json'} does not fit {cls.__name__}: {_one_line(error)}") from None

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
    _recover(folder)
    path = folder / MANIFEST
    if not folder.is_dir():
        raise WeightsError(f"no weights folder at {folder}")
    if not path.is_file():
        raise _missing(path)
    try:
        values = _parse(_contents(folder, MANIFEST))
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
        _read(Path(folder), manifest, name)
    for name in manifest.pages:
        if (Path(folder) / name).exists():
            _contents(Path(folder), name)
    return manifest


def _read(folder: Path, manifest: Manifest, name: str) -> bytes:
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


def _parse(data: bytes) -> Any:
    """JSON; ValueError for anything else, nested too deep to be read included."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _read_json(folder: Path, manifest: Manifest, name: str) -> dict[str, Any]:
    try:
        values = _parse(_read(folder, manifest, name))
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


# ---------------------------------------------------------------------------------------------------------------------
# Find, pull, push


def weights_root() -> Path:
    """Where shipped weights are: GAN_ZOO_WEIGHTS, else `weights/` of the checkout that this package runs from.

    Installed by pip there is no checkout, and a `weights` in site-packages would be a stranger's: then it is
    `gan_zoo/weights` in the user's data folder.
    """
    if named := os.environ.get("GAN_ZOO_WEIGHTS"):
        return Path(named).expanduser()
    home = Path(__file__).resolve().parents[1]
    if home.name in ("site-packages", "dist-packages"):
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return Path(data) / "gan_zoo" / "weights"
    return home / "weights"


def resolve(
    plugin: str,
    preset: str,
    *,
    repo_id: str | None = None,
    revision: str | None = None,
    weights_dir: str | Path | None = None,
) -> Path:
    """The weights folder of a preset: `weights_dir` if given, else `weights_root()/PLUGIN/PRESET`, else from the Hub.

    `weights_dir` is a weights folder, or a root that holds PLUGIN/PRESET; it has no fallback. The Hub comes last, and
    is only asked for what its cache on this machine lacks. Raises WeightsError that says where was looked.
    """
    check_name("plugin", plugin)
    check_name("preset", preset)
    if weights_dir is not None and (Path(weights_dir) / MANIFEST).is_file():
        return Path(weights_dir)
    folder = Path(weights_dir or weights_root()).expanduser() / plugin / preset
    _recover(folder)
    if (folder / MANIFEST).is_file():
        return folder
    if weights_dir is not None:
        raise WeightsError(f"no weights of {plugin}/{preset} in {weights_dir}")
    if repo_id is None:
        raise WeightsError(
            f"no weights of {plugin}/{preset} in {folder}: train them (`python -m train {plugin} --out runs/{preset}`) "
            f"and copy runs/{preset}/weights there, or fetch them (`python -m gan_zoo pull REPO_ID --out {folder}`), "
            f"or set GAN_ZOO_WEIGHTS to a folder that holds {plugin}/{preset}"
        )
    return _cached(repo_id, revision) or pull(repo_id, revision=revision)


def load_preset(
    plugin: Plugin, pipeline_class: type[P], preset: str | None = None, *, device: str | torch.device = "cpu"
) -> P:
    """The pipeline of a plugin's preset (the default one if None), or of a weights folder given as a path with a `/`.

    Raises ValueError for a name the plugin does not have, WeightsError for weights that cannot be found or read.
    """
    return load(preset_folder(plugin, preset), pipeline_class, plugin=plugin.slug, device=device)


def preset_folder(plugin: Plugin, preset: str | None = None) -> Path:
    """The weights folder of a plugin's preset (the default one if None), or the one given as a path with a `/`."""
    if preset is not None and "/" in preset.replace(os.sep, "/"):
        return Path(preset)
    named = plugin.preset(preset)
    return resolve(plugin.slug, named.name, repo_id=named.repo_id, revision=named.revision)


def as_trained(plugin: Plugin, preset: str | None = None, changed: Mapping[str, Any] | None = None) -> Plugin:
    """The plugin with the settings by which a preset was trained, but for those `changed`.

    Settings that it no longer has are passed over; where there is no such folder, which a plugin that loads in its own
    way need not have, the defaults hold. Raises WeightsError for settings that do not fit.
    """
    changed = dict(changed or {})
    names = [known.name for known in dataclasses.fields(plugin.Settings)]
    if unknown := sorted(changed.keys() - set(names)):
        raise WeightsError(f"{plugin.slug} has no setting {unknown[0]!r}; there are: {', '.join(names)}")
    with contextlib.suppress(WeightsError):  # whoever loads them says what is wrong with the weights
        kept = read_manifest(preset_folder(plugin, preset)).settings
        changed = {name: value for name, value in kept.items() if name in names} | changed
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in changed.items()}
    try:
        return type(plugin)(plugin.Settings(**values))
    except (TypeError, ValueError) as error:
        raise WeightsError(f"these settings do not fit {plugin.slug}: {_one_line(error)}") from None


def _cached(repo_id: str, revision: str | None) -> Path | None:
    """The folder in the Hub's cache, if all of it is there. Asks no network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo_id, MANIFEST, revision=revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    whole = all((folder / name).is_file() for name in read_manifest(folder).files)
    return folder if whole else None


def pull(
    repo_id: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    timeout: float = 10.0,
    deadline: float = 300.0,
) -> Path:
    """Fetches the weights of a Hub repository into the Hub's cache and returns their folder there, checked.

    Only the files that its `gan_zoo.json` lists, and that a weights folder may hold, are fetched; none is run. If the
    Hub does not answer as it should, a copy in the cache of that revision (branch, tag or commit) is returned.
    `timeout` is how many seconds the Hub may take to answer, `deadline` how many the whole may take (stalled and
    trickling downloads included). Raises WeightsError: no such repository or revision, no weights in it, Hub
    unreachable or too slow, download damaged.
    """

    def fetch() -> Path:
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:  # ask first: this call has a timeout, while a download that finds no cached file asks on for minutes
            HfApi(token=token).model_info(repo_id, revision=revision, timeout=timeout)
        except Exception as error:
            folder = _cached(repo_id, revision)
            if folder is None:
                raise
            logger.warning("%s; going on with the copy in %s", explain(error, repo_id, revision, timeout), folder)
            return folder
        with _watched_answers() as answers:
            get = partial(hf_hub_download, repo_id, etag_timeout=timeout, token=token)
            answers.most = MAX_PAGE
            folder = Path(get(MANIFEST, revision=revision)).parent
            get = partial(get, revision=folder.name)  # the commit: all files are of one even if the branch moves on
            manifest = read_manifest(folder)
            if (whole := sum(entry["size"] for entry in manifest.files.values())) > MAX_WHOLE:
                raise WeightsError(f"{repo_id}: weights of {whole:,} bytes, expected at most {MAX_WHOLE:,}")
            for name, entry in manifest.files.items():
                answers.most = entry["size"]
                get(name)
                try:
                    _read(folder, manifest, name)
                except WeightsError:  # the cache keeps what a bad connection gave; ask once more before giving up
                    get(name, force_download=True)
                    _read(folder, manifest, name)
            answers.most = MAX_PAGE
            for name in manifest.pages:
                with contextlib.suppress(EntryNotFoundError):  # somebody tidied up on the Hub; nothing that is loaded
                    get(name)
        return folder

    # A thread, since neither the retries nor the body of a download have a bound of their own; a daemon, since one
    # that hangs must not keep the program from ending.
    outcome: Future[Path] = Future()
    threading.Thread(target=_settle, args=(outcome, fetch), name="gan_zoo pull", daemon=True).start()
    if not wait([outcome], deadline).done:
        raise WeightsError(f"{_at(repo_id, revision)}: not downloaded within {deadline:g} s")
    if error := outcome.exception():
        raise explain(error, repo_id, revision, timeout)
    return outcome.result()


@dataclass
class _Answers:
    """What a Hub may answer while weights are fetched."""

    most: int  # bytes of the file that is asked for

    def check(self, response: Any) -> None:
        """Refuses headers that would lead huggingface_hub 2.4 out of its cache, and files larger than announced.

        The client makes paths of an ETag and of a commit as they come.
        """
        if "/resolve/" not in response.request.url.path and response.request.method != "GET":
            return
        headers = response.headers
        for name in ("etag", "x-linked-etag", "x-repo-commit"):
            value = headers.get(name, "") if "/resolve/" in response.request.url.path else ""
            if value and not ETAG.fullmatch(value):
                raise WeightsError(f"the Hub answers with a {name} that is none: {value[:40]!r}")
        size = headers.get("x-linked-size") or (headers.get("content-length") if response.is_success else "") or "0"
        fetched = response.status_code in (200, 206, 302, 307) and "/api/" not in response.request.url.path
        if fetched and (not size.isdecimal() or int(size) > self.most):
            raise WeightsError(f"the Hub sends {size[:20]} bytes, where at most {self.most:,} were announced")


@contextlib.contextmanager
def _watched_answers() -> Iterator[_Answers]:
    from huggingface_hub import get_session

    answers, hooks = _Answers(MAX_PAGE), get_session().event_hooks["response"]
    hooks.append(answers.check)
    try:
        yield answers
    finally:
        hooks.remove(answers.check)


@contextlib.contextmanager
def answering_within(seconds: float) -> Iterator[None]:
    """Inside, the Hub may stay silent for so long: the client's own time-out is none, and few of its calls take one."""
    from huggingface_hub import get_session

    session = get_session()
    before, session.timeout = session.timeout, seconds
    try:
        yield
    finally:
        session.timeout = before


def push(
    folder: str | Path,
    repo_id: str,
    *,
    revision: str | None = None,
    private: bool = False,
    token: str | None = None,
    timeout: float = 60.0,
) -> str:
    """Uploads a weights folder to a Hub repository, made if there is none, and returns the URL of the commit.

    `revision` is a branch, made if there is none. `timeout` is how many seconds the Hub may stay silent. Raises
    WeightsError: folder not whole, no token, no permission, repository public where `private` is asked, Hub
    unreachable or too slow.
    """
    from huggingface_hub import HfApi, get_token

    manifest = verify(folder)
    if not (token or get_token()):
        raise WeightsError("pushing needs a Hugging Face token: run `hf auth login` or set HF_TOKEN")

    def send() -> str:
        api = HfApi(token=token)
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        if private and not api.model_info(repo_id).private:
            raise WeightsError(f"{repo_id} exists and is public: make it private on the Hub, or push to another name")
        if revision is not None and revision != "main":
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            revision=revision,
            allow_patterns=[MANIFEST, *manifest.files, *manifest.pages],
            commit_message=f"Weights of {manifest.plugin}/{manifest.preset}",
        )
        return commit.commit_url

    try:
        with answering_within(timeout):
            return send()
    except Exception as error:  # the Hub client raises errors of many unrelated kinds
        raise explain(error, repo_id, revision, timeout) from None


def _settle(outcome: Future[T], work: Callable[[], T]) -> None:
    """Does the work and keeps what came of it, error or not: the Hub client raises errors of many unrelated kinds."""
    try:
        outcome.set_result(work())
    except Exception as error:
        outcome.set_exception(error)


def explain(error: BaseException, repo_id: str, revision: str | None, timeout: float) -> WeightsError:
    """One line for what the Hub client raised, whose own messages run to many and hide the cause in a chain."""
    from huggingface_hub import constants, errors

    if isinstance(error, WeightsError):
        return error
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    # By name, since the client has changed its http library and may again.
    kinds = {kind.__name__ for link in chain for kind in type(link).__mro__}
    status = next((link.response.status_code for link in chain if isinstance(link, errors.HfHubHTTPError)), None)
    what, hub = _at(repo_id, revision), constants.ENDPOINT

    if "OfflineModeIsEnabled" in kinds:
        return WeightsError(f"{what} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it")
    if "GatedRepoError" in kinds:
        return WeightsError(f"{repo_id} is gated: accept its terms on {hub} and log in with `hf auth login`")
    if "RevisionNotFoundError" in kinds:
        return WeightsError(f"{repo_id} on {hub} has no revision {revision or 'main'!r}")
    if "RemoteEntryNotFoundError" in kinds:
        return WeightsError(f"{what} on {hub} holds no weights of this kind, or not all: {_one_line(error, 2)}")
    if status == 403:
        return WeightsError(f"the token has no permission to write to {repo_id} on {hub}")
    if "RepositoryNotFoundError" in kinds:
        return WeightsError(f"there is no repository {repo_id} on {hub}, or it is private and the token may not see it")
    if status == 401:
        return WeightsError(f"{hub} does not accept the token: run `hf auth login` or set HF_TOKEN")
    if "TimeoutException" in kinds:
        return WeightsError(f"{what}: {hub} did not answer within {timeout:g} s")
    if "NetworkError" in kinds:
        return WeightsError(f"{what}: {hub} cannot be reached ({_one_line(chain[-1])})")
    return WeightsError(f"{what}: {_one_line(error)}")


def _at(repo_id: str, revision: str | None) -> str:
    return f"{repo_id} at {revision}" if revision else repo_id


def _one_line(error: BaseException, lines: int = 1) -> str:
    """The first lines of an error's message that say something, joined."""
    texts = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(texts[:lines]) or type(error).__name__


def check_name(kind: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise WeightsError(f"a {kind} is named by letters, digits, '-', '_' and '.', not {name!r}")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json_bytes(values: Any) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()


# ---------------------------------------------------------------------------------------------------------------------
# The model card


@dataclass
class CardFacts:
    """What a model card tells. Only what was measured or is known: a fact left empty leaves its line out."""

    title: str
    plugin: str
    preset: str
    licence: Literal["open", "research"]
    licence_id: str  # as the Hub names it: "cc0-1.0", "cc-by-4.0", "other" ...
    data: str  # what it was trained on, and under which terms
    summary: str = ""
    recipe: Mapping[str, Any] | str = ""  # the settings of the run, or a text
    commit: str = ""
    steps: int = 0
    images_seen: int = 0
    hours: float = 0.0
    hardware: str = ""
    parameters: Mapping[str, int] = field(default_factory=dict)  # by network
    scores: Mapping[str, float] = field(default_factory=dict)  # "KID x1000 (EfficientNet-Lite2)": 41.2
    protocol: str = ""  # how the scores were measured: counts, sets, the floor of real against real
    pictures: Mapping[str, str] = field(default_factory=dict)  # file name: caption; uncurated ones first
    failures: str = ""
    feature_networks: str = ""  # frozen networks used in training, and what those were trained on
    pipeline_tag: str = "unconditional-image-generation"
    example: str = ""  # flags that the first task needs
    tags: list[str] = field(default_factory=list)
    licence_name: str = ""  # with the licence_id "other"
    licence_link: str = ""


def model_card(facts: CardFacts) -> str:
    """The text of a README.md, YAML front matter included. Raises WeightsError for facts that cannot be told."""
    from huggingface_hub import EvalResult, ModelCardData

    if facts.licence not in ("open", "research"):
        raise WeightsError(f"licence is 'open' or 'research', not {facts.licence!r}")
    for name in facts.pictures:
        if not PAGE.fullmatch(name):
            raise WeightsError(f"a picture is named like samples.png (or .jpg, .gif, .webp), not {name!r}")
    if facts.scores and not facts.protocol:
        raise WeightsError(f"scores without a protocol say nothing: {', '.join(facts.scores)}")

    results = [
        EvalResult(
            task_type=facts.pipeline_tag,
            dataset_type=facts.preset,
            dataset_name=facts.preset,
            metric_type=re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
            metric_name=name,
            metric_value=value,
        )
        for name, value in facts.scores.items()
    ]
    front = ModelCardData(
        license=facts.licence_id,
        license_name=facts.licence_name or None,
        license_link=facts.licence_link or None,
        library_name="diffusers",
        pipeline_tag=facts.pipeline_tag,
        tags=["gan", "gan-zoo", facts.plugin, *facts.tags],
        model_name=facts.title if results else None,
        eval_results=results or None,
    )

    use = f"""```bash
{" ".join(f"python -m gan_zoo infer {facts.plugin} --preset {facts.preset} {facts.example} --out pictures".split())}
```

Without the command line, once gan_zoo is installed (`trust_remote_code` runs one-line imports of it):

```python
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("FOLDER_OR_REPO_ID", trust_remote_code=True)
```"""
    licence_name = facts.licence_name or facts.licence_id
    terms = {
        "open": "**Open**: trained only on pictures that are CC0, CC BY, in the public domain or generated.",
        "research": "**Research**: trained on pictures without a clear licence. For study, not for products.",
    }
    training = {
        "Steps": f"{facts.steps:,}" if facts.steps else "",
        "Images seen": f"{facts.images_seen:,}" if facts.images_seen else "",
        "Hours": f"{facts.hours:.1f}" if facts.hours else "",
        "Hardware": facts.hardware,
        "Parameters": ", ".join(f"{name} {count:,}" for name, count in facts.parameters.items()),
        "Frozen feature networks": facts.feature_networks,
        "Commit": facts.commit,
    }
    recipe = facts.recipe
    if not isinstance(recipe, str):
        recipe = "```json\n" + json.dumps(dict(recipe), indent=2, default=str) + "\n```"

    sections = {
        "Use": use,
        "Pictures": "\n\n".join(f"![{caption}]({name})\n\n{caption}" for name, caption in facts.pictures.items()),
        "Data and licence": f"{terms[facts.licence]} Licence: {licence_name}.\n\n{facts.data}",
        "Training": _table({name: text for name, text in training.items() if text}),
        "Recipe": recipe,
        "Scores": f"{_table(facts.scores)}\n\n{facts.protocol}" if facts.scores else "",
        "Failures": facts.failures,
    }
    summary = f"{facts.summary}\n\n" if facts.summary else ""
    body = "\n\n".join(f"## {title}\n\n{text.strip()}" for title, text in sections.items() if text.strip())
    return f"---\n{front.to_yaml()}\n---\n\n# {facts.title}\n\n{summary}{body}\n"


def _table(rows: Mapping[str, Any]) -> str:
    lines = [
        f"| {name} | {f'{round(value, 4):g}' if isinstance(value, float) else value} |" for name, value in rows.items()
    ]
    return "\n".join(["| | |", "|---|---|", *lines]) if lines else ""
