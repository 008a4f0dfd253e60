"""A raw load generator, in a process of its own: prepared requests over kept-alive connections, as fast as they return.

Reads a plan as JSON from standard input and writes what came of it as JSON. It signs and parses nothing, so that it
costs a fraction of what it measures; any answer but 200 ends it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from base64 import b64decode, b64encode
from collections import deque
from typing import Any


class Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, sends the next."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._missing = 0
        self._head = b""
        self._begun = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._load.ready(self)

    def send(self, begun: float) -> None:
        """Send the next request, whose time began at `begun`."""
        self._begun = begun
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        if self._missing == 0:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            if not head.startswith(b"HTTP/1.1 200"):
                sys.exit((head + end + body).decode(errors="replace"))
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self._missing = length - len(body)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._load.answered(self, time.perf_counter() - self._begun)


class Load:
    """All connections, for a while: each always busy, or together at a rate."""

    def __init__(self, requests: list[bytes], seconds: float, rate: float | None) -> None:
        self._requests = requests
        self._seconds = seconds
        self._rate = rate
        self._sent = 0
        self._idle: list[Connection] = []
        self._late: deque[float] = deque()
        self.latencies: list[float] = []
        self.elapsed = 0.0
        self._end = 0.0

    def next_request(self) -> bytes:
        """The requests in turns."""
        self._sent += 1
        return self._requests[self._sent % len(self._requests)]

    def ready(self, connection: Connection) -> None:
        self._idle.append(connection)

    def answered(self, connection: Connection, latency: float) -> None:
        self.latencies.append(latency)
        if self._late:
            connection.send(self._late.popleft())
        elif self._rate is None and time.perf_counter() < self._end:
            connection.send(time.perf_counter())
        else:
            self._idle.append(connection)

    async def run(self) -> None:
        """Load the server until the time is over and every answer is there."""
        begin = time.perf_counter()
        self._end = begin + self._seconds
        connections = len(self._idle)
        if self._rate is None:
            busy, self._idle = self._idle, []
            for connection in busy:
                connection.send(begin)
            await asyncio.sleep(self._seconds)
        else:
            for number in range(int(self._rate * self._seconds)):
                due = begin + number / self._rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                # What finds no connection free waits for one, and its time runs.
                if self._idle:
                    self._idle.pop().send(due)
                else:
                    self._late.append(due)
        while len(self._idle) < connections:
            await asyncio.sleep(0.001)
        self.elapsed = time.perf_counter() - begin


async def main() -> None:
    """Run the plan of standard input."""
    plan = json.load(sys.stdin)
    load = Load([b64decode(each) for each in plan["requests"]], plan["seconds"], plan["rate"])
    loop = asyncio.get_running_loop()
    for _ in range(plan["connections"]):
        await loop.create_connection(lambda: Connection(load), plan["host"], plan["port"])
    await load.run()
    latencies = sorted(load.latencies)
    json.dump(
        {
            "count": len(latencies),
            "per_s": len(latencies) / load.elapsed,
            "p50_ms": 1000 * latencies[len(latencies) // 2],
            "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)],
            "worst_ms": 1000 * latencies[-1],
        },
        sys.stdout,
    )


def plan_of(url: str, requests: list[bytes], *, seconds: float, connections: int, rate: float | None) -> bytes:
    """The plan as this module's process reads it."""
    host, port = url.removeprefix("http://").split(":")
    plan = {
        "host": host,
        "port": int(port),
        "requests": [b64encode(each).decode() for each in requests],
        "seconds": seconds,
        "connections": connections,
        "rate": rate,
    }
    return json.dumps(plan).encode()


if __name__ == "__main__":
    asyncio.run(main())
