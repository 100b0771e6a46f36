"""A wait that something else may end."""

from __future__ import annotations

from queue import Empty, SimpleQueue


class Flag:
    """As `threading.Event`, for one thread that waits.

    `Event.set` takes a lock. A signal handler that interrupts the thread while it has this lock would wait for itself;
    to put something into this queue waits for nothing.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._wake: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._is_set = True
        self._wake.put(None)

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Waits until it is set, or for so long. Returns whether it is set."""
        if not self._is_set:
            try:
                self._wake.get(timeout=seconds)
            except Empty:
                pass
        return self._is_set
