"""Waiting between attempts: 1, 2, 4, … 30 seconds with full jitter."""

from __future__ import annotations

from collections.abc import Callable

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may be sent again."""


def jittered(failures: int, random: Callable[[], float]) -> float:
    """The wait after so many failures in a row before this one."""
    # 2 ** 5 is more than the longest wait already, and a row of failures has no end.
    return random() * min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(failures, 5))


class Attempts:
    """The attempts of one request, which may be sent again until `patience` seconds have passed."""

    def __init__(self, patience: float, random: Callable[[], float], now: float) -> None:
        self._until = now + patience
        self._random = random
        self._failures = 0

    def wait(self, now: float, at_least: float = 0.0) -> float | None:
        """How long to wait after a failed attempt, or None to give up."""
        wait = max(jittered(self._failures, self._random), at_least)
        self._failures += 1
        return wait if now + wait <= self._until else None
