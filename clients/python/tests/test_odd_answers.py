"""Answers that are none of the service, and tokens that cannot be had: neither ends a stream, a worker or a task."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import anyio

from porchlight import AsyncClient, AsyncTail, AsyncTask, AsyncWorker, Client, Event, Refused, Task, Unreachable, Worker
from porchlight._state import SILENCE_SECONDS, silence

from .support import PATIENCE_SECONDS, ServiceTest, beside, eventually, number, patch

PAGE = "a page with status 200"
NO_TOKEN = "no token"
FAULTS = (PAGE, NO_TOKEN)
ENDED = ("completed", "failed", "cancelled")
TRIES = 2
SOLD = "listing:sold"


class Sealed(Exception):
    """What a store of secrets may raise."""


class OddAnswersTest(ServiceTest):
    def setUp(self) -> None:
        super().setUp()
        self.worker_token = self.server.token("worker", f"w-{self.user}")
        self.type = f"t-{self.user}"
        self.sealed = threading.Event()
        self.tokens = 0
        quick = property(lambda claim: 0.3)  # It is also the limit of a renewal.
        for constant, value in (("porchlight._tasks.Claim.renewal_seconds", quick), ("porchlight._tasks.PAUSE_SECONDS", 0.05)):
            patcher = patch(constant, value)
            patcher.start()
            self.addCleanup(patcher.stop)

    def source(self, token: str) -> Callable[[], str]:
        """A token function, which fails while the store is sealed."""

        def token_now() -> str:
            self.tokens += 1
            if self.sealed.is_set():
                raise Sealed("the store is sealed")
            return token

        return token_now

    def client(self, token: str) -> Client:
        client = Client(self.network.url, self.source(token))
        self.addCleanup(client.close)
        return client

    def begin(self, fault: str) -> Callable[[], bool]:
        """From now on requests meet this fault. Returns whether enough have met it."""
        if fault == NO_TOKEN:
            tokens = self.tokens
            self.sealed.set()
            return lambda: self.tokens >= tokens + TRIES
        connections = self.network.connections
        self.network.status = 200
        self.network.cut()
        return lambda: self.network.connections >= connections + TRIES

    def end(self) -> None:
        self.sealed.clear()
        self.network.status = None

    @contextmanager
    def fault(self, fault: str) -> Iterator[None]:
        """Requests meet this fault, until two have met it."""
        is_enough = self.begin(fault)

        def wait() -> None:
            try:
                eventually(f"it is tried again: {fault}", is_enough)
            finally:
                self.end()

        with beside(wait):
            yield

    def ask(self) -> str:
        id: str = self.server.request("POST", "/tasks", self.token, {"type": self.type})["id"]
        return id

    def outcome(self, id: str) -> tuple[str, str | None]:
        """The state in which a task ends, and the message of its error."""

        def ended() -> tuple[str, str | None] | None:
            task = self.server.request("GET", f"/tasks/{id}", self.token)
            return (task["state"], (task.get("error") or {}).get("message")) if task["state"] in ENDED else None

        return eventually("the task ends", ended)

    def through_faults(self, id: str, fault: str) -> None:
        """Renewals meet the fault, and then the user cancels the task: only a renewal tells of it."""
        with self.fault(fault):
            pass
        self.server.request("POST", f"/tasks/{id}/cancel", self.token, {})

    def test_leases_are_renewed_after_a_renewal_that_went_wrong(self) -> None:
        for fault in FAULTS:
            worker = Worker(self.client(self.worker_token), wait_seconds=1)

            @worker.task(self.type)
            def handle(task: Task) -> None:
                self.through_faults(task.id, fault)
                eventually("a renewal tells of the cancel", lambda: task.cancelled)
                task.check()

            with beside(worker.run):
                try:
                    self.assertEqual(self.outcome(self.ask()), ("cancelled", None), fault)
                finally:
                    worker.stop()

    def test_an_asynchronous_handler_goes_on_after_a_renewal_that_went_wrong(self) -> None:
        for fault in FAULTS:
            id = self.ask()

            async def work() -> None:
                async with AsyncClient(self.network.url, self.source(self.worker_token)) as client:
                    worker = AsyncWorker(client, wait_seconds=1)

                    @worker.task(self.type)
                    async def handle(task: AsyncTask) -> None:
                        worker.stop()
                        await anyio.to_thread.run_sync(self.through_faults, task.id, fault)
                        await anyio.sleep(PATIENCE_SECONDS)

                    await worker.run()

            anyio.run(work)
            self.assertEqual(self.outcome(id), ("cancelled", None), fault)

    def test_reports_and_output_are_repeated(self) -> None:
        worker = Worker(self.client(self.worker_token), wait_seconds=1)

        @worker.task(self.type)
        def handle(task: Task) -> None:
            for fault in FAULTS:
                with self.fault(fault):
                    task.progress(50)
                with self.fault(fault):
                    task.write("text ")

        # No renewal meets the fault instead.
        with patch("porchlight._tasks.Claim.renewal_seconds", property(lambda claim: 1000.0)), beside(worker.run):
            try:
                self.assertEqual(self.outcome(self.ask()), ("completed", None))
            finally:
                worker.stop()

    def test_a_worker_claims_again(self) -> None:
        worker = Worker(self.client(self.worker_token), wait_seconds=1)
        worker.task(self.type)(lambda task: None)
        with beside(worker.run):
            try:
                for fault in FAULTS:
                    with self.fault(fault):
                        id = self.ask()
                    self.assertEqual(self.outcome(id), ("completed", None), fault)
            finally:
                worker.stop()

    def test_events_are_published_once(self) -> None:
        client = self.client(self.publisher)
        for n, fault in enumerate(FAULTS):
            with self.fault(fault):
                self.assertEqual(len(client.publish(self.event(n))), 1)
        self.assertEqual(self.published(), [0, 1])

    def test_what_stays_wrong_is_an_error_of_this_package(self) -> None:
        with patch("porchlight._sync.PATIENCE_SECONDS", 0.1):
            self.begin(PAGE)
            with self.assertRaisesRegex(Unreachable, "status 200, text/html"):
                self.client(self.publisher).publish(self.event(1))
            self.begin(NO_TOKEN)
            with self.assertRaises(Unreachable) as raised:
                self.client(self.publisher).publish(self.event(1))
        self.assertIsInstance(raised.exception.__cause__, Sealed)

    def test_streams_ask_again_for_a_token(self) -> None:
        self.publish(1)

        async def first() -> int:
            async with AsyncClient(self.network.url, self.source(self.token)) as client:
                async with client.tail("user", since="0") as tail:
                    with self.fault(NO_TOKEN):
                        return number([event async for event in until_sold(tail)][-1].data)

        self.assertEqual(anyio.run(first), 1)
        with self.client(self.token).tail("user", since="0") as tail, self.fault(NO_TOKEN):
            self.assertEqual(next(number(event.data) for event in tail if event.type == SOLD), 1)

    def test_a_token_function_ends_a_stream_by_a_refusal(self) -> None:
        def signed_out() -> str:
            raise Refused(401, {"code": "signed_out"})

        with Client(self.network.url, signed_out) as client, self.assertRaises(Refused):
            next(client.tail("user"))

    def test_a_heartbeat_that_is_no_number_of_seconds_ends_no_stream(self) -> None:
        for value in ("1e999", "1" * 400, "NaN", "null", '"8"', "[" * 100_000):
            ready = Event("stream:ready", f'{{"heartbeatSeconds":{value}}}', "")
            limit = silence(ready) or SILENCE_SECONDS
            self.assertTrue(1 <= limit <= 9000, value[:20])


async def until_sold(tail: AsyncTail) -> AsyncIterator[Event]:
    async for event in tail:
        yield event
        if event.type == SOLD:
            return
