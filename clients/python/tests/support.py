"""The real service, and a network between it and its clients that fails."""

from __future__ import annotations

import atexit
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TypeVar
from unittest.mock import patch

import httpx

from porchlight import NewEvent

__all__ = ["BINARY", "PATIENCE_SECONDS", "ROOT", "ServiceTest", "beside", "eventually", "number", "patch"]
ROOT = pathlib.Path(__file__).parents[3]
BINARY = os.environ.get("PORCHLIGHT_BIN") or str(ROOT / "target/debug/porchlight")
SECRET = "a secret that is for tests alone, and long enough"
PATIENCE_SECONDS = 60.0
BROKER = "b-1"
T = TypeVar("T")


def eventually(what: str, condition: Callable[[], T | None]) -> T:
    """Waits until the condition gives a value."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"it did not happen: {what}")


class Server:
    """A service with a database of its own. It can be killed and started again at the same address."""

    def __init__(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="porchlight-python-")
        os.chmod(self.directory, 0o755)  # As root, Postgres runs as another user.
        self.address = "127.0.0.1:0"
        self.process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        return {
            **inherited,
            "PORCHLIGHT_ADDR": self.address,
            "PORCHLIGHT_DATA_DIR": self.directory,
            "PORCHLIGHT_HEARTBEAT_SECONDS": "1",
            "PORCHLIGHT_STREAMS_PER_USER": "100",
            **{f"PORCHLIGHT_{bucket}_RATE": "0" for bucket in ("USER", "BROKERAGE", "WORKER", "ADDRESS")},
            "JWT_SECRET": SECRET,
        }

    def start(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [BINARY, "serve"], env=self._environment(), stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout
        said: list[str] = []
        for line in self.process.stdout:
            said.append(line)
            found = re.search(r"listening on http://(127\.0\.0\.1:\d+)", line)
            if found:
                self.address = found[1]
                break
        else:
            raise AssertionError("the server ended:\n" + "".join(said))
        threading.Thread(target=drain, args=(self.process.stdout,), daemon=True).start()
        eventually("the server is ready", self._is_ready)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def end(self, how: int) -> None:
        assert self.process
        self.process.send_signal(how)
        self.process.wait(timeout=PATIENCE_SECONDS)
        if self.process.stdout:
            self.process.stdout.close()

    def restart(self) -> None:
        self.end(signal.SIGKILL)
        self.start()

    def close(self) -> None:
        self.end(signal.SIGTERM)
        shutil.rmtree(self.directory, ignore_errors=True)

    def token(self, role: str, user: str = "u-1", ttl: str = "1h") -> str:
        options = ["--user", user, "--broker", BROKER, "--team", "team-a", "--role", role, "--ttl", ttl]
        command = [BINARY, "token", *options]
        return subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=True).stdout.strip()

    def request(self, method: str, path: str, token: str, body: object = None) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        answer = httpx.request(method, self.url + path, headers=headers, json=body, timeout=PATIENCE_SECONDS)
        assert answer.is_success, answer.text
        return answer.json()


def drain(output: IO[str]) -> None:
    """Reads what a program says, so that it can say more."""
    try:
        for _ in output:
            pass
    except ValueError:
        pass  # It was closed.


_server: list[Server] = []


def server() -> Server:
    """The service that all tests share."""
    if not _server:
        _server.append(Server())
        atexit.register(_server[0].close)
    return _server[0]


class Network:
    """A proxy. `fault` says what happens to the next connections."""

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        self.budget: Callable[[], int | None] = lambda: None
        """How many bytes of answers the next connection passes on before it breaks."""
        self.status: int | None = None
        """The next connections are answered with this status, by the proxy itself."""
        self.silent = threading.Event()
        """While it is set, nothing is passed on."""
        self.loses_requests = threading.Event()
        """While it is set, requests do not arrive, and their connections hang for ever."""
        self.loses_answers = threading.Event()
        """The same with answers: the service has done what was asked."""
        self.lost = 0
        """How many connections hang."""
        self.connections = 0
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        hang_up(self._listener)
        self.cut()

    @contextmanager
    def losing(self, loses: threading.Event) -> Iterator[Callable[[], bool]]:
        """Requests or answers are lost meanwhile. Yields whether one was."""
        lost = self.lost
        loses.set()
        try:
            yield lambda: self.lost > lost
        finally:
            loses.clear()

    def cut(self) -> None:
        """Breaks all connections, also those that are being made. The next ones are treated as is said before."""
        while self._sockets:
            reset(self._sockets.pop())

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            # Whoever sees the count can cut it.
            self._sockets.append(client)
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        status = self.status
        if status is not None:
            answer(client, status)
            return
        try:
            service = socket.create_connection(self._target)
        except OSError:
            client.close()
            return
        self._sockets.append(service)
        threading.Thread(target=self._pass, args=(client, service, self.loses_requests, None), daemon=True).start()
        self._pass(service, client, self.loses_answers, self.budget())

    def _pass(self, source: socket.socket, sink: socket.socket, loses: threading.Event, budget: int | None) -> None:
        try:
            while data := source.recv(65536):
                while self.silent.is_set():
                    time.sleep(0.01)
                if loses.is_set():
                    self.lost += 1
                    self._hang(source)
                    break
                if budget is not None:
                    data, budget = data[:budget], budget - len(data)
                sink.sendall(data)
                if budget is not None and budget <= 0:
                    break
        except OSError:
            pass
        if random.random() < 0.5:
            reset(sink)
        for each in (sink, source):
            hang_up(each)

    def _hang(self, source: socket.socket) -> None:
        """Passes nothing on any more, until the other side gives up."""
        while source.recv(65536):
            pass


def answer(client: socket.socket, status: int) -> None:
    """Answers for the service."""
    page = f"HTTP/1.1 {status} Fault\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\noops"
    try:
        client.recv(65536)
        client.sendall(page.encode())
    except OSError:
        pass  # It was cut.
    client.close()


def reset(connection: socket.socket) -> None:
    """Closes a connection without saying goodbye."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    hang_up(connection)


