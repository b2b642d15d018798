"""What strangers tried and must not succeed in: each was seen to do harm once. A server of its own, over loopback."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import httpx
import page_server
import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from gan_zoo import checkpoints, data, gate
from gan_zoo.__main__ import main
from gan_zoo.ui import calls

API = "gradio_api"
ROOT = Path(__file__).resolve().parents[1]


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
    assert answer.status_code == (404 if route[:3] in ("run", "api") else 413)


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


FILE = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    ("route", "body", "status", "line"),
    [
        ("call/v2/mirror_noise", {"sed": 7}, 422, "mirror_noise has no argument 'sed'; it takes seed, count, preset"),
        ("call/v2/mirror_noise", [7], 422, "expected a JSON object"),
        ("call/v2/mirror_noise", {"seed": FILE}, 422, "seed: expected no file"),
        ("call/mirror_noise", {"data": [FILE, 2, "glass"]}, 422, "seed: expected no file"),
        ("call/mirror_noise", {"data": [7]}, 422, "data: expected a list of 3 values (seed, count, preset), got 1"),
        ("call/mirror_noise", {"dat": [7]}, 422, "data: expected a list of 3 values (seed, count, preset), got none"),
        ("call/v2/mirror_nose", {}, 404, "there is no endpoint 'mirror_nose'; there are: "),
        ("call/mirror_nose", {"data": []}, 404, "there is no endpoint 'mirror_nose'; there are: "),
        ("run/predict", {"data": [], "fn_index": 5}, 404, "not used here"),
        ("api/mirror_noise", {"data": [], "fn_index": 5}, 404, "not used here"),
        ("queue/join", {"data": [], "fn_index": 10**6, "session_hash": "a"}, 404, "fn_index: there is no function"),
        ("queue/join", {"data": [], "fn_index": True, "session_hash": "a"}, 404, "fn_index: there is no function"),
    ],
)
def test_ordinary_mistakes_get_one_line(site, route, body, status, line):
    answer = httpx.post(f"{site}{API}/{route}", json=body, timeout=60)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(line)


def test_the_page_s_own_functions_take_what_they_take(site):
    number = next(iter(gate.endpoints_of(page_server.blocks()).numbered))
    body = {"data": [1] * 99, "fn_index": number, "session_hash": "a"}
    answer = httpx.post(f"{site}{API}/queue/join", json=body, timeout=60)
    assert (answer.status_code, answer.json()["detail"].startswith("data: expected a list of")) == (422, True)


def test_what_nobody_foresaw_is_told_in_one_line_too():
    async def full(scope, receive, send):
        raise OSError(errno.ENOSPC, "No space left on device", "/srv/secret")

    async def broken(scope, receive, send):
        raise RuntimeError("secret")

    answers = [TestClient(gate.Gate(app, lambda: "")).post("/gradio_api/upload") for app in (full, broken)]
    assert [(answer.status_code, answer.json()["detail"]) for answer in answers] == [
        (507, "the server's disk is full: try again later"),
        (500, "something went wrong on the server; its log has the details"),
    ]


def test_errors_of_the_queue_are_lines_as_well(site):
    """Gradio's own check of a picture's path fails outside of any task."""
    picture = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    event = httpx.post(f"{site}{API}/call/v2/mirror_measure", json={"image": picture}, timeout=60).json()["event_id"]
    told = httpx.get(f"{site}{API}/call/mirror_measure/{event}", timeout=60).text
    assert '"error": null' not in told and '"error": "' in told


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc", b"POST /health HTTP/1.1\r\n"])
def test_connections_that_send_no_request_are_closed(site, sent, monkeypatch):
    monkeypatch.setattr(gate, "PATIENCE", 0.3)
    address = urlsplit(site)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(sent)
        assert connection.recv(1) == b""


def test_a_body_that_does_not_come_ends_the_request(site, monkeypatch):
    monkeypatch.setattr(gate, "PATIENCE", 0.3)
    address = urlsplit(site)
    head = f"POST /{API}/call/v2/mirror_echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{"
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(head.encode())
        assert b"200" not in connection.recv(100)


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


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from toy import Toy
options = {"batch_size": 4, "checkpoint_every": 2, "evaluate_count": 0, "trackers": ""}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
Toy().train(out="run", steps=2, **options)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
try:
    Toy().train(out="run", resume=True, steps=6, **options)
except OSError as error:
    print("told:", error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("left:", *sorted(path.name for path in Path("run/checkpoints").iterdir()))
Toy().train(out="run", resume=True, steps=6, **options)
"""


