"""The API as callers meet it: gradio_client against a real server, for every task of every plugin there is.

The names and parameters are a promise. After a wanted change: GAN_ZOO_UPDATE_SNAPSHOT=1 pytest tests/test_api.py
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import httpx
import numpy as np
import page_server
import pytest
import torch
from gradio.route_utils import delete_files_created_by_app
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError
from PIL import Image

from gan_zoo import gate, registry, ui
from gan_zoo.plugin import Task, Text
from gan_zoo.ui import calls
from gan_zoo.ui.page import QUEUE_LENGTH
from gan_zoo.ui.words import both

SNAPSHOT = Path(__file__).with_name("api_snapshot.json")
PLUGINS = registry.discover().plugins
TASKS = [(plugin.slug, task) for plugin in PLUGINS.values() for task in plugin.tasks().values()]
USABLE = [  # what has just been begun has no weights yet
    (slug, task) for slug, task in TASKS if PLUGINS[slug].presets or not task.needs_weights
]
SEEDED = [(slug, task) for slug, task in USABLE if {"seed", "count"} <= {p.name for p in task.parameters}]


def endpoint(value: Any) -> str:
    return f"/{value[0]}_{value[1].name}" if isinstance(value, tuple) else str(value)


@pytest.fixture(scope="module")
def client() -> Client:
    return Client(page_server.serve(), verbose=False)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def pictures(gallery: list[dict[str, Any]]) -> list[np.ndarray]:
    return [np.asarray(Image.open(item["image"])).astype(int) for item in gallery]


def refused(client: Client, api_name: str, **arguments: Any) -> str:
    with pytest.raises(AppError) as caught:
        client.predict(api_name=api_name, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


# -- the promise ------------------------------------------------------------------------------------------------------


def test_names_and_parameters_are_as_promised(client: Client) -> None:
    found = client.view_api(return_format="dict", print_info=False)
    assert isinstance(found, dict)
    assert found["unnamed_endpoints"] == {}
    promise = {}
    for name, info in found["named_endpoints"].items():
        if not name.startswith(("/mirror_", "/shutter_")):
            defaults = {
                p["parameter_name"]: p["parameter_default"] if p["parameter_has_default"] else "(required)"
                for p in info["parameters"]
            }
            promise[name] = {"parameters": defaults, "returns": [r["component"] for r in info["returns"]]}
    if os.environ.get("GAN_ZOO_UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(promise, indent=2) + "\n", encoding="utf-8")
    promised = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    fresh = [slug for slug, plugin in PLUGINS.items() if not plugin.presets]  # begun, and promised to nobody yet
    for name in promise.keys() - promised.keys():
        assert name[1:].split("_")[0] in fresh or any(name.startswith(f"/{slug}_") for slug in fresh), name
    assert {name: promise.get(name) for name in promised} == promised


@pytest.mark.parametrize("case", TASKS, ids=endpoint)
def test_endpoint_has_the_task_s_arguments(client: Client, case: tuple[str, Task]) -> None:
    slug, task = case
    info: Any = client.view_api(return_format="dict", print_info=False)
    parameters = {p["parameter_name"]: p for p in info["named_endpoints"][f"/{slug}_{task.name}"]["parameters"]}
    default = PLUGINS[slug].default_preset
    picks = task.needs_weights and default is not None
    assert list(parameters) == [*(p.name for p in task.parameters), *(["preset"] if picks else [])]
    for p in task.parameters:
        assert parameters[p.name]["parameter_has_default"] == (not p.required)
        if not p.required:
            assert parameters[p.name]["parameter_default"] == p.default
    if picks and default is not None:
        assert parameters["preset"]["parameter_default"] == default.name


def test_snippets_name_no_picture_elsewhere_and_no_nonsense(client: Client) -> None:
    """What the API page writes into its snippets: a file of the caller's, an example of the task's, or the default."""
    found: Any = client.view_api(return_format="dict", print_info=False)
    for name, about in found["named_endpoints"].items():
        for parameter in about["parameters"]:
            shown = json.dumps(parameter["example_input"])
            assert "http" not in shown, (name, parameter["parameter_name"], shown)
            needed = not parameter["parameter_has_default"] and not name.startswith(("/mirror", "/shutter"))
            assert not (needed and "Hello" in shown), (name, parameter["parameter_name"], shown)


def test_mcp_tells_what_the_tools_do(client: Client) -> None:
    schema = httpx.get(f"{client.src}gradio_api/mcp/schema").json()
    tools = {tool["name"]: tool for tool in schema}
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]  # pyright: ignore
    assert {f"/{name}" for name in tools} == set(endpoints)
    assert "Left becomes right" in tools["mirror_flip"]["description"]
    assert "Words" in tools["mirror_echo"]["inputSchema"]["properties"]["words"]["description"]


# -- use --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SEEDED, ids=endpoint)
def test_same_seed_same_pictures_whatever_the_count(client: Client, case: tuple[str, Task]) -> None:
    name = f"/{case[0]}_{case[1].name}"
    two = pictures(client.predict(seed=7, count=2, api_name=name))
    three = pictures(client.predict(seed=7, count=3, api_name=name))
    shifted = pictures(client.predict(seed=8, count=1, api_name=name))
    assert [len(two), len(three), len(shifted)] == [2, 3, 1]
    for a, b in zip(two, three, strict=False):
        assert np.abs(a - b).max() <= 1
    assert np.abs(three[1] - shifted[0]).max() <= 1
    assert np.abs(three[0] - three[1]).max() > 1


@pytest.mark.parametrize(
    "case", [case for case in USABLE if not any(p.required for p in case[1].parameters)], ids=endpoint
)
def test_defaults_work(client: Client, case: tuple[str, Task]) -> None:
    assert client.predict(api_name=f"/{case[0]}_{case[1].name}")


def test_every_kind_of_argument_and_result(client: Client, photo: Path) -> None:
    original = Image.open(photo)
    picture = handle_file(str(photo))
    flipped = client.predict(image=picture, axis="y", api_name="/mirror_flip")
    assert flipped.endswith(".png")
    assert np.array_equal(np.asarray(Image.open(flipped)), np.asarray(original)[::-1])
    negative = client.predict(image=picture, negative=True, strength=1, api_name="/mirror_flip")
    assert np.array_equal(np.asarray(Image.open(negative)), 255 - np.asarray(original)[:, ::-1])
    assert client.predict(words="¿qué?", api_name="/mirror_echo") == "¿qué?"
    film = client.predict(api_name="/mirror_fade")
    assert b"ftyp" in Path(film).read_bytes()[:16]


def test_a_task_that_streams_shows_what_it_has_so_far(client: Client) -> None:
    job = client.submit(moves=60, frames=4, api_name="/lab_run")
    job.result()
    looks = job.outputs()
    assert [state["step"] for _, _, state, _ in looks] == [0, 20, 40, 60]
    assert [film is not None for _, film, _, _ in looks] == [False, False, False, True]
    assert b"ftyp" in Path(looks[-1][1]).read_bytes()[:16]
    assert looks[-1][3]["moves"] == [["both", 60]]


def test_a_stream_ends_when_its_time_is_used_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "STREAM_SECONDS", 0.3)
    job = client.submit(moves=5000, frames=60, api_name="/lab_run")
    with pytest.raises(AppError, match="stopped after 0.3 seconds: ask for less"):
        job.result()
    assert len(job.outputs()) < 60


def test_a_stream_refuses_with_a_line(client: Client) -> None:
    assert "frames: expected a whole number from 2 to 60, got 1" in refused(client, "/lab_run", frames=1)
    message = refused(client, "/lab_film", run='{"rules": {"colour": 1}, "moves": []}')
    assert "'colour' is not part of a run" in message


def test_uploads_arrive_untouched(client: Client, tmp_path: Path) -> None:
    Image.new("RGBA", (8, 5), (1, 2, 3, 4)).save(tmp_path / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 5)).save(tmp_path / "turned.jpg", exif=exif)
    measure = [
        client.predict(image=handle_file(str(tmp_path / name)), api_name="/mirror_measure")
        for name in ("clear.png", "turned.jpg")
    ]
    assert measure == [{"size": [8, 5], "mode": "RGBA"}, {"size": [5, 8], "mode": "RGB"}]


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count: expected a whole number from 1 to 4, got 0"),
        ({"count": 5}, "count: expected a whole number from 1 to 4, got 5"),
        ({"count": 1e9}, "count: expected a whole number from 1 to 4, got 1000000000"),
        ({"count": 2.5}, "count: expected a whole number from 1 to 4, got 2.5"),
        ({"count": None}, "count: expected a whole number from 1 to 4, got None"),
        ({"count": [2]}, "count: expected a whole number from 1 to 4, got [2]"),
        ({"count": True}, "count: expected a whole number from 1 to 4, got True"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 4294967295, got -1"),
        ({"seed": "x"}, "seed: expected a whole number from 0 to 4294967295, got 'x'"),
        ({"preset": "gold"}, "mirror has no preset 'gold'; there are: lost, glass"),
        ({"preset": "../glass"}, "mirror has no preset '../glass'; there are: lost, glass"),
        ({"preset": "lost"}, "no weights of mirror/lost in weights/mirror/lost"),
    ],
    ids=str,
)
def test_bad_values_are_refused_with_what_was_expected(client: Client, arguments: dict[str, Any], message: str) -> None:
    assert message in refused(client, "/mirror_noise", **arguments)


@pytest.mark.parametrize("case", SEEDED, ids=endpoint)
def test_every_plugin_refuses_too_many(client: Client, case: tuple[str, Task]) -> None:
    name = f"/{case[0]}_{case[1].name}"
    assert "count: expected a whole number from 1 to" in refused(client, name, count=10**9)
    assert "seed: expected a whole number from 0 to 4294967295, got -1" in refused(client, name, seed=-1)
    assert "has no preset 'gold'" in refused(client, name, preset="gold")


def test_missing_weights_say_what_to_do_and_not_where_they_would_be(client: Client) -> None:
    message = refused(client, "/mirror_noise", preset="lost")
    for way in (
        "`python -m gan_zoo train mirror --out",
        "`python -m gan_zoo pull REPO_ID --out weights/mirror/lost`",
        "GAN_ZOO_",
    ):
        assert way in message
    assert os.environ["GAN_ZOO_WEIGHTS"] not in message


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/srv/zoo/w/a/b/gan_zoo.json is damaged", "weights/a/b/gan_zoo.json is damaged"),
        ("no weights in /home/ana/.cache/hub/models--x/gan_zoo.json, x", "no weights in gan_zoo.json, x"),
        ("ana/faces: https://hub.example/ana/faces/x cannot be reached", None),
        ("axis: 'z' is not one of x/y, /anime_generate", None),
    ],
)
def test_messages_hold_no_path_of_the_server(line: str, told: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_ZOO_WEIGHTS", "/srv/zoo/w")
    assert calls.without_paths(line) == (told or line)


def test_a_tab_of_its_own_keeps_all_endpoints(client: Client) -> None:
    found = client.view_api(return_format="dict", print_info=False)["named_endpoints"]  # pyright: ignore
    names = {name.removeprefix("/shutter_") for name in found if name.startswith("/shutter_")}
    assert names == set(page_server.Shutter.tasks())
    assert client.predict(words="hush", api_name="/shutter_echo") == "hush"
    assert len(client.predict(api_name="/shutter_noise")) == 2


def test_a_panel_is_placed_once() -> None:
    with gr.Blocks():
        page = ui.Page(page_server.Mirror({}), ui.Words())
        with pytest.raises(ValueError, match="place header"):
            page.panel("echo")
        page.header()
        page.panel("echo")
        with pytest.raises(ValueError, match="placed twice"):
            page.panel("echo")


def test_other_arguments_are_refused(client: Client, photo: Path) -> None:
    picture = handle_file(str(photo))
    assert "axis: 'z' is not one of x, y" in refused(client, "/mirror_flip", image=picture, axis="z")
    assert "negative: expected true or false, got 'no'" in refused(client, "/mirror_flip", image=picture, negative="no")
    assert "strength: expected a number from 0 to 1, got 2" in refused(
        client, "/mirror_flip", image=picture, strength=2
    )


def test_what_is_no_upload_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("not a picture")
    notes = handle_file(str(tmp_path / "notes.png"))
    assert "notes.png: not a picture; expected a picture" in refused(client, "/mirror_measure", image=notes)
    assert "image: expected a picture file, got None" in refused(client, "/mirror_measure", image=None)
    for path in (__file__, "/etc/hostname"):
        assert "expected a picture" in refused(client, "/mirror_measure", image=path)
        assert "expected a picture" in refused(client, "/mirror_measure", image={"path": path})
    assert "expected a picture" in refused(client, "/mirror_measure", image=3)
    for url in ("http://127.0.0.1:9/a.png", "https://example.org/a.png"):
        address = {"path": url, "meta": {"_type": "gradio.FileData"}}
        assert "expected an uploaded file, not an address" in refused(client, "/mirror_measure", image=address)


def test_files_of_the_server_are_not_read(client: Client) -> None:
    secret = {"path": __file__, "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(AppError):
        client.predict(image=secret, api_name="/mirror_measure")
    assert httpx.get(f"{client.src}gradio_api/file={Path(__file__).resolve()}").status_code in (403, 404)


def test_failures_tell_nothing_of_the_server(client: Client) -> None:
    message = refused(client, "/mirror_crash", words="x")
    assert "went wrong" in message
    assert "secret" not in message


def test_queue_cannot_be_skipped(client: Client) -> None:
    answer = httpx.post(f"{client.src}gradio_api/api/mirror_echo", json={"data": ["hello", "glass"]})
    assert answer.status_code in (401, 404)


# -- bounds of time ---------------------------------------------------------------------------------------------------


def test_calls_are_stopped_when_their_time_is_over(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.2)
    assert "stopped after 0.2 seconds" in refused(client, "/mirror_brood", words="x")


def test_time_limit_is_for_its_own_thread_and_ends() -> None:
    layer = torch.nn.Linear(2, 2)
    with calls.time_limit(-1):
        with pytest.raises(calls.TooLong):
            layer(torch.zeros(1, 2))
        other = threading.Thread(target=layer, args=(torch.zeros(1, 2),))
        failed: list[Any] = []
        threading.excepthook, before = failed.append, threading.excepthook
        other.start()
        other.join()
        threading.excepthook = before
        assert not failed
    layer(torch.zeros(1, 2))


# -- bounds of space --------------------------------------------------------------------------------------------------


def upload(client: Client, *sizes: int) -> httpx.Response:
    files = [("files", (f"{i}.png", os.urandom(16) + bytes(size - 16))) for i, size in enumerate(sizes)]
    return httpx.post(f"{client.src}gradio_api/upload", files=files, timeout=60)


def cached() -> set[Path]:
    return {path for path in Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*") if path.is_file()}


def test_a_file_is_bounded(client: Client) -> None:
    before = cached()
    answer = upload(client, 21_000_000)
    assert answer.status_code == 413
    assert "20000000 bytes" in answer.text
    assert cached() == before


def test_all_uploads_together_are_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """However they are cut into files and requests; what was refused leaves nothing on the disk."""
    before = cached()
    monkeypatch.setattr(gate, "MAX_UPLOADS", sum(path.stat().st_size for path in before) + 3_000_000)
    assert upload(client, 1000).status_code == 200
    before = cached()
    answer = upload(client, *[1_000_000] * 4)
    assert (answer.status_code, "all uploads" in answer.text) == (413, True)
    assert cached() == before


def test_a_broken_off_upload_leaves_nothing(client: Client) -> None:
    before = cached()
    server = urlsplit(client.src)
    head = "POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    part = '--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    with socket.create_connection((server.hostname, server.port)) as connection:
        connection.sendall((head + part).encode() + bytes(300_000))
        until(lambda: cached() != before)
    until(lambda: cached() == before)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_other_requests_are_bounded(client: Client) -> None:
    words = {"words": "x" * (gate.MAX_REQUEST + 1)}
    answer = httpx.post(f"{client.src}gradio_api/call/v2/mirror_echo", json=words, timeout=60)
    assert (answer.status_code, "upload files first" in answer.text) == (413, True)


def test_decompression_bombs_are_refused_unopened(client: Client, tmp_path: Path) -> None:
    Image.new("1", (30_000, 30_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 500_000
    message = refused(client, "/mirror_measure", image=handle_file(str(tmp_path / "bomb.png")))
    assert "bomb.png: " in message
    assert "pixels, expected at most 25,000,000" in message


def test_uploads_and_results_are_deleted(client: Client, photo: Path) -> None:
    """Gradio's sweep, which the page asks for every ten minutes, finds all that a visit leaves."""
    assert page_server.blocks().delete_cache == (600, 3600)
    client.predict(image=handle_file(str(photo)), api_name="/mirror_flip")
    client.predict(api_name="/mirror_noise")
    client.predict(api_name="/mirror_fade")
    upload(client, 1000)
    assert {path.suffix for path in cached()} >= {".png", ".mp4"}
    delete_files_created_by_app(page_server.blocks(), 0)
    assert cached() == page_server.OWN_FILES


