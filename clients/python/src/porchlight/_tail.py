"""A stream as an iterator."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType

import httpx

from ._address import StreamAddress
from ._cursor import CursorFile
from ._errors import Refused
from ._flag import Flag
from ._state import SILENCE_SECONDS, Connect, StreamState, Read, Stop
from ._http import BROKEN, UNANSWERED, authorization, log
from ._sse import Event
from ._watchdog import Watchdog


class Tail(Iterator[Event]):
    """The events of a scope. It is for one thread; only `close` may be called from others."""

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        http: httpx.Client,
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
        self._chunks: Iterator[bytes] = iter(())
        self._watchdog = Watchdog()
        self._stepping = threading.Lock()
        """Held while the loop uses the response."""
        self._closed = Flag()

    @property
    def cursor(self) -> str:
        """The cursor behind the last event that was handled, or ""."""
        return self._state.cursor

    @property
    def connected(self) -> bool:
        """Whether a stream is open."""
        return self._response is not None

    def __next__(self) -> Event:
        if self._in_hand:
            self._in_hand = False
            self._state.handled()
        self._save()
        while not self._events:
            with self._stepping:
                if self._closed.is_set():
                    self._hang_up()
                    raise StopIteration
                self._step()
        self._in_hand = True
        return self._events.popleft()

    def close(self) -> None:
        """Ends the iterator. The event in hand counts as not handled. Signal handlers and other threads may call it."""
        self._closed.set()
        self._watchdog.cut()
        # Otherwise the loop hangs up, which now comes to its end.
        if self._stepping.acquire(blocking=False):
            response, self._response = self._response, None
            self._stepping.release()
            # By its thread, because the caller may be within httpx, which has a lock that is needed for it.
            self._watchdog.end(response.close if response else None)
        else:
            self._watchdog.end()

    def _step(self) -> None:
        step = self._state.step
        if isinstance(step, Read):
            self._read()
            self._save()
        elif isinstance(step, Connect):
            self._hang_up()
            wait = step.at - time.monotonic()
            if self._state.reason:
                log.info("reconnecting in %.1f s: %s", max(wait, 0.0), self._state.reason)
            if wait <= 0 or not self._closed.wait(wait):
                self._connect()
        else:
            self._stop(step)

    def _connect(self) -> None:
        self._state.connect(time.monotonic())
        try:
            headers = {**self._state.headers(), **authorization(self._token())}
            query = self._address.query(bool(self._state.received))
            request = self._http.build_request("GET", self._url, params=query, headers=headers, timeout=SILENCE_SECONDS)
            response = self._http.send(request, stream=True)
        except UNANSWERED as error:
            self._state.ended(f"{type(error).__name__} {error}", time.monotonic())
            return
        self._response = response
        if self._state.head(response.status_code, response.headers, time.monotonic()):
            log.info("connected to %s", self._url)
            self._begin(request, response)

    def _begin(self, request: httpx.Request, response: httpx.Response) -> None:
        # From here on the watchdog limits the silence.
        request.extensions["timeout"]["read"] = None
        network = response.extensions.get("network_stream")
        self._watchdog.watch(network.get_extra_info("socket") if network else None)
        self._chunks = response.iter_bytes()

    def _read(self) -> None:
        self._watchdog.arm(self._state.read(time.monotonic()))
        try:
            chunk = next(self._chunks, None)
        except BROKEN as error:
            self._broken(f"{type(error).__name__} {error}")
            return
        finally:
            self._watchdog.arm(None)
        if chunk is None:
            self._broken("the stream has ended")
        else:
            self._events.extend(self._state.body(chunk, time.monotonic()))

    def _broken(self, reason: str) -> None:
        if self._watchdog.fired:
            self._state.silent(time.monotonic())
        else:
            self._state.ended(reason, time.monotonic())

    def _stop(self, step: Stop) -> None:
        response = self._response
        try:
            body = response.read() if response else b""
        except BROKEN:
            body = b""
        self._hang_up()
        self._closed.set()
        self._watchdog.end()
        if step.status != 204:
            raise Refused.of(step.status, body)

    def _hang_up(self) -> None:
        response, self._response, self._chunks = self._response, None, iter(())
        if response is not None:
            response.close()

    def _save(self) -> None:
        if self._store and self._state.cursor:
            self._store.save(self._state.cursor)

    def __del__(self) -> None:
        # A loop that was left without `close` must not leave the thread and the connection behind.
        if hasattr(self, "_closed"):
            self.close()

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._stepping:
            self._hang_up()
        self.close()
