"""The gate before the page: what a stranger's request may be. The guards are for Gradio 6.31 (docs/security.md).

A wrong host or origin, a route the page does not use, a body too large, a session name that would end Gradio's queue:
each is answered with one line here, before Gradio sees it.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

MAX_REQUEST = 1_000_000  # bytes of a request that uploads nothing
MAX_UPLOADS = 2_000_000_000  # bytes on disk: of all uploads and results that are not yet deleted
MAX_FILES = 20_000  # and how many files
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
UPLOAD = "/gradio_api/upload"
HEALTH = "/health"
UNUSED = {"/gradio_api/process_recording"}  # keeps what it is sent outside of every sweep
LOCAL = ("localhost", "127.0.0.1", "::1")


class Gate:
    """ASGI middleware.

    hosts: those by which the page may be called, None for any. A page on this machine alone is called by its own names
    only: otherwise a web page elsewhere could make its name lead here, and read what is answered (DNS rebinding).
    folder: where uploads lie. alive: does the queue still run?
    """

    def __init__(
        self,
        app: ASGIApp,
        folder: Callable[[], str],
        hosts: tuple[str, ...] | None = None,
        alive: Callable[[], bool] = lambda: True,
    ):
        self.app, self.folder, self.hosts, self.alive = app, folder, hosts, alive
        self.arriving = 0  # bytes of uploads under way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = "/" + scope["path"].strip("/")
        if path == HEALTH:
            alive = self.alive()
            return await JSONResponse({"alive": alive}, 200 if alive else 503)(scope, receive, send)
        if refusal := self._stranger(scope):
            return await JSONResponse({"detail": refusal}, 403)(scope, receive, send)
        if path in UNUSED:
            return await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, send)
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return await self.app(scope, receive, send)
        if path == UPLOAD:
            return await self._upload(scope, receive, send)
        return await self._small(scope, receive, send)

    def _stranger(self, scope: Scope) -> str | None:
        """Why a request's host or origin is refused."""
        if self.hosts is None:
            return None
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        for name, text in (("host", f"//{headers.get(b'host', '')}"), ("origin", headers.get(b"origin", ""))):
            try:
                host = urlsplit(text).hostname
            except ValueError:
                host = ""
            if host not in self.hosts and not (name == "origin" and not text):
                return f"{name}: expected {' or '.join(self.hosts)} (GAN_ZOO_HOSTS names others)"
        return None

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """MultiPartException makes Gradio delete the files of the request and answer with the text."""
        volume, files = await run_in_threadpool(usage, self.folder())  # a walk of the disk holds up nobody else
        size, complete = 0, False

        async def bounded() -> Message:
            nonlocal size, complete
            message = await receive()
            if complete:
                return message
            if message["type"] == "http.disconnect":
                raise MultiPartException("the upload was broken off")
            complete = not message.get("more_body", False)
            size += (came := len(message.get("body", b"")))
            self.arriving += came
            if volume + self.arriving > MAX_UPLOADS or files >= MAX_FILES:
                raise MultiPartException("the maximum allowed size of all uploads is reached: try again later")
            return message

        try:
            await self.app(scope, bounded, send)
        finally:
            self.arriving -= size

    async def _small(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the body whole, which is small, looks at its session name, and hands it on."""
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > MAX_REQUEST:
                answer = JSONResponse({"detail": f"expected at most {MAX_REQUEST:,} bytes; upload files first"}, 413)
                return await answer(scope, receive, send)
            if not message.get("more_body", False):
                break
        if refusal := _bad_session(body):
            return await JSONResponse({"detail": refusal}, 422)(scope, receive, send)
        replayed = False

        async def again() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        return await self.app(scope, again, send)


def _bad_session(body: bytes) -> str | None:
    """Gradio keeps a queue for each session name, and an empty one ends the loop that serves them all."""
    if b"session_hash" not in body and b"\\u" not in body:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return "expected JSON"
    name = value.get("session_hash") if isinstance(value, dict) else None
    if name is None or (isinstance(name, str) and SESSION.fullmatch(name)):
        return None
    return "session_hash: expected 1 to 64 letters, digits, - or _"


def usage(folder: str) -> tuple[int, int]:
    """Bytes and files that lie under a folder."""
    volume = files = 0
    for path in Path(folder).rglob("*"):
        try:
            if path.is_file():
                volume, files = volume + path.stat().st_size, files + 1
        except OSError:  # swept meanwhile
            continue
    return volume, files


def allowed_hosts(bound: str) -> tuple[str, ...] | None:
    """By which names a page bound to this address may be called: GAN_ZOO_HOSTS (comma-separated), else by local names
    where it serves this machine alone, else by any.
    """
    named = tuple(host.strip().casefold() for host in os.environ.get("GAN_ZOO_HOSTS", "").split(",") if host.strip())
    if named:
        return None if "*" in named else (*LOCAL, *named)
    return LOCAL if bound in LOCAL else None


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
