"""What requests of the sync and the async client have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from ._errors import PorchlightError, Refused, Unreachable
from ._state import retry_after
from ._json import parse, write

log = logging.getLogger("porchlight")

REQUEST_SECONDS = 30.0
"""The limit of each part of a request: connecting, sending, and the next part of the answer."""
PATIENCE_SECONDS = 60.0
"""How long a write that is safe to repeat is tried."""
BROKEN = (httpx.HTTPError, httpx.StreamError, OSError)
"""A request that failed without an answer."""
UNANSWERED = (*BROKEN, Unreachable)
"""The same, or what came is no answer of the service: it may be asked again."""


@dataclass(frozen=True)
class Call:
    """A request with its JSON body. It must be safe to repeat if it has patience."""

    method: str
    path: str
    body: object = None
    key: str | None = None
    patience: float = 0.0
    seconds: float = REQUEST_SECONDS

    def content(self) -> bytes | None:
        return None if self.body is None else write(self.body)

    def headers(self, token: str) -> dict[str, str]:
        headers = authorization(token)
        if self.body is not None:
            headers["content-type"] = "application/json"
        if self.key is not None:
            headers["idempotency-key"] = self.key
        return headers


def authorization(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def answered(status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """The parsed body of an answer, or None without one. A refusal is raised.

    A page with status 200 is no answer: proxies send such a page while the service is being replaced.
    """
    if not 200 <= status < 300:
        raise Refused.of(status, body, retry_after(headers))
    try:
        return parse(body) if body else None
    except (ValueError, RecursionError):
        kind = headers.get("content-type", "no type")
        raise Unreachable(f"the answer cannot be read: status {status}, {kind}") from None


def said(answer: Any, name: str) -> Any:
    """A field that every answer to such a request has, if the service gives it."""
    if not isinstance(answer, dict) or name not in answer:
        raise Unreachable(f"the answer is none of the service: it has no {name}")
    return answer[name]


def unreachable(error: Exception) -> Unreachable:
    if isinstance(error, Unreachable):
        return error
    return Unreachable(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


@contextmanager
def getting_token() -> Iterator[None]:
    """A token function may fail with any error. The next call of it may succeed, as with a network.

    An error of this package says what it means: `Refused` with the status 401 ends a stream or a worker.
    """
    try:
        yield
    except PorchlightError:
        raise
    except Exception as error:
        raise Unreachable(f"no token: {error!r}") from error
