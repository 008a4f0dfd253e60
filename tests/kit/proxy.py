"""A proxy between byokd and a KMS that holds, drops or forgets: the network on a bad day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web


@dataclass(slots=True)
class Proxy:
    """Passes everything on, except for what it was told to hold."""

    target: str
    url: str = ""
    calls: list[str] = field(default_factory=list)
    """Operations that were passed on, oldest first."""
    hold_before: str = ""
    """The next call of this operation is swallowed before it reaches KMS."""
    hold_after: str = ""
    """The next call of this operation reaches KMS, and its answer is lost."""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a call is being held."""
    drop: bool = False
    """Whether a held call's connection is cut at once instead of being left to hang."""
    _release: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, operation: str) -> int:
        """How many calls of an operation KMS has seen."""
        return self.calls.count(operation)

    async def handle(self, request: web.Request, session: aiohttp.ClientSession) -> web.StreamResponse:
        """Pass one request on, or hold it."""
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        body = await request.read()
        if operation == self.hold_before:
            self.hold_before = ""
            return await self._hold(request)
        self.calls.append(operation)
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")
        }
        async with session.post(self.target, data=body, headers=headers) as answer:
            content = await answer.read()
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in ("content-length", "server")
            }
            if operation == self.hold_after:
                self.hold_after = ""
                return await self._hold(request)
            return web.Response(body=content, status=answer.status, headers=kept)

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        self.held.set()
        if not self.drop:
            await self._release.wait()
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    def release(self) -> None:
        """Let go of what is held; its connection is cut."""
        self._release.set()


@asynccontextmanager
async def proxying(target: str) -> AsyncIterator[Proxy]:
    """A proxy on loopback in front of `target`."""
    proxy = Proxy(target=target)
    async with aiohttp.ClientSession() as session:
        app = web.Application(client_max_size=1 << 20)

        async def handle(request: web.Request) -> web.StreamResponse:
            return await proxy.handle(request, session)

        app.router.add_post("/", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        proxy.url = f"http://{host}:{port}"
        try:
            yield proxy
        finally:
            proxy.release()
            await runner.cleanup()
