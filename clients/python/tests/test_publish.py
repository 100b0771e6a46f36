"""Publishing, through a network that fails."""

from __future__ import annotations

import asyncio

from porchlight import AsyncClient, Client, Refused, Unreachable

from .support import ServiceTest, patch


class PublishTest(ServiceTest):
    def client(self, url: str | None = None) -> Client:
        client = Client(url or self.network.url, self.publisher)
        self.addCleanup(client.close)
        return client

    def test_events_get_positions(self) -> None:
        positions = self.client().publish(self.event(1), self.event(2))
        self.assertEqual(len(set(positions)), 2)
        self.assertEqual(self.published(), [1, 2])

    def test_an_answer_that_is_lost_does_not_publish_twice(self) -> None:
        # The request arrives, and its answer breaks off after so many bytes.
        budgets = [0, 1, 40]
        self.network.budget = lambda: budgets.pop() if budgets else None
        positions = self.client().publish(self.event(1))
        self.assertEqual((len(positions), budgets), (1, []))
        self.assertEqual(self.published(), [1])

    def test_an_asynchronous_client_does_the_same(self) -> None:
        budgets = [1, 40]
        self.network.budget = lambda: budgets.pop() if budgets else None

        async def publish() -> list[str]:
            async with AsyncClient(self.network.url, self.publisher) as client:
                return await client.publish(self.event(1))

        self.assertEqual((len(asyncio.run(publish())), budgets), (1, []))
        self.assertEqual(self.published(), [1])

    def test_a_key_makes_the_same_request_once(self) -> None:
        client = self.client()
        first = client.publish(self.event(1), key="import-7")
        self.assertEqual(client.publish(self.event(1), key="import-7"), first)
        with self.assertRaises(Refused) as refused:
            client.publish(self.event(2), key="import-7")
        self.assertEqual(refused.exception.code, "idempotency_key_reused")
        self.assertEqual(self.published(), [1])

    def test_a_refusal_is_raised_at_once(self) -> None:
        event = self.event(1)
        event["type"] = "ai:task:completed"
        with self.assertRaises(Refused) as refused:
            self.client().publish(event)
        error = refused.exception
        self.assertEqual((error.status, error.code), (400, "reserved_type"))
        self.assertIn("reserved", error.detail)
        self.assertEqual(self.network.connections, 1)

    def test_a_service_that_cannot_be_reached_is_said_so_in_the_end(self) -> None:
        self.network.close()
        with patch("porchlight._sync.PATIENCE_SECONDS", 0.3), self.assertRaises(Unreachable):
            self.client().publish(self.event(1))

    def test_a_page_of_a_proxy_is_no_answer(self) -> None:
        self.network.status = 502
        with patch("porchlight._sync.PATIENCE_SECONDS", 0.3), self.assertRaises(Refused) as refused:
            self.client().publish(self.event(1))
        self.assertEqual((refused.exception.status, refused.exception.detail), (502, "oops"))
        self.assertGreater(self.network.connections, 1)