def test_a_full_disk_ends_a_run_in_one_line_and_it_resumes(tmp_path):
    """Files are bounded to 3,000 bytes, so that the system itself refuses to write a checkpoint."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(ROOT)])}
    command = [sys.executable, "-c", FULL_DISK]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert "told: the checkpoint step-00000004 could not be written (File too large): make room" in done.stdout
    assert "left: step-00000002 step-00000002-end\n" in done.stdout
    assert "all steps done: step 6" in done.stdout


def test_weights_that_are_not_numbers_are_never_saved_over_good_ones(tmp_path):
    from toy import Toy

    class Diverging(Toy):
        wrong = True

        def generator_loss(self, nets, batch, fakes, step):
            losses = super().generator_loss(nets, batch, fakes, step)
            if self.wrong and step.index == 4:
                losses.terms["adversarial"] = losses.terms["adversarial"] * float("nan")
            return losses

    options: dict[str, Any] = {"batch_size": 4, "checkpoint_every": 2, "evaluate_count": 0, "trackers": ""}
    plugin = Diverging()
    with pytest.raises(FloatingPointError, match="a weight of 'generator' is not finite at step 6: lower the learning"):
        plugin.train(out=tmp_path / "run", steps=8, log_every=50, **options)
    assert [path.name for path in checkpoints.whole(tmp_path / "run")][-1] == "step-00000004"
    plugin.wrong = False
    weights = plugin.train(out=tmp_path / "run", resume=True, steps=8, lr_g=1e-5, **options)
    assert all(p.isfinite().all() for p in plugin.load(str(weights)).generator.parameters())


@pytest.mark.parametrize("content", [b"[]", b"7", b"{", b'{"config": 3}', b"[" * 100_000])
def test_a_damaged_run_is_refused_in_one_line(tmp_path, content, capsys):
    from gan_zoo.cli.train import main as train

    (tmp_path / "run.json").write_bytes(content)
    assert train(["anime", "--resume", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "is damaged: expected a JSON object" in error and error.count("\n") == 1


def test_a_cell_without_a_picture_is_named(tmp_path):
    from datasets import Dataset

    cells = [{"bytes": None, "path": None}]
    Dataset.from_dict({"image": cells * 3}).to_parquet(tmp_path / "holes.parquet")
    with pytest.raises(data.DataError, match="row 0: no picture in column image"):
        data.images_to_tensor(data.load(tmp_path / "holes.parquet", split="all"), 8)


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


@pytest.mark.parametrize("prefix", ["/zoo", "https://example.com/zoo/"])
def test_a_proxy_that_keeps_the_prefix_is_understood(
    prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """GRADIO_ROOT_PATH: uploads are uploads, and what is closed stays closed."""
    monkeypatch.setenv("GRADIO_ROOT_PATH", prefix)
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        while (await receive()).get("more_body"):
            pass
        await PlainTextResponse("[]")(scope, receive, send)

    client = TestClient(gate.Gate(app, lambda: str(tmp_path)))
    assert (
        client.post("/zoo/gradio_api/upload", content=b"x" * 2_000_000).status_code == 200
    )  # more than a call may have
    assert seen == ["/zoo/gradio_api/upload"]
    assert client.get("/zoo/health").json() == {"alive": True}
    assert client.post("/zoo/gradio_api/run/generate", json={}).status_code == 404


def test_functions_of_the_page_itself_take_names_of_presets_alone(site):
    """What fills a menu when a preset is chosen is asked by the page, but anyone may ask it: not for a folder."""
    folder = str(page_server.SHIPPED / "anime" / "tagged")
    asking = {i: fn for i, fn in page_server.blocks().fns.items() if fn.name in ("known", "search", "choose")}
    assert {fn.name for fn in asking.values()} == {"known", "search", "choose"}
    person = str(next((ROOT / "gan_zoo/plugins/pose/people").glob("*.png")))
    for index, fn in asking.items():
        given = [folder] if fn.name == "known" else [None, folder, "1, 1"][: len(fn.inputs)]
        session = f"folder{index}"
        body = {"data": given, "fn_index": index, "session_hash": session}
        assert httpx.post(f"{site}{API}/queue/join", json=body, timeout=60).status_code == 200
        told = httpx.get(f"{site}{API}/queue/data", params={"session_hash": session}, timeout=60).text
        assert "process_completed" in told and "Traceback" not in told
    for plugin in calls.plugins.values():
        assert folder not in plugin._pipelines, f"{plugin.slug} loaded a stranger's folder"
    with pytest.raises(gr.Error, match="has no preset"):
        calls.infer("pose", "estimate", folder, {"image": person})
