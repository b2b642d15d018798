"""Many callers at once, over loopback: another caller is another `X-Forwarded-For`, as a proxy of this machine says."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import page_server
import pytest

from gan_zoo import crowd, gate
from gan_zoo.ui import calls

API = "gradio_api"


@pytest.fixture(scope="module")
def site() -> str:
    return page_server.serve()


@pytest.fixture
def brooding(site: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One call occupies the plugin `mirror` for a while, so that others wait."""
    monkeypatch.setattr(calls, "CALL_SECONDS", 3)
    until(lambda: waiting() == 0)
    ask(site, "10.0.0.9", "brood", {"words": "x"})
    until(lambda: waiting() == 0)
    yield
    until(lambda: waiting() == 0 and not any(page_server.blocks()._queue.active_jobs))


def ask(site: str, address: str, task: str, arguments: dict) -> httpx.Response:
    headers = {"X-Forwarded-For": address}
    return httpx.post(f"{site}{API}/call/v2/mirror_{task}", json=arguments, headers=headers, timeout=60)


def waiting() -> int:
    return len(page_server.blocks()._queue)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_caller_does_not_lock_out_the_others(site, brooding):
    answers = [ask(site, "10.0.0.1", "echo", {"words": "x"}) for _ in range(crowd.EACH + 3)]
    assert [answer.status_code for answer in answers] == [200] * crowd.EACH + [429] * 3
    assert answers[-1].json()["detail"] == f"{crowd.EACH} of your calls are waiting: let them finish first"
    fair = ask(site, "10.0.0.2", "echo", {"words": "fair"})
    assert fair.status_code == 200
    order = [
        crowd.caller(event.request.scope)
        for event in page_server.blocks()._queue.event_queue_per_concurrency_id["mirror"].queue
    ]
    assert order[:2] == ["10.0.0.1", "10.0.0.2"], "everybody's first call comes before anybody's second"
    told = httpx.get(f"{site}{API}/call/mirror_echo/{fair.json()['event_id']}", timeout=60).text
    assert "fair" in told


def test_a_plugin_that_is_full_leaves_the_others_open(site, brooding, monkeypatch):
    monkeypatch.setattr(crowd, "SHARE", 2)
    answers = [ask(site, f"10.0.1.{i}", "echo", {"words": "x"}).status_code for i in range(3)]
    assert answers == [200, 200, 503]
    other = httpx.post(f"{site}{API}/call/v2/shutter_echo", json={"words": "open"}, timeout=60)
    told = httpx.get(f"{site}{API}/call/shutter_echo/{other.json()['event_id']}", timeout=60).text
    assert "open" in told


def test_calls_whose_caller_is_gone_are_never_computed(site, brooding, monkeypatch):
    monkeypatch.setattr(crowd, "GONE", 0.2)
    made: list[str] = []
    monkeypatch.setattr(page_server.Mirror, "echo", lambda self, pipeline, *, words: made.append(words) or words)
    assert ask(site, "10.0.2.1", "echo", {"words": "left"}).status_code == 200
    until(lambda: waiting() == 0)
    assert made == []


def test_turns_are_taken_by_caller():
    def event(address: str, when: float) -> SimpleNamespace:
        scope = {"client": (address, 1), "headers": []}
        return SimpleNamespace(request=SimpleNamespace(scope=scope), enqueue_time=when, name=f"{address}{when:g}")

    events = [event("a", 1), event("a", 2), event("a", 3), event("b", 4), event("c", 5), event("b", 6)]
    assert [each.name for each in crowd.in_turn(events)] == ["a1", "b4", "c5", "a2", "b6", "a3"]


def test_uploads_are_counted_by_caller(site, monkeypatch):
    monkeypatch.setattr(gate, "FILES_EACH", 3)

    def upload(address: str) -> httpx.Response:
        files = [("files", (f"{i}.png", b"x")) for i in range(2)]
        headers = {"X-Forwarded-For": address}
        return httpx.post(f"{site}{API}/upload", files=files, headers=headers, timeout=60)

    assert [upload("10.0.3.1").status_code for _ in range(3)] == [200, 200, 429]
    assert upload("10.0.3.2").status_code == 200


def test_half_a_body_is_told_so(site, monkeypatch):
    monkeypatch.setattr(gate, "PATIENCE", 0.3)
    address = urlsplit(site)
    head = f"POST /{API}/call/v2/mirror_echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{"
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(head.encode())
        answer = b""
        while b"}" not in answer and (part := connection.recv(1000)):
            answer += part
    assert b"408" in answer.splitlines()[0] and b"did not come" in answer


def test_only_what_was_made_to_skip_the_queue_skips_it(site):
    """A click on an example does; no endpoint, and none of the page's other functions."""
    known = gate.endpoints_of(page_server.blocks())
    assert known.at_once, "the page offers examples"
    for number in known.numbered:
        body = {"data": [], "fn_index": number, "session_hash": "a"}
        answer = httpx.post(f"{site}{API}/run/predict", json=body, timeout=60)
        assert answer.status_code == (422 if number in known.at_once else 404)


def test_a_call_that_is_dropped_takes_no_other_of_its_session_with_it(monkeypatch):
    monkeypatch.setattr(crowd, "GONE", 0)
    left, heard = (SimpleNamespace(_id=name, session_hash="s", enqueue_time=0.0) for name in ("left", "heard"))
    line = SimpleNamespace(queue=[left, heard])
    queue = SimpleNamespace(
        push=None,
        get_events=lambda: list(line.queue),
        event_queue_per_concurrency_id={"one": line},
        event_ids_to_events={"left": left, "heard": heard},
        pending_event_ids_session={"s": {"left", "heard"}},
    )
    many = crowd.Crowd()
    many.guard(queue)
    with many.listens("heard"):
        assert queue.get_events() == [heard]
        assert queue.event_ids_to_events == {"heard": heard}
        assert queue.pending_event_ids_session == {"s": {"heard"}}
    assert queue.get_events() == []
    assert queue.pending_event_ids_session == {}
