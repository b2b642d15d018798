"""Tasks: typed functions of a plugin that become tabs, endpoints, flags and MCP tools.

Their names are also to be had from `gan_zoo.plugin`, where plugins take them from.
"""

from __future__ import annotations

import inspect
import json
import math
import types
import typing
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from PIL import Image

MAX_SEED = 2**32 - 1


MAX_TEXT = 200_000  # characters of an argument


class Text(NamedTuple):
    """A sentence of the page in its two languages; without Spanish, in English for all."""

    en: str
    es: str = ""


@dataclass(frozen=True)
class Arg:
    """What the page, the API and the command line need to know of a task's argument, besides its type and default.

    `maximum` bounds strangers (page, API, MCP); `cli_maximum` bounds the owner of the machine (CLI, Python).
    `component` names a Gradio component class to use instead of the type's usual one. `names` are what the page calls
    the choices of a Literal, in their order. `rare`: few need it, so the page keeps it in a drawer. `example` is what
    the API page writes into its snippets, where there is no default.
    """

    label: Text
    info: Text | None = None
    minimum: float | None = None
    maximum: float | None = None
    cli_maximum: float | None = None
    step: float | None = None
    component: str | None = None
    names: tuple[Text, ...] | None = None
    rare: bool = False
    example: Any = None


class Film(NamedTuple):
    """A moving picture: PIL frames of one size, shown `fps` times a second, or each as long as `seconds` say."""

    frames: list[Image.Image]
    fps: float
    seconds: tuple[float, ...] = ()


ImageFile = typing.NewType("ImageFile", str)  # path of a picture, read by gan_zoo.images


Json = typing.NewType("Json", str)  # as text; callers may give the value itself, the command line also a file


Seed = Annotated[int, Arg(Text("Seed", "Semilla"), minimum=0, maximum=MAX_SEED, component="Number")]


Bounds = Literal["page", "cli"]


@dataclass(frozen=True)
class Parameter:
    """One argument of a task: name, type (int, float, bool, str, Json, ImageFile or Literal), default, Arg."""

    name: str
    type: Any
    default: Any  # inspect.Parameter.empty where the argument is required
    arg: Arg

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def choices(self) -> tuple[Any, ...] | None:
        return typing.get_args(self.type) if typing.get_origin(self.type) is Literal else None

    def maximum(self, bounds: Bounds) -> float | None:
        if bounds == "cli" and self.arg.cli_maximum is not None:
            return self.arg.cli_maximum
        return self.arg.maximum

    def check(self, value: Any, bounds: Bounds = "cli") -> Any:
        """The value in its declared type. Raises ValueError that says what was expected."""
        if self.choices is not None:
            if value not in self.choices:
                raise ValueError(f"{self.name}: {_short(value)} is not one of {', '.join(map(str, self.choices))}")
            return value
        if self.type is bool:
            if not isinstance(value, bool):
                raise ValueError(f"{self.name}: expected true or false, got {_short(value)}")
            return value
        if self.type is int or self.type is float:
            return self._check_number(value, bounds)
        if self.type is Json and isinstance(value, (dict, list)):
            value = json.dumps(value)
        if self.default == "" and value in (None, ""):  # left out, as the default is
            return ""
        if not isinstance(value, (str, Path)) or not str(value):
            kind = "a picture file" if self.type is ImageFile else "text"
            raise ValueError(f"{self.name}: expected {kind}, got {_short(value)}")
        if len(str(value)) > MAX_TEXT:
            raise ValueError(f"{self.name}: {len(str(value)):,} characters, expected at most {MAX_TEXT:,}")
        if not is_text(str(value)):
            raise ValueError(f"{self.name}: expected text, got half of a character (a lone surrogate)")
        return str(value)

    def _check_number(self, value: Any, bounds: Bounds) -> int | float:
        low, high = self.arg.minimum, self.maximum(bounds)
        kind = "a whole number" if self.type is int else "a number"
        span = "" if low is None or high is None else f" from {low:g} to {high:.10g}"
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        inside = number and (low is None or value >= low) and (high is None or value <= high) and abs(value) < 1e300
        if not inside or not math.isfinite(value) or (self.type is int and value != int(value)):
            raise ValueError(f"{self.name}: expected {kind}{span}, got {_short(value)}")
        return self.type(value)


def is_text(value: str) -> bool:
    """Can it be written as UTF-8? JSON may hold halves of characters, which no answer can."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: Any) -> str:
    """A stranger's value as it is quoted back: never longer than a line."""
    if isinstance(value, int) and abs(value) > 1e18:
        return "a number of more than 18 digits"
    text = f"{value:.10g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


