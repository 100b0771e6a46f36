#!/usr/bin/env python3
"""Revokes tokens one after the other, and says how long their streams at two instances go on."""

import argparse
import asyncio
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "flood"))
from flood import Client, milliseconds, request, token  # noqa: E402

BROKER = "b"
MOST_MS = 1_000
LONGEST_SECONDS = 30


class Stream:
    """A stream that has begun."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, address, bearer):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request("GET", "/stream", bearer))
        stream = cls(reader, writer)
        await stream.until(b"event: stream:ready")
        return stream

    async def until(self, expected):
        line = b""
        while expected not in line:
            line = await asyncio.wait_for(self.reader.readline(), LONGEST_SECONDS)
            if not line:
                raise ConnectionError(f"the stream ended without {expected}")

    async def revoked(self):
        """The time when its end has come."""
        await self.until(b'"reason":"revoked"')
        at = time.monotonic()
        self.writer.close()
        return at


async def one(addresses, clients, admin, number):
    """One revocation: the seconds until the streams at both instances have ended, and whether both refuse the token."""
    user, token_id = f"u-{number}", f"t-{number}-{time.time()}"
    bearer = token(user, BROKER, jti=token_id, iat=int(time.time()) - 5)
    streams = [await Stream.open(address, bearer) for address in addresses]
    asked = clients[number % len(clients)]
    began = time.monotonic()
    ends = [asyncio.ensure_future(stream.revoked()) for stream in streams]
    status, body = await asked.ask(request("POST", "/sessions/revoke", admin, {"tokenId": token_id}))
    if status != 200:
        raise RuntimeError(f"{status}: {body}")
    took = max(await asyncio.gather(*ends)) - began
    answers = [await client.ask(request("GET", "/session", bearer)) for client in clients]
    return took, all(status == 401 and b"token_revoked" in body for status, body in answers)


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--ports", type=int, nargs="+", required=True)
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    addresses = [("127.0.0.1", port) for port in args.ports]
    clients, admin = [Client(address) for address in addresses], token("boss", BROKER, role="admin")
    outcomes = [await one(addresses, clients, admin, number) for number in range(args.rounds)]
    times = milliseconds([took for took, _ in outcomes])
    served = sum(not is_refused for _, is_refused in outcomes)
    passes = times["p99"] < MOST_MS and not served
    print(f"{args.name}: {times['n']} revocations, p50 {times['p50']:.0f} ms, p99 {times['p99']:.0f} ms, "
          f"longest {times['max']:.0f} ms; {served} tokens were not refused: {'pass' if passes else 'FAIL'}")
    return not passes


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
