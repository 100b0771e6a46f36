"""The client for programs without an event loop."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import httpx

from ._address import NewEvent, StreamAddress, TokenSource, publication, service_url, token_of_environment, usable
from ._backoff import AGAIN, Attempts
from ._cursor import CursorFile
from ._errors import Refused
from ._http import PATIENCE_SECONDS, UNANSWERED, Call, answered, getting_token, said, unreachable
from ._tail import Tail


class Client:
    """A service and a token. Threads may share a client. A process that was forked needs one of its own."""

    def __init__(
        self,
        url: str | None = None,
        token: TokenSource | None = None,
        *,
        http: httpx.Client | None = None,
    ) -> None:
        """`url` and `token` come from PORCHLIGHT_URL and PORCHLIGHT_TOKEN by default. `http` has proxies, certificates and the like."""
        self.url = service_url(url)
        token = token if token is not None else token_of_environment()
        self._token = token if callable(token) else usable(token)
        self._http = http or httpx.Client()

    def token(self) -> str:
        """The token for the next request."""
        with getting_token():
            return usable(self._token()) if callable(self._token) else self._token

    def publish(self, *events: NewEvent, key: str | None = None) -> list[str]:
        """Publishes up to 1,000 events, all or none, and returns their positions when they are durable.

        The request is repeated for a minute if it fails, with one idempotency key: the events are published
        once. Pass a `key` of your own to repeat it later, also from another process.
        """
        body = publication(events)
        call = Call("POST", "/events", body, key or str(uuid.uuid4()), PATIENCE_SECONDS)
        positions: list[str] = said(self.call(call), "positions")
        return positions

    def tail(
        self,
        scope: str = "all",
        *,
        team: str | None = None,
        types: Iterable[str] | str = (),
        records: Iterable[str] | str = (),
        since: str | None = None,
        cursor_file: str | os.PathLike[str] | None = None,
    ) -> Tail:
        """Follows a scope: an iterator of events that never ends by itself.

        It reconnects after every fault. The cursor in `cursor_file` moves when the loop asks for the next
        event, so an event during which the program ended is delivered again.
        """
        address = StreamAddress(scope, team, types, records, since)
        store = CursorFile(cursor_file) if cursor_file is not None else None
        return Tail(self.url, self.token, self._http, address, store)

    def call(self, call: Call) -> Any:
        """Sends a request, repeats it while it has patience, and returns the parsed answer."""
        attempts = Attempts(call.patience, random.random, time.monotonic())
        while True:
            try:
                return self._once(call)
            except Refused as error:
                failure: Exception = error
                wait = attempts.wait(time.monotonic(), error.retry_after) if error.status in AGAIN else None
            except UNANSWERED as error:
                failure = unreachable(error)
                wait = attempts.wait(time.monotonic())
            if wait is None:
                raise failure
            time.sleep(wait)

    def _once(self, call: Call) -> Any:
        answer = self._http.request(
            call.method,
            self.url + call.path,
            content=call.content(),
            headers=call.headers(self.token()),
            timeout=call.seconds,
        )
        return answered(answer.status_code, answer.headers, answer.content)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
