"""What is changed in Gradio 6.31 and uvicorn 0.54 while the page runs: a function each, with its reason.

Whoever moves to another version looks here first.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import logging
import os
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import gradio.queueing
import gradio.utils
import uvicorn.config
from gradio import processing_utils

from gan_zoo import gate

log = logging.getLogger(__name__)
MCP = importlib.util.find_spec("mcp") is not None


def install(page: Any) -> None:
    """All of them, for a `gr.Blocks` that is about to be launched."""
    keep_alive(page._queue)
    tell_errors()
    write_fast()
    write_whole_files()
    lose_patience()
    if MCP:
        tell_agents()


def keep_alive(queue: Any) -> None:
    """Gradio's queue ends for good on the first error of its loop: here an event that cannot be read is dropped."""
    for name in ("get_events", "broadcast_estimations"):
        setattr(queue, name, _survived(getattr(queue, name)))


def _survived(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        try:
            return method(*args, **options)
        except Exception:
            log.exception("the queue goes on without this event")
            return None

    return call


def tell_errors() -> None:
    """Gradio tells callers of an unforeseen error `{"error": null}`: here it is a line."""
    original = gradio.utils.error_payload
    if getattr(original, "patched", False):
        return

    def told(error: BaseException | None, show_error: bool) -> dict[str, Any]:
        content: dict[str, Any] = original(error, show_error)
        if content["error"] is None and error is not None:
            content |= {"error": gate.what_went_wrong(error), "visible": True, "title": "Error", "duration": 10}
        return content

    told.patched = True  # pyright: ignore[reportFunctionMemberAccess]
    gradio.utils.error_payload = gradio.queueing.error_payload = told


def write_fast() -> None:
    """Gradio packs a PNG as small as it can be, which takes a third of the time of a click for sixteen faces."""
    encode = processing_utils.encode_pil_to_bytes
    if getattr(encode, "patched", False):
        return

    def fast(pil_image: Any, format: str = "png") -> bytes:
        if format.lower() != "png":
            return encode(pil_image, format)
        with io.BytesIO() as packed:
            pil_image.save(packed, "PNG", pnginfo=processing_utils.get_pil_metadata(pil_image), compress_level=1)
            return packed.getvalue()

    fast.patched = True  # pyright: ignore[reportFunctionMemberAccess]
    processing_utils.encode_pil_to_bytes = fast


def write_whole_files() -> None:
    """Gradio names a picture by what it shows and writes it in place, so a second visitor who makes the same picture
    empties the file that the first one's call is reading. Here it is written elsewhere and moved to its name.
    """
    for name in ("save_pil_to_cache", "save_bytes_to_cache"):
        save = getattr(processing_utils, name)
        if not getattr(save, "patched", False):
            setattr(processing_utils, name, _moved(save))


def _moved(save: Callable[..., str]) -> Callable[..., str]:
    signature = inspect.signature(save)

    @wraps(save)
    def saved(*args: Any, **options: Any) -> str:
        given = signature.bind(*args, **options)
        cache = Path(given.arguments["cache_dir"])
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            given.arguments["cache_dir"] = folder
            written = Path(save(*given.args, **given.kwargs))
            path = cache.resolve() / written.relative_to(Path(folder).resolve())
            path.parent.mkdir(exist_ok=True)
            os.replace(written, path)
        return str(path)

    saved.patched = True  # pyright: ignore[reportAttributeAccessIssue]
    return saved


def lose_patience() -> None:
    """uvicorn waits for ever for the first request of a connection (`gate.Impatient`)."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = "gan_zoo.gate:Impatient"


def tell_agents() -> None:
    """Gradio's MCP server tells, takes and gives less than its tools can (`ui.mcp`)."""
    import gradio.mcp

    from gan_zoo.ui.mcp import Server

    gradio.mcp.GradioMCPServer = Server  # pyright: ignore[reportPrivateImportUsage]
