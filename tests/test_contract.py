"""What every plugin of the zoo must keep to, whoever wrote it: it is tested by being there."""

from __future__ import annotations

from typing import Any

import pytest

from gan_zoo import checks, registry

PLUGINS = registry.discover().plugins


@pytest.mark.parametrize("slug", PLUGINS)
def test_plugin_keeps_the_contract(slug):
    kind: Any = type(PLUGINS[slug])
    few = {"drawn": 40} if "drawn" in kind.Settings.__dataclass_fields__ else {}  # of the built-in data
    failures = [f"{what}: {reason}" for what, reason in checks.run(kind(kind.Settings(**few))) if reason is not None]
    assert not failures


def test_no_built_in_plugin_is_broken():
    assert registry.discover().broken == []


@pytest.mark.parametrize("slug", PLUGINS)
def test_both_languages_are_complete(slug):
    plugin = PLUGINS[slug]
    texts = [plugin.title, plugin.summary]
    for preset in plugin.presets:
        texts += [preset.title, preset.data]
    for task in plugin.tasks().values():
        texts += [task.title, task.summary, *(p.arg.label for p in task.parameters)]
        texts += [p.arg.info for p in task.parameters if p.arg.info]
    assert all(text.en.strip() and text.es.strip() for text in texts)


@pytest.mark.parametrize("slug", PLUGINS)
def test_strangers_are_bounded(slug):
    """Every number that the page takes has a least and a greatest value."""
    for task in PLUGINS[slug].tasks().values():
        for parameter in task.parameters:
            if parameter.type in (int, float):
                assert parameter.arg.minimum is not None, f"{task.name}: {parameter.name}"
                assert parameter.arg.maximum is not None, f"{task.name}: {parameter.name}"


@pytest.mark.parametrize("slug", PLUGINS)
def test_open_presets_come_first(slug):
    plugin = PLUGINS[slug]
    licences = {preset.licence for preset in plugin.presets}
    if plugin.default_preset is not None:
        assert plugin.default_preset.licence == ("open" if "open" in licences else "research")
