"""A worker with an event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio

from ._aio import AsyncClient
from ._aio_apart import WaitCancelled, apart
from ._errors import Cancelled, LeaseLost, PorchlightError, Refused, TaskFailed
from ._http import Call, log
from ._tasks import LEASE_SECONDS, TASK_AT_FAULT, WAIT_SECONDS, Claim, TaskState, bad_task, claim_call, fault, given, pause, printed

MOST_CLAIMS = 8
"""Claims that wait at the same time. Each one takes a connection of the client, which the tasks need too."""
LOOK_SECONDS = 0.5
"""How often a pause looks whether the worker is stopped: a signal handler or another thread may do that, too."""


class AsyncTask(TaskState):
    """A claimed task. The worker renews its lease while the handler runs, and ends the handler when it is cancelled."""

    def __init__(self, client: AsyncClient, claim: Claim) -> None:
        super().__init__(claim)
        self._client = client
        self._writing = anyio.Lock()
        """Held by one request at a time: it says where its text begins."""

    async def progress(
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
        await self._report(self._saying("progress", body))
        self.check()

    async def write(self, text: str) -> None:
        """Adds text to the task's output, which the user reads while it is written.

        Text that was sent and not answered is added by the next call, before its own.
        """
        async with self._writing:
            self.check()
            for each in self._to_write(text):
                with self._writes(each) as call:
                    self._written(await self._say(call))

    async def _report(self, call: Call) -> None:
        self._answered(await self._say(call))

    async def _end(self, what: str, **body: object) -> None:
        await self._say(self._saying(what, body))

    async def _say(self, call: Call) -> Any:
        try:
            return await self._client.call(call)
        except PorchlightError as error:
            raise self._failure(error) from None


AsyncHandler = Callable[[AsyncTask], Awaitable[object]]


class AsyncWorker:
    """Claims tasks and passes them to the handlers of their types, `tasks` at a time."""

    def __init__(
        self,
        client: AsyncClient | None = None,
        *,
        tasks: int = 1,
        lease_seconds: int = LEASE_SECONDS,
        wait_seconds: int = WAIT_SECONDS,
    ) -> None:
        """The client's token has the role `worker`. The default is a client of the environment's url and token."""
        self._client = client or AsyncClient()
        self._tasks = tasks
        self._lease_seconds = lease_seconds
        self._wait_seconds = wait_seconds
        self._handlers: dict[str, AsyncHandler] = {}
        self._stopped = False

    def task(self, kind: str) -> Callable[[AsyncHandler], AsyncHandler]:
        """Registers the handler of a type of tasks. What it returns is the task's result."""

        def register(handler: AsyncHandler) -> AsyncHandler:
            self._handlers[kind] = handler
            return handler

        return register

    def stop(self) -> None:
        """Ends `run` after the tasks at hand. Signal handlers and other threads may call it."""
        self._stopped = True

    async def run(self) -> None:
        """Works until `stop`. Only a token that is not valid ends it with an error."""
        errors: list[Exception] = []
        claims = anyio.CapacityLimiter(MOST_CLAIMS)
        async with anyio.create_task_group() as group:

            async def one() -> None:
                try:
                    await self._run(claims)
                except Exception as error:
                    # Raised below: a group would wrap it.
                    errors.append(error)
                    group.cancel_scope.cancel()

            for _ in range(self._tasks):
                group.start_soon(one)
        if errors:
            raise errors[0]

    async def _run(self, claims: anyio.CapacityLimiter) -> None:
        failures = 0
        while not self._stopped:
            try:
                await self._next(claims)
                failures = 0
            except Exception as error:
                wait = pause(error, failures)
                if wait is None:
                    raise
                failures += 1
                log.warning("continuing in %.1f s: %s", wait, error)
                await self._pause(wait)

    async def _pause(self, seconds: float) -> None:
        until = anyio.current_time() + seconds
        while not self._stopped and (rest := until - anyio.current_time()) > 0:
            await anyio.sleep(min(rest, LOOK_SECONDS))

    async def _next(self, claims: anyio.CapacityLimiter) -> None:
        """Claims a task and does it. Without one, it returns after some time."""
        async with claims:
            answer = None if self._stopped else await self._claim()
        if answer:
            await self._work(AsyncTask(self._client, Claim.of(answer, self._lease_seconds)))

    async def _claim(self) -> Any:
        return await self._client.call(claim_call(sorted(self._handlers), self._wait_seconds, self._lease_seconds))

    async def _work(self, task: AsyncTask) -> None:
        try:
            await self._do(task)
        except Exception as error:
            if error is task.broken:
                raise
            if task.lost:
                log.info("task %s is no longer ours", task.id)
            elif task.cancelled:
                # Whatever the handler made of it: nobody wants another attempt.
                await task._end("cancelled")
            else:
                await self._fail(task, error)

    async def _do(self, task: AsyncTask) -> None:
        try:
            result = await self._handle(task)
            await task._end("complete", result=result)
        except Cancelled:
            await task._end("cancelled")

    async def _handle(self, task: AsyncTask) -> object:
        """Runs the handler, and ends it when the task is cancelled or lost."""
        results: list[object] = []
        failures: list[Exception] = []
        async with anyio.create_task_group() as group:
            group.start_soon(renew, task, group.cancel_scope)
            try:
                results.append(await apart(partial(self._handlers[task.type], task)))
            except WaitCancelled as error:
                # A handler may wait for a task of its own that has ended by the same cancel.
                failures.append(task.ended or error)
            except Exception as error:
                # Raised below: a group would wrap it.
                failures.append(error)
            group.cancel_scope.cancel()
        if failures:
            raise failures[0]
        if not results:
            task.check()
        return results[0]

    async def _fail(self, task: AsyncTask, error: Exception) -> None:
        """Fails a task that cannot be done: it must not end the worker."""
        log.info("task %s fails: %s", task.id, printed(error))
        try:
            if isinstance(error, TaskFailed):
                await task._end("fail", **fault(error.code, error.message, error.retryable))
            else:
                await task._end("fail", **bad_task(error))
        except (Refused, ValueError, TypeError) as refused:
            if isinstance(refused, Refused) and refused.status not in TASK_AT_FAULT:
                raise
            await task._end("fail", **bad_task(refused))


async def renew(task: AsyncTask, handler: anyio.CancelScope) -> None:
    """Renews the lease of a task until it is cancelled or lost; then it ends the handler."""
    due = anyio.current_time() + task._claim.renewal_seconds
    while True:
        await anyio.sleep_until(due)
        due = anyio.current_time() + task._claim.renewal_seconds
        try:
            await task._report(task._renewal())
            task.check()
        except (Cancelled, LeaseLost):
            handler.cancel()
            return
        except Exception as error:
            # Whatever it is: while the lease lasts, the next renewal may succeed.
            log.warning("the lease of task %s was not renewed: %r", task.id, error)
