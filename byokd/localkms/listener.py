"""The listener: sockets, and how many connections and how much time one client may take.

    new connection ─▶ room? ──yes──▶ serve requests ─▶ idle for Limits.idle_s ─▶ closed
                        └─no─▶ the one that has been idle for longest is closed; if all are busy, the newcomer is

A connection is busy while one of its requests is being answered. aiohttp closes what is idle for too long, or does not
finish the head of a request in that time; the body has a limit of its own in the wire. This file knows aiohttp and
sockets, and must not know what a request says.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from byokd.localkms.options import Limits

SHUTDOWN_S: Final = 2.0
"""How long requests in progress may take to finish when the server ends, seconds."""
BACKLOG: Final = 1024
FILES_KEPT: Final = 128
"""Descriptors kept for everything else: the state, libraries, the admin endpoint, couriers."""
LINGER_S: Final = 5.0
"""How long a body that is refused is read on, so that its sender gets to read the refusal, seconds."""

log = logging.getLogger(__name__)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether what aiohttp wants to log is: a client that does not speak HTTP, or leaves, is no failure of ours."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | ConnectionError))


log.addFilter(_is_news)

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Listener(web.Server):
    """aiohttp's server with room for so many connections."""

    def __init__(self, answer: Answer, limits: Limits) -> None:
        # Content-Encoding is not looked into: what KMS's clients send is never compressed, and a bomb would be.
        super().__init__(
            self._answered,
            request_factory=self._request,
            access_log=None,
            logger=log,
            auto_decompress=False,
            keepalive_timeout=limits.idle_s,
            lingering_time=min(LINGER_S, limits.body_s),
        )
        self._answer = answer
        self._limits = limits
        self._room = room(limits.connections)
        self._running = asyncio.get_running_loop()
        self._idle: dict[RequestHandler, None] = {}  # the one idle for longest comes first
        self._busy: set[RequestHandler] = set()

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Called by aiohttp for a new connection."""
        super().connection_made(handler, transport)
        if len(self._idle) + len(self._busy) >= self._room:
            if not self._idle:
                transport.abort()
                return
            longest = next(iter(self._idle))
            del self._idle[longest]
            longest.force_close()
        self._idle[handler] = None

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Called by aiohttp for the end of a connection."""
        super().connection_lost(handler, exc)
        self._idle.pop(handler, None)
        self._busy.discard(handler)

    async def _answered(self, http: web.BaseRequest) -> web.StreamResponse:
        handler = http.protocol
        if handler in self._idle:  # else it was aborted meanwhile
            del self._idle[handler]
            self._busy.add(handler)
        try:
            return await self._answer(http)
        finally:
            if handler in self._busy:
                self._busy.discard(handler)
                self._idle[handler] = None

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        size = self._limits.body_bytes
        return web.BaseRequest(message, payload, protocol, writer, task, self._running, client_max_size=size)


def room(wanted: int) -> int:
    """How many connections may be open: as many as wanted, if the process may have so many files open.

    Without a descriptor to spare nobody could be accepted, not even to be let go: the idle would keep everybody out.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if files == resource.RLIM_INFINITY else max(1, min(wanted, files - FILES_KEPT))


async def listen(server: web.Server, host: str, port: int, stack: AsyncExitStack) -> str:
    """Serve at an address until the stack is left; returns the URL. Raises: OSError when it cannot be bound."""
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_S)
    return await _started(runner, host, port, stack)


async def listen_to(app: web.Application, host: str, port: int, stack: AsyncExitStack) -> str:
    """The same for an application."""
    runner = web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=SHUTDOWN_S)
    return await _started(runner, host, port, stack)


async def _started(runner: web.ServerRunner | web.AppRunner, host: str, port: int, stack: AsyncExitStack) -> str:
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
