"""Where the service is, who asks, and what a stream is asked for."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, Union

DEFAULT_URL = "http://127.0.0.1:8080"
HEARTBEAT_SECONDS = 8
"""A stream is given up after 2.5 heartbeats, which is 20 s."""

TokenSource = Union[str, Callable[[], str]]
"""A token, or a function that returns a fresh one. The function is called before each request."""

AsyncTokenSource = Union[str, Callable[[], Union[str, Awaitable[str]]]]


class Audience(TypedDict, total=False):
    """Exactly one of these: `{"user": id}`, `{"team": id}` or `{"broker": True}`."""

    user: str
    team: str
    broker: bool


class _NewEvent(TypedDict):
    type: str
    audience: Audience


class NewEvent(_NewEvent, total=False):
    """An event to publish."""

    module: str
    recordId: str
    userId: str
    version: int
    data: object
    changes: object


def service_url(url: str | None) -> str:
    """The address of the service, without a slash at the end."""
    return (url or os.environ.get("PORCHLIGHT_URL") or DEFAULT_URL).rstrip("/")


def token_of_environment() -> str:
    """The token in PORCHLIGHT_TOKEN."""
    token = os.environ.get("PORCHLIGHT_TOKEN")
    if not token:
        raise ValueError("a token is missing: pass token=…, or set PORCHLIGHT_TOKEN")
    return token


def usable(token: str) -> str:
    """The token without the line end of the file it may come from.

    A header refuses what it cannot carry with an error that has the token in it, which is then in a log.
    """
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise ValueError("the token is empty, or has characters that no header can carry")
    return token


@dataclass(frozen=True)
class StreamAddress:
    """A scope with filters: everything that an address of a stream says, except the cursor."""

    scope: str = "all"
    """`all`, `user`, `team`, `broker`, `worker` or `records/MODULE/ID`, as in the paths of `/stream`."""
    team: str | None = None
    types: Iterable[str] | str = ()
    records: Iterable[str] | str = ()
    since: str | None = None
    parameters: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        named = {
            "heartbeat": str(HEARTBEAT_SECONDS),
            "team": self.team,
            "types": joined(self.types),
            "records": joined(self.records),
        }
        parameters = {name: value for name, value in named.items() if value}
        object.__setattr__(self, "parameters", parameters)

    @property
    def path(self) -> str:
        return "/stream" if self.scope in ("", "all") else f"/stream/{self.scope.strip('/')}"

    def query(self, has_cursor: bool) -> dict[str, str]:
        """The parameters. `since` is only for those who have no cursor yet."""
        if has_cursor or self.since is None:
            return self.parameters
        return {**self.parameters, "since": self.since}


def joined(parts: Iterable[str] | str) -> str:
    return parts if isinstance(parts, str) else ",".join(parts)


def publication(events: Sequence[NewEvent]) -> dict[str, object]:
    """The body that publishes these events together."""
    return {"events": list(events)}
