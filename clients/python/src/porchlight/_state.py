"""What a client of a stream does next, without a network and without a clock of its own.

The sync and the async client are loops around this: they do what `step` says, and tell what came of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ._backoff import jittered
from ._sse import DIGITS, BlockTooLarge, Event, Parser

EVENT_STREAM = "text/event-stream"
PROBLEM = "application/problem+json"
SILENCE_SECONDS = 20.0
"""A connection is given up after this long without a byte, until it has said how often heartbeats come."""
HEARTBEATS_OF_SILENCE = 2.5
MAX_HEARTBEAT_SECONDS = 3600
MAX_RETRY_AFTER_SECONDS = 3600
MAX_CURSOR_CHARS = 128
UNREADABLE_CURSOR = "unreadable"
"""A cursor that no service knows: it is answered with `stream:reset`, so that nothing is skipped in silence."""
STOPPING = (401, 403, 204)


@dataclass(frozen=True)
class Connect:
    """Make a request, not before this time."""

    at: float


@dataclass(frozen=True)
class Read:
    """Wait for the answer, or for more of it, until this time."""

    until: float


@dataclass(frozen=True)
class Stop:
    """Make no further request: the service has answered with this status."""

    status: int


Step = Connect | Read | Stop


class StreamState:
    """A client of one stream. All times are seconds of one clock."""

    def __init__(self, cursor: str | None, random: Callable[[], float], now: float) -> None:
        self.step: Step = Connect(now)
        self.failures = 0
        self.reason = ""
        """Why the last connection ended."""
        self._cursor = cursor or ""
        self._random = random
        self._unhandled: deque[str] = deque()
        self._parser = Parser(self._cursor)
        self._retry_seconds = 0.0
        self._silence_seconds = SILENCE_SECONDS

    @property
    def cursor(self) -> str:
        """Where to continue after a restart: behind the last event that was handled. "" if there is none."""
        return self._cursor

    @property
    def received(self) -> str:
        """The cursor behind all events that were received."""
        return self._unhandled[-1] if self._unhandled else self._cursor

    def headers(self) -> dict[str, str]:
        """Headers for the next request."""
        headers = {"accept": EVENT_STREAM, "cache-control": "no-store"}
        if self.received:
            headers["last-event-id"] = readable(self.received)
        return headers

    def connect(self, now: float) -> None:
        """The request is on its way."""
        self._parser = Parser(self.received)
        self._silence_seconds = SILENCE_SECONDS
        self.step = Read(now + SILENCE_SECONDS)

    def head(self, status: int, headers: Mapping[str, str], now: float) -> bool:
        """The head of the answer has come. Returns whether its body is to be read."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if status in STOPPING or (status in (400, 404) and kind == PROBLEM):
            self.step = Stop(status)
            return False
        if status == 200 and kind == EVENT_STREAM:
            self.step = Read(now + self._silence_seconds)
            return True
        self._fail(f"status {status}, {kind or 'no type'}", now, retry_after(headers))
        return False

    def body(self, chunk: bytes, now: float) -> list[Event]:
        """A part of the body has come. Returns the events for the application."""
        if not chunk:
            return []
        try:
            events = self._parser.feed(chunk)
        except BlockTooLarge:
            self._fail("an event is too large", now)
            return []
        if self._parser.retry_ms is not None:
            self._retry_seconds = self._parser.retry_ms / 1000
        for event in events:
            self.failures = 0
            if event.type == "stream:ready":
                self._silence_seconds = silence(event) or self._silence_seconds
        passed_on = [event for event in events if event.type != "hb"]
        self._unhandled.extend(event.id for event in passed_on)
        # Heartbeats after an event count when the event has been handled.
        if self._unhandled:
            self._unhandled[-1] = self._parser.last_id
        else:
            self._cursor = self._parser.last_id
        self.step = Read(now + self._silence_seconds)
        return passed_on

    def read(self, now: float) -> float:
        """The application waits for the next part of the body. Returns until when.

        Silence counts from here: an application that was busy has not listened.
        """
        until = now + self._silence_seconds
        self.step = Read(until)
        return until

    def ended(self, reason: str, now: float) -> None:
        """The request has failed, or the stream has ended."""
        self._fail(reason, now)

    def silent(self, now: float) -> None:
        """The time to read until has passed."""
        self._fail("silence", now)

    def handled(self) -> None:
        """The application has handled the next event."""
        self._cursor = self._unhandled.popleft()

    def _fail(self, reason: str, now: float, at_least: float = 0.0) -> None:
        wait = max(jittered(self.failures, self._random), self._retry_seconds, at_least)
        self.failures += 1
        self.reason = reason
        self.step = Connect(now + wait)


def readable(cursor: str) -> str:
    """The cursor, if a header can carry it."""
    fits = len(cursor) <= MAX_CURSOR_CHARS and cursor.isascii() and cursor.isprintable()
    return cursor if fits else UNREADABLE_CURSOR


def silence(ready: Event) -> float | None:
    """How long a stream with this `stream:ready` may be silent."""
    try:
        seconds = ready.json()["heartbeatSeconds"]
        # In this order, what is not a number counts as the least.
        return min(max(1.0, float(seconds)), MAX_HEARTBEAT_SECONDS) * HEARTBEATS_OF_SILENCE
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def retry_after(headers: Mapping[str, str]) -> float:
    """The seconds of a `Retry-After`. A date counts as none."""
    value = headers.get("retry-after", "").strip()
    if not DIGITS.fullmatch(value) or len(value) > 9:
        return 0.0
    return min(float(value), MAX_RETRY_AFTER_SECONDS)
