"""Handlers and token functions that wait for what somebody else cancels."""

from __future__ import annotations

import asyncio

from porchlight import AsyncClient, AsyncTask, AsyncWorker, Task

from .support import PATIENCE_SECONDS, number
from .tasks import TaskTest


async def cancelled_by_another() -> None:
    """Waits for a task of the program, which is cancelled."""
    waited_for = asyncio.ensure_future(asyncio.sleep(PATIENCE_SECONDS))
    asyncio.get_running_loop().call_soon(waited_for.cancel)
    await waited_for


class ForeignCancelTest(TaskTest):
    def test_a_handler_that_waits_for_what_is_cancelled_fails_its_task_alone(self) -> None:
        async def work() -> list[tuple[str, str | None]]:
            async with self.while_it_works(tasks=2) as worker:

                @worker.task(self.type)
                async def handle(task: AsyncTask) -> str:
                    if task.param("what") == "foreign":
                        await cancelled_by_another()
                    if task.param("what") == "itself":
                        current = asyncio.current_task()
                        assert current
                        current.cancel()
                        await asyncio.sleep(0)
                    return "done"

                return await self.outcomes("foreign", "itself", "fine", "fine")

        bad, fine = ("failed", "bad_task"), ("completed", None)
        self.assertEqual(asyncio.run(work()), [bad, bad, fine, fine])

    def test_a_handler_with_an_event_loop_of_its_own_does_not_end_the_worker(self) -> None:
        worker = self.worker()

        @worker.task(self.type)
        def handle(task: Task) -> str:
            if task.param("what") == "foreign":
                asyncio.run(cancelled_by_another())
            return "done"

        def work() -> None:
            self.assertEqual(self.outcome(self.ask({"what": "foreign"})), ("failed", "bad_task"))
            self.assertEqual(self.outcome(self.ask({"what": "fine"})), ("completed", None))

        self.while_it_runs(worker, work)

    def test_a_worker_that_is_cancelled_ends_with_its_handler(self) -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            async with AsyncClient(self.network.url, self.worker_token) as client:
                worker = AsyncWorker(client, wait_seconds=1)

                @worker.task(self.type)
                async def handle(task: AsyncTask) -> None:
                    try:
                        begun.set()
                        await asyncio.sleep(PATIENCE_SECONDS)
                    finally:
                        ended.set()

                running = asyncio.create_task(worker.run())
                await begun.wait()
                running.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await running

        id = self.ask({"what": "fine"})
        asyncio.run(work())
        self.assertTrue(ended.is_set())
        self.assertEqual(self.task(id)["state"], "running", "it is not the task's fault")

    def test_a_token_function_that_waits_for_what_is_cancelled_is_called_again(self) -> None:
        async def source() -> str:
            calls.append(None)
            if len(calls) % 2:
                await cancelled_by_another()
            return tokens[-1]

        async def publish_and_follow() -> int:
            async with AsyncClient(self.network.url, source) as client:
                await client.publish(self.event(1))
                tokens.append(self.token)
                async with client.tail("user", types="listing:*", since="0") as tail:
                    async for event in tail:
                        if event.type == "listing:sold":
                            return number(event.data)
            return 0

        calls: list[None] = []
        tokens = [self.publisher]
        self.assertEqual(asyncio.run(publish_and_follow()), 1)
        self.assertEqual(len(calls), 4)

    def test_a_request_that_is_cancelled_does_not_wait_for_its_token(self) -> None:
        async def source() -> str:
            await asyncio.sleep(PATIENCE_SECONDS)
            return ""

        async def publish() -> None:
            async with AsyncClient(self.network.url, source) as client:
                await asyncio.wait_for(client.publish(self.event(1)), 0.1)

        with self.assertRaises(asyncio.TimeoutError):
            asyncio.run(publish())
