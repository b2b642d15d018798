"""`docs` and `boot`: every endpoint written down with ready calls, and every endpoint called."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_zoo.plugin import Parameter, Plugin, Task

SITE = "http://127.0.0.1:7860"
PICTURE = "photo.png"
SHORT = {"moves": 20, "frames": 4}
HEAD = """# Every endpoint

Written by `python -m gan_zoo docs` from what the page itself serves: change that, not this. [api.md](api.md) tells what
they have in common: pictures, poses, errors, bounds, streams. `preset` is there where a task needs weights. The
JavaScript is for `@gradio/client`; in the shell, `up` sends a picture and `ask` waits for a result:

```bash
SITE=http://127.0.0.1:7860/gradio_api
of() { python3 -c "import json, sys; print(json.load(sys.stdin)$1)"; }
up() { curl -s -F "files=@$1" $SITE/upload | of "[0]"; }
ask() {
  ID=$(curl -s $SITE/call/v2/$1 -H 'Content-Type: application/json' -d "$2" | of "['event_id']")
  curl -sN $SITE/call/$1/$ID
}
```

An agent calls the tool of the endpoint's name with the same arguments, a picture as the path that an upload gave.
"""


def arguments_of(plugin: Plugin, task: Task, picture: str) -> dict[str, Any] | None:
    """Arguments with which an endpoint shows something: its first example, defaults left out; None without one."""
    from gan_zoo.plugin import ImageFile

    given = dict(next(iter(plugin.examples(task.name)), {}))
    if task.streams:  # a short one
        given |= {p.name: few for p in task.parameters if (few := SHORT.get(p.name))} | given
    for parameter in task.parameters:
        if parameter.type is ImageFile and (parameter.required or parameter.name in given):
            given[parameter.name] = given.get(parameter.name, picture)
        elif parameter.required and parameter.name not in given:
            if parameter.arg.example is None:
                return None
            given[parameter.name] = parameter.arg.example
    return given


def docs(args: argparse.Namespace) -> None:
    """Writes the document."""
    args.out.write_text(document(), encoding="utf-8")
    print(args.out)


def document() -> str:
    from gan_zoo import registry

    parts = [HEAD]
    for plugin in registry.discover().plugins.values():
        parts.append(f"## {plugin.title.en}\n\n{plugin.summary.en}\n")
        parts += (_section(plugin, task) for task in plugin.tasks().values())
    return "\n".join(parts)


def _section(plugin: Plugin, task: Task) -> str:
    from gan_zoo.plugin import ImageFile

    name = f"{plugin.slug}_{task.name}"
    rows = [f"| `{p.name}` | {_kind(p)} | {_default(p)} | {_told(p)} |" for p in task.parameters]
    if task.needs_weights:
        presets = ", ".join(f"`{preset.name}`" for preset in plugin.presets)
        rows.append(f"| `preset` | {presets} | `{plugin.preset().name if plugin.presets else ''}` | trained weights |")
    results = ", ".join(f"`{output}` ({_result(kind)})" for output, kind in task.outputs.items())
    lines = [
        f"### `/{name}`\n", f"{task.title.en}. {task.summary.en}\n", "| argument | what | default | |",
        "|---|---|---|---|", *rows, f"\nGives {results}{', again and again: a stream' if task.streams else ''}.\n",
    ]  # fmt: skip
    arguments = arguments_of(plugin, task, PICTURE)
    if arguments is not None:
        pictures = [p.name for p in task.parameters if p.type is ImageFile and p.name in arguments]
        lines += _calls(name, arguments, pictures)
    return "\n".join(lines)


def _calls(name: str, arguments: dict[str, Any], pictures: list[str]) -> Iterator[str]:
    shown = {key: PICTURE if key in pictures else value for key, value in arguments.items()}
    python = [f"{k}=handle_file({v!r})" if k in pictures else f"{k}={v!r}" for k, v in shown.items()]
    python.append(f'api_name="/{name}"')
    said = {k: json.dumps(v, ensure_ascii=False) for k, v in shown.items()}
    script = ", ".join(f"{k}: handle_file({v})" if k in pictures else f"{k}: {v}" for k, v in said.items())
    body = json.dumps({k: "\0" if k in pictures else v for k, v in shown.items()}, ensure_ascii=False)
    file = f"""{{"path": "'$(up {PICTURE})'", "meta": {{"_type": "gradio.FileData"}}}}"""
    yield "```python"
    yield f"from gradio_client import Client{', handle_file' if pictures else ''}\n"
    yield f'result = Client("{SITE}").predict({", ".join(python)})'
    yield "```\n\n```javascript"
    yield f'import {{ Client{", handle_file" if pictures else ""} }} from "@gradio/client";\n'
    yield f'const app = await Client.connect("{SITE}");'
    yield f'const result = await app.predict("/{name}", {f"{{ {script} }}" if script else "{}"});'
    yield "```\n\n```bash"
    yield f"ask {name} '{body.replace(json.dumps(chr(0)), file)}'"
    yield "```\n"


def _kind(parameter: Parameter) -> str:
    from gan_zoo.plugin import ImageFile, Json

    if parameter.choices is not None:
        return ", ".join(f"`{choice}`" for choice in parameter.choices)
    if parameter.type is ImageFile:
        return "a picture, uploaded"
    name = {int: "whole number", float: "number", bool: "true or false", str: "text", Json: "JSON"}[parameter.type]
    low, high = parameter.arg.minimum, parameter.maximum("page")
    return name if low is None or high is None else f"{name}, {low:g} to {high:.10g}"


def _default(parameter: Parameter) -> str:
    return "required" if parameter.required else f"`{json.dumps(parameter.default, ensure_ascii=False)}`"


def _told(parameter: Parameter) -> str:
    return f"{parameter.arg.label.en}. {parameter.arg.info.en if parameter.arg.info else ''}".strip().replace(
        "|", "\\|"
    )


def _result(kind: Any) -> str:
    from PIL import Image

    from gan_zoo.plugin import Film

    names = {Image.Image: "picture", list[Image.Image]: "pictures", Film: "film", dict: "JSON", str: "text"}
    return next(name for known, name in names.items() if known == kind)


def boot(args: argparse.Namespace) -> int:
    """Asks a running page for its health, opens it, and calls each of its endpoints once."""
    import httpx
    from gradio_client import Client, handle_file
    from PIL import Image

    from gan_zoo import registry
    from gan_zoo.plugin import ImageFile

    site, failed = args.url.rstrip("/"), 0
    try:
        for path in ("/health", "/"):
            httpx.get(site + path, timeout=args.seconds, follow_redirects=True).raise_for_status()
    except httpx.HTTPError as error:
        raise ValueError(f"{site}: {error}") from None
    client = Client(site, verbose=False, httpx_kwargs={"timeout": args.seconds})
    known = client.view_api(return_format="dict", print_info=False)["named_endpoints"]  # pyright: ignore
    plugins = registry.discover().plugins.values()
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / PICTURE
        Image.linear_gradient("L").convert("RGB").resize((128, 128)).save(picture)
        for plugin, task in [(each, task) for each in plugins for task in each.tasks().values()]:
            name, arguments = f"/{plugin.slug}_{task.name}", arguments_of(plugin, task, str(picture))
            try:
                if name not in known:
                    raise ValueError("the page has no such endpoint")
                if arguments is None:
                    print(f"skip  {name}: it has no example")
                    continue
                files = {p.name for p in task.parameters if p.type is ImageFile}
                sent: dict[str, Any] = {
                    k: handle_file(value) if k in files else value for k, value in arguments.items()
                }
                client.submit(**sent, api_name=name).result(timeout=args.seconds)
                print(f"ok    {name}", flush=True)
            except Exception as error:  # of many kinds; the others are asked all the same
                failed += 1
                print(f"FAIL  {name}: {error}", file=sys.stderr)
    return 2 if failed else 0
