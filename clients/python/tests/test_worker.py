"""Workers, with tasks that go wrong in every way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import anyio
import httpx

from porchlight import AsyncClient, AsyncTask, AsyncWorker, Client, LeaseLost, Refused, Task, TaskFailed, Worker

from .support import PATIENCE_SECONDS, ROOT, beside, eventually, patch
from .tasks import TaskTest

EXAMPLE = ROOT / "clients/python/examples/worker.py"
FAULTS = ("nan", "object", "large", "long", "percent", "recursion", "surrogate", "code", "refused", "lost", "unprintable")
LEASE = 10
SHORT_LEASE = 5


class Unprintable(Exception):
    """An error as of a library whose classes are wrong."""

    def __repr__(self) -> str:
        raise AttributeError("no such attribute")


class WorkerTest(TaskTest):
    def test_the_example_does_what_the_worker_of_the_documentation_does(self) -> None:
        source = EXAMPLE.read_text().split('"""')[2]
        code = [line for line in source.splitlines() if line.strip() and "import" not in line]
        self.assertLessEqual(len(code), 10, "it is short")
        environment = {**os.environ, "PORCHLIGHT_URL": self.server.url, "PORCHLIGHT_TOKEN": self.worker_token}
        process = subprocess.Popen([sys.executable, str(EXAMPLE)], env=environment)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        digits = "9" * 5000
        text = "a house with a porch and a light"
        for params, expected in (
            (json.dumps({"text": text}), ("completed", None)),
            (f'{{"text":"a house","n":{digits}}}', ("completed", None)),
            (f'{{"text":[-{digits}]}}', ("completed", None)),
            (digits, ("failed", "no_text")),
            ("{}", ("failed", "no_text")),
            ("[]", ("failed", "no_text")),
            ('{"text":" "}', ("failed", "no_text")),
            # The output of a task holds no such character: the service refuses it.
            ('{"text":"a\\u0000b"}', ("failed", "bad_task")),
            ('{"text":"next"}', ("completed", None)),
        ):
            id = self.ask_with(params, "summarize")
            self.assertEqual(self.outcome(id), expected, params[:40])
            self.assertEqual(self.task(id)["attempt"], "1", params[:40])
        id = self.ask({"text": text}, "summarize")
        self.assertEqual(self.ended(id)["result"], {"summary": text})
        self.assertIsNone(process.poll(), "it runs")

    def test_no_handler_ends_the_worker(self) -> None:
        worker = self.worker()

        @worker.task(self.type)
        def handle(task: Task) -> object:
            what = task.param("what")
            if what == "nan":
                return float("nan")
            if what == "object":
                return object()
            if what == "large":
                return "x" * 100_000
            if what == "long":
                task.progress(message="x" * 10_000)
            if what == "percent":
                task.progress(1000)
            if what == "recursion":
                return handle(task)
            if what == "surrogate":
                raise ValueError("\ud800\0 é " + "x" * 10_000)
            if what == "unprintable":
                raise Unprintable
            if what == "code":
                raise TaskFailed("no such code!", "\0")
            if what == "network":
                raise ConnectionError("the model is not reachable")
            if what == "refused":
                raise Refused(401, {"code": "of another service"})
            if what == "lost":
                raise LeaseLost("of another service")
            return {"fine": True}

        def work() -> None:
            for what in FAULTS:
                self.assertEqual(self.outcome(self.ask({"what": what})), ("failed", "bad_task"), what)
            self.assertEqual(self.outcome(self.ask({"what": "fine"})), ("completed", None))
            # Something that could not be reached is tried again, after a pause.
            id = self.ask({"what": "network"})
            eventually("it is to be tried again", lambda: self.task(id).get("error") or self.task(id)["attempt"] == "2")
            self.cancel(id)

        self.while_it_runs(worker, work)

    def test_a_cancel_is_noticed_with_the_next_report(self) -> None:
        worker = self.worker()
        noticed = threading.Event()

        @worker.task(self.type)
        def handle(task: Task) -> None:
            while True:
                time.sleep(0.02)
                try:
                    task.progress(1, "working", step=1, steps=2)
                except Exception:
                    noticed.set()
                    raise

        def work() -> None:
            id = self.ask({})
            self.begun(id)
            self.cancel(id)
            self.assertEqual(self.outcome(id), ("cancelled", None))
            self.assertTrue(noticed.is_set())

        self.while_it_runs(worker, work)

    def test_a_handler_may_wrap_what_tells_it_of_the_cancel(self) -> None:
        worker = self.worker()

        @worker.task(self.type)
        def handle(task: Task) -> None:
            try:
                while True:
                    time.sleep(0.02)
                    task.progress(1)
            except Exception as error:
                raise TaskFailed("model", str(error), retryable=True)

        self.while_it_runs(worker, self.cancelled)

    def test_an_asynchronous_handler_may_do_so_too(self) -> None:
        async def work() -> None:
            async with self.while_it_works() as worker:

                @worker.task(self.type)
                async def handle(task: AsyncTask) -> None:
                    try:
                        while True:
                            await anyio.sleep(0.02)
                            await task.progress(1)
                    except Exception as error:
                        raise TaskFailed("model", str(error), retryable=True)

                await anyio.to_thread.run_sync(self.cancelled)

        anyio.run(work)

    def cancelled(self) -> None:
        """A task that is cancelled while it runs."""
        id = self.ask({})
        self.begun(id)
        self.cancel(id)
        self.assertEqual(self.outcome(id), ("cancelled", None))

    def test_leases_are_renewed_while_handlers_say_nothing_and_a_task_that_is_lost_is_dropped(self) -> None:
        # All at once, because leases take time.
        with beside(self.quiet_handler), beside(self.quiet_asynchronous_handler):
            self.lost_task()

    def quiet_handler(self) -> None:
        kind = f"{self.type}-quiet"
        worker = self.worker(lease_seconds=LEASE)

        @worker.task(kind)
        def handle(task: Task) -> int:
            time.sleep(LEASE + 2)
            return task.attempt

        def work() -> None:
            task = self.ended(self.ask({}, kind))
            self.assertEqual((task["state"], task["result"], task["attempt"]), ("completed", "1", "1"))

        self.while_it_runs(worker, work)

    def quiet_asynchronous_handler(self) -> None:
        kind = f"{self.type}-aio"

        async def work() -> None:
            async with AsyncClient(self.network.url, self.worker_token) as client:
                worker = AsyncWorker(client, wait_seconds=1, lease_seconds=LEASE)

                @worker.task(kind)
                async def handle(task: AsyncTask) -> int:
                    await anyio.sleep(LEASE + 2)
                    worker.stop()
                    return task.attempt

                await worker.run()

        id = self.ask({}, kind)
        anyio.run(work)
        self.assertEqual(self.ended(id)["result"], "1")

    def lost_task(self) -> None:
        kind = f"{self.type}-lost"
        worker = self.worker(lease_seconds=SHORT_LEASE)
        lost: list[LeaseLost] = []

        @worker.task(kind)
        def handle(task: Task) -> str:
            if task.attempt == 1:
                eventually("the lease ends", lambda: self.task(task.id)["state"] == "queued")
                try:
                    task.write("late")
                except LeaseLost as error:
                    lost.append(error)
                    raise
            return "done"

        def work() -> None:
            task = self.ended(self.ask({}, kind))
            self.assertEqual((task["state"], task["attempt"], len(lost)), ("completed", "2", 1))

        # Nothing renews the short lease.
        late = property(lambda claim: LEASE / 3 if claim.lease_seconds == LEASE else 1000.0)
        with patch("porchlight._tasks.Claim.renewal_seconds", late):
            self.while_it_runs(worker, work)

    def test_a_worker_survives_a_service_that_goes_away(self) -> None:
        worker = self.worker()
        worker.task(self.type)(lambda task: "done")
        self.network.status = 502

        def work() -> None:
            id = self.ask({})
            eventually("it has tried", lambda: self.network.connections >= 2)
            self.network.status = None
            self.assertEqual(self.outcome(id), ("completed", None))
            self.server.restart()
            self.assertEqual(self.outcome(self.ask({})), ("completed", None))

        with patch("porchlight._tasks.PAUSE_SECONDS", 0.05):
            self.while_it_runs(worker, work)

    def test_an_answer_that_is_lost_ends_no_task_and_writes_no_text_twice(self) -> None:
        worker = self.worker()

        @worker.task(self.type)
        def handle(task: Task) -> None:
            # Of each answer only so much arrives.
            self.network.cut()
            budgets = [1, 1, 40, 40]
            self.network.budget = lambda: budgets.pop() if budgets else None
            for word in ("a ", "house ", "with ", "a ", "porch"):
                task.write(word)

        def work() -> None:
            id = self.ask({})
            self.assertEqual(self.outcome(id), ("completed", None))
            self.assertEqual(self.output(id), "a house with a porch")

        self.while_it_runs(worker, work)

    def test_a_token_that_is_not_valid_ends_the_worker(self) -> None:
        worker = Worker(Client(self.network.url, "no.such.token"))
        worker.task(self.type)(lambda task: None)
        with self.assertRaises(Refused) as refused:
            worker.run()
        self.assertEqual(refused.exception.status, 401)

    def test_an_asynchronous_worker_does_the_same_and_ends_a_handler_that_is_cancelled(self) -> None:
        async def work() -> list[tuple[str, str | None]]:
            async with AsyncClient(self.network.url, self.worker_token) as client:
                worker = AsyncWorker(client, tasks=4, wait_seconds=1, lease_seconds=LEASE)

                @worker.task(self.type)
                async def handle(task: AsyncTask) -> object:
                    if task.param("what") == "bad":
                        raise ValueError("bad")
                    if task.param("what") == "sleep":
                        await anyio.sleep(PATIENCE_SECONDS)
                    await task.write("text ")
                    await task.progress(50)
                    return {"attempt": task.attempt}

                async with anyio.create_task_group() as group:
                    group.start_soon(worker.run)
                    ids = [self.ask({"what": what}) for what in ("bad", "sleep", "fine")]
                    await anyio.to_thread.run_sync(self.begun, ids[1])
                    self.cancel(ids[1])
                    outcomes = [await anyio.to_thread.run_sync(self.outcome, id) for id in ids]
                    worker.stop()
                return outcomes

        self.assertEqual(anyio.run(work), [("failed", "bad_task"), ("cancelled", None), ("completed", None)])

    def test_a_token_that_is_not_valid_ends_an_asynchronous_worker(self) -> None:
        async def work() -> None:
            async with AsyncClient(self.network.url, "no.such.token") as client:
                worker = AsyncWorker(client, tasks=2)

                @worker.task(self.type)
                async def handle(task: AsyncTask) -> None:
                    pass

                await worker.run()

        with self.assertRaises(Refused):
            anyio.run(work)
