"""A stream as an asynchronous iterator."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType

import anyio
import httpx

from ._address import StreamAddress
from ._cursor import CursorFile
from ._errors import Refused
from ._state import SILENCE_SECONDS, Connect, StreamState, Read, Stop
from ._http import BROKEN, UNANSWERED, authorization, log
from ._sse import Event


class AsyncTail(AsyncIterator[Event]):
    """The events of a scope. It is for one task."""

    def __init__(
        self,
        url: str,
        token: Callable[[], Awaitable[str]],
        http: httpx.AsyncClient,
        address: StreamAddress,
        store: CursorFile | None,
    ) -> None:
        self._url = url + address.path
        self._token = token
        self._http = http
        self._address = address
        self._store = store
        self._state = StreamState(store.load() if store else None, random.random, time.monotonic())
        self._events: deque[Event] = deque()
        self._in_hand = False
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._closed = False

    @property
    def cursor(self) -> str:
        """The cursor behind the last event that was handled, or ""."""
        return self._state.cursor

    @property
    def connected(self) -> bool:
        """Whether a stream is open."""
        return self._response is not None

    async def __anext__(self) -> Event:
        if self._in_hand:
            self._in_hand = False
            self._state.handled()
        self._save()
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            await self._step()
        self._in_hand = True
        return self._events.popleft()

    async def aclose(self) -> None:
        """Ends the iterator. The event in hand counts as not handled."""
        self._closed = True
        await self._hang_up()

    async def _step(self) -> None:
        step = self._state.step
        if isinstance(step, Read):
            await self._read()
            self._save()
        elif isinstance(step, Connect):
            await self._hang_up()
            wait = max(step.at - time.monotonic(), 0.0)
            if self._state.reason:
                log.info("reconnecting in %.1f s: %s", wait, self._state.reason)
            await anyio.sleep(wait)
            await self._connect()
        else:
            await self._stop(step)

    async def _connect(self) -> None:
        self._state.connect(time.monotonic())
        with anyio.move_on_after(SILENCE_SECONDS) as limit:
            try:
                await self._send()
            except UNANSWERED as error:
                self._state.ended(f"{type(error).__name__} {error}", time.monotonic())
        if limit.cancelled_caught:
            self._state.silent(time.monotonic())

    async def _send(self) -> None:
        headers = {**self._state.headers(), **authorization(await self._token())}
        query = self._address.query(bool(self._state.received))
        request = self._http.build_request("GET", self._url, params=query, headers=headers, timeout=None)
        response = await self._http.send(request, stream=True)
        self._response = response
        if self._state.head(response.status_code, response.headers, time.monotonic()):
            log.info("connected to %s", self._url)
            self._chunks = response.aiter_bytes()

    async def _read(self) -> None:
        until = self._state.read(time.monotonic())
        chunk: bytes | None = None
        with anyio.move_on_after(until - time.monotonic()) as limit:
            try:
                chunk = await self._next_chunk()
            except BROKEN as error:
                self._state.ended(f"{type(error).__name__} {error}", time.monotonic())
                return
        if limit.cancelled_caught:
            self._state.silent(time.monotonic())
        elif chunk is None:
            self._state.ended("the stream has ended", time.monotonic())
        else:
            self._events.extend(self._state.body(chunk, time.monotonic()))

    async def _next_chunk(self) -> bytes | None:
        try:
            return await self._chunks.__anext__() if self._chunks else None
        except StopAsyncIteration:
            return None

    async def _stop(self, step: Stop) -> None:
        body = b""
        with anyio.move_on_after(SILENCE_SECONDS):
            try:
                body = await self._response.aread() if self._response else b""
            except BROKEN:
                pass
        await self.aclose()
        if step.status != 204:
            raise Refused.of(step.status, body)

    async def _hang_up(self) -> None:
        response, self._response, self._chunks = self._response, None, None
        if response is not None:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    def _save(self) -> None:
        if self._store and self._state.cursor:
            self._store.save(self._state.cursor)

    async def __aenter__(self) -> AsyncTail:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()
