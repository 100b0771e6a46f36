"""Tokens that no header can carry."""

from __future__ import annotations

import asyncio

from porchlight import AsyncClient, Client, Unreachable

from .support import ServiceTest, patch


class TokenTest(ServiceTest):
    def test_a_token_from_a_file_may_end_with_a_line_end(self) -> None:
        with Client(self.network.url, self.publisher + "\n") as client:
            client.publish(self.event(1))
        with Client(self.network.url, lambda: self.publisher + "\r\n") as client:
            client.publish(self.event(2))

        async def publish() -> None:
            async with AsyncClient(self.network.url, lambda: self.publisher + "\n") as other:
                await other.publish(self.event(3))

        asyncio.run(publish())
        self.assertEqual(self.published(), [1, 2, 3])

    def test_a_token_that_no_header_can_carry_is_said_without_the_token(self) -> None:
        for token in ("", "se\ncret", "secrét"):
            with self.assertRaises(ValueError) as wrong:
                Client(self.network.url, token)
            self.assertEqual(str(wrong.exception), "the token is empty, or has characters that no header can carry")
            with self.assertRaises(ValueError):
                AsyncClient(self.network.url, token)
            with patch("porchlight._sync.PATIENCE_SECONDS", 0.1), Client(self.network.url, lambda: token) as client:
                with self.assertRaisesRegex(Unreachable, "no token: ValueError"):
                    client.publish(self.event(1))
        self.assertEqual(self.network.connections, 0)
