"""Requests about a task that hang, while its lease is short."""

from __future__ import annotations

import asyncio
import time

import anyio

from porchlight import AsyncClient, AsyncTask, AsyncWorker, Task

from .support import Network, beside, eventually
from .tasks import TaskTest

LEASE = 6
DONE = ("completed", "1", "a house")


class HangingTest(TaskTest):
    def setUp(self) -> None:
        super().setUp()
        # A network for each worker: a fault is meant for one of them.
        self.other_network = Network(self.server.address)
        self.addCleanup(self.other_network.close)

    def test_one_request_that_hangs_costs_neither_the_lease_nor_the_attempt(self) -> None:
        with beside(self.asynchronous_worker):
            worker = self.worker(lease_seconds=LEASE)

            @worker.task(self.type)
            def handle(task: Task) -> int:
                lose_a_renewal(self.network)
                task.write("a ")
                with beside(lambda: lose_an_answer(self.network)):
                    task.write("house")
                return task.attempt

            self.while_it_runs(worker, lambda: self.assertEqual(self.done(self.ask({})), DONE))

    def asynchronous_worker(self) -> None:
        kind = f"{self.type}-aio"

        async def work() -> None:
            async with AsyncClient(self.other_network.url, self.worker_token) as client:
                worker = AsyncWorker(client, wait_seconds=1, lease_seconds=LEASE)

                @worker.task(kind)
                async def handle(task: AsyncTask) -> int:
                    worker.stop()
                    await anyio.to_thread.run_sync(lose_a_renewal, self.other_network)
                    await task.write("a ")
                    async with anyio.create_task_group() as group:
                        group.start_soon(anyio.to_thread.run_sync, lose_an_answer, self.other_network)
                        await task.write("house")
                    return task.attempt

                await worker.run()

        id = self.ask({}, kind)
        asyncio.run(work())
        self.assertEqual(self.done(id), DONE)

    def done(self, id: str) -> tuple[str, str, str]:
        """How a task ends, in which attempt, and with what output."""
        task = self.ended(id)
        return task["state"], task["attempt"], self.output(id)


def lose_a_renewal(network: Network) -> None:
    """Returns when the lease would have ended without another one."""
    until = time.monotonic() + LEASE + 1
    with network.losing(network.loses_requests) as is_lost:
        eventually("a renewal is lost", is_lost)
    eventually("the lease is over", lambda: time.monotonic() > until)


def lose_an_answer(network: Network) -> None:
    with network.losing(network.loses_answers) as is_lost:
        eventually("an answer is lost", is_lost)
