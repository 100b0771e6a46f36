"""The format of Server-Sent Events: bytes in, events out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ._json import parse

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LINE_END = re.compile(rb"\r\n?|\n")
DIGITS = re.compile(r"[0-9]+", re.ASCII)

MAX_BLOCK_BYTES = 64 * 1024 * 1024
"""A larger event breaks the connection. An endless line must not fill the memory."""

MAX_RETRY_MS = 600_000
"""A longer `retry:` counts as this."""


@dataclass(frozen=True)
class Event:
    """An event of a stream."""

    type: str
    """The name, such as `listing:sold`; `message` if it has none."""
    data: str
    """The text as it came: JSON, except for the empty data of a heartbeat."""
    id: str
    """The cursor after this event, or "" before the first one."""

    def json(self) -> Any:
        """The parsed data. Integers of more than 4,300 digits stay texts."""
        return parse(self.data)


class BlockTooLarge(Exception):
    """The stream has a block of more than `MAX_BLOCK_BYTES`."""


class Parser:
    """Reads one connection. It has no other state than what the format needs."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        """The id of the last complete block."""
        self.retry_ms: int | None = None
        self._id = last_id
        self._start: bytes | None = b""
        self._after_return = False
        self._parts: list[bytes] = []
        self._data: list[str] = []
        self._type = ""
        self._bytes = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Takes bytes, which may end anywhere, and returns the events that they complete."""
        chunk = self._without_mark(chunk)
        if self._after_return and chunk:
            self._after_return = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        events: list[Event] = []
        begin = 0
        for end in LINE_END.finditer(chunk):
            self._keep(chunk[begin : end.start()])
            line = b"".join(self._parts)
            self._parts.clear()
            begin = end.end()
            event = self._line(line)
            if event:
                events.append(event)
        self._keep(chunk[begin:])
        self._after_return = self._after_return or chunk.endswith(b"\r")
        return events

    def _without_mark(self, chunk: bytes) -> bytes:
        """The chunk without the byte order mark that a stream may begin with."""
        if self._start is None:
            return chunk
        chunk = self._start + chunk
        if len(chunk) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(chunk):
            self._start = chunk
            return b""
        self._start = None
        return chunk.removeprefix(BYTE_ORDER_MARK)

    def _keep(self, part: bytes) -> None:
        if part:
            self._bytes += len(part)
            if self._bytes > MAX_BLOCK_BYTES:
                raise BlockTooLarge
            self._parts.append(part)

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._end_of_block()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and DIGITS.fullmatch(value):
            self.retry_ms = milliseconds(value)
        return None

    def _end_of_block(self) -> Event | None:
        self.last_id = self._id
        data, kind = self._data, self._type
        self._data, self._type, self._bytes = [], "", 0
        if not data:
            return None
        return Event(kind or "message", "\n".join(data), self.last_id)


def milliseconds(digits: str) -> int:
    """The value of a `retry:`, however long it is."""
    digits = digits.lstrip("0")
    return min(int(digits or "0"), MAX_RETRY_MS) if len(digits) < 10 else MAX_RETRY_MS
