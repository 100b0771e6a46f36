"""The client for programs with an event loop."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import Any

import anyio
import httpx

from ._address import AsyncTokenSource, NewEvent, StreamAddress, publication, service_url, token_of_environment, usable
from ._aio_apart import apart, awaited
from ._aio_tail import AsyncTail
from ._backoff import AGAIN, Attempts
from ._cursor import CursorFile
from ._errors import Refused
from ._http import PATIENCE_SECONDS, UNANSWERED, Call, answered, getting_token, said, unreachable


class AsyncClient:
    """A service and a token. Tasks of one event loop may share a client; connections do not outlive their loop."""

    def __init__(
        self,
        url: str | None = None,
        token: AsyncTokenSource | None = None,
        *,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """`url` and `token` come from PORCHLIGHT_URL and PORCHLIGHT_TOKEN by default. `http` has proxies, certificates and the like."""
        self.url = service_url(url)
        token = token if token is not None else token_of_environment()
        self._token = token if callable(token) else usable(token)
        self._http = http or httpx.AsyncClient()

    async def token(self) -> str:
        """The token for the next request."""
        with getting_token():
            if not callable(self._token):
                return self._token
            token = self._token()
            return usable(token if isinstance(token, str) else await apart(partial(awaited, token)))

    async def publish(self, *events: NewEvent, key: str | None = None) -> list[str]:
        """Publishes events, all or none: see `Client.publish`."""
        body = publication(events)
        call = Call("POST", "/events", body, key or str(uuid.uuid4()), PATIENCE_SECONDS)
        positions: list[str] = said(await self.call(call), "positions")
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
    ) -> AsyncTail:
        """Follows a scope: see `Client.tail`."""
        address = StreamAddress(scope, team, types, records, since)
        store = CursorFile(cursor_file) if cursor_file is not None else None
        return AsyncTail(self.url, self.token, self._http, address, store)

    async def call(self, call: Call) -> Any:
        """Sends a request, repeats it while it has patience, and returns the parsed answer."""
        attempts = Attempts(call.patience, random.random, time.monotonic())
        while True:
            try:
                return await self._once(call)
            except Refused as error:
                failure: Exception = error
                wait = attempts.wait(time.monotonic(), error.retry_after) if error.status in AGAIN else None
            except UNANSWERED as error:
                failure = unreachable(error)
                wait = attempts.wait(time.monotonic())
            if wait is None:
                raise failure
            await anyio.sleep(wait)

    async def _once(self, call: Call) -> Any:
        answer = await self._http.request(
            call.method,
            self.url + call.path,
            content=call.content(),
            headers=call.headers(await self.token()),
            timeout=call.seconds,
        )
        return answered(answer.status_code, answer.headers, answer.content)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()
