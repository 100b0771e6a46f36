"""An asynchronous worker that does many tasks at a time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import anyio

from porchlight import AsyncClient, AsyncTask, AsyncWorker, Call
from porchlight._tasks import WAIT_SECONDS

from .support import PATIENCE_SECONDS, eventually
from .tasks import TaskTest

WORDS = 20
TASKS = 120
"""More than a client has connections."""


class ClaimCounter(AsyncClient):
    """Counts the claims that wait, and all that were made."""

    waiting = 0
    made = 0

    async def call(self, call: Call) -> Any:
        if call.path != "/tasks/claim":
            return await super().call(call)
        self.waiting += 1
        self.made += 1
        try:
            return await super().call(call)
        finally:
            self.waiting -= 1


class ManyTasksTest(TaskTest):
    def test_claims_that_wait_leave_connections_to_the_tasks(self) -> None:
        async def work() -> float:
            client = ClaimCounter(self.network.url, self.worker_token)
            async with client, anyio.create_task_group() as group:
                worker = AsyncWorker(client, tasks=TASKS)

                @worker.task(self.type)
                async def handle(task: AsyncTask) -> None:
                    for word in range(WORDS):
                        await task.write(f"{word} ")

                group.start_soon(worker.run)
                await anyio.to_thread.run_sync(eventually, "claims wait", lambda: client.waiting)
                began = time.monotonic()
                self.assertEqual(await self.outcomes("write"), [("completed", None)])
                took = time.monotonic() - began
                group.cancel_scope.cancel()
            return took

        self.assertLess(asyncio.run(work()), WAIT_SECONDS / 2)

    def test_tasks_run_at_the_same_time_although_few_claims_wait(self) -> None:
        async def work() -> None:
            async with self.while_it_works(tasks=TASKS) as worker:
                running = 0
                all_run = anyio.Event()

                @worker.task(self.type)
                async def handle(task: AsyncTask) -> None:
                    nonlocal running
                    running += 1
                    if running == WORDS:
                        all_run.set()
                    with anyio.fail_after(PATIENCE_SECONDS / 2):
                        await all_run.wait()

                outcomes = await self.outcomes(*["run"] * WORDS)
                self.assertEqual(outcomes, [("completed", None)] * WORDS)

        asyncio.run(work())

    def test_a_worker_that_is_stopped_claims_nothing_more(self) -> None:
        async def work() -> None:
            client = ClaimCounter(self.network.url, self.worker_token)
            async with client:
                worker = AsyncWorker(client, tasks=TASKS, wait_seconds=1)

                @worker.task(self.type)
                async def handle(task: AsyncTask) -> None:
                    pass

                async with anyio.create_task_group() as group:
                    group.start_soon(worker.run)
                    while not client.waiting:
                        await anyio.sleep(0.01)
                    worker.stop()
                    made = client.made
                self.assertEqual(client.made, made)

        asyncio.run(work())
