"""The gate before the page: what a stranger's request may be. The guards are for Gradio 6.31 (docs/security.md).

A wrong host or origin, a route the page does not use, a body too large, a session name that would end Gradio's queue:
each is answered with one line here, before Gradio sees it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from gan_zoo import __version__
from gan_zoo.crowd import BYTES_EACH, FILES_EACH, Crowd, caller
from gan_zoo.errors import is_full
from gan_zoo.parsing import parse_json

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

MAX_REQUEST = 1_000_000  # bytes of a request that uploads nothing
MAX_UPLOADS = 2_000_000_000  # bytes on disk: of all uploads and results that are not yet deleted
MAX_FILES = 20_000  # and how many files
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
UPLOAD = "/gradio_api/upload"
JOIN = "/gradio_api/queue/join"
OPENAPI = "/gradio_api/openapi.json"
CALL = re.compile(r"/gradio_api/call(/v2)?/([^/]+)")
CALL_FORM = "/gradio_api/call/v2/ENDPOINT"  # as callers are told it
HEALTH = "/health"
# Routes the page does not use: the first keeps what it is sent outside of every sweep, the others skip the queue. One
# of those is the page's own, for functions that were made to skip it (a click on an example), by number.
AT_ONCE = "/gradio_api/run/predict"
UNUSED = re.compile(r"/gradio_api/(process_recording|(run|api)(/.*)?)")
MCP = re.compile(r"/gradio_api/mcp(/.*)?")
LISTEN = re.compile(r"/gradio_api/(queue/data|call(?:/v2)?/[^/]+/([^/]+))")
FILES = "/files/"  # addresses of results and uploads, without the folder that they lie in
MAX_MCP = 30_000_000  # bytes of a message to the MCP server, which may hold a picture of images.MAX_BYTES as text
PATIENCE = 30  # seconds for a connection to send its request, and for each piece of a body
NO_JSON = object()  # what a body is that cannot be read as JSON
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Endpoints:
    """What of the page can be called, and with what."""

    named: Mapping[str, Mapping[str, bool]]  # {name: {argument: may it be a file?}}
    numbered: Mapping[int, int]  # {number: how many inputs}: what the page's own script uses
    at_once: frozenset[int] = frozenset()  # those of them that skip the queue

    def refusal(self, call: re.Match[str] | None, value: Any, at_once: bool = False) -> tuple[int, str] | None:
        """Status and line for a call that cannot be right: by a name, or where `call` is None by a number; `at_once`:
        past the queue.
        """
        if call is not None and call[2] not in self.named:
            return 404, f"there is no endpoint {_quoted(call[2])}; there are: {', '.join(self.named)}"
        if value is NO_JSON:
            return 422, "expected JSON"
        if not isinstance(value, dict):
            return 422, "expected a JSON object"
        if at_once and value.get("fn_index") not in self.at_once:
            return 404, f"not used here: call {CALL_FORM}"
        return self._wrong_number(value) if call is None else self._wrong_call(call[2], bool(call[1]), value)

    def _wrong_call(self, name: str, by_name: bool, value: dict[str, Any]) -> tuple[int, str] | None:
        known = self.named[name]
        if by_name:
            given = {key: item for key, item in value.items() if key != "session_hash"}
            if unknown := [key for key in given if key not in known]:
                return 422, f"{name} has no argument {_quoted(unknown[0])}; it takes {', '.join(known)}"
        else:
            data = value.get("data")
            if not isinstance(data, list) or len(data) != len(known):
                count = len(data) if isinstance(data, list) else "none"
                return 422, f"data: expected a list of {len(known)} values ({', '.join(known)}), got {count}"
            given = dict(zip(known, data))
        for key, item in given.items():
            if not known[key] and isinstance(item, dict) and "path" in item and "meta" in item:
                return 422, f"{key}: expected no file"
        return None

    def _wrong_number(self, value: dict[str, Any]) -> tuple[int, str] | None:
        number, data = value.get("fn_index"), value.get("data")
        if type(number) is not int or number not in self.numbered:
            return 404, f"fn_index: there is no function {_quoted(number)}; call {CALL_FORM}"
        if not isinstance(data, list) or len(data) != self.numbered[number]:
            return 422, f"data: expected a list of {self.numbered[number]} values"
        return None


def _quoted(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Gate:
    """ASGI middleware.

    hosts: those by which the page may be called, None for any. A page on this machine alone is called by its own names
    only: otherwise a web page elsewhere could make its name lead here, and read what is answered (DNS rebinding).
    folder: where uploads lie. alive: does the queue still run? endpoints: what can be called. crowd: who calls.
    """

    def __init__(
        self,
        app: ASGIApp,
        folder: Callable[[], str],
        hosts: tuple[str, ...] | None = None,
        alive: Callable[[], bool] = lambda: True,
        endpoints: Callable[[], Endpoints] | None = None,
        crowd: Crowd | None = None,
    ):
        self.app, self.folder, self.hosts, self.alive, self.endpoints = app, folder, hosts, alive, endpoints
        self.crowd = crowd or Crowd()
        self.arriving = 0  # bytes of uploads under way
        self.root = "/" + urlsplit(os.environ.get("GRADIO_ROOT_PATH", "")).path.strip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = "/" + scope["path"].strip("/")
        if self.root != "/" and path.startswith(f"{self.root}/"):  # a proxy that keeps the prefix; Gradio does the same
            path = path.removeprefix(self.root)
        if path == HEALTH:
            alive = self.alive()
            return await JSONResponse({"alive": alive}, 200 if alive else 503)(scope, receive, send)
        if refusal := self._stranger(scope):
            return await JSONResponse({"detail": refusal}, 403)(scope, receive, send)
        if UNUSED.fullmatch(path) and path != AT_ONCE:
            return await JSONResponse({"detail": f"not used here: call {CALL_FORM}"}, 404)(scope, receive, send)
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if path == OPENAPI and scope["method"] == "GET":
                await self._openapi(scope, receive, noted)
            elif scope["method"] in ("GET", "HEAD", "OPTIONS"):
                with self._listening(path, scope):
                    await self.app(self._at_home(path, scope), receive, noted)
            elif path == UPLOAD:
                await self._upload(scope, receive, noted)
            else:
                await self._small(path, scope, receive, noted)
        except Exception as error:  # one line, and not Gradio's bare 500
            if started:
                raise
            log.exception("%s %s failed", scope["method"], path[:100])
            status = 507 if is_full(error) else 500
            await JSONResponse({"detail": what_went_wrong(error)}, status)(scope, receive, send)
        return None

    async def _openapi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Gradio's description of the endpoints, with the version of this API, not of Gradio."""
        body = b""

        async def kept(message: Message) -> None:
            nonlocal body
            body += message.get("body", b"")

        await self.app(scope, receive, kept)
        told = parse_json(body)
        if isinstance(told, dict) and isinstance(told.get("info"), dict):
            told["info"] |= {"title": "GAN Zoo", "version": __version__}
        await JSONResponse(told)(scope, receive, send)

    def _listening(self, path: str, scope: Scope) -> AbstractContextManager[None]:
        """Notes for as long as a request lasts to whose results it listens."""
        if (listened := LISTEN.fullmatch(path)) is None:
            return nullcontext()
        session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        return self.crowd.listens(listened[2] or session)

    def _at_home(self, path: str, scope: Scope) -> Scope:
        """A request for an address under FILES, as one for the file that it stands for."""
        if not path.startswith(FILES):
            return scope
        told = f"/gradio_api/file={self.folder()}/{path.removeprefix(FILES)}"
        return {**scope, "path": told, "raw_path": told.encode()}

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
        who = caller(scope)
        own_files, own_volume = self.crowd.uploaded(who)
        if own_files >= FILES_EACH or own_volume >= BYTES_EACH:
            line = f"at most {FILES_EACH:,} files and {BYTES_EACH:,} bytes an hour from one address: try again later"
            return await JSONResponse({"detail": line}, 429)(scope, receive, send)
        volume, files = await run_in_threadpool(usage, self.folder())  # a walk of the disk holds up nobody else
        size, complete, answer = 0, False, b""

        async def bounded() -> Message:
            nonlocal size, complete
            if complete:
                return await receive()
            message = await _within_patience(receive)
            if message["type"] == "http.disconnect":
                raise MultiPartException("the upload was broken off")
            complete = not message.get("more_body", False)
            size += (came := len(message.get("body", b"")))
            self.arriving += came
            if volume + self.arriving > MAX_UPLOADS or files >= MAX_FILES:
                raise MultiPartException("the maximum allowed size of all uploads is reached: try again later")
            return message

        async def counted(message: Message) -> None:
            nonlocal answer
            answer += message.get("body", b"")
            await send(message)

        try:
            await self.app(scope, bounded, counted)
        finally:
            self.arriving -= size
            self.crowd.note_upload(who, _paths_in(answer), size)

    async def _small(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the body whole, which is small, looks at what it asks for, and hands it on."""
        body, most = b"", MAX_MCP if MCP.fullmatch(path) else MAX_REQUEST
        while True:
            message = await _within_patience(receive)
            if message["type"] == "http.disconnect":
                line = f"the rest of the body did not come within {PATIENCE} seconds"
                return await JSONResponse({"detail": line}, 408)(scope, receive, send)
            body += message.get("body", b"")
            if len(body) > most:
                answer = JSONResponse({"detail": f"expected at most {most:,} bytes; upload files first"}, 413)
                return await answer(scope, receive, send)
            if not message.get("more_body", False):
                break
        if refusal := self._refusal(path, body):
            return await JSONResponse({"detail": refusal[1]}, refusal[0])(scope, receive, send)
        replayed = False

        async def again() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        return await self.app(scope, again, send)

    def _refusal(self, path: str, body: bytes) -> tuple[int, str] | None:
        """Status and line for a body that Gradio should not see; one that asks for nothing here is not even read."""
        call, names_session = CALL.fullmatch(path), b"session_hash" in body or b"\\u" in body
        calls = self.endpoints is not None and (call is not None or path in (JOIN, AT_ONCE))
        if path == AT_ONCE and not calls:
            return 404, f"not used here: call {CALL_FORM}"
        if not (calls or names_session):
            return None
        try:
            value = parse_json(body)
        except ValueError:
            value = NO_JSON
        if names_session and (line := _bad_session(value)):
            return 422, line
        return self.endpoints().refusal(call, value, path == AT_ONCE) if self.endpoints and calls else None


async def _within_patience(receive: Receive) -> Message:
    """The next piece of a body; one that does not come is as good as a caller who is gone."""
    try:
        return await asyncio.wait_for(receive(), PATIENCE)
    except TimeoutError:
        return {"type": "http.disconnect"}


def what_went_wrong(error: BaseException) -> str:
    """What a stranger is told of an error that nobody foresaw."""
    if is_full(error):
        return "the server's disk is full: try again later"
    return "something went wrong on the server; its log has the details"


def _bad_session(value: Any) -> str | None:
    """Gradio keeps a queue for each session name, and an empty one ends the loop that serves them all."""
    if value is NO_JSON:
        return "expected JSON"
    name = value.get("session_hash") if isinstance(value, dict) else None
    if name is None or (isinstance(name, str) and SESSION.fullmatch(name)):
        return None
    return "session_hash: expected 1 to 64 letters, digits, - or _"


def _paths_in(answer: bytes) -> int:
    """How many files an upload's answer names."""
    try:
        paths = parse_json(answer)
    except ValueError:
        return 0
    return len(paths) if isinstance(paths, list) else 0


def usage(folder: str) -> tuple[int, int]:
    """Bytes and files that lie under a folder."""
    volume = files = 0
    for place, _, names in os.walk(folder):  # which passes over folders that are swept meanwhile
        for name in names:
            try:
                volume, files = volume + os.stat(os.path.join(place, name)).st_size, files + 1
            except OSError:
                continue
    return volume, files


def address(host: str | None) -> str:
    """What the page binds to: `host`, else GRADIO_SERVER_NAME, else this machine alone."""
    return host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")


def allowed_hosts(bound: str) -> tuple[str, ...] | None:
    """By which names a page bound to this address may be called: GAN_ZOO_HOSTS (comma-separated), else by local names
    where it serves this machine alone, else by any.
    """
    named = tuple(host.strip().casefold() for host in os.environ.get("GAN_ZOO_HOSTS", "").split(",") if host.strip())
    if named:
        return None if "*" in named else (*LOCAL, *named)
    return LOCAL if bound in LOCAL else None


def endpoints_of(page: Any) -> Endpoints:
    """The endpoints of a `gr.Blocks`."""
    named = {
        name.lstrip("/"): {
            parameter["parameter_name"]: "filepath" in str(parameter["python_type"])
            for parameter in about["parameters"]
        }
        for name, about in page.get_api_info()["named_endpoints"].items()
    }
    run_here = {number: function for number, function in page.fns.items() if function.fn}
    return Endpoints(
        named,
        {number: len(function.inputs) for number, function in run_here.items()},
        frozenset(number for number, function in run_here.items() if function.queue is False),
    )


class Impatient(AutoHTTPProtocol):  # pyright: ignore[reportGeneralTypeIssues]
    """uvicorn's HTTP, which closes a connection that takes longer than PATIENCE to send the head of its request.

    For uvicorn 0.54, which waits for ever before the first request.
    """

    timer: asyncio.TimerHandle | None = None
    loop: asyncio.AbstractEventLoop
    transport: Any
    cycle: Any

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timer is not None:
            self.timer.cancel()

    def _watch(self) -> None:
        """The clock runs while no request is being answered."""
        if self._answering() and self.timer is not None:
            self.timer.cancel()
            self.timer = None
        elif not self._answering() and self.timer is None:
            self.timer = self.loop.call_later(PATIENCE, self._give_up)

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _give_up(self) -> None:
        self.timer = None
        if not self._answering():
            self.transport.close()
