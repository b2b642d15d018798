"""python -m gan_zoo train PLUGIN[.TRAINING] [--data D] [--recipe R] [--out runs/X] [--resume] [--push-to-hub ID]

Every field of the trainer's TrainConfig and of the plugin's Settings is a flag. What holds, from weak to strong: the
defaults, the recipe, the run that --resume goes on with, the flags given.

On several processes:  ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 -m gan_zoo train PLUGIN ...
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from gan_zoo.cli import Parser
from gan_zoo.config import TrainConfig, fitting
from gan_zoo.errors import one_line

if TYPE_CHECKING:
    from gan_zoo.contract import GAN

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


def read_recipe(name: str, *beside: Path) -> dict[str, Any]:
    """A recipe by name (gan_zoo/recipes/NAME.toml, or recipes/NAME.toml beside a package's plugin) or by path:
    {plugin, preset, train: {...}, settings: {...}}.
    """
    folders = (RECIPES, *beside)
    path = Path(name)
    if not name.endswith(".toml"):
        path = next((p for p in (folder / f"{name}.toml" for folder in folders) if p.is_file()), path)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for folder in folders for p in folder.glob("*.toml"))) or "none"
        raise ValueError(f"no recipe {name!r}; there are: {known}")
    try:
        recipe = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not a recipe: {error}") from None
    unknown = set(recipe) - {"plugin", "preset", "train", "settings"}
    if unknown:
        raise ValueError(f"{path}: {sorted(unknown)[0]!r} is none of plugin, preset, train, settings")
    return recipe


def _parse(kind: Any, default: Any) -> Any:
    """How a flag's text becomes a value of this kind."""
    if isinstance(default, bool):
        return _true_or_false
    if isinstance(default, tuple):
        return _list_of(get_args(kind)[0])
    return type(default)


def _list_of(kind: type) -> Any:
    def parse(text: str) -> tuple[Any, ...]:
        try:
            return tuple(kind(part) for part in text.split(",") if part)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {kind.__name__}s with commas between, got {text!r}") from None

    return parse


def _true_or_false(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return text.lower() == "true"


def _add_flags(parser: Parser, title: str, defaults: Any) -> None:
    group, kinds = parser.add_argument_group(title), get_type_hints(type(defaults))
    for field in dataclasses.fields(defaults):
        default = getattr(defaults, field.name)
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        about = field.metadata.get("help", "")
        if get_origin(kinds[field.name]) is Literal:
            about = "; ".join(filter(None, [about, ", ".join(map(str, get_args(kinds[field.name])))]))
        group.add_argument(
            "--" + field.name.replace("_", "-"),
            dest=field.name,
            type=_parse(kinds[field.name], default),
            default=argparse.SUPPRESS,
            metavar="V",
            help=f"{about}{'; ' if about else ''}default {shown}".replace("%", "%%"),
        )


def _make(kind: type, where: str, *layers: dict[str, Any]) -> Any:
    """The dataclass from layers of values, later ones stronger. Raises ValueError naming a key it does not have."""
    merged = {key: value for layer in layers for key, value in layer.items()}
    unknown = set(merged) - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise ValueError(f"{where} has no setting {sorted(unknown)[0]!r}")
    return kind(**fitting(kind, merged))


def main(argv: Sequence[str] | None = None) -> int:
    try:
        return _main(sys.argv[1:] if argv is None else argv)
    except (ValueError, FloatingPointError, ImportError, OSError) as error:
        print(f"error: {one_line(error, 2, 2000)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before training began, or asked twice
        return 130


def _main(argv: Sequence[str]) -> int:
    from gan_zoo import registry
    from gan_zoo.run_folder import RunFolder

    plugins = registry.discover().plugins
    names = [name for slug, plugin in plugins.items() for name in (slug, *(f"{slug}.{t}" for t in plugin.trainings))]
    first = Parser(
        "python -m gan_zoo train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=not argv or argv[0] in ("-h", "--help"),
        allow_abbrev=False,
    )
    first.add_argument("plugin", help=", ".join(names))
    first.add_argument("--recipe")
    first.add_argument("--out")
    first.add_argument("--resume", action="store_true")
    known, _ = first.parse_known_args(argv)
    slug, _, training = known.plugin.partition(".")
    plugin = type(registry.get(slug))
    recipe = read_recipe(known.recipe, plugin.home() / "recipes") if known.recipe else {}
    own, _, named = recipe.get("plugin", slug).partition(".")
    told = recipe.get("settings", {})
    asked = _kind(plugin, training or (named if own == slug else ""), told | _marks(plugin, argv))
    if own != slug or (known.recipe and training and _kind(plugin, named, told) is not asked):
        raise ValueError(f"the recipe {known.recipe!r} is for {recipe['plugin']!r}, not for {known.plugin!r}")
    out = Path(known.out or Path("runs") / Path(known.recipe or known.plugin).stem)
    run = RunFolder(out).read_facts() if known.resume else {}
    kind = asked if asked is not plugin else plugin.training_of(run.get("settings", {}))
    recipe["settings"] = {k: v for k, v in told.items() if k not in fitting(plugin.Settings, told)} | fitting(
        kind.Settings, told
    )  # a recipe from before the training was a class has some of the plugin's own
    return _train(kind, known.plugin, argv, out, recipe, run)


def _kind(plugin: type[GAN], training: str, settings: dict[str, Any]) -> type[GAN]:
    """The class that trains: the one named, else the one whose settings these are."""
    if training and training not in plugin.trainings:
        there = ", ".join(plugin.trainings) or "none"
        raise ValueError(f"{plugin.slug} has no training {training!r}; beside its own there are: {there}")
    return plugin.trainings[training] if training else plugin.training_of(settings)


def _marks(plugin: type[GAN], argv: Sequence[str]) -> dict[str, Any]:
    """The settings by which a training is known, where their flags are given."""
    flags = {argument.split("=")[0].removeprefix("--").replace("-", "_") for argument in argv}
    return {kind.known_by: True for kind in plugin.trainings.values() if kind.known_by in flags}


def _parser(slug: str, config: Any, settings: Any) -> Parser:
    """The flags of a plugin: those of every training, and one for each field of `config` and `settings`."""
    parser = Parser(
        f"python -m gan_zoo train {slug}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("plugin")
    parser.add_argument("--data", help="Hub dataset id, folder or parquet file; the built-in data if left out")
    parser.add_argument("--recipe", help="name of a file in gan_zoo/recipes, or the path of one")
    parser.add_argument("--out", help="the run's folder (default runs/RECIPE or runs/PLUGIN)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--push-to-hub", metavar="REPO_ID", help="push the finished weights")
    _add_flags(parser, "training", config)
    _add_flags(parser, slug, settings)
    return parser


def _train(kind: Any, name: str, argv: Sequence[str], out: Path, recipe: dict[str, Any], run: dict[str, Any]) -> int:
    """kind: the class that trains; `recipe` and `run`: what a recipe, and the run to go on with, say."""
    from gan_zoo import hub

    arguments = vars(_parser(name, TrainConfig(), kind.Settings()).parse_args(argv))
    config = _make(
        TrainConfig, "the trainer", recipe.get("train", {}), run.get("config", {}), fitting(TrainConfig, arguments)
    )
    settings = _make(
        kind.Settings,
        name,
        recipe.get("settings", {}),
        fitting(kind.Settings, run.get("settings", {})),  # an old run may have some that there are no more
        fitting(kind.Settings, arguments),
    )
    plugin = kind(settings)
    data = arguments["data"] or run.get("data")
    if arguments["push_to_hub"]:
        hub.check_token()  # before hours go into training
    preset_name = run.get("preset") or recipe.get("preset") or out.name
    preset = next((p for p in plugin.presets if p.name == preset_name), None)
    weights = plugin.train(data=data, out=out, resume=arguments["resume"], preset=preset, config=config)
    if arguments["push_to_hub"] and os.environ.get("RANK", "0") == "0":
        print(hub.push(weights, arguments["push_to_hub"]))
    return 0
