"""What the tests of workers have in common."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx

from porchlight import AsyncClient, AsyncWorker, Client, Worker

from .support import PATIENCE_SECONDS, ServiceTest, beside, eventually

ENDED = ("completed", "failed", "cancelled")


class TaskTest(ServiceTest):
    """A test with tasks of a type of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.worker_token = self.server.token("worker", f"w-{self.user}")
        self.type = f"t-{self.user}"

    def ask(self, params: object, kind: str | None = None) -> str:
        """Creates a task."""
        return self.ask_with(json.dumps(params), kind)

    def ask_with(self, params: str, kind: str | None = None) -> str:
        """Creates a task with parameters as text: other clients may send what Python does not write."""
        body = f'{{"type":"{kind or self.type}","params":{params}}}'
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        answer = httpx.post(self.server.url + "/tasks", content=body, headers=headers, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 201, answer.text
        return answer.text.split('"id":"')[1].split('"')[0]

    def task(self, id: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.token}"}
        text = httpx.get(f"{self.server.url}/tasks/{id}", headers=headers, timeout=PATIENCE_SECONDS).text
        task: dict[str, Any] = json.loads(text, parse_int=str)
        return task

    def ended(self, id: str) -> dict[str, Any]:
        def task() -> dict[str, Any] | None:
            task = self.task(id)
            return task if task["state"] in ENDED else None

        return eventually("the task ends", task)

    def outcome(self, id: str) -> tuple[str, str | None]:
        """The state in which a task ends, and the code of its error."""
        task = self.ended(id)
        return task["state"], (task.get("error") or {}).get("code")

    def output(self, id: str) -> str:
        """The output of a task that has ended."""
        headers = {"authorization": f"Bearer {self.token}"}
        text = httpx.get(f"{self.server.url}/tasks/{id}/output", headers=headers, timeout=PATIENCE_SECONDS).text
        lines = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        return "".join(line.get("text", "") for line in lines)

    def cancel(self, id: str) -> None:
        self.server.request("POST", f"/tasks/{id}/cancel", self.token, {})

    def begun(self, id: str) -> None:
        eventually("the task is begun", lambda: self.task(id)["state"] != "queued")

    def worker(self, **options: int) -> Worker:
        client = Client(self.network.url, self.worker_token)
        self.addCleanup(client.close)
        return Worker(client, **{"wait_seconds": 1, **options})

    def while_it_runs(self, worker: Worker, work: Callable[[], None]) -> None:
        with beside(worker.run):
            try:
                work()
            finally:
                worker.stop()

    @asynccontextmanager
    async def while_it_works(self, **options: int) -> AsyncIterator[AsyncWorker]:
        """A worker that runs meanwhile. Tasks that are asked for find their handlers when it waits."""
        async with AsyncClient(self.network.url, self.worker_token) as client, anyio.create_task_group() as group:
            worker = AsyncWorker(client, **{"wait_seconds": 1, **options})
            group.start_soon(worker.run)
            try:
                yield worker
            finally:
                worker.stop()

    async def outcomes(self, *whats: str) -> list[tuple[str, str | None]]:
        """How tasks end that are asked for at the same time."""
        ids = [self.ask({"what": what}) for what in whats]
        return [await anyio.to_thread.run_sync(self.outcome, id) for id in ids]
