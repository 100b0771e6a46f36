#!/usr/bin/env python3
"""Loads of benches/flood/run.sh, and the victims beside them.

    flood.py load KIND    holds a load until it ends by SIGTERM, then says what it did
    flood.py victim KIND  one request after the other for --seconds, then says how long they took
    flood.py table DIR    the reports of a run as a table

Python 3 and its standard library. A load and its victim are processes of their own, so that the
victim does not wait for the generator's loop. Each report says what share of a core its process used:
close to 100 % means that the generator, and not the server, was the limit.
"""

import argparse
import asyncio
import base64
import functools
import hashlib
import hmac
import json
import math
import os
import pathlib
import resource
import signal
import sys
import time
import zlib

SECRET = "benches-only-secret-of-32-bytes-or-more"
# A victim's request that takes longer, or beyond the end of the run, counts as unfinished.
LONGEST_IMPORT_SECONDS = 300.0
GRACE_SECONDS = 5.0
# The expected status of a victim's request.
GOOD = (200, 201, 202, 204, "completed")
ATTACKER, VICTIM = "flood", "quiet"
# The victim's requests come from so many users, so that none reaches their own rate.
VICTIM_USERS = 10
RECORD = "00000000-0000-4000-8000-000000000001"
# Records of each brokerage, for the loads that need some.
RECORDS = 20
WITH_RECORDS = ("records", "record", "record_read", "record_service", "record_key", "record_stale")
# The victim may take so many times as long as without the load, or so many milliseconds, whichever is more.
MOST_TIMES, MOST_MS = 2, 20
GOOD_CSV = "Address,Purchase Price\n1 Oak St,395000\n"
# Neither a file nor the text of one.
BAD_PARAMS = {"module": "escrows"}


def token(user, broker, **claims):
    """A token that the server under test accepts."""

    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    now = int(time.time())
    claims = {"sub": user, "broker_id": broker, "role": "agent", "teams": ["a"],
              "iat": now, "exp": now + 86_400, **claims}
    text = ".".join(part(json.dumps(of).encode()) for of in ({"alg": "HS256", "typ": "JWT"}, claims))
    return text + "." + part(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())


def request(method, path, bearer, body=None, media_type="application/json", length=None, headers=()):
    """The bytes of a request; `length` where the body is sent later."""
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {bearer}", *headers]
    if body is not None or length is not None:
        lines += [f"Content-Type: {media_type}", f"Content-Length: {length or len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Connection(asyncio.Protocol):
    """One connection that is kept, with one request at a time."""

    def __init__(self):
        self.buffer, self.answer, self.transport = bytearray(), None, None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        head_end = self.buffer.find(b"\r\n\r\n")
        if head_end < 0 or self.answer is None:
            return
        head = bytes(self.buffer[:head_end]).lower()
        if b"\r\ntransfer-encoding: chunked" in head:
            # JSON has no line ends of this kind in it.
            is_whole = self.buffer.endswith(b"\r\n0\r\n\r\n")
        else:
            at = head.find(b"\r\ncontent-length:")
            length = int(head[at + 17:].split(b"\r\n", 1)[0]) if at >= 0 else 0
            is_whole = len(self.buffer) >= head_end + 4 + length
        if is_whole and not self.answer.done():
            self.answer.set_result((int(head[9:12]), bytes(self.buffer[head_end + 4:])))
            self.buffer.clear()

    def connection_lost(self, error):
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(ConnectionResetError())

    async def ask(self, text):
        """Status and body. Status 0: the connection broke."""
        if self.transport is None or self.transport.is_closing():
            return 0, b""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(text)
        try:
            return await self.answer
        except ConnectionResetError:
            return 0, b""


class Client:
    """A connection that is reopened when it breaks."""

    def __init__(self, address):
        self.address, self.connection = address, None

    async def ask(self, text):
        for _ in range(2):
            if self.connection is None:
                loop = asyncio.get_running_loop()
                _, self.connection = await loop.create_connection(Connection, *self.address)
            status, body = await self.connection.ask(text)
            if status:
                return status, body
            self.connection = None
        return 0, b""


def percentile(sorted_values, share):
    return sorted_values[max(0, math.ceil(share * len(sorted_values)) - 1)] if sorted_values else None


def milliseconds(values):
    values = sorted(value * 1_000 for value in values)
    return {"n": len(values), "p50": percentile(values, 0.5), "p90": percentile(values, 0.9),
            "p99": percentile(values, 0.99), "max": values[-1] if values else None}


class Report:
    """What a process did, and what share of a core it took."""

    def __init__(self):
        self.statuses, self.took, self.began = {}, [], time.monotonic()
        self.cpu_before = time.process_time()

    def count(self, status, seconds=None):
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if seconds is not None:
            self.took.append(seconds)

    def with_cpu(self, **more):
        elapsed = time.monotonic() - self.began
        cpu = (time.process_time() - self.cpu_before) / elapsed * 100
        return {"seconds": elapsed, "cpuPercent": cpu, "statuses": self.statuses,
                **milliseconds(self.took), **more}


# ---- loads ----------------------------------------------------------------------------------


async def closed_loop(args, report, texts):
    """`--connections` connections, each with the next request as soon as the last one is answered."""

    async def one():
        client = Client(args.address)
        for text in texts:
            began = time.monotonic()
            status, _ = await client.ask(text)
            report.count(status, time.monotonic() - began)
            if status == 0:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(one() for _ in range(args.connections)))


