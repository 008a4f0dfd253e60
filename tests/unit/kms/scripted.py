"""An endpoint that answers what a test tells it to, in order, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.kit.lanes import ACCOUNT

ROLE = f"arn:aws:iam::{ACCOUNT}:role/byokd"
DATE = "Sun, 01 Mar 2026 12:00:00 GMT"
Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Asked:
    """One request."""

    operation: str
    body: dict[str, Any]
    headers: dict[str, str]


def answer(body: Any = None, *, status: int = 200, raw: bytes | None = None, date: str = DATE) -> Behaviour:
    """Answer with JSON, or with any bytes."""

    async def behave(_: web.Request) -> web.StreamResponse:
        content = json.dumps(body if body is not None else {}).encode() if raw is None else raw
        return web.Response(status=status, body=content, headers={"Date": date})

    return behave


def refuse(code: str, *, status: int = 400, date: str = DATE) -> Behaviour:
    """Answer as KMS refuses."""
    return answer({"__type": code, "message": f"{code} it is"}, status=status, date=date)


DESCRIBED = answer(
    {"KeyMetadata": {"Arn": "arn", "KeyState": "Enabled", "Origin": "EXTERNAL", "KeySpec": "SYMMETRIC_DEFAULT"}}
)


async def hang(_: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Read the request, then close the connection."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def break_off(request: web.Request) -> web.StreamResponse:
    """Begin an answer, then close the connection."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"KeyId":')
    assert request.transport is not None
    request.transport.close()
    return response


class Endpoint:
    """Behaves as scripted; once the script is over, as its last line."""

    def __init__(self, *script: Behaviour) -> None:
        self.script = deque(script)
        self.asked: list[Asked] = []
        self.reached = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Keep the request and play the next line."""
        content = await request.read()
        target = request.headers.get("X-Amz-Target", "")
        body = json.loads(content) if target else {"form": content.decode()}
        self.asked.append(Asked(target.removeprefix("TrentService."), body, dict(request.headers)))
        self.reached.set()
        behave = self.script.popleft() if len(self.script) > 1 else self.script[0]
        return await behave(request)


@asynccontextmanager
async def endpoint(*script: Behaviour) -> AsyncIterator[Endpoint]:
    """An endpoint on loopback, until the block is left."""
    served = Endpoint(*script)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.handle)
    async with TestServer(app, shutdown_timeout=0) as server:
        served.url = str(server.make_url("")).rstrip("/")
        yield served


def signers(served: Endpoint) -> list[str]:
    """The access keys that signed the requests, oldest first."""
    return [asked.headers["Authorization"].partition("Credential=")[2].partition("/")[0] for asked in served.asked]


def ending_in(**left: float) -> str:
    """The end of credentials that are good for so long, as STS writes it."""
    return f"{datetime.now(UTC) + timedelta(**left):%Y-%m-%dT%H:%M:%SZ}"
