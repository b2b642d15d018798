"""The command line: try, measure, share and extend the zoo.

    python -m gan_zoo list
    python -m gan_zoo infer PLUGIN[.TASK] [--preset P] [--ARG VALUE ...] --out DIR
    python -m gan_zoo new NAME, check NAME

`python -m gan_zoo COMMAND --help` tells more, and `infer PLUGIN --help` what that GAN takes. Training is
`python -m train PLUGIN`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gan_zoo.errors import one_line

if TYPE_CHECKING:  # torch takes seconds to import: each command imports what it needs, and --help needs nothing
    from gan_zoo.plugin import Parameter, Plugin, Task

PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, like every other error of the program."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; 0 if it worked, 2 after one line `error: ...` on stderr."""
    try:
        args = _parser().parse_args(argv)
        return args.run(args) or 0
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        print(f"error: {one_line(error, 2, 2000)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130


def _parser() -> Parser:
    parser = Parser(
        "python -m gan_zoo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> Parser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        sub.set_defaults(run=run)
        return sub

    sub = command("list", _list, "list the GANs, their tasks and presets")
    sub.add_argument("--json", action="store_true", help="everything, for programs")

    sub = command("infer", _infer, "run a task of a GAN; `infer PLUGIN --help` lists its arguments")
    sub.add_argument("target", metavar="PLUGIN[.TASK]", help="the first task of the plugin unless named")
    sub.add_argument("rest", metavar="[--preset P] [--ARG VALUE ...] --out DIR", nargs=argparse.REMAINDER)

    sub = command("evaluate", _evaluate, "score a preset against data kept apart")
    sub.add_argument("plugin", metavar="PLUGIN")
    sub.add_argument("--preset", metavar="P", help="name, or path of a weights folder or run")
    sub.add_argument(
        "--data", metavar="D", help="Hub dataset id, folder or parquet file; the built-in data if left out"
    )
    sub.add_argument("--count", type=_positive, default=2000, metavar="N", help="pictures (default 2000)")
    sub.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting other than the preset's own"
    )
    sub.add_argument("--json", action="store_true")

    sub = command("push", _push, "send the weights of a preset or run to the Hub")
    sub.add_argument("source", metavar="PRESET_OR_RUN", help="NAME, PLUGIN/NAME, or path of a weights folder or run")
    sub.add_argument("repo_id", metavar="REPO_ID")
    sub.add_argument("--revision", metavar="R", help="a branch, made if there is none")
    sub.add_argument("--private", action="store_true")

    sub = command("pull", _pull, "fetch weights from the Hub, and print where they are")
    sub.add_argument("repo_id", metavar="REPO_ID")
    sub.add_argument("--revision", metavar="R", help="branch, tag or commit")
    sub.add_argument("--out", type=Path, metavar="DIR", help="copy them there (default: stay in the Hub's cache)")

    sub = command("import", _import, "convert weights that another program trained; `list` names the formats")
    sub.add_argument("files", nargs="+", type=Path, metavar="FILE")
    sub.add_argument("--format", required=True, metavar="F", help="which program's; `list` says which files it takes")
    sub.add_argument("--out", required=True, type=Path, metavar="DIR", help="the weights folder to write")

    sub = command("new", _new, "begin a GAN of your own: a small one that works, to be changed")
    sub.add_argument("name", metavar="NAME", help="a-z, 0-9 and _")

    sub = command("check", _check, "check that a GAN keeps the contract")
    sub.add_argument("name", metavar="NAME")

    sub = command("deploy", _deploy, "put the page on Hugging Face Spaces")
    sub.add_argument("space_id", metavar="SPACE_ID", help="OWNER/NAME")
    sub.add_argument(
        "--hardware", default="cpu-basic", metavar="H", help="cpu-basic (default), zero-a10g, t4-small ..."
    )
    sub.add_argument("--private", action="store_true")

    sub = command("app", _app, "open the page on this machine")
    sub.add_argument("--host", help="0.0.0.0 lets other machines in (default GRADIO_SERVER_NAME or 127.0.0.1)")
    sub.add_argument("--port", type=_positive, help="default GRADIO_SERVER_PORT or 7860")
    return parser


# ---------------------------------------------------------------------------------------------------------------------
# list


def _list(args: argparse.Namespace) -> None:
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


# ---------------------------------------------------------------------------------------------------------------------
# infer


def _infer(args: argparse.Namespace) -> int:
    from gan_zoo import registry
    from gan_zoo.plugin import Film, Json

    slug, _, name = args.target.partition(".")
    plugin = registry.get(slug)
    tasks = plugin.tasks()
    name = name or next(iter(tasks))
    if name not in tasks:
        raise ValueError(f"{slug} has no task {name!r}; there are: {', '.join(tasks)}")
    task = tasks[name]

    parser = Parser(
        f"python -m gan_zoo infer {slug}.{name}",
        description=f"{task.title.en}. {task.summary.en}".replace("%", "%%"),
        allow_abbrev=False,
    )
    names = ", ".join(preset.name for preset in plugin.presets)
    parser.add_argument("--preset", metavar="P", help=f"{names or 'none yet'}; or path of a weights folder or run")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    if Film in task.outputs.values():
        parser.add_argument("--format", choices=("mp4", "gif"), default="mp4", help="of films (default mp4)")
    for parameter in task.parameters:
        _add_flag(parser, parameter)
    given = vars(parser.parse_args(args.rest))
    preset, out, suffix = given.pop("preset"), given.pop("out"), given.pop("format", "mp4")

    for parameter in task.parameters:
        if parameter.type is Json and Path(given.get(parameter.name, "")).suffix == ".json":
            given[parameter.name] = _read_json_file(parameter.name, Path(given[parameter.name]))
    inputs = _inputs(task, given)
    for _, arguments in inputs:
        task.check(arguments)  # before seconds go into loading, and before anything is written
    preset = _preset_or_folder(plugin, preset)
    out.mkdir(parents=True, exist_ok=True)
    written = failed = 0
    for stem, arguments in inputs:
        try:
            result = plugin.infer(name, preset, bounds="cli", **arguments)
            written += _write(out, stem, task, result, suffix)
        except ValueError as error:
            if len(inputs) == 1:
                raise
            failed += 1  # one bad picture must not cost the other results
            print(f"error: {stem}: {error}", file=sys.stderr)
    print(f"wrote {written} {'file' if written == 1 else 'files'} to {out}")
    return 2 if failed else 0


def _read_json_file(name: str, path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"--{name}: there is no file {str(path)!r}")
    if path.stat().st_size > 1_000_000:
        raise ValueError(f"--{name}: {path} has over 1,000,000 bytes")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"--{name}: {path} is no text") from None


