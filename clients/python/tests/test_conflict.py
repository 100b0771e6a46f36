"""Requests about a task that the service refuses with 409, although the lease is still held."""

from __future__ import annotations

import asyncio
import threading
import time

import anyio

from porchlight import AsyncTask, Cancelled, Task

from .support import patch
from .tasks import TaskTest

WORDS = [f"word{n} " for n in range(20)]
BAD = ("failed", "bad_task")


class ConflictTest(TaskTest):
    def write_as_another(self, task: Task | AsyncTask) -> None:
        """Another program writes with the fence of this task."""
        body = {"fence": task.attempt, "offset": 0, "text": "of another program"}
        self.server.request("POST", f"/tasks/{task.id}/output", self.worker_token, body)

    def test_a_refusal_that_is_no_lost_lease_fails_the_task(self) -> None:
        worker = self.worker()

        @worker.task(self.type)
        def handle(task: Task) -> None:
            if task.param("what") == "not cancelled":
                raise Cancelled("by the handler")
            self.write_as_another(task)
            task.write("text")

        def work() -> None:
            for what in ("not cancelled", "wrong offset"):
                self.assertEqual(self.outcome(self.ask({"what": what})), BAD, what)

        self.while_it_runs(worker, work)

    def test_an_asynchronous_worker_does_the_same(self) -> None:
        async def work() -> list[tuple[str, str | None]]:
            async with self.while_it_works(tasks=2) as worker:

                @worker.task(self.type)
                async def handle(task: AsyncTask) -> None:
                    if task.param("what") == "not cancelled":
                        raise Cancelled("by the handler")
                    await anyio.to_thread.run_sync(self.write_as_another, task)
                    await task.write("text")

                return await self.outcomes("not cancelled", "wrong offset")

        self.assertEqual(asyncio.run(work()), [BAD, BAD])

    def test_threads_of_a_handler_may_write_at_the_same_time(self) -> None:
        worker = self.worker()

        @worker.task(self.type)
        def handle(task: Task) -> None:
            threads = [threading.Thread(target=task.write, args=(word,)) for word in WORDS]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        def work() -> None:
            id = self.ask({})
            self.assertEqual(self.outcome(id), ("completed", None))
            self.assertEqual(sorted(self.output(id).split()), sorted("".join(WORDS).split()))

        self.while_it_runs(worker, work)

    def test_tasks_of_an_asynchronous_handler_may_write_at_the_same_time(self) -> None:
        async def work() -> list[tuple[str, str | None]]:
            async with self.while_it_works() as worker:

                @worker.task(self.type)
                async def handle(task: AsyncTask) -> str:
                    async with anyio.create_task_group() as group:
                        for word in WORDS:
                            group.start_soon(task.write, word)
                    return task.id

                return await self.outcomes("writes")

        self.assertEqual(asyncio.run(work()), [("completed", None)])

    def test_a_cancel_is_noticed_by_writing_alone(self) -> None:
        worker = self.worker()
        noticed = threading.Event()

        @worker.task(self.type)
        def handle(task: Task) -> None:
            try:
                while True:
                    task.write("word ")
                    time.sleep(0.02)
            except Cancelled:
                noticed.set()
                raise

        def work() -> None:
            id = self.ask({})
            self.begun(id)
            self.cancel(id)
            self.assertEqual(self.outcome(id), ("cancelled", None))
            self.assertTrue(noticed.is_set())

        # No renewal tells of it. The service ends the task by itself after some time, and the lease is lost.
        with patch("porchlight._tasks.Claim.renewal_seconds", property(lambda claim: 1000.0)):
            self.while_it_runs(worker, work)