def hang_up(connection: socket.socket) -> None:
    """Closes a connection, also when another thread reads from it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


class ServiceTest(unittest.TestCase):
    """A test with the service, a network before it, and short waits."""

    def setUp(self) -> None:
        self.server = server()
        self.network = Network(self.server.address)
        self.addCleanup(self.network.close)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.cursor_file = pathlib.Path(directory.name) / "cursor"
        for constant, value in (
            ("porchlight._sse.MAX_RETRY_MS", 20),
            ("porchlight._backoff.FIRST_WAIT_SECONDS", 0.02),
            ("porchlight._backoff.LONGEST_WAIT_SECONDS", 0.1),
        ):
            patcher = patch(constant, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.user = f"u-{random.randrange(10**9)}"
        self.token = self.server.token("agent", self.user)
        self.publisher = self.server.token("service", "crm")

    def event(self, n: int) -> NewEvent:
        """An event for the user of this test."""
        return {"type": "listing:sold", "audience": {"user": self.user}, "data": {"n": n}}

    def publish(self, *numbers: int) -> list[str]:
        body = {"events": [self.event(n) for n in numbers]}
        positions: list[str] = self.server.request("POST", "/events", self.publisher, body)["positions"]
        return positions

    def published(self) -> list[int]:
        """The numbers of this user's events, as they are stored."""
        events = self.server.request("GET", "/events?scope=user&limit=1000", self.token)["events"]
        return [event["data"]["n"] for event in events]


def number(data: str) -> int:
    n: int = json.loads(data)["data"]["n"]
    return n


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Does something in a thread meanwhile. Its error is the test's."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE_SECONDS)
    if errors:
        raise errors[0]