def test_a_full_queue_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert page_server.blocks()._queue.max_size == QUEUE_LENGTH
    monkeypatch.setattr(page_server.blocks()._queue, "max_size", 2)
    monkeypatch.setattr(calls, "CALL_SECONDS", 1.5)
    waiting = [client.submit(words="x", api_name="/mirror_brood") for _ in range(calls.AT_ONCE + 2)]
    until(lambda: len(page_server.blocks()._queue) >= 2)
    with pytest.raises(QueueError, match="Queue is full! Please try again"):
        client.predict(words="x", api_name="/mirror_echo")
    for call in waiting:  # none may go on computing when the tests are over
        with pytest.raises(AppError, match="stopped after"):
            call.result(timeout=60)


# -- words ------------------------------------------------------------------------------------------------------------


def test_words_are_said_in_both_languages() -> None:
    words = ui.Words()
    with gr.Blocks():
        box = words.make(gr.Dropdown, label=Text("Colour", "Color"), choices=[(Text("red", "rojo"), "r")], value="r")
        words.make(gr.Textbox, label="same")
    assert box.choices == [("red", "r")]
    assert words.components() == [box]
    assert '"choices": [["rojo", "r"]]' in words.script("null")


def test_two_pages_in_one_process_do_not_share_words() -> None:
    assert both(Text("a < b", "a > b")).count("<span") == 2
    assert "a &lt; b" in both(Text("a < b", "a > b"))
