"""The longest files come first, so that no worker begins one of them when the others are done."""

import pytest

LONG = ("outside", "walk", "trainer", "page", "lab", "api", "train_cli", "package", "tutorial", "pose", "export")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {f"test_{name}.py": rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(LONG)))
