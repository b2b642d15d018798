"""The page's tools as an agent uses them, by what their texts say: a client of the protocol, over loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import page_server
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from PIL import Image

from gan_zoo.plugins.pose import poses

Call = Callable[[str, dict[str, Any]], Awaitable[Any]]


@pytest.fixture(scope="module")
def site() -> str:
    return page_server.serve()


def talk(site: str, conversation: Callable[[ClientSession], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with streamablehttp_client(f"{site}gradio_api/mcp/") as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                return await asyncio.wait_for(conversation(session), 120)

    return asyncio.run(run())


def call(site: str, tool: str, **arguments: Any) -> Any:
    return talk(site, lambda session: session.call_tool(tool, arguments))


def picture(size: tuple[int, int] = (40, 30), noise: bool = False) -> bytes:
    image = Image.new("RGB", size, "red")
    if noise:
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def upload(site: str, data: bytes) -> str:
    return httpx.post(f"{site}gradio_api/upload", files={"files": ("red.png", data)}, timeout=60).json()[0]


def test_the_texts_say_what_works(site):
    tools = {tool.name: tool for tool in talk(site, lambda session: session.list_tools()).tools}
    assert "/gradio_api/upload" in tools["mirror_flip"].description
    noise = tools["mirror_noise"].inputSchema["properties"]
    assert noise["count"] | {"description": ""} == {
        "type": "integer", "minimum": 1, "maximum": 4, "default": 2, "description": ""
    }  # fmt: skip
    assert tools["mirror_flip"].inputSchema["required"] == ["image"]
    assert tools["mirror_flip"].inputSchema["properties"]["axis"]["enum"] == ["x", "y"]


@pytest.mark.parametrize("form", ["path", "address", "file object", "data address"])
def test_a_picture_is_given_in_every_form_the_text_names(site, form):
    path = upload(site, picture())
    given = {
        "path": path,
        "address": f"{site}gradio_api/file={path}",
        "file object": {"path": path, "meta": {"_type": "gradio.FileData"}},
        "data address": "data:image/png;base64," + base64.b64encode(picture()).decode(),
    }[form]
    result = call(site, "mirror_measure", image=given)
    assert not result.isError
    assert json.loads(result.content[0].text) == {"size": [40, 30], "mode": "RGB"}


def test_a_result_is_a_picture_whose_address_leads_back_in_and_names_no_folder(site):
    result = call(site, "mirror_flip", image=upload(site, picture()))
    shown, address = result.content
    assert Image.open(BytesIO(base64.b64decode(shown.data))).size == (40, 30)
    assert address.text.startswith(f"{site}files/") and "tmp" not in address.text
    assert httpx.get(address.text, timeout=60).content == base64.b64decode(shown.data)
    assert not call(site, "mirror_measure", image=address.text).isError
    gallery = call(site, "mirror_noise", count=3)
    assert [part.type for part in gallery.content] == ["image", "text"] * 3


def test_large_pictures_fit_into_a_message(site):
    data = picture((700, 600), noise=True)
    assert len(data) > 1_000_000
    result = call(site, "mirror_measure", image="data:image/png;base64," + base64.b64encode(data).decode())
    assert json.loads(result.content[0].text)["size"] == [700, 600]


ELSEWHERE = ["https://example.org/a.jpg", __file__, "/etc/hostname", "../../etc/hostname", "data:nonsense", "x" * 99, 7]


@pytest.mark.parametrize("given", ELSEWHERE)
def test_nothing_else_is_read(site, given):
    result = call(site, "mirror_measure", image=given)
    assert result.isError
    assert "expected a picture" in result.content[0].text


def test_files_of_the_server_have_no_address(site):
    for path in (f"../{Path(__file__).name}", "../../../../../../etc/hostname", "%2e%2e/%2e%2e/etc/hostname"):
        assert httpx.get(f"{site}files/{path}", timeout=60).status_code in (403, 404)


def test_numbers_and_truth_may_be_text_and_mistakes_are_lines(site):
    assert len(call(site, "mirror_noise", seed="7", count="1").content) == 2
    assert not call(site, "mirror_flip", image=upload(site, picture()), negative="true").isError
    for arguments, line in (
        ({"seed": "seven"}, "seed: expected a whole number"),
        ({"sed": 7}, "mirror_noise has no argument 'sed'"),
        ({"count": 9}, "count: expected a whole number from 1 to 4, got 9"),
    ):
        result = call(site, "mirror_noise", **arguments)
        assert result.isError and line in result.content[0].text
    missing = call(site, "mirror_flip")
    assert missing.isError and "needs the argument 'image'" in missing.content[0].text


@pytest.mark.parametrize("form", ["name", "text", "itself"])
def test_json_is_given_as_itself_or_as_text(site, form):
    pose = poses.to_json(poses.POSES["waving"](), (128, 256))
    given = {"name": "waving", "text": json.dumps(pose), "itself": pose}[form]
    person = next((Path(__file__).parents[1] / "gan_zoo/plugins/pose/people").glob("*.png")).read_bytes()
    result = call(site, "pose_transfer", image=upload(site, person), pose=given)
    assert not result.isError, result.content
    assert [part.type for part in result.content] == ["image", "text"] * 3
