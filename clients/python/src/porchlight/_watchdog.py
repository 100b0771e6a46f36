"""Ends a blocking read that takes too long."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from ._flag import Flag

LOOK_SECONDS = 0.5
"""How often the thread looks at the deadline."""


class Watchdog:
    """A thread that shuts a socket down when its deadline has passed.

    The deadline of a read depends on what the stream has said, and httpx takes the limit of all reads of an
    answer when it begins. So the limit is enforced from outside.
    """

    def __init__(self) -> None:
        self.fired = False
        self._lock = threading.RLock()  # A signal handler may call `cut` while this thread is in it.
        self._socket: socket.socket | None = None
        self._until: float | None = None
        self._ended = Flag()
        self._last: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None

    def watch(self, connection: object) -> None:
        """Guards this socket from now on. What is no socket is not guarded."""
        self.fired = False
        with self._lock:
            self._socket = connection if hasattr(connection, "shutdown") else None  # type: ignore[assignment]
            self._until = None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="porchlight-watchdog", daemon=True)
            self._thread.start()

    def arm(self, until: float | None) -> None:
        """Sets the deadline of the read that begins, or none."""
        self._until = until

    def cut(self) -> None:
        """Ends the read, if there is one."""
        with self._lock:
            self._cut()

    def end(self, last: Callable[[], None] | None = None) -> None:
        """Ends the thread. It calls this function at the end; without a thread, the caller does."""
        self._last = self._last or last
        self._ended.set()
        if self._thread is None and last:
            last()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            with self._lock:
                until = self._until  # Only once: `arm` may change it meanwhile.
                if until is not None and time.monotonic() >= until:
                    self.fired = True
                    self._cut()
        if self._last:
            self._last()

    def _cut(self) -> None:
        connection, self._socket, self._until = self._socket, None, None
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It has ended by itself.
