"""What the workers with and without an event loop have in common."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ._backoff import jittered
from ._errors import Cancelled, LeaseLost, PorchlightError, Refused, Unreachable
from ._http import BROKEN, REQUEST_SECONDS, Call, said

LEASE_SECONDS = 60
WAIT_SECONDS = 30
RENEWALS_PER_LEASE = 3
LONGEST_RENEWAL_SECONDS = 10.0
"""A cancel is noticed after at most this long, also while the handler says nothing."""
PAUSE_SECONDS = 1.0
"""The shortest pause after a claim that failed."""
MESSAGE_CHARS = 200
BAD_TASK = "bad_task"
TASK_AT_FAULT = (400, 409, 413)
"""The service cannot store what the handler said: another attempt would say the same. One code of 409 says otherwise."""
LEASE_LOST = "lease_lost"


@dataclass(frozen=True)
class Claim:
    """A task that this worker has claimed."""

    task: Mapping[str, Any]
    fence: int
    lease_seconds: int

    @classmethod
    def of(cls, answer: Mapping[str, Any], lease_seconds: int) -> Claim:
        return cls(answer["task"], answer["fence"], lease_seconds)

    @property
    def renewal_seconds(self) -> float:
        """How long after a renewal has begun the next one does."""
        return min(self.lease_seconds / RENEWALS_PER_LEASE, LONGEST_RENEWAL_SECONDS)


class TaskState:
    """A claimed task: what it is, what was said about it, and whether it is still this worker's."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._cancelled = False
        self._lost: LeaseLost | None = None
        self._offset = 0
        self._unanswered = ""
        """Text at the offset that was sent, and of which nobody knows whether the service has it."""
        self.broken: PorchlightError | None = None
        """Why nothing can be said about the task: the task is not the cause."""

    @property
    def id(self) -> str:
        return str(self._claim.task["id"])

    @property
    def type(self) -> str:
        return str(self._claim.task["type"])

    @property
    def raw(self) -> Mapping[str, Any]:
        """The task as the service describes it."""
        return self._claim.task

    @property
    def params(self) -> Any:
        """What the user has passed: any JSON."""
        return self._claim.task.get("params")

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1: it is the fence."""
        return self._claim.fence

    @property
    def cancelled(self) -> bool:
        """Whether the user has cancelled the task."""
        return self._cancelled

    def param(self, name: str, default: Any = None) -> Any:
        """A parameter, if `params` is an object that has it."""
        params = self.params
        return params.get(name, default) if isinstance(params, dict) else default

    @property
    def lost(self) -> bool:
        """Whether the task is no longer this worker's."""
        return self._lost is not None

    @property
    def ended(self) -> Cancelled | LeaseLost | None:
        """Why there is no reason to continue, if so."""
        return self._lost or (Cancelled(f"task {self.id} was cancelled") if self._cancelled else None)

    def check(self) -> None:
        """Raises `Cancelled` or `LeaseLost` when there is no reason to continue."""
        if ended := self.ended:
            raise ended

    def _saying(self, what: str, body: Mapping[str, object]) -> Call:
        """A request about the task. It is repeated until the lease would end: one that hangs leaves time for others."""
        lease = float(self._claim.lease_seconds)
        path = f"/tasks/{self.id}/{what}"
        body = {"fence": self._claim.fence, **body}
        return Call("POST", path, body, patience=lease, seconds=min(lease / RENEWALS_PER_LEASE, REQUEST_SECONDS))

    def _renewal(self) -> Call:
        """A report without news. It is not repeated: the next one follows soon, and at once if this one hangs."""
        return replace(self._saying("progress", {}), patience=0.0, seconds=self._claim.renewal_seconds)

    def _to_write(self, text: str) -> list[str]:
        """What `write` sends, one after the other.

        What was not answered comes first, as it was: at one offset, the service adds a text once that it gets twice.
        """
        return [each for each in (self._unanswered, text) if each]

    @contextmanager
    def _writes(self, text: str) -> Iterator[Call]:
        """A request that adds text. Without an answer, for example because the handler gives it up, the text is kept."""
        self._unanswered = text
        try:
            yield self._saying("output", {"offset": self._offset, "text": text})
        except Refused as error:
            if error.status in TASK_AT_FAULT:
                self._unanswered = ""
            raise
        self._unanswered = ""

    def _answered(self, answer: Any) -> None:
        """The service has answered a report."""
        self._cancelled = self._cancelled or (isinstance(answer, dict) and bool(answer.get("cancel")))

    def _written(self, answer: Any) -> None:
        """The service has answered to a piece of output."""
        self._answered(answer)
        try:
            self._offset = int(said(answer, "offset"))
        except Unreachable as error:
            raise self._failure(error)

    def _failure(self, error: PorchlightError) -> PorchlightError:
        """What a request about the task has failed with, as handlers see it."""
        if isinstance(error, Refused) and error.code == LEASE_LOST:
            self._lost = LeaseLost(error.detail)
            return self._lost
        if not isinstance(error, Refused) or error.status not in TASK_AT_FAULT:
            self.broken = error
        return error


def given(**body: object) -> dict[str, object]:
    """The fields that are not None."""
    return {name: value for name, value in body.items() if value is not None}


def fault(code: str, message: str, retryable: bool = False) -> dict[str, object]:
    """The body that fails a task."""
    return {"error": {"code": code, "message": message, "retryable": retryable}}


def bad_task(error: BaseException) -> dict[str, object]:
    """The body that fails a task that cannot be done. ASCII, because an error may hold any text.

    Another attempt may succeed where something could not be reached.
    """
    retryable = isinstance(error, (*BROKEN, Unreachable))
    return fault(BAD_TASK, printed(error)[:MESSAGE_CHARS], retryable)


def printed(error: BaseException) -> str:
    """The error, or its type if it cannot be printed."""
    try:
        return ascii(error)
    except Exception:
        return type(error).__name__


def claim_call(types: list[str], wait_seconds: int, lease_seconds: int) -> Call:
    body = {"types": types, "waitSeconds": wait_seconds, "leaseSeconds": lease_seconds}
    return Call("POST", "/tasks/claim", body, seconds=wait_seconds + REQUEST_SECONDS)


def pause(error: Exception, failures: int) -> float | None:
    """How long to wait after a claim or a task failed with this, or None if it is the end of the worker."""
    if isinstance(error, LeaseLost):
        return 0.0
    longer = jittered(failures, random.random)
    if isinstance(error, Refused):
        ends = error.status in (401, 403)
        return None if ends else max(error.retry_after, PAUSE_SECONDS, longer)
    if isinstance(error, (Unreachable, ValueError, KeyError, TypeError, RecursionError)):
        return max(PAUSE_SECONDS, longer)
    return None
