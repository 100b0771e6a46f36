"""A worker without an event loop."""

from __future__ import annotations

import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ._errors import Cancelled, LeaseLost, PorchlightError, Refused, TaskFailed
from ._flag import Flag
from ._http import Call, log
from ._sync import Client
from ._tasks import LEASE_SECONDS, TASK_AT_FAULT, WAIT_SECONDS, Claim, TaskState, bad_task, claim_call, fault, given, pause, printed


class Task(TaskState):
    """A claimed task. The worker renews its lease while the handler runs."""

    def __init__(self, client: Client, claim: Claim) -> None:
        super().__init__(claim)
        self._client = client
        self._writing = threading.Lock()
        """Held by one request at a time: it says where its text begins."""

    def progress(
        self,
        percent: float | None = None,
        message: str | None = None,
        *,
        step: int | None = None,
        steps: int | None = None,
        partial: object = None,
    ) -> None:
        """Reports progress: what is left out stays. Raises `Cancelled` or `LeaseLost`."""
        self.check()
        body = given(percent=percent, message=message, step=step, steps=steps, partial=partial)
        self._report(self._saying("progress", body))
        self.check()

    def write(self, text: str) -> None:
        """Adds text to the task's output, which the user reads while it is written.

        Text that was sent and not answered is added by the next call, before its own.
        """
        with self._writing:
            self.check()
            for each in self._to_write(text):
                with self._writes(each) as call:
                    self._written(self._say(call))

    def _report(self, call: Call) -> None:
        self._answered(self._say(call))

    def _end(self, what: str, **body: object) -> None:
        self._say(self._saying(what, body))

    def _say(self, call: Call) -> Any:
        try:
            return self._client.call(call)
        except PorchlightError as error:
            raise self._failure(error) from None


Handler = Callable[[Task], object]


class Worker:
    """Claims tasks and passes them to the handlers of their types, one at a time."""

    def __init__(
        self,
        client: Client | None = None,
        *,
        lease_seconds: int = LEASE_SECONDS,
        wait_seconds: int = WAIT_SECONDS,
    ) -> None:
        """The client's token has the role `worker`. The default is a client of the environment's url and token."""
        self._client = client or Client()
        self._lease_seconds = lease_seconds
        self._wait_seconds = wait_seconds
        self._handlers: dict[str, Handler] = {}
        self._stopped = Flag()

    def task(self, kind: str) -> Callable[[Handler], Handler]:
        """Registers the handler of a type of tasks. What it returns is the task's result."""

        def register(handler: Handler) -> Handler:
            self._handlers[kind] = handler
            return handler

        return register

    def stop(self) -> None:
        """Ends `run` after the task at hand. Signal handlers and other threads may call it."""
        self._stopped.set()

    def run(self) -> None:
        """Works until `stop`. Only a token that is not valid ends it with an error."""
        failures = 0
        while not self._stopped.is_set():
            try:
                self._next()
                failures = 0
            except Exception as error:
                wait = pause(error, failures)
                if wait is None:
                    raise
                failures += 1
                log.warning("continuing in %.1f s: %s", wait, error)
                self._stopped.wait(wait)

    def _next(self) -> None:
        """Claims a task and does it. Without one, it returns after some time."""
        call = claim_call(sorted(self._handlers), self._wait_seconds, self._lease_seconds)
        answer = self._client.call(call)
        if answer:
            self._work(Task(self._client, Claim.of(answer, self._lease_seconds)))

    def _work(self, task: Task) -> None:
        try:
            self._do(task)
        except (Exception, CancelledError) as error:
            # A handler may run an event loop, in which a task was cancelled.
            if error is task.broken:
                raise
            if task.lost:
                log.info("task %s is no longer ours", task.id)
            elif task.cancelled:
                # Whatever the handler made of it: nobody wants another attempt.
                task._end("cancelled")
            else:
                self._fail(task, error)

    def _do(self, task: Task) -> None:
        try:
            with renewed(task):
                result = self._handlers[task.type](task)
            task._end("complete", result=result)
        except Cancelled:
            task._end("cancelled")

    def _fail(self, task: Task, error: BaseException) -> None:
        """Fails a task that cannot be done: it must not end the worker."""
        log.info("task %s fails: %s", task.id, printed(error))
        try:
            if isinstance(error, TaskFailed):
                task._end("fail", **fault(error.code, error.message, error.retryable))
            else:
                task._end("fail", **bad_task(error))
        except (Refused, ValueError, TypeError) as refused:
            if isinstance(refused, Refused) and refused.status not in TASK_AT_FAULT:
                raise
            task._end("fail", **bad_task(refused))


@contextmanager
def renewed(task: Task) -> Iterator[None]:
    """Renews the lease of a task meanwhile, from a thread."""
    ended = threading.Event()

    def renew() -> None:
        due = time.monotonic() + task._claim.renewal_seconds
        while not ended.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + task._claim.renewal_seconds
            try:
                task._report(task._renewal())
            except LeaseLost as error:
                log.info("task %s is no longer ours: %s", task.id, error)
                return
            except Exception as error:
                # Whatever it is: while the lease lasts, the next renewal may succeed.
                log.warning("the lease of task %s was not renewed: %r", task.id, error)

    thread = threading.Thread(target=renew, name="porchlight-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
