"""Streams, through a network that fails."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import unittest

from porchlight import AsyncClient, Client, Event, Refused
from porchlight._tail import Tail

from .support import ServiceTest, beside, number

EVENTS = 300


class TailTest(ServiceTest):
    def client(self) -> Client:
        client = Client(self.network.url, self.token)
        self.addCleanup(client.close)
        return client

    def numbers(self, tail: Tail, count: int) -> list[int]:
        """The numbers of the next events, without those of the stream itself."""
        found: list[int] = []
        for event in tail:
            if event.type == "listing:sold":
                found.append(number(event.data))
            if len(found) == count:
                break
        return found

    def test_every_event_comes_once_and_in_order_through_a_network_that_breaks(self) -> None:
        self.network.budget = lambda: random.randrange(200, 9000)

        def publish() -> None:
            for n in range(0, EVENTS, 10):
                self.publish(*range(n, n + 10))
                if n % 50 == 0:
                    self.network.cut()

        tail = self.client().tail("user", since="0", cursor_file=self.cursor_file)
        with beside(publish), tail:
            self.assertEqual(self.numbers(tail, EVENTS), list(range(EVENTS)))
        self.assertGreater(self.network.connections, 5)

    def test_an_asynchronous_tail_does_the_same(self) -> None:
        self.network.budget = lambda: random.randrange(200, 9000)

        async def follow() -> list[int]:
            found: list[int] = []
            async with AsyncClient(self.network.url, self.token) as client:
                async with client.tail("user", since="0", cursor_file=self.cursor_file) as tail:
                    async for event in tail:
                        if event.type == "listing:sold":
                            found.append(number(event.data))
                        if len(found) == EVENTS:
                            break
            return found

        def publish() -> None:
            for n in range(0, EVENTS, 10):
                self.publish(*range(n, n + 10))

        with beside(publish):
            self.assertEqual(asyncio.run(follow()), list(range(EVENTS)))
        self.assertGreater(self.network.connections, 5)

    def test_the_cursor_survives_the_program_and_the_service(self) -> None:
        self.publish(1, 2, 3)
        with self.client().tail("user", since="0", cursor_file=self.cursor_file) as tail:
            self.assertEqual(self.numbers(tail, 2), [1, 2])
        self.server.restart()
        self.publish(4)
        # Event 2 was in hand when the program ended, so it comes again.
        with self.client().tail("user", cursor_file=self.cursor_file) as tail:
            self.assertEqual(self.numbers(tail, 3), [2, 3, 4])
            with beside(self.server.restart):
                pass
            self.publish(5)
            self.assertEqual(self.numbers(tail, 1), [5])

    def test_what_is_no_cursor_is_answered_with_a_reset(self) -> None:
        for content in ("", "no cursor\n", "é" * 300):
            self.cursor_file.write_text(content)
            with self.client().tail("user", cursor_file=self.cursor_file) as tail:
                events = first(tail, "stream:reset")
            self.assertEqual(events[-1].json()["reason"], "unknown")

    def test_silence_is_noticed_and_ends(self) -> None:
        tail = self.client().tail("user")
        with tail:
            first(tail, "stream:ready")
            self.network.silent.set()

            def speak() -> None:
                while self.network.connections < 2:
                    time.sleep(0.02)
                self.network.silent.clear()
                self.publish(7)

            with beside(speak):
                self.assertEqual(self.numbers(tail, 1), [7])

    def test_an_asynchronous_tail_notices_silence_too(self) -> None:
        async def follow() -> int:
            async with AsyncClient(self.network.url, self.token) as client, client.tail("user") as tail:
                async for event in tail:
                    if event.type == "stream:ready" and self.network.connections == 1:
                        self.network.silent.set()
                        threading.Thread(target=speak).start()
                    if event.type == "listing:sold":
                        return number(event.data)
            return 0

        def speak() -> None:
            while self.network.connections < 2:
                time.sleep(0.02)
            self.network.silent.clear()
            self.publish(8)

        self.assertEqual(asyncio.run(follow()), 8)

    def test_a_proxy_that_answers_for_the_service_does_not_end_the_tail(self) -> None:
        self.network.status = 502

        def repair() -> None:
            while self.network.connections < 4:
                time.sleep(0.02)
            self.network.status = None
            self.publish(1)

        with beside(repair), self.client().tail("user", since="0") as tail:
            self.assertEqual(self.numbers(tail, 1), [1])

    def test_a_refusal_ends_the_tail(self) -> None:
        self.token = "not.a.token"
        with self.client().tail("user") as tail, self.assertRaises(Refused) as refused:
            next(tail)
        self.assertEqual((refused.exception.status, refused.exception.code), (401, "token_malformed"))
        with self.assertRaises(StopIteration):
            next(tail)

        async def follow() -> None:
            async with AsyncClient(self.network.url, self.token) as client:
                async for _ in client.tail("user"):
                    pass

        with self.assertRaises(Refused):
            asyncio.run(follow())

    def test_a_request_that_is_wrong_ends_the_tail(self) -> None:
        client = Client(self.network.url, self.server.token("agent", self.user))
        with client, client.tail("team", team="not-mine") as tail, self.assertRaises(Refused) as refused:
            next(tail)
        self.assertEqual(refused.exception.status, 404)

    def test_filters_are_passed_on(self) -> None:
        self.publish(1)
        with self.client().tail("user", types=["listing:*", "stream:*"], since="-1") as tail:
            self.assertEqual(self.numbers(tail, 1), [1])
        with self.client().tail("user", types="escrow:*", since="0") as tail:
            self.publish(2)
            self.assertEqual(next(tail).type, "stream:ready")
            tail._watchdog.arm(time.monotonic())  # It has nothing more to say.

    def test_a_fresh_token_is_asked_for_before_each_connection(self) -> None:
        tokens = iter([self.server.token("agent", self.user, ttl) for ttl in ("2s", "1h")])
        client = Client(self.network.url, lambda: next(tokens))
        with client, client.tail("user") as tail:
            events = first(tail, "stream:closing")
            self.assertEqual(events[-1].json()["reason"], "expired")
            self.publish(9)
            self.assertEqual(self.numbers(tail, 1), [9])

    def test_another_thread_ends_a_tail_that_waits(self) -> None:
        tail = self.client().tail("user")
        first(tail, "presence:snapshot")

        def close() -> None:
            time.sleep(0.1)
            tail.close()

        with beside(close):
            self.assertEqual([event.type for event in tail if event.type == "listing:sold"], [])


def first(tail: Tail, kind: str) -> list[Event]:
    """The events up to the first of this type."""
    found: list[Event] = []
    for event in tail:
        found.append(event)
        if event.type == kind:
            return found
    raise AssertionError(f"no {kind} among {found}")


if __name__ == "__main__":
    unittest.main()
