"""Functions of users, which may end in every way."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


class WaitCancelled(Exception):
    """What a function waited for was cancelled, and not the function."""


async def apart(function: Callable[[], Awaitable[T]]) -> T:
    """Calls a function in a task of its own, and passes on what it returns or raises.

    When somebody cancels what the function waits for, such as a task of the program, asyncio raises in the function
    what it raises when the function is cancelled. In the task of the caller, it would end the caller in silence.
    """
    results: list[T] = []
    failures: list[Exception] = []

    async def run() -> None:
        try:
            results.append(await function())
        except Exception as error:
            # Raised below: a group would wrap it.
            failures.append(error)
        except anyio.get_cancelled_exc_class():
            if anyio.current_effective_deadline() == -math.inf:
                raise  # The caller is cancelled.
            failures.append(WaitCancelled("something that it waited for was cancelled"))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
    if failures:
        raise failures[0]
    return results[0]


async def awaited(what: Awaitable[T]) -> T:
    return await what