def _add_flag(parser: Parser, parameter: Parameter) -> None:
    """`--name`, and `--na-me` for `na_me`; required where the task requires it."""
    from gan_zoo.plugin import ImageFile

    names = list(dict.fromkeys((f"--{parameter.name}", f"--{parameter.name.replace('_', '-')}")))
    arg, text = parameter.arg, parameter.arg.label.en
    if arg.minimum is not None and (maximum := parameter.maximum("cli")) is not None:
        text += f", {arg.minimum:g} to {maximum:.10g}"
    if parameter.type is ImageFile:
        text += ": a picture, or a folder of them"
    if not parameter.required:
        text += f" (default {parameter.default})"
    options: dict[str, Any] = {
        "dest": parameter.name,
        "default": argparse.SUPPRESS,
        "required": parameter.required,
        "help": text.replace("%", "%%"),
    }
    if parameter.type is bool:
        parser.add_argument(*names, action=argparse.BooleanOptionalAction, **options)
    elif parameter.choices is not None:
        parser.add_argument(*names, type=type(parameter.choices[0]), choices=parameter.choices, **options)
    else:
        parser.add_argument(*names, type={int: _whole, float: _number}.get(parameter.type, str), metavar="V", **options)


def _inputs(task: Task, arguments: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The calls to make, each with the stem of its results' names: one, or one per picture of a folder."""
    from gan_zoo.plugin import ImageFile

    pictures = [p.name for p in task.parameters if p.type is ImageFile and p.name in arguments]
    for name in pictures:
        if not Path(arguments[name]).exists():
            raise ValueError(f"--{name}: there is no file or folder {arguments[name]!r}")
    folders = [name for name in pictures if Path(arguments[name]).is_dir()]
    if len(folders) > 1:
        raise ValueError(f"--{folders[0]} and --{folders[1]} are both folders: give at most one")
    if not folders:
        return [(Path(arguments[pictures[0]]).stem if pictures else "", arguments)]
    folder = Path(arguments[folders[0]])
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.suffix.lower() in PICTURES)
    if not files:
        raise ValueError(
            f"--{folders[0]}: the folder {str(folder)!r} holds no pictures ({', '.join(sorted(PICTURES))})"
        )
    stems = [f.stem for f in files]
    stems = [f.name if stems.count(f.stem) > 1 else f.stem for f in files]  # a.jpg and a.png stay apart
    return [(stem, {**arguments, folders[0]: str(file)}) for stem, file in zip(stems, files)]


