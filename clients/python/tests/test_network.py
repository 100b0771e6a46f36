"""The network of the tests: what it promises them."""

from __future__ import annotations

import socket
import threading

from .support import ServiceTest, eventually, patch

REQUEST = b"GET /health/live HTTP/1.1\r\nHost: porchlight.test\r\nConnection: close\r\n\r\n"


class NetworkTest(ServiceTest):
    def connect(self) -> socket.socket:
        host, _, port = self.network.url.removeprefix("http://").partition(":")
        client = socket.socket()
        self.addCleanup(client.close)
        client.settimeout(20)
        client.connect((host, int(port)))
        return client

    def answer(self, client: socket.socket) -> bytes:
        """What is answered until the end; nothing if the connection was broken."""
        said = b""
        try:
            client.sendall(REQUEST)
            while data := client.recv(65536):
                said += data
        except ConnectionError:
            return b""
        return said

    def test_a_cut_breaks_a_connection_that_is_being_made(self) -> None:
        may_connect = threading.Event()
        connect = socket.create_connection

        def slow(address: tuple[str, int]) -> socket.socket:
            may_connect.wait(20)
            return connect(address)

        with patch("tests.support.socket.create_connection", slow):
            client = self.connect()
            eventually("it is accepted", lambda: self.network.connections == 1)
            self.network.status = 200
            self.network.cut()
            may_connect.set()
            self.assertEqual(self.answer(client), b"")
        self.assertIn(b"oops", self.answer(self.connect()))
        self.network.status = None
        self.assertIn(b"200 OK", self.answer(self.connect()))