def forever(text):
    while True:
        yield text


def get_of(path):
    return lambda bearer: request("GET", path, bearer)


def post_of(path, body):
    return lambda bearer: request("POST", path, bearer, body)


def patch(bearer, *headers):
    body = {"city": str(time.monotonic())}
    return request("PATCH", f"/records/escrows/{RECORD}", bearer, body, headers=headers)


# The requests of loads of one request, and those that their victims send in a brokerage of their own.
SAME = {
    "tasks": get_of("/tasks"),
    "locks": lambda bearer: request(
        "POST", "/locks", bearer,
        {"module": "escrows", "recordId": f"r-{zlib.crc32(bearer.encode())}", "session": "s"}),
    "records": get_of("/records/escrows"),
    "record": patch,
    "record_service": patch,
    "record_key": lambda bearer: patch(bearer, "Idempotency-Key: same"),
    "record_stale": lambda bearer: patch(bearer, 'If-Match: "1"'),
    "claims": post_of("/tasks/claim", {"types": ["none"]}),
    "heartbeats": post_of("/presence/heartbeat", {"session": "s"}),
    "signals": post_of("/signals", {"name": "typing", "team": "a"}),
    "events": post_of("/events", {"type": "system:news", "audience": {"team": "a"}, "data": {"text": "x" * 300}}),
}


# The roles of loads that are not agents. Services and workers may send much more.
ROLES = {"events": "service", "claims": "worker",
         **dict.fromkeys(("record_service", "record_key", "record_stale"), "service")}


async def create_records(client, broker):
    """The record that `record` changes, and others for lists. They may be there already."""
    for n in range(1, RECORDS + 1):
        body = {"id": RECORD[:-2] + f"{n:02}", "address": f"{n} Oak St"}
        await client.ask(request("POST", "/records/escrows", token("s", broker, role="admin"), body))


async def same(args, report, ready):
    """The request of this kind, again and again, with one token."""
    bearer = token("u", ATTACKER, role=ROLES.get(args.kind, "agent"))
    if args.kind in WITH_RECORDS:
        await create_records(Client(args.address), ATTACKER)
    ready()

    def texts():
        while True:
            yield SAME[args.kind](bearer)

    await asyncio.gather(*(closed_loop(argparse.Namespace(address=args.address, connections=1), report, texts())
                           for _ in range(args.connections)))


async def notifications(args, report, ready):
    ready()
    await closed_loop(args, report, forever(request("GET", "/notifications", token("u", ATTACKER))))


async def imports(args, report, ready):
    params = {**BAD_PARAMS, "csv": GOOD_CSV} if args.valid else BAD_PARAMS
    body = {"type": "import_csv", "title": "Import", "params": params}
    text = request("POST", "/tasks", token("u", ATTACKER), body)
    await closed_loop(args, report, iter([text] * args.count))
    ready()
    await asyncio.Event().wait()


async def uploads(args, report, ready):
    """Uploads whose body does not come, or comes `--drip` bytes a second."""
    head = request("POST", "/uploads", token("u", ATTACKER), media_type="text/csv", length=1_000_000)

    async def one():
        while True:
            try:
                reader, writer = await asyncio.open_connection(*args.address)
                writer.write(head + b"Address\n" * (args.drip > 0))
                answer = asyncio.ensure_future(reader.readline())
                while not answer.done():
                    await asyncio.wait([answer], timeout=1)
                    writer.write(b"x" * args.drip)
                report.count(int(answer.result()[9:12] or 0))
                writer.close()
            except (OSError, ValueError):
                report.count(0)
            await asyncio.sleep(0.1)

    held = [asyncio.ensure_future(one()) for _ in range(args.connections)]
    await asyncio.sleep(1)
    ready()
    await asyncio.gather(*held)


