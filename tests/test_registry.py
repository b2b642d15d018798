"""Discovery: what is there, what is broken, and what clashes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest

from gan_zoo import registry
from gan_zoo.plugin import Arg, Preset, Text, task
from gan_zoo.registry import Source, collect
from gan_zoo.template.plugin import Template

TEXT = Text("x", "x")


def source(path: str, slug: str, **attributes: Any) -> Source:
    """A sound plugin of that slug, with other attributes where given."""
    name = path.rsplit(".")[-1]
    return Source(name, path, lambda: type(name.title(), (Template,), {"slug": slug, **attributes}))


def failing(name: str, error: Exception) -> Source:
    def load() -> Any:
        raise error

    return Source(name, f"zoo.{name}", load)


def test_every_folder_of_plugins_is_found_and_whole() -> None:
    folders = {p.parent.name for p in (Path(registry.__file__).parent / "plugins").glob("*/__init__.py")}
    found = registry.discover()
    assert set(found.plugins) == folders
    assert found.broken == []
    assert registry.discover() is found


def test_plugins_keep_the_order_of_their_sources() -> None:
    found = collect([source("zoo.b", "b"), source("zoo.a", "a"), source("other.c", "c")])
    assert list(found.plugins) == ["b", "a", "c"]
    assert all(plugin.slug == slug for slug, plugin in found.plugins.items())


def test_a_duplicate_slug_names_both() -> None:
    found = collect([source("zoo.hoops", "hoops"), source("other.hoops", "hoops"), source("other.b", "b")])
    assert list(found.plugins) == ["hoops", "b"]  # one bad package does not end every command
    assert [reason for _, reason in found.broken] == ["zoo.hoops and other.hoops both have the slug 'hoops'"]


def test_a_duplicate_endpoint_names_both() -> None:
    @task(TEXT, TEXT, name="c_d")
    def first(self, pipeline) -> str:
        return ""

    @task(TEXT, TEXT, name="d")
    def second(self, pipeline) -> str:
        return ""

    found = collect([source("zoo.one", "b", first=first), source("zoo.two", "b_c", second=second)])
    assert list(found.plugins) == ["b"]
    assert [reason for _, reason in found.broken] == ["zoo.one and zoo.two both have the endpoint 'b_c_d'"]


def test_a_broken_plugin_is_listed_and_the_rest_works() -> None:
    found = collect(
        [
            failing("torn", ModuleNotFoundError("No module named 'resvg'")),
            source("zoo.whole", "whole"),
            failing("odd", RuntimeError("first line\nsecond line")),
        ]
    )
    assert list(found.plugins) == ["whole"]
    assert found.broken == [("torn", "No module named 'resvg'"), ("odd", "RuntimeError: first line")]
    with pytest.raises(ValueError, match="^plugin 'torn' cannot be used: No module named 'resvg'$"):
        found.get("torn")
    with pytest.raises(ValueError, match="^there is no plugin 'hoops'; there are: whole$"):
        found.get("hoops")


def bare(self, pipeline, *, seed: int = 0) -> str:
    return ""


def reserved(self, pipeline, *, out: Annotated[str, Arg(TEXT)] = "") -> str:
    return ""


def positional(self, pipeline, seed: Annotated[int, Arg(TEXT)] = 0) -> str:
    return ""


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"slug": "Hoops"}, "slug 'Hoops' must be"),
        ({"slug": "ri-ngs"}, "slug 'ri-ngs' must be"),
        ({"title": "Hoops"}, "title must be a Text"),
        ({"networks": registry.Plugin.networks}, "does not define networks"),
        ({"presets": (Preset("p", TEXT, "open", TEXT), Preset("p", TEXT, "open", TEXT))}, "two presets named 'p'"),
        ({"bare": task(TEXT, TEXT)(bare)}, "annotate 'seed' as Annotated"),
        ({"reserved": task(TEXT, TEXT)(reserved)}, "the argument name 'out' is reserved"),
        ({"positional": task(TEXT, TEXT)(positional)}, "'seed' must be a keyword-only argument"),
        ({"__init__": lambda self: 1 / 0}, "ZeroDivisionError: division by zero"),
    ],
)
def test_an_unsound_class_is_broken_with_its_reason(attributes: dict[str, Any], reason: str) -> None:
    found = collect([source("zoo.hoops", **{"slug": "hoops", **attributes})])
    assert not found.plugins
    assert reason in found.broken[0].reason
    assert "\n" not in found.broken[0].reason


@pytest.mark.parametrize("load", [lambda: object(), lambda: dict, lambda: Template()])
def test_what_is_no_plugin_class_is_broken(load: Callable[[], Any]) -> None:
    (broken,) = collect([Source("odd", "zoo.odd", load)]).broken
    assert "is not a class derived from gan_zoo.plugin.Plugin" in broken.reason


def test_an_installed_package_adds_its_plugin_by_entry_point(tmp_path: Path) -> None:
    """As pip lays it out: a module, and a dist-info folder that names the entry point. One of the two is torn."""
    (tmp_path / "hoops_gan.py").write_text(
        "from gan_zoo.template.plugin import Template\n\n\nclass Hoops(Template):\n    slug = 'hoops'\n"
    )
    info = tmp_path / "hoops_gan-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hoops-gan\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gan_zoo.plugins]\nhoops = hoops_gan:Hoops\ntorn = hoops_gan:Missing\n")
    code = "from gan_zoo.registry import discover, get\nprint(get('hoops').slug, [b.name for b in discover().broken])"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {[str(root), str(tmp_path)]}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "hoops ['torn']\n"
