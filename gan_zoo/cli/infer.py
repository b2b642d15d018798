"""`infer`: a task's arguments as flags, its results as files."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_zoo.cli import Parser, number, whole
from gan_zoo.errors import is_full, one_line

if TYPE_CHECKING:
    from gan_zoo.plugin import Parameter, Task


def infer(args: argparse.Namespace) -> int:
    from gan_zoo import presets, registry
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
    if task.needs_weights:
        parser.add_argument(
            "--preset", metavar="P", help=f"{names or 'none yet'}; or a weights folder, a run, or OWNER/NAME"
        )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    if Film in task.outputs.values():
        parser.add_argument("--format", choices=("mp4", "gif"), default="mp4", help="of films (default mp4)")
    for parameter in task.parameters:
        _add_flag(parser, parameter)
    given = vars(parser.parse_args(args.rest))
    preset, out, suffix = given.pop("preset", None), given.pop("out"), given.pop("format", "mp4")

    for parameter in task.parameters:
        if parameter.type is Json and Path(given.get(parameter.name, "")).suffix == ".json":
            given[parameter.name] = _read_json_file(parameter.name, Path(given[parameter.name]))
    inputs, left_out = _inputs(task, given)
    for _, arguments in inputs:
        task.check(arguments)  # before seconds go into loading, and before anything is written
    if task.needs_weights:
        if presets.is_preset(plugin, preset):  # before seconds go into loading
            plugin.preset(preset)
        else:
            presets.find(plugin, preset)
    out.mkdir(parents=True, exist_ok=True)
    written = failed = 0
    for stem, arguments in inputs:
        try:
            result = plugin.infer(name, preset, bounds="cli", **arguments)
            written += _write(out, stem, task, task.last(result), suffix)
        except (ValueError, OSError) as error:
            if len(inputs) == 1 or is_full(error):
                raise
            failed += 1  # one bad picture must not cost the other results
            print(f"error: {stem}: {one_line(error)}", file=sys.stderr)
    lost = f"; {failed} of {len(inputs)} pictures failed" if failed else ""
    lost += f"; left out {left_out}" if left_out else ""
    print(f"wrote {written} {'file' if written == 1 else 'files'} to {out}{lost}")
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
        parser.add_argument(*names, type={int: whole, float: number}.get(parameter.type, str), metavar="V", **options)


def _inputs(task: Task, arguments: dict[str, Any]) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """The calls to make, each with the stem of its results' names: one, or one per picture of a folder; and what of a
    folder is left out.
    """
    from gan_zoo import layouts
    from gan_zoo.images import SUFFIXES
    from gan_zoo.plugin import ImageFile

    pictures = [p.name for p in task.parameters if p.type is ImageFile and p.name in arguments]
    for name in pictures:
        if not Path(arguments[name]).exists():
            raise ValueError(f"--{name}: there is no file or folder {arguments[name]!r}")
    folders = [name for name in pictures if Path(arguments[name]).is_dir()]
    if len(folders) > 1:
        raise ValueError(f"--{folders[0]} and --{folders[1]} are both folders: give at most one")
    if not folders:
        return [(Path(arguments[pictures[0]]).stem if pictures else "", arguments)], ""
    folder = Path(arguments[folders[0]])
    some = layouts.files(folder)
    files = [f for f in some if layouts.is_picture(f)]
    if not files:
        raise ValueError(
            f"--{folders[0]}: the folder {str(folder)!r} holds no pictures ({', '.join(sorted(SUFFIXES))})"
        )
    calls = [(stem, {**arguments, folders[0]: str(file)}) for stem, file in zip(_stems(folder, files), files)]
    return calls, layouts.left_out(some)


LONGEST = 120  # characters of a result's name, of the 255 bytes that file systems take


def _stems(folder: Path, files: list[Path]) -> list[str]:
    """Names for the results of files, all different: a.jpg and a.png stay apart, and pictures of folders within."""
    plain = ["-".join(f.relative_to(folder).with_suffix("").parts) for f in files]
    stems = [f"{name}{f.suffix}" if plain.count(name) > 1 else name for name, f in zip(plain, files)]
    short = [name[:LONGEST] for name in stems]
    return [f"{s}-{i}" if short.count(s) > 1 else s for i, s in enumerate(short)]


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
        if value is None:  # nothing to show
            continue
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
