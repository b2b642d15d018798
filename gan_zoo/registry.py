"""Which GANs there are: the packages in `gan_zoo.plugins`, and installed packages that register a plugin.

A built-in plugin is a folder `gan_zoo/plugins/NAME/` whose package exposes its class as `plugin`. An installed package
names its class in the entry-point group `gan_zoo.plugins`:

    [project.entry-points."gan_zoo.plugins"]
    rings = "rings_gan:Rings"

A plugin that fails to import is listed with the reason, and the rest works; of two that claim one slug or one endpoint
the later one is left out, with the names of both, since callers could no longer know which of them answers.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from gan_zoo.errors import with_kind
from gan_zoo.plugin import Plugin, Text

GROUP = "gan_zoo.plugins"
SLUG = re.compile(r"[a-z][a-z0-9_]{0,39}")  # begins endpoints, flags and folder names
RESERVED = {"task", "preset", "bounds", "out", "format", "help"}  # already taken by `infer`, in Python or as flags


class Broken(NamedTuple):
    """A plugin that cannot be used, and why, in one line."""

    name: str  # its folder, or the name of its entry point
    reason: str


class Source(NamedTuple):
    """Where a plugin may come from: its name, its module path for messages, and how to get its class."""

    name: str
    path: str
    load: Callable[[], Any]


@dataclass
class Registry:
    """Plugins by slug, the built-in ones first, each group in the order of its names; and those that are broken."""

    plugins: dict[str, Plugin] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)

    def get(self, slug: str) -> Plugin:
        """The plugin of that slug. Raises ValueError with the reason of a broken one, or a list of those there are."""
        if slug in self.plugins:
            return self.plugins[slug]
        for broken in self.broken:
            if broken.name == slug:
                raise ValueError(f"plugin {slug!r} cannot be used: {broken.reason}")
        raise ValueError(f"there is no plugin {slug!r}; there are: {', '.join(self.plugins) or 'none'}")


@cache
def discover() -> Registry:
    """Every plugin there is, imported and instantiated once per process."""
    return collect([*_built_in(), *_installed()])


def get(slug: str) -> Plugin:
    """`discover().get(slug)`."""
    return discover().get(slug)


def collect(sources: Iterable[Source]) -> Registry:
    """The registry of these sources. One that cannot be used, or claims a slug or endpoint that is taken, is broken."""
    registry = Registry()
    slugs: dict[str, str] = {}  # slug, and endpoint, to the path of the plugin that has it
    endpoints: dict[str, str] = {}
    for source in sources:
        try:
            cls = source.load()
            validate(cls)
            plugin = cls()
        except Exception as error:  # whatever a plugin does wrong must not take the others down
            registry.broken.append(Broken(source.name, with_kind(error)))
            continue
        names = [(slugs, "slug", cls.slug)] + [(endpoints, "endpoint", f"{cls.slug}_{task}") for task in cls.tasks()]
        if twice := [(taken[name], kind, name) for taken, kind, name in names if name in taken]:
            first, kind, name = twice[0]
            registry.broken.append(Broken(source.name, f"{first} and {source.path} both have the {kind} {name!r}"))
            continue
        for taken, _, name in names:
            taken[name] = source.path
        registry.plugins[cls.slug] = plugin
    return registry


def validate(cls: Any) -> None:
    """Raises TypeError or ValueError that says what keeps this class from being a plugin."""
    if not (isinstance(cls, type) and issubclass(cls, Plugin)):
        raise TypeError(f"{cls!r} is not a class derived from gan_zoo.plugin.Plugin")
    for name in ("slug", "title", "summary", "paper", "Settings"):
        if not hasattr(cls, name):
            raise TypeError(f"class {cls.__name__} has no {name}")
    if not (isinstance(cls.slug, str) and SLUG.fullmatch(cls.slug)):
        raise ValueError(f"slug {cls.slug!r} must be 1 to 40 of a-z, 0-9 and _, beginning with a letter")
    for name in ("title", "summary"):
        if not isinstance(getattr(cls, name), Text):
            raise TypeError(f"class {cls.__name__}: {name} must be a Text (English and Spanish)")
    if missing := sorted(cls.__abstractmethods__):
        raise TypeError(f"class {cls.__name__} does not define {', '.join(missing)}")
    presets = [preset.name for preset in cls.presets]
    if twice := [name for name in presets if presets.count(name) > 1]:
        raise ValueError(f"class {cls.__name__} has two presets named {twice[0]!r}")
    tasks = cls.tasks()
    if not tasks:
        raise TypeError(f"class {cls.__name__} has no method marked with @task")
    for name, task in tasks.items():
        for parameter in task.parameters:
            if parameter.name in RESERVED:
                raise ValueError(f"task {name}: the argument name {parameter.name!r} is reserved")
            if inspect.signature(task.function).parameters[parameter.name].kind is not inspect.Parameter.KEYWORD_ONLY:
                raise TypeError(f"task {name}: {parameter.name!r} must be a keyword-only argument, after `*`")


def _built_in() -> Iterator[Source]:
    for module in sorted(
        pkgutil.iter_modules([str(Path(__file__).parent / "plugins")]), key=lambda module: module.name
    ):
        if module.ispkg:
            path = f"gan_zoo.plugins.{module.name}"
            yield Source(module.name, path, lambda path=path: importlib.import_module(path).plugin)


def _installed() -> Iterator[Source]:
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        yield Source(point.name, point.value, point.load)
