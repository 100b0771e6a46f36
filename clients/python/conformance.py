"""The driver for web/conformance: the client's state machine, with the runner as network and clock."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

from porchlight._state import Connect, StreamState, Read, Stop


class Driver:
    """One client. Time is in milliseconds, so that sums are exact."""

    def __init__(self) -> None:
        self.now = 0.0
        self.aborted = False
        self.reading = False
        self.manual = False
        self.requests: list[dict[str, Any]] = []
        self.events: list[dict[str, str]] = []
        self.state = StreamState(None, lambda: 0.5, 0.0)

    def start(self, command: dict[str, Any]) -> None:
        self.now = 0.0
        self.reading = False
        self.manual = command["manual"]
        self.state = StreamState(command["cursor"], lambda: float(command["random"]), 0.0)
        self.settle()

    def respond(self, command: dict[str, Any]) -> None:
        self.reading = self.state.head(command["status"], command["headers"], self.seconds())

    def bytes(self, command: dict[str, Any]) -> None:
        if not self.reading:
            raise ValueError("there is no open stream")
        for event in self.state.body(base64.b64decode(command["base64"]), self.seconds()):
            self.events.append({"type": event.type, "data": event.data, "id": event.id})
            if not self.manual:
                self.state.handled()

    def end(self, _: dict[str, Any]) -> None:
        self.state.ended("the stream has ended", self.seconds())

    def wait(self, command: dict[str, Any]) -> None:
        target = self.now + command["ms"]
        while (due := self.due()) is not None and due <= target:
            self.now = max(self.now, due)
            if isinstance(self.state.step, Read):
                self.aborted = True
                self.state.silent(self.seconds())
            else:
                self.settle()
        self.now = target

    def handled(self, command: dict[str, Any]) -> None:
        for _ in range(command["count"]):
            self.state.handled()

    def due(self) -> float | None:
        """When the next timer fires."""
        match self.state.step:
            case Connect(at):
                return round(at * 1000, 6)
            case Read(until):
                return round(until * 1000, 6)
            case Stop():
                return None

    def settle(self) -> None:
        """Makes the request that is due."""
        step = self.state.step
        if isinstance(step, Connect) and round(step.at * 1000, 6) <= self.now:
            self.requests.append({"url": "/stream", "headers": self.state.headers()})
            self.state.connect(self.seconds())

    def seconds(self) -> float:
        return self.now / 1000

    def answer(self) -> dict[str, Any]:
        step = self.state.step
        answer = {
            "requests": self.requests,
            "events": self.events,
            "cursor": self.state.cursor or None,
            "connectInMs": round(step.at * 1000 - self.now, 6) if isinstance(step, Connect) else None,
            "aborted": self.aborted,
            "stopped": f"status {step.status}" if isinstance(step, Stop) else None,
        }
        self.requests, self.events, self.aborted = [], [], False
        return answer


def main() -> None:
    driver = Driver()
    commands = {
        "start": driver.start,
        "respond": driver.respond,
        "bytes": driver.bytes,
        "end": driver.end,
        "break": driver.end,
        "wait": driver.wait,
        "handled": driver.handled,
    }
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "hello":
            answer: dict[str, Any] = {"protocol": 1, "name": "porchlight for Python", "lacks": []}
        else:
            try:
                commands[command["do"]](command)
                answer = driver.answer()
            except Exception as error:  # The runner reports it with the case.
                answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
