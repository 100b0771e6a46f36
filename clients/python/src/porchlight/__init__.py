"""A client of Porchlight: follow events, publish events, and do tasks.

`Client` and `Worker` are for programs without an event loop, `AsyncClient` and `AsyncWorker` for asyncio.
"""

from ._address import Audience, NewEvent
from ._aio import AsyncClient
from ._aio_tail import AsyncTail
from ._aio_worker import AsyncTask, AsyncWorker
from ._errors import Cancelled, LeaseLost, PorchlightError, Refused, TaskFailed, Unreachable
from ._http import Call
from ._sse import Event
from ._sync import Client
from ._tail import Tail
from ._worker import Task, Worker

__all__ = [
    "AsyncClient",
    "AsyncTail",
    "AsyncTask",
    "AsyncWorker",
    "Audience",
    "Call",
    "Cancelled",
    "Client",
    "Event",
    "LeaseLost",
    "NewEvent",
    "PorchlightError",
    "Refused",
    "Tail",
    "Task",
    "TaskFailed",
    "Unreachable",
    "Worker",
]