def _write(folder: Path, stem: str, task: Task, result: Any, film_suffix: str) -> int:
    """Writes a result, a file per output and picture, and returns how many files that made.

    The stem, where there is one, begins every name; a NamedTuple's field follows; a list's pictures are numbered,
    and written as they come if it is a generator.
    """
    from PIL import Image

    from gan_zoo import images
    from gan_zoo.plugin import Film

    named = list(task.outputs) != ["result"]
    written = 0
    for output, value in (result._asdict() if named else {"result": result}).items():
        parts = [part for part in (stem, output if named else "") if part]
        name = "-".join(parts)
        if isinstance(value, Film):
            images.save_film(value, folder / f"{name or task.name}.{film_suffix}")
        elif isinstance(value, Image.Image):
            images.save_png(value, folder / f"{name or '00000'}.png")
        elif isinstance(value, str):
            (folder / f"{name or task.name}.txt").write_text(value + "\n")
        elif isinstance(value, Mapping):
            (folder / f"{name or task.name}.json").write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        elif isinstance(value, Iterable):
            for number, picture in enumerate(value):
                images.save_png(picture, folder / f"{'-'.join([*parts, f'{number:05d}'])}.png")
                written += 1
            continue
        else:
            raise TypeError(f"task {task.name} returned a {type(value).__name__} as {output}")
        written += 1
    return written


def _preset_or_folder(plugin: Plugin, text: str | None) -> str | None:
    """What `--preset` names, for `load`: a preset as it is, the weights folder of a run for the run."""
    if text is None and not plugin.presets:
        raise ValueError(f"{plugin.slug} has no trained weights yet: train it, and give its run by --preset runs/NAME")
    if text is None or any(preset.name == text for preset in plugin.presets):
        return text
    if folder := _weights_folder(text):
        return str(folder)
    if "/" in text or Path(text).exists():
        raise ValueError(f"--preset: there is no weights folder or finished run at {text!r}")
    return plugin.preset(text).name  # which says what there is


def _weights_folder(text: str) -> Path | None:
    """The weights folder that a path names, itself or as the run that holds it; absolute, to be no preset's name."""
    from gan_zoo import hub

    path = Path(text).expanduser().absolute()
    return next((p for p in (path, path / "weights") if (p / hub.MANIFEST).is_file()), None)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text[:40]!r}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text[:40]!r}") from None


