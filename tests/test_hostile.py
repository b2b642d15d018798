"""What strangers tried and must not succeed in: each was seen to do harm once. A server of its own, over loopback."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import httpx
import page_server
import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from gan_zoo import checkpoints, gate
from gan_zoo.__main__ import main

API = "gradio_api"


@pytest.fixture(scope="module")
def site() -> str:
    return page_server.serve()


def call(site: str) -> int:
    """An honest call; its status once it is answered."""
    answer = httpx.post(f"{site}{API}/call/v2/mirror_echo", json={"words": "hello"}, timeout=60)
    if answer.status_code != 200:
        return answer.status_code
    event = answer.json()["event_id"]
    return httpx.get(f"{site}{API}/call/mirror_echo/{event}", timeout=60).status_code


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "../../etc", "a\nb", "\ud800", 7, ["a"], {"a": 1}])
@pytest.mark.parametrize("route", ["queue/join", "call/mirror_echo"])
def test_session_names_that_end_the_queue_are_refused(site, route, name):
    body = {"data": ["x"], "fn_index": 0, "session_hash": name}
    answer = httpx.post(f"{site}{API}/{route}", content=json.dumps(body), timeout=60)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("session_hash: expected 1 to 64")


def test_escapes_do_not_hide_a_session_name(site):
    body = '{"data": ["x"], "fn_index": 0, "session\\u005fhash": ""}'
    assert httpx.post(f"{site}{API}/queue/join", content=body, timeout=60).status_code == 422


def test_the_queue_survives_an_event_that_cannot_be_read(site):
    class Unreadable:
        queue = (None,)  # has a length, and nothing else that Gradio asks of it

    queue = page_server.blocks()._queue
    queue.event_queue_per_concurrency_id["unreadable"] = Unreadable()  # type: ignore[assignment]
    time.sleep(0.3)
    del queue.event_queue_per_concurrency_id["unreadable"]
    assert not queue.stopped
    assert call(site) == 200


def test_health_tells_a_stopped_queue(site):
    assert httpx.get(f"{site}health").json() == {"alive": True}
    stopped = TestClient(gate.Gate(PlainTextResponse("page"), lambda: "", alive=lambda: False))
    assert (stopped.get("/health").status_code, stopped.get("/health").json()) == (503, {"alive": False})
    assert stopped.get("/").text == "page"


@pytest.mark.parametrize("route", ["call/upload", "run/upload", "api/upload", "queue/join/upload"])
def test_only_uploads_may_be_large(site, route):
    answer = httpx.post(f"{site}{API}/{route}", content=b"x" * (gate.MAX_REQUEST + 1), timeout=60)
    assert answer.status_code == 413


def test_recordings_are_not_taken(site):
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    before = gate.usage(str(folder))
    answer = httpx.post(f"{site}{API}/process_recording", files={"file": ("a.webm", b"x" * 1000)}, timeout=60)
    assert answer.status_code == 404
    assert gate.usage(str(folder)) == before


def test_many_tiny_files_are_counted(site, monkeypatch):
    folder = os.environ["GRADIO_TEMP_DIR"]
    monkeypatch.setattr(gate, "MAX_FILES", gate.usage(folder)[1] + 1)
    assert httpx.post(f"{site}{API}/upload", files={"files": ("a.png", b"1")}, timeout=60).status_code == 200
    answer = httpx.post(f"{site}{API}/upload", files={"files": ("b.png", b"2")}, timeout=60)
    assert answer.status_code == 413 and "all uploads" in answer.text


def test_refused_uploads_do_not_count(site, monkeypatch):
    """A hundred refused uploads once blocked everybody for an hour."""
    for _ in range(5):
        assert httpx.post(f"{site}{API}/upload", files={"files": ("a.png", bytes(21_000_000))}, timeout=60).is_error
    monkeypatch.setattr(gate, "MAX_UPLOADS", gate.usage(os.environ["GRADIO_TEMP_DIR"])[0] + 1_000_000)
    assert httpx.post(f"{site}{API}/upload", files={"files": ("a.png", bytes(1000))}, timeout=60).status_code == 200


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_a_page_of_this_machine_answers_to_its_own_names_only(site, headers):
    assert httpx.get(site, headers=headers).status_code == 403
    assert httpx.post(f"{site}{API}/mcp/", headers=headers, json={}).status_code == 403
    assert httpx.get(site).status_code == 200


def test_other_hosts_by_a_setting(monkeypatch):
    assert gate.allowed_hosts("127.0.0.1") == gate.LOCAL
    assert gate.allowed_hosts("0.0.0.0") is None
    monkeypatch.setenv("GAN_ZOO_HOSTS", "zoo.example, Other.example")
    assert gate.allowed_hosts("127.0.0.1") == (*gate.LOCAL, "zoo.example", "other.example")
    monkeypatch.setenv("GAN_ZOO_HOSTS", "*")
    assert gate.allowed_hosts("127.0.0.1") is None


# -- training and the command line ------------------------------------------------------------------------------------


def test_a_damaged_checkpoint_is_passed_over_in_one_line(tmp_path, capsys):
    from toy import Toy

    options: dict[str, Any] = {"batch_size": 4, "checkpoint_every": 2, "evaluate_count": 0, "trackers": ""}
    Toy().train(out=tmp_path / "run", steps=4, **options)
    newest = checkpoints.whole(tmp_path / "run")[-1]
    data = bytearray((newest / "common.pt").read_bytes())
    data[len(data) // 2] ^= 1  # one flipped bit
    (newest / "common.pt").write_bytes(data)
    (tmp_path / "run" / "checkpoints" / "step-99999999").mkdir()  # a stray folder
    capsys.readouterr()
    Toy().train(out=tmp_path / "run", resume=True, steps=6, **options)
    assert f"{newest.name} is damaged (common.pt): going on with the one before" in capsys.readouterr().out
    for path in checkpoints.whole(tmp_path / "run"):
        (path / "common.pt").write_bytes(b"")
    with pytest.raises(ValueError, match="all of its checkpoints are damaged"):
        checkpoints.latest(tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new", "losses"], "the zoo has a module or argument of that name"),
        (["new", "image"], "the zoo has a module or argument of that name"),
        (["new", "data_of_mine"], "exists already"),
        (["app", "--port", "70000"], "--port: expected 1 to 65535, got 70000"),
        (["app", "--host", "192.0.2.1"], "the page cannot be opened on 192.0.2.1"),
    ],
)
def test_the_command_line_refuses_in_one_line_and_overwrites_nothing(arguments, message, capsys):
    mine = Path(__file__).with_name("test_data_of_mine.py")
    mine.write_text("# mine\n")
    try:
        assert main(arguments) == 2
        assert mine.read_text() == "# mine\n"
    finally:
        mine.unlink()
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
