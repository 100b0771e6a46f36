"""Runs the cases of this folder against the driver of a client: see README.md.

python3 web/conformance/run.py [--only TEXT] COMMAND [ARGUMENT...]
"""

import argparse
import base64
import json
import pathlib
import subprocess
import sys
from urllib.parse import parse_qs

HERE = pathlib.Path(__file__).parent
PROTOCOL = 1
PART_BYTES = 1000
SSE = "text/event-stream"


class Failure(Exception):
    """What a driver answered, and what it had to answer."""


class Driver:
    """A driver as a child process."""

    def __init__(self, command):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe)
        hello = self.ask({"do": "hello", "protocol": PROTOCOL})
        if hello.get("protocol") != PROTOCOL:
            raise Failure(f"the driver does not speak protocol {PROTOCOL}: {hello}")
        self.name = hello.get("name", command[0])
        self.lacks = set(hello.get("lacks") or [])

    def ask(self, command):
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise SystemExit(f"the driver has ended: {error}")
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the driver has ended after {json.dumps(command)[:300]}")
        answer = json.loads(line)
        if answer.get("error"):
            raise Failure(f"the driver says: {answer['error']}")
        return answer

    def close(self):
        self.process.stdin.close()
        return self.process.wait(timeout=30)


def whole(text):
    """A text that may be written in parts."""
    parts = text if isinstance(text, list) else [text]
    return "".join(p if isinstance(p, str) else p["repeat"] * p["times"] for p in parts)


def content(case):
    if "base64" in case:
        return base64.b64decode(case["base64"])
    return whole(case["text"]).encode()


def encoded(data):
    return base64.b64encode(data).decode()


def expected(events):
    return [
        {"type": e.get("type", "message"), "data": whole(e["data"]), "id": e.get("id", "")}
        for e in events
    ]


def require(what, found, wanted):
    if found != wanted:
        raise Failure(f"{what}: {shown(found)}, expected {shown(wanted)}")


def shown(value):
    text = json.dumps(value)
    return text if len(text) < 600 else text[:600] + "…"


def position(request):
    """The position that a request asks for. The header wins."""
    header = (request.get("headers") or {}).get("last-event-id")
    if header:
        return header
    query = parse_qs(request.get("url", "").partition("?")[2])
    values = query.get("since", []) + query.get("cursor", [])
    return values[0] if values else None


# ---- format.json ----------------------------------------------------------------------------


def divisions(case, data):
    """The ways in which the bytes arrive."""
    yield [data]
    if case.get("long"):
        yield [data[n : n + PART_BYTES] for n in range(0, len(data), PART_BYTES)]
        return
    yield [data[n : n + 1] for n in range(len(data))]
    for n in range(1, len(data)):
        yield [data[:n], data[n:]]


def check_format(driver, case):
    data = content(case)
    for parts in divisions(case, data):
        sizes = [len(part) for part in parts[:3]]
        try:
            check_parts(driver, case, parts)
        except Failure as failure:
            raise Failure(f"in {len(parts)} parts of {sizes} bytes…: {failure}") from None


def check_parts(driver, case, parts):
    driver.ask({"do": "start", "cursor": None, "random": 0.5, "manual": False})
    head = {"content-type": case.get("contentType", SSE)}
    driver.ask({"do": "respond", "status": 200, "headers": head})
    events = []
    for part in parts:
        answer = driver.ask({"do": "bytes", "base64": encoded(part)})
        events += answer.get("events") or []
    wanted = expected(case["events"])
    if case.get("at_once"):
        require("events before the end", events, wanted)
    answer = driver.ask({"do": "end"})
    require("events", events + (answer.get("events") or []), wanted)
    require("cursor", answer.get("cursor") or "", case["cursor"])


# ---- reconnect.json -------------------------------------------------------------------------

EXPECTATIONS = {"events", "asks", "cursor", "connectInMs", "aborted", "stopped"}


def check_steps(driver, case):
    cursor = case["start"].get("cursor")
    for number, step in enumerate(case["steps"], 1):
        command = {key: value for key, value in step.items() if key not in EXPECTATIONS}
        if step["do"] == "start":
            command = {"manual": False, **case["start"], **command, "cursor": cursor}
        elif step["do"] == "bytes":
            command = {"do": "bytes", "base64": encoded(content(step))}
        try:
            answer = driver.ask(command)
            check_answer(answer, step)
        except Failure as failure:
            raise Failure(f"step {number}, {step['do']}: {failure}") from None
        cursor = answer.get("cursor")


def check_answer(answer, step):
    require("events", answer.get("events") or [], expected(step.get("events", [])))
    asked = [position(request) for request in answer.get("requests") or []]
    require("requests for", asked, [step["asks"]] if "asks" in step else [])
    if "cursor" in step:
        require("cursor", answer.get("cursor") or None, step["cursor"])
    if "connectInMs" in step:
        check_wait(answer.get("connectInMs"), step["connectInMs"])
    if step["do"] != "respond":
        require("aborted", bool(answer.get("aborted")), step.get("aborted", False))
    require("stopped", answer.get("stopped") is not None, step.get("stopped", False))


def check_wait(found, wanted):
    if isinstance(wanted, dict):
        if found is None or not wanted["min"] <= found <= wanted["max"]:
            raise Failure(f"connectInMs: {found}, expected {wanted}")
    else:
        require("connectInMs", found, wanted)


# ---- all ------------------------------------------------------------------------------------


def cases(only):
    for file, check in (("format.json", check_format), ("reconnect.json", check_steps)):
        for case in json.loads((HERE / file).read_text()):
            if only in case["name"]:
                yield file, case, check


def main():
    parser = argparse.ArgumentParser(description="Runs the cases against a driver.")
    parser.add_argument("--only", default="", help="only cases with this text in their name")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the driver")
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("the command of the driver is missing")
    driver = Driver(arguments.command)
    run = skipped = failed = 0
    for file, case, check in cases(arguments.only):
        if case.get("needs") in driver.lacks:
            skipped += 1
            continue
        run += 1
        try:
            check(driver, case)
        except Failure as failure:
            failed += 1
            print(f"FAILED {file}: {case['name']}\n  {failure}")
    driver.close()
    print(f"Ran {run} tests of {driver.name}: {failed} failed, {skipped} skipped")
    return 1 if failed or not run else 0


if __name__ == "__main__":
    sys.exit(main())