def _positive(text: str) -> int:
    if (number := _whole(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


# ---------------------------------------------------------------------------------------------------------------------
# evaluate, push, pull, import


def _evaluate(args: argparse.Namespace) -> None:
    from gan_zoo import hub, registry

    plugin = registry.get(args.plugin)
    preset = _preset_or_folder(plugin, args.preset)
    plugin = hub.as_trained(plugin, preset, dict(_setting(text) for text in args.set))
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
    print(f"{args.count} pictures asked for, {len(data)} rows kept apart. {evaluation.protocol}".strip())


def _setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as JSON, or else a text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"--set: expected NAME=VALUE, got {text[:40]!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _push(args: argparse.Namespace) -> None:
    from gan_zoo import hub

    folder = _weights_folder(args.source) or _preset_weights(args.source)
    print(hub.push(folder, args.repo_id, revision=args.revision, private=args.private))


def _preset_weights(name: str) -> Path:
    """The weights folder of the preset NAME, or PLUGIN/NAME. Raises ValueError: none, or several of that name."""
    from gan_zoo import hub, registry

    presets = [(plugin, preset) for plugin in registry.discover().plugins.values() for preset in plugin.presets]
    found = [(g, p) for g, p in presets if name in (p.name, f"{g.slug}/{p.name}")]
    if not found:
        known = ", ".join(f"{g.slug}/{p.name}" for g, p in presets) or "none"
        raise ValueError(f"{name!r} is neither a run nor a weights folder nor a preset; presets: {known}")
    if len(found) > 1:
        raise ValueError(f"{name!r} could be {' or '.join(f'{g.slug}/{p.name}' for g, p in found)}: say which")
    plugin, preset = found[0]
    return hub.resolve(plugin.slug, preset.name, repo_id=preset.repo_id, revision=preset.revision)


def _pull(args: argparse.Namespace) -> None:
    from gan_zoo import hub

    if args.out is not None:
        _check_empty(args.out)
    folder = hub.pull(args.repo_id, revision=args.revision)
    if args.out is not None:
        folder = Path(shutil.copytree(folder, args.out, dirs_exist_ok=True))  # the cache's links become files
    print(folder)


def _import(args: argparse.Namespace) -> None:
    from gan_zoo import registry

    plugins = registry.discover().plugins.values()
    found = [plugin for plugin in plugins if args.format in plugin.formats]
    if not found:
        known = ", ".join(name for plugin in plugins for name in plugin.formats) or "none"
        raise ValueError(f"--format: no GAN imports {args.format!r}; there are: {known}")
    if len(found) > 1:
        raise ValueError(f"--format: {' and '.join(plugin.slug for plugin in found)} both import {args.format!r}")
    _check_empty(args.out)
    print(found[0].import_weights(args.format, args.files, args.out))


def _check_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"--out: {out} exists and is not an empty folder")


# ---------------------------------------------------------------------------------------------------------------------
# new, check


def _new(args: argparse.Namespace) -> None:
    """Copies gan_zoo/template, a GAN that works, under the new name."""
    import keyword
    import re

    package = Path(__file__).resolve().parent
    folder, root = package / "plugins" / args.name, package.parent
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", args.name) or keyword.iskeyword(args.name) or args.name == "template":
        raise ValueError(f"{args.name!r} cannot be a plugin's name: 1 to 40 of a-z, 0-9 and _, beginning with a letter")
    if not (root / "pyproject.toml").is_file():
        raise ValueError(f"new writes into a checkout of the zoo, and {package} is an installed package")
    if args.name in {path.stem for path in package.glob("*.py")} | {"networks", "pipeline", "text", "image", "seed"}:
        raise ValueError(f"{args.name!r} cannot be a plugin's name: the zoo has a module or argument of that name")
    test, recipe = root / "tests" / f"test_{args.name}.py", root / "train" / "recipes" / f"{args.name}.toml"
    for path in (folder, test, recipe):
        if path.exists():
            raise ValueError(f"{path} exists already")
    class_name = "".join(part.capitalize() for part in args.name.split("_"))

    def copy(source: Path, target: Path) -> None:
        text = source.read_text().replace("gan_zoo.template", f"gan_zoo.plugins.{args.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("Template", class_name).replace("template", args.name))
        print(f"wrote {target}")

    for name in ("__init__.py", "networks.py", "plugin.py"):
        copy(package / "template" / name, folder / name)
    copy(package / "template" / "test_template.py", test)
    copy(package / "template" / "recipe.toml", recipe)
    print(f"next:  python -m gan_zoo check {args.name}")
    print(f"       python -m train {args.name} --recipe {args.name}")


def _check(args: argparse.Namespace) -> int:
    from gan_zoo import checks, registry

    plugin = registry.get(args.name)
    failed = 0
    for name, reason in checks.run(plugin):
        failed += reason is not None
        print(f"ok    {name}" if reason is None else f"FAIL  {name}: {reason}", flush=True)
    print(f"{plugin.slug} keeps the contract" if not failed else f"{plugin.slug}: {failed} failed")
    return 2 if failed else 0


# ---------------------------------------------------------------------------------------------------------------------
# deploy, app


def _deploy(args: argparse.Namespace) -> None:
    from gan_zoo.deploy import deploy

    print(deploy(args.space_id, hardware=args.hardware, private=args.private))


def _app(args: argparse.Namespace) -> None:
    from gan_zoo import ui

    _check_address(args.host, args.port)
    ui.launch(host=args.host, port=args.port)


def _check_address(host: str | None, port: int | None) -> None:
    """Raises ValueError where the page could not be opened there, before seconds go into building it."""
    import socket

    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"--port: expected 1 to 65535, got {port}")
    host = host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ValueError(f"the page cannot be opened on {host}, port {port or 'any'}: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
