"""`new` and `check`: a GAN of one's own."""

from __future__ import annotations

import argparse
import keyword
import re
from pathlib import Path

TEMPLATES = {"unconditional": "template", "paired": "template_paired"}
PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "gan-zoo-{name}"
version = "0.1.0"
description = "{title}: a GAN for GAN Zoo"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["gan-zoo>={version}"]

[project.entry-points."gan_zoo.plugins"]
{name} = "gan_zoo_{name}:plugin"

[tool.setuptools]
packages = ["gan_zoo_{name}"]

[tool.setuptools.package-data]
gan_zoo_{name} = ["recipes/*.toml", "weights/**/*"]
"""
README = """# {title}

A GAN for [GAN Zoo](https://pypi.org/project/gan-zoo/), as a package of its own.

```bash
pip install -e .
gan-zoo check {name}                       # does it keep the contract?
gan-zoo train {name} --recipe {name}       # the run is in runs/{name}
gan-zoo infer {name} --preset runs/{name} --help
gan-zoo app                                # its tab, its endpoint, its MCP tool
```

Weights that the package is to bring lie in `gan_zoo_{name}/weights/NAME` (a finished run's folder `weights`); a
`Preset` of that name in `plugin.py` gives them to everybody. Recipes in `gan_zoo_{name}/recipes/` are found by
`--recipe`. A Space gets it by one more line in `requirements.txt`.
"""
CONTRACT = '''"""The contract, as the zoo's own GANs keep it."""

import pytest

from gan_zoo import checks
from gan_zoo_{name} import plugin


@pytest.mark.parametrize("found", list(checks.run(plugin())), ids=lambda found: found[0])
def test_it_keeps_the_contract(found: tuple[str, str | None]) -> None:
    assert found[1] is None
'''


def new(args: argparse.Namespace) -> None:
    """Copies a template, a GAN that works, under the new name: into the checkout, or as a package of its own."""
    from gan_zoo import __version__

    package, name = Path(__file__).resolve().parents[1], args.name
    template = TEMPLATES[args.template]
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name) or name in TEMPLATES.values():
        raise ValueError(f"{name!r} cannot be a plugin's name: 1 to 40 of a-z, 0-9 and _, beginning with a letter")
    if args.package is None and not (package.parent / "pyproject.toml").is_file():
        raise ValueError(f"new writes into a checkout of the zoo, and {package} is an installed one: say --package DIR")
    if name in {path.stem for path in package.glob("*.py")} | {"networks", "pipeline", "text", "image", "seed"}:
        raise ValueError(f"{name!r} cannot be a plugin's name: the zoo has a module or argument of that name")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    if args.package is None:
        module, folder = f"gan_zoo.plugins.{name}", package / "plugins" / name
        test, recipe = package.parent / "tests" / f"test_{name}.py", package / "recipes" / f"{name}.toml"
    else:
        module, folder = f"gan_zoo_{name}", args.package / f"gan_zoo_{name}"
        test, recipe = args.package / "tests" / f"test_{name}.py", folder / "recipes" / f"{name}.toml"

    def copied(source: str) -> str:
        text = (package / template / source).read_text(encoding="utf-8").replace(f"gan_zoo.{template}", module)
        text = text.replace("Template", class_name).replace("new --template", "new --\0").replace("template", name)
        return text.replace("--\0", "--template")

    files = {folder / source: copied(source) for source in ("__init__.py", "networks.py", "plugin.py")}
    files |= {test: copied("test_template.py"), recipe: copied("recipe.toml")}
    if args.package is not None:
        told = {"name": name, "title": class_name, "version": __version__}
        files |= {
            args.package / "pyproject.toml": PYPROJECT.format(**told),
            args.package / "README.md": README.format(**told),
            args.package / "tests" / "test_contract.py": CONTRACT.replace("{name}", name),
        }
    if there := next((path for path in (folder, *files) if path.exists()), None):
        raise ValueError(f"{there} exists already")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    if args.package is not None:
        print(f"next:  pip install -e {args.package}")
    print(f"{'next: ' if args.package is None else '      '} python -m gan_zoo check {name}")
    print(f"       python -m gan_zoo train {name} --recipe {name}")


def check(args: argparse.Namespace) -> int:
    from gan_zoo import checks, registry

    plugin = registry.get(args.name)
    failed = 0
    for name, reason in checks.run(plugin):
        failed += reason is not None
        print(f"ok    {name}" if reason is None else f"FAIL  {name}: {reason}", flush=True)
    print(f"{plugin.slug} keeps the contract" if not failed else f"{plugin.slug}: {failed} failed")
    return 2 if failed else 0
