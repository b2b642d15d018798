"""`new` and `check`: a GAN of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path


def new(args: argparse.Namespace) -> None:
    """Copies gan_zoo/template, a GAN that works, under the new name."""
    import keyword
    import re

    package = Path(__file__).resolve().parents[1]
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


def check(args: argparse.Namespace) -> int:
    from gan_zoo import checks, registry

    plugin = registry.get(args.name)
    failed = 0
    for name, reason in checks.run(plugin):
        failed += reason is not None
        print(f"ok    {name}" if reason is None else f"FAIL  {name}: {reason}", flush=True)
    print(f"{plugin.slug} keeps the contract" if not failed else f"{plugin.slug}: {failed} failed")
    return 2 if failed else 0
