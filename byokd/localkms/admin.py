"""The admin endpoint: a second, loopback-only HTTP listener by which a test or an operator moves the KMS's world.

    GET  /health     {"status": "ok", "keys": 12}
    GET  /time       {"now": 1790000000.0, "utc": "2026-09-21T14:13:20Z", "ahead_s": 0.0, "rate": 1.0}
    POST /time       {"advance_s": 86400}, or {"to": 1790000000} or {"to": "2026-09-21T14:13:20Z"}; answers as GET
    POST /reset      no keys, no aliases, real time
    POST /snapshot   the whole state, sealed, as a document
    POST /restore    the document, to have that state again
    POST /loss       {"region": "eu-central-1"}: the Region loses all imported material; {"keys": 3}
    GET  /metrics    OpenMetrics, or Prometheus's older text format

Answers are JSON but for the last. What is refused is 400 (409 for a clock that cannot be moved) with {"error": "..."}.
It authenticates nobody, so it binds loopback addresses only, and refuses what a browser sends on behalf of a page
(anything with an Origin). It must not know any rule of KMS.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from byokd.localkms.clock import MovableClock
from byokd.localkms.errors import StateError
from byokd.localkms.outlets import metrics
from byokd.localkms.outlets.events import utc
from byokd.localkms.world import FixedClockError, World

BODY_MAX_BYTES: Final = 1 << 30
"""The largest snapshot that can be restored, bytes: about a million keys."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)


class _Mistake(Exception):
    """The request asks for what cannot be; its text says why."""


def admin_app(world: World, tally: metrics.Tally) -> web.Application:
    """The application to be served at the admin address."""
    endpoint = _Admin(world, tally)
    app = web.Application(client_max_size=BODY_MAX_BYTES, middlewares=[_guarded])
    app.add_routes(
        [
            web.get("/health", endpoint.health),
            web.get("/time", endpoint.time),
            web.post("/time", endpoint.step),
            web.post("/reset", endpoint.reset),
            web.post("/snapshot", endpoint.snapshot),
            web.post("/restore", endpoint.restore),
            web.post("/loss", endpoint.loss),
            web.get("/metrics", endpoint.metrics),
        ]
    )
    return app


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Nothing for browsers, and an answer for whatever goes wrong."""
    if "Origin" in request.headers:
        return _refused(403, "The admin endpoint does not answer web pages.")
    try:
        return await handler(request)
    except (_Mistake, StateError) as mistake:
        return _refused(400, str(mistake))
    except FixedClockError as fixed:
        return _refused(409, str(fixed))
    except web.HTTPException as refusal:
        return _refused(refusal.status, refusal.reason)
    except sqlite3.Error as error:
        log.exception("the state could not be written")
        return _refused(500, f"The state could not be written: {error}.")


def _refused(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


class _Admin:
    """The handlers, over the world that they move."""

    def __init__(self, world: World, tally: metrics.Tally) -> None:
        self._world = world
        self._tally = tally

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "keys": self._world.keyring.key_count})

    async def time(self, _: web.Request) -> web.Response:
        clock = self._world.clock
        now = clock.now()
        told: dict[str, Any] = {"now": now, "utc": utc(now)}
        if isinstance(clock, MovableClock):
            told |= {"ahead_s": clock.lead_s, "rate": clock.rate}
        return web.json_response(told)

    async def step(self, request: web.Request) -> web.Response:
        seconds = _seconds(await _members(request), self._world.clock.now())
        try:
            await self._world.advance(seconds)
        except ValueError as error:
            raise _Mistake(str(error)) from None
        return await self.time(request)

    async def reset(self, _: web.Request) -> web.Response:
        await self._world.reset()
        return web.json_response({})

    async def snapshot(self, _: web.Request) -> web.Response:
        return web.Response(body=await self._world.snapshot(), content_type="application/json")

    async def restore(self, request: web.Request) -> web.Response:
        await self._world.restore(await request.read())
        return web.json_response({})

    async def loss(self, request: web.Request) -> web.Response:
        region = (await _members(request)).get("region")
        if not isinstance(region, str):
            raise _Mistake('The body must be {"region": "..."}.')
        return web.json_response({"keys": await self._world.lose(region)})

    async def metrics(self, request: web.Request) -> web.Response:
        openmetrics = "application/openmetrics-text" in request.headers.get("Accept", "")
        page = metrics.page(self._world.keyring, self._tally, self._world.clock.now(), openmetrics=openmetrics)
        kind = metrics.OPENMETRICS if openmetrics else metrics.PLAIN
        return web.Response(body=page.encode(), headers={"Content-Type": kind})


async def _members(request: web.Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise _Mistake("The body is not valid JSON.") from None
    if not isinstance(document, dict):
        raise _Mistake("The body must be a JSON object.")
    return document


def _seconds(asked: dict[str, Any], now: float) -> float:
    """How far a request wants time to step."""
    match asked:
        case {"advance_s": int() | float() as seconds, **others} if not others and not isinstance(seconds, bool):
            return _finite(seconds)
        case {"to": int() | float() as moment, **others} if not others and not isinstance(moment, bool):
            return _finite(moment) - now
        case {"to": str() as text, **others} if not others:
            try:
                date = datetime.fromisoformat(text)
            except ValueError:
                raise _Mistake(f"{text!r} is no date in ISO 8601.") from None
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        case _:
            raise _Mistake('The body must be {"advance_s": seconds}, {"to": epoch seconds} or {"to": "ISO 8601"}.')


def _finite(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        raise _Mistake("Time steps forward only, and not beyond the year 9999.") from None
