"""Many callers at once: what one may hold, whose turn it is, and who has left. For the queue of Gradio 6.31.

A caller is an address. Without this, one client's 34 calls, whose results it never read, kept all others out for a
minute.
"""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import Scope

EACH = 16  # calls of one caller that wait
SHARE = 32  # and of one plugin: the others stay open while it is full
GONE = 30  # seconds after which a waiting call that nobody listens to is dropped
FILES_EACH = 1000  # files that a caller may upload within an hour
BYTES_EACH = 400_000_000
HOUR = 3600


def caller(scope: Scope) -> str:
    """The address that a request comes from. A Space's own proxy tells it in a header, which elsewhere anyone could."""
    if os.environ.get("SPACE_ID"):
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                return value.decode("latin-1").split(",")[0].strip()
    client = scope.get("client")
    return client[0] if client else ""


class Crowd:
    """Who listens to which call, who waits for how many, and who uploaded how much."""

    def __init__(self) -> None:
        self.listening: Counter[str] = Counter()  # by session name or number of a call
        self.uploads: defaultdict[str, deque[tuple[float, int, int]]] = defaultdict(deque)  # (when, files, bytes)

    @contextmanager
    def listens(self, to: str) -> Iterator[None]:
        """Inside, somebody waits for the results of a session or of a call."""
        self.listening[to] += 1
        try:
            yield
        finally:
            self.listening[to] -= 1
            if not self.listening[to]:
                del self.listening[to]

    def uploaded(self, who: str) -> tuple[int, int]:
        """How many files, and bytes, a caller uploaded within the last hour."""
        since = time.monotonic() - HOUR
        for name, recent in list(self.uploads.items()):
            while recent and recent[0][0] < since:
                recent.popleft()
            if not recent:
                del self.uploads[name]
        own = self.uploads.get(who, ())
        return sum(files for _, files, _ in own), sum(size for _, _, size in own)

    def note_upload(self, who: str, files: int, size: int) -> None:
        self.uploads[who].append((time.monotonic(), files, size))

    def guard(self, queue: Any) -> None:
        """Makes a queue of Gradio's fair."""
        push, get_events = queue.push, queue.get_events

        async def fair_push(body: Any, request: Any, username: Any) -> Any:
            who, share = caller(request.scope), queue.blocks.fns[body.fn_index].concurrency_id
            waiting = [event for one in queue.event_queue_per_concurrency_id.values() for event in one.queue]
            if sum(caller(event.request.scope) == who for event in waiting) >= EACH:
                raise HTTPException(429, f"{EACH} of your calls are waiting: let them finish first")
            if sum(event.concurrency_id == share for event in waiting) >= SHARE:
                return False, f"Queue is full: {SHARE} calls wait for this plugin", "queue_full"
            answer = await push(body=body, request=request, username=username)
            if some := queue.event_queue_per_concurrency_id.get(share):
                some.queue[:] = in_turn(some.queue)
            return answer

        def get_wanted() -> Any:
            for one in queue.event_queue_per_concurrency_id.values():
                for event in [event for event in one.queue if self._gone(event)]:
                    one.queue.remove(event)
                    _forget(queue, event)
            return get_events()

        queue.push, queue.get_events = fair_push, get_wanted

    def _gone(self, event: Any) -> bool:
        if time.monotonic() - event.enqueue_time < GONE:
            return False
        return event.session_hash not in self.listening and event._id not in self.listening


def _forget(queue: Any, event: Any) -> None:
    """What Gradio keeps of a call that waits, as its own `clean_events` does; other calls of its session stay."""
    queue.event_ids_to_events.pop(event._id, None)
    pending = queue.pending_event_ids_session.get(event.session_hash, set())
    pending.discard(event._id)
    if not pending:
        queue.pending_event_ids_session.pop(event.session_hash, None)


def in_turn(events: list[Any]) -> list[Any]:
    """Waiting calls in a fair order: everybody's first, then everybody's second ..., each in the order of coming."""
    before: Counter[str] = Counter()
    ranked = []
    for event in sorted(events, key=lambda event: event.enqueue_time):
        who = caller(event.request.scope)
        ranked.append((before[who], event))
        before[who] += 1
    return [event for _, event in sorted(ranked, key=lambda pair: pair[0])]
