"""Output whose request has ended without an answer, and whose handler writes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import replace

import anyio

from porchlight import AsyncTask, Call, Refused, Task, Unreachable
from porchlight._tasks import TaskState

from .support import eventually, patch
from .tasks import TaskTest

# The third text is the beginning of the second: it is not taken for it.
TEXTS = ("a ", "porch porch ", "porch ", "light")
BAD_TEXT = "\0"
"""The service refuses it."""


class UnansweredTest(TaskTest):
    def lost(self) -> tuple[threading.Event, threading.Event]:
        """What the network loses: the service has not added the text, or it has."""
        return self.network.loses_requests, self.network.loses_answers

    def test_a_write_that_its_handler_cancels_is_added_before_the_next(self) -> None:
        async def write_and_cancel(task: AsyncTask, text: str, loses: threading.Event) -> None:
            with self.network.losing(loses) as is_lost:
                async with anyio.create_task_group() as group:
                    group.start_soon(task.write, text)
                    await anyio.to_thread.run_sync(eventually, "it is lost", is_lost)
                    group.cancel_scope.cancel()

        async def work() -> None:
            async with self.while_it_works() as worker:

                @worker.task(self.type)
                async def handle(task: AsyncTask) -> None:
                    first, second, *rest = TEXTS
                    await task.write(first)
                    await write_and_cancel(task, second, self.lost()[task.param("what")])
                    for text in rest:
                        await task.write(text)

                for what in range(len(self.lost())):
                    id = self.ask({"what": what})
                    self.assertEqual(await anyio.to_thread.run_sync(self.outcome, id), ("completed", None))
                    self.assertEqual(await anyio.to_thread.run_sync(self.output, id), "".join(TEXTS))

        asyncio.run(work())

    def test_a_write_that_was_not_answered_is_added_before_the_next(self) -> None:
        worker = self.worker()
        saying = TaskState._saying

        def impatient(task: TaskState, what: str, body: Mapping[str, object]) -> Call:
            return replace(saying(task, what, body), patience=0.0, seconds=0.5)

        @worker.task(self.type)
        def handle(task: Task) -> None:
            first, second, *rest = TEXTS
            task.write(first)
            with self.network.losing(self.lost()[task.param("what")]), patch("porchlight._tasks.TaskState._saying", impatient):
                with self.assertRaises(Unreachable):
                    task.write(second)
            for text in rest:
                task.write(text)

        def work() -> None:
            for what in range(len(self.lost())):
                id = self.ask({"what": what})
                self.assertEqual(self.outcome(id), ("completed", None))
                self.assertEqual(self.output(id), "".join(TEXTS))

        self.while_it_runs(worker, work)

    def test_a_write_that_was_refused_is_not_sent_again(self) -> None:
        worker = self.worker()

        @worker.task(self.type)
        def handle(task: Task) -> None:
            task.write("a ")
            with self.assertRaises(Refused):
                task.write(BAD_TEXT)
            task.write("house")

        def work() -> None:
            id = self.ask({})
            self.assertEqual(self.outcome(id), ("completed", None))
            self.assertEqual(self.output(id), "a house")

        self.while_it_runs(worker, work)
