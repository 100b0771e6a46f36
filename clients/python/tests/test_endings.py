"""What ends waits, and what stays open afterwards."""

from __future__ import annotations

from types import SimpleNamespace

from porchlight._watchdog import Watchdog

from .support import ServiceTest, eventually, patch


class EndingsTest(ServiceTest):
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