@dataclass(frozen=True)
class Task:
    """A typed function of a plugin: `function(plugin, pipeline, **arguments)`; without weights, no pipeline.

    `outputs` maps each result's name to its type: Image.Image, list[Image.Image], Film, str or dict.
    A function that returns a NamedTuple has one output per field; any other has one, named "result". A field that may
    be None has nothing to show yet.
    `streams`: the function is a generator of such results, each of which replaces the one before.
    `first_look`: the page shows what its defaults give before anyone asks, where it has defaults for all.
    `needs_weights`: without, no preset is loaded, and the task has none to name.
    `gpu_seconds`: for how long a ZeroGPU Space lends a GPU to a call.
    """

    name: str
    title: Text
    summary: Text
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    outputs: Mapping[str, Any]
    first_look: bool = True
    needs_weights: bool = True
    streams: bool = False
    gpu_seconds: int = 5

    def last(self, result: Any) -> Any:
        """What a call gave; of a task that streams, what it ends with. Raises ValueError if it streams nothing."""
        if not self.streams:
            return result
        ended = deque(result, maxlen=1)
        if not ended:
            raise ValueError(f"task {self.name} streams nothing")
        return ended.pop()

    def check(self, arguments: Mapping[str, Any], bounds: Bounds = "cli") -> dict[str, Any]:
        """The arguments, complete and valid. Raises ValueError naming the argument and what was expected."""
        names = [p.name for p in self.parameters]
        unknown = [name for name in arguments if name not in names]
        if unknown:
            raise ValueError(f"{self.name} has no argument {unknown[0]!r}; it takes {', '.join(names)}")
        checked = {}
        for parameter in self.parameters:
            if parameter.name in arguments:
                checked[parameter.name] = parameter.check(arguments[parameter.name], bounds)
            elif parameter.required:
                raise ValueError(f"{self.name} needs the argument {parameter.name!r}")
            else:
                checked[parameter.name] = parameter.default
        return checked


def task(
    title: Text,
    summary: Text,
    name: str | None = None,
    *,
    first_look: bool = True,
    needs_weights: bool = True,
    gpu_seconds: int = 5,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Marks a method `(self, pipeline, *, argument: Annotated[type, Arg(...)] = default) -> result` as a task.

    The task is called as the method is, unless `name` says otherwise (a task "generate" cannot be the method
    `generate`, which is the training's). Without `first_look` the page computes nothing before it is asked. A task that
    needs no weights is a method `(self, *, ...)`, and one that returns an Iterator of results streams them.
    `gpu_seconds`: for how long a ZeroGPU Space lends a GPU to a call; a visitor has some minutes of that a day.
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        told = (name or function.__name__, title, summary, first_look, needs_weights, gpu_seconds)
        function.__task__ = told  # pyright: ignore[reportFunctionMemberAccess]
        return function

    return mark


def sign(result: Any, slug: str, task: str, preset: str | None, arguments: dict[str, Any]) -> Any:
    """The result, in whose pictures it is written how they were made: `info["gan_zoo"]`, JSON, which PNG files keep as
    text.

    What a task puts into a picture's `info["arguments"]`, such as its own seed, holds for that picture.
    """
    for picture in result if isinstance(result, (list, tuple)) else [result]:
        if isinstance(picture, Image.Image):
            made: dict[str, Any] = {"plugin": slug, "task": task} | ({"preset": preset} if preset else {})
            made["arguments"] = arguments | picture.info.pop("arguments", {})
            picture.info["gan_zoo"] = json.dumps(made)
        elif isinstance(picture, list):
            sign(picture, slug, task, preset, arguments)
    return result


def read_task(function: Callable[..., Any]) -> Task:
    name, title, summary, first_look, needs_weights, gpu_seconds = function.__task__  # pyright: ignore[reportFunctionMemberAccess]
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = []
    for parameter in list(inspect.signature(function).parameters.values())[1 + needs_weights :]:  # self, pipeline
        hint = hints[parameter.name]
        if typing.get_origin(hint) is not Annotated:
            raise TypeError(f"task {name}: annotate {parameter.name!r} as Annotated[type, Arg(...)]")
        base, arg = typing.get_args(hint)[:2]
        parameters.append(Parameter(parameter.name, base, parameter.default, arg))
    result = hints["return"]
    if streams := typing.get_origin(result) is Iterator:
        (result,) = typing.get_args(result)
    outputs = typing.get_type_hints(result) if hasattr(result, "_fields") and result is not Film else {"result": result}
    outputs = {output: _unless_none(kind) for output, kind in outputs.items()}
    return Task(
        name, title, summary, function, tuple(parameters), outputs, first_look, needs_weights, streams, gpu_seconds
    )


def _unless_none(kind: Any) -> Any:
    """`T` of `T | None`."""
    some = [part for part in typing.get_args(kind) if part is not types.NoneType]
    return some[0] if types.NoneType in typing.get_args(kind) else kind
