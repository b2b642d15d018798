"""docs/endpoints.md is what the page serves, and each of its calls works against a page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import page_server
import pytest
from PIL import Image

import gan_zoo
from gan_zoo import registry
from gan_zoo.__main__ import main
from gan_zoo.cli import calls

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "endpoints.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"### `/(\w+)`\n(.*?)(?=\n##|\Z)", DOCUMENT, re.S))
HEAD = re.findall(r"```bash\n(.*?)```", DOCUMENT, re.S)[0]


def test_the_document_is_what_the_page_serves() -> None:
    """Write it anew: make docs."""
    assert calls.document() == DOCUMENT
    tasks = {f"{p.slug}_{t}" for p in registry.discover().plugins.values() for t in p.tasks()}
    assert set(SECTIONS) == tasks


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    person = next((ROOT / "gan_zoo/plugins/pose/people").glob("*.png"))
    Image.open(person).convert("RGB").save(calls.PICTURE)
    return page_server.serve().rstrip("/")


def code(name: str, language: str, site: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[name], re.S)[0].replace(calls.SITE, site)


@pytest.mark.parametrize("name", SECTIONS)
def test_the_calls_of_python(name: str, site: str) -> None:
    scope: dict[str, Any] = {}
    exec(compile(code(name, "python", site), name, "exec"), scope)
    assert scope["result"] is not None


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="there is no curl")
@pytest.mark.parametrize("name", SECTIONS)
def test_the_calls_of_the_shell(name: str, site: str) -> None:
    script = HEAD.replace(calls.SITE, site) + code(name, "bash", site)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=240)
    events = [line for line in done.stdout.splitlines() if line.startswith("event: ")]
    assert events and events[-1] == "event: complete", done.stdout[-1000:] + done.stderr[-1000:]
    data = [line.removeprefix("data: ") for line in done.stdout.splitlines() if line.startswith("data: ")]
    assert json.loads(data[-1])


NODE = shutil.which("node")
CLIENT = NODE and subprocess.run([NODE, "-e", "require.resolve('@gradio/client')"], capture_output=True, cwd=ROOT)


@pytest.mark.skipif(not CLIENT or CLIENT.returncode != 0, reason="node does not find @gradio/client")
@pytest.mark.parametrize("name", SECTIONS)
def test_the_calls_of_javascript(name: str, site: str, tmp_path: Path) -> None:
    (tmp_path / "call.mjs").write_text(code(name, "javascript", site) + "\nprocess.exit(result.data ? 0 : 1);\n")
    assert subprocess.run([str(NODE), "call.mjs"], capture_output=True, timeout=240).returncode == 0


def test_boot_calls_every_endpoint_and_tells_what_fails(
    site: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = registry.get("colorize")
    monkeypatch.setattr(registry, "discover", lambda: registry.Registry({"colorize": plugin}))
    assert main(["boot", site]) == 0
    assert capsys.readouterr().out.split() == ["ok", "/colorize_paint", "ok", "/colorize_extract"]
    monkeypatch.setattr(type(plugin), "slug", "crayon")
    assert main(["boot", site]) == 2
    assert "FAIL  /crayon_paint: the page has no such endpoint" in capsys.readouterr().err
    assert main(["boot", "http://127.0.0.1:9"]) == 2
    assert "http://127.0.0.1:9: " in capsys.readouterr().err


def test_openapi_tells_of_this_api(site: str) -> None:
    told = json.loads(urllib.request.urlopen(f"{site}/gradio_api/openapi.json").read())
    assert told["info"]["version"] == gan_zoo.__version__
    assert {path.rsplit("/", 1)[-1] for path in told["paths"]} >= set(SECTIONS)
