"""What can go wrong, as exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._json import parse

PROBLEM_TEXT_CHARS = 300


class PorchlightError(Exception):
    """The base of all errors of this package."""


class Unreachable(PorchlightError):
    """The service has not answered for longer than the client is patient.

    It could not be reached, something before it has answered in its place, or there was no token to ask it with.
    """


class Refused(PorchlightError):
    """The service has refused a request: a problem with a stable `code`."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float = 0.0) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail", ""))
        self.retry_after = retry_after
        super().__init__(f"{status} {self.code}: {self.detail}")

    @classmethod
    def of(cls, status: int, body: bytes, retry_after: float = 0.0) -> Refused:
        """The error for an answer. A body that is no problem becomes the detail."""
        try:
            problem = parse(body)
        except (ValueError, RecursionError):
            problem = None
        if not isinstance(problem, dict):
            problem = {"detail": body.decode("utf-8", "replace")[:PROBLEM_TEXT_CHARS]}
        return cls(status, problem, retry_after)


class TaskFailed(PorchlightError):
    """A handler raises this to fail its task. With `retryable` the service tries the task again."""

    def __init__(self, code: str, message: str, retryable: bool = False) -> None:
        self.code = code
        self.message = message
        self.retryable = retryable
        super().__init__(f"{code}: {message}")


class Cancelled(PorchlightError):
    """The user has cancelled the task. Raised in a handler when it reports or writes."""


class LeaseLost(PorchlightError):
    """The task is no longer this worker's. Raised in a handler when it reports or writes."""
