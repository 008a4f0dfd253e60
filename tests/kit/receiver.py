"""Who is told by webhook: a receiver on loopback that a test can make refuse, hang and hang up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer


class Receiver:
    """Answers with one status, or not at all, or hangs up, and keeps what came."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        """None: it does not answer. 0: it hangs up."""
        self.asked = asyncio.Event()
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Keep the request, and answer it."""
        self.bodies.append(await request.read())
        self.headers.append(dict(request.headers))
        self.asked.set()
        if self.status is None:
            await asyncio.Event().wait()
        if self.status == 0 and request.transport is not None:
            request.transport.abort()
        return web.Response(status=self.status or 200, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def receiver(status: int | None = 200) -> AsyncIterator[Receiver]:
    """A receiver on loopback, behind a URL full of secrets."""
    served = Receiver(status)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.handle)
    async with TestServer(app, shutdown_timeout=0) as server:
        served.url = f"http://user:hunter2@127.0.0.1:{server.port}/hooks/T0KEN?key=k3y"
        yield served
