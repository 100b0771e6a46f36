"""What ends waits, and what stays open afterwards."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
from types import FrameType, SimpleNamespace
from typing import Any

import anyio
import httpx

from porchlight import AsyncClient, AsyncWorker, Client, Worker
from porchlight._watchdog import Watchdog

from .support import PATIENCE_SECONDS, ServiceTest, eventually, patch


class EndingsTest(ServiceTest):
    def test_a_stop_by_a_signal_ends_a_pause_at_every_moment_of_it(self) -> None:
        self.network.status = 502
        with patch("porchlight._tasks.PAUSE_SECONDS", PATIENCE_SECONDS):
            threads = [threading.Thread(target=self.run_and_stop, args=(line,), daemon=True) for line in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_SECONDS / 4)
        self.assertEqual([thread.is_alive() for thread in threads], [False] * 3, "it does not wait for itself")

    def run_and_stop(self, line: int) -> None:
        """Stops a worker before this line of its pause: between any two lines, a signal handler may be called."""
        worker = Worker(Client(self.network.url, "token"))
        lines = itertools.count()

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            is_pause = frame.f_back and frame.f_back.f_code is Worker.run.__code__ and frame.f_code.co_name == "wait"
            if is_pause and event == "line" and next(lines) == line:
                worker.stop()
            return trace

        sys.settrace(trace)
        worker.run()

    def test_a_stop_ends_a_pause_of_an_asynchronous_worker(self) -> None:
        self.network.status = 502

        async def work() -> None:
            async with AsyncClient(self.network.url, "token") as client, anyio.create_task_group() as group:
                worker = AsyncWorker(client)
                group.start_soon(worker.run)
                with self.assertLogs("porchlight") as logs:
                    while not logs.output:
                        await asyncio.sleep(0.02)
                worker.stop()
                with anyio.move_on_after(PATIENCE_SECONDS / 2) as limit:
                    while len(asyncio.all_tasks()) > 1:
                        await asyncio.sleep(0.02)
                group.cancel_scope.cancel()
                self.assertFalse(limit.cancelled_caught, "it ends long before the pause")

        with patch("porchlight._tasks.PAUSE_SECONDS", PATIENCE_SECONDS):
            asyncio.run(work())

    def test_a_tail_that_is_closed_gives_its_connection_back(self) -> None:
        with httpx.Client(limits=httpx.Limits(max_connections=1)) as http:
            client = Client(self.network.url, self.token, http=http)
            for _ in range(3):
                tail = client.tail("user")
                next(tail)
                tail.close()
                self.assertFalse(tail.connected)

    def test_a_tail_that_is_left_gives_its_connection_back(self) -> None:
        with httpx.Client(limits=httpx.Limits(max_connections=1)) as http:
            client = Client(self.network.url, self.token, http=http)
            for _ in range(3):
                tail = client.tail("user")
                next(tail)
                response = tail._response
                del tail
                eventually("it is closed", lambda: response and response.is_closed)

    def test_a_tail_that_another_thread_has_closed_gives_its_connection_back(self) -> None:
        client = Client(self.network.url, self.token)
        self.addCleanup(client.close)
        tail = client.tail("user")
        next(tail)
        reader = threading.Thread(target=lambda: [event for event in tail])
        reader.start()
        tail.close()
        reader.join(PATIENCE_SECONDS)
        self.assertFalse(tail.connected)

    def test_a_signal_handler_may_close_a_tail_while_httpx_has_its_lock(self) -> None:
        client = Client(self.network.url, self.token)
        self.addCleanup(client.close)
        tail = client.tail("user")
        next(tail)
        lock: Any = client._http._transport._pool._optional_thread_lock  # type: ignore[attr-defined]

        def close() -> None:
            with lock:
                tail.close()

        thread = threading.Thread(target=close, daemon=True)
        thread.start()
        thread.join(PATIENCE_SECONDS / 4)
        self.assertFalse(thread.is_alive(), "it does not wait for itself")

    def test_a_read_that_ends_while_its_deadline_is_looked_at_does_not_end_the_watchdog(self) -> None:
        watchdog = Watchdog()
        self.addCleanup(watchdog.end)
        looks: list[None] = []

        def now() -> float:
            watchdog.arm(None)  # At this moment the read ends.
            looks.append(None)
            return 0.0

        def has_looked_again() -> bool:
            watchdog.arm(1.0)
            return len(looks) > 1 or not is_alive()

        def is_alive() -> bool:
            return watchdog._thread is not None and watchdog._thread.is_alive()

        with patch("porchlight._watchdog.time", SimpleNamespace(monotonic=now)), patch("porchlight._watchdog.LOOK_SECONDS", 0.01):
            watchdog.watch(None)
            eventually("it has looked again", has_looked_again)
            self.assertTrue(is_alive())