async def output(args, report, ready):
    """`--connections` that open a stream of output and close it after its first event, again and again."""
    await streams_of_output(args, report, ready, lambda line: line.startswith(b"data:"))


async def output_held(args, report, ready):
    """The same with streams that stay open until the service ends them."""
    await streams_of_output(args, report, ready, lambda line: False)


async def streams_of_output(args, report, ready, is_last):
    bearer = token("u", ATTACKER)

    async def one(n):
        while True:
            try:
                reader, writer = await asyncio.open_connection(*args.address)
                writer.write(request("GET", f"/tasks/flood-{n}/output", bearer))
                report.count(int((await reader.readline())[9:12] or 0))
                while (line := await reader.readline()) and not is_last(line):
                    if line.startswith(b"event: stream:closing"):
                        report.count("closing")
                writer.close()
            except (OSError, ValueError):
                report.count(0)
                await asyncio.sleep(0.1)

    ready()
    await asyncio.gather(*(one(n) for n in range(args.connections)))


LOADS = {"notifications": notifications, "imports": imports, "uploads": uploads, "output": output, "output_held": output_held,
         **dict.fromkeys(SAME, same)}


async def load(args):
    report, stop = Report(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ready = asyncio.Event()
    seconds_to_ready = []

    def signal_ready():
        seconds_to_ready.append(time.monotonic() - report.began)
        ready.set()
        pathlib.Path(args.ready).touch()

    running = asyncio.ensure_future(LOADS[args.kind](args, report, signal_ready))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    result = report.with_cpu(readySeconds=seconds_to_ready[0] if seconds_to_ready else None)
    running.cancel()
    return result


# ---- victims --------------------------------------------------------------------------------


async def lock(client, n):
    """POST /locks; the release is not measured."""
    bearer = token(f"v-{n % VICTIM_USERS}", VICTIM)
    body = {"module": "escrows", "recordId": f"r-{n % 100}", "session": "s"}
    began = time.monotonic()
    status, _ = await client.ask(request("POST", "/locks", bearer, body))
    took = time.monotonic() - began
    await client.ask(request("DELETE", f"/locks/escrows/r-{n % 100}?session=s", bearer))
    return status, took


async def upload(client, n):
    """POST /uploads until it is taken. A user has 20 at the most, a brokerage 500, those of an earlier run included."""
    bearer = token(f"v-{n // 20}", f"{VICTIM}-{os.getpid()}-{n // 400}")
    began = time.monotonic()
    while True:
        status, _ = await client.ask(
            request("POST", "/uploads", bearer, GOOD_CSV.encode(), media_type="text/csv"))
        if status == 201:
            return status, time.monotonic() - began
        await asyncio.sleep(0.1)


async def imported(client, n):
    """From POST /tasks to completed."""
    bearer, began = token(f"v-{n % VICTIM_USERS}", VICTIM), time.monotonic()
    reader = token("r", VICTIM, role="service")
    params = {"module": "escrows", "csv": GOOD_CSV}
    body = {"type": "import_csv", "title": "Import", "params": params}
    status, answer = await client.ask(request("POST", "/tasks", bearer, body))
    while status == 201 or status == 200:
        task = json.loads(answer)
        if task["state"] in ("completed", "failed", "cancelled"):
            return task["state"], time.monotonic() - began
        await asyncio.sleep(0.01)
        # Read by another role, whose rate the waiting does not reach.
        status, answer = await client.ask(request("GET", f"/tasks/{task['id']}", reader))
    return status, time.monotonic() - began


async def record_read(client, n):
    """GET of the record that the load changes, by users of the same brokerage."""
    if n == 0:
        await create_records(client, ATTACKER)
    bearer = token(f"v-{n % VICTIM_USERS}", ATTACKER)
    began = time.monotonic()
    status, _ = await client.ask(request("GET", f"/records/escrows/{RECORD}", bearer))
    return status, time.monotonic() - began


async def same_quietly(kind, client, n):
    if kind in WITH_RECORDS and n == 0:
        await create_records(client, VICTIM)
    bearer = token(f"v-{n % VICTIM_USERS}", VICTIM, role="service" if kind == "events" else "agent")
    began = time.monotonic()
    status, _ = await client.ask(SAME[kind](bearer))
    return status, time.monotonic() - began


VICTIMS = {"lock": lock, "upload": upload, "import": imported, "record_read": record_read,
           **{kind: functools.partial(same_quietly, kind) for kind in SAME}}


async def victim(args):
    report, client, unfinished = Report(), Client(args.address), 0
    until, n = report.began + args.seconds, 0
    while (began := time.monotonic()) < until:
        try:
            left = LONGEST_IMPORT_SECONDS if args.kind == "import" else until - began + GRACE_SECONDS
            status, took = await asyncio.wait_for(VICTIMS[args.kind](client, n), left)
            report.count(status, took if status in GOOD else None)
        except asyncio.TimeoutError:
            # It counts with the time until now; the real time is longer.
            report.took.append(time.monotonic() - began)
            unfinished += 1
        n += 1
        await asyncio.sleep(max(0.0, began + args.pause - time.monotonic()))
    return report.with_cpu(unfinished=unfinished)


# ---- the table ------------------------------------------------------------------------------


def times(report):
    words = "none"
    if report["n"]:
        words = " / ".join(f"{report[name]:,.1f}" for name in ("p50", "p90", "p99", "max"))
    others = {"unfinished": report["unfinished"],
              **{status: n for status, n in report["statuses"].items() if status not in map(str, GOOD)}}
    more = "".join(f", {status}: {n}" for status, n in others.items() if n)
    return f"{words} (n={report['n']}{more})"


def did(name, report):
    statuses = ", ".join(f"{status}: {n:,}" for status, n in sorted(report["statuses"].items(), key=str))
    rate = ""
    if not name.startswith(("uploads", "output")):
        seconds = report["readySeconds"] if name.startswith("imports") else report["seconds"]
        if seconds:
            rate = f"{sum(report['statuses'].values()) / seconds:,.0f} requests/s; "
    return f"{rate}{statuses or 'no answer'}; generator {report['cpuPercent']:.0f} %"


def verdict(quiet, under):
    """Whether the victim was slowed down by more than is allowed."""
    if not quiet["n"] or not under["n"] or under["unfinished"]:
        return "FAIL"
    return "pass" if under["p99"] <= max(MOST_TIMES * quiet["p99"], MOST_MS) else "FAIL"


def table(directory):
    """Prints the reports, and says whether all victims were fast enough."""
    print("| load | server | victim quiet: p50 / p90 / p99 / max ms | victim under load: p50 / p90 / p99 / max ms "
          f"| p99 within {MOST_TIMES} x quiet or {MOST_MS} ms | transactions/s in Postgres: quiet, under load | what the load did |")
    print("|---|---|---|---|---|---|---|")
    failed = 0
    for path in sorted(pathlib.Path(directory).glob("*.load.json"), key=lambda path: path.stat().st_mtime):
        name, server = path.name.removesuffix(".load.json").split("@", 1)
        quiet, under, rates = (json.loads(path.with_name(f"{name}@{server}.{what}.json").read_text())
                               for what in ("quiet", "under", "rates"))
        outcome = verdict(quiet, under)
        failed += outcome == "FAIL"
        print(f"| {name} | {server} | {times(quiet)} | {times(under)} | {outcome} | {rates['quiet']}, {rates['under']} "
              f"| {did(name, json.loads(path.read_text()))} |")
    sys.exit(f"{failed} of the loads slowed their victim too much" if failed else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["load", "victim", "table"])
    parser.add_argument("kind", help="which load or victim, or the directory of reports")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--connections", type=int, default=50, help="connections of a load")
    parser.add_argument("--count", type=int, default=6_165, help="tasks of a load")
    parser.add_argument("--valid", action="store_true", help="imports without errors")
    parser.add_argument("--drip", type=int, default=0, help="bytes a second of each upload")
    parser.add_argument("--ready", default="/dev/null", help="a file that is created when the load runs")
    parser.add_argument("--seconds", type=float, default=60, help="duration of a victim")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds from the start of one request to the start of the next")
    args = parser.parse_args()
    args.address = ("127.0.0.1", args.port)
    if args.what == "table":
        return table(args.kind)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    result = asyncio.run(load(args) if args.what == "load" else victim(args))
    json.dump(result, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
