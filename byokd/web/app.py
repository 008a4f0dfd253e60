"""The API: paths and errors of HTTP around a desk.

    GET  /v1/status   /v1/keys   /v1/keys/{name}   /v1/keys/{name}/history   /v1/keys/{name}/why   /v1/history
         /v1/queue   /v1/conditions   /v1/drift   /v1/plan   /v1/orders
    POST /v1/orders   {"kind": ..., "key" | "fleet" | "lane": ..., "why", "until", "valid_to", "dry_run"}
         /v1/orders/{id}/cancel
         /v1/approvals   {"kind": ..., "key" | "fleet" | "lane": ..., "dry_run"}
    GET  /healthz     the process answers       /readyz     the daemon says it is ready

Every answer is JSON. An error is `{"code", "error", "step"}`: 400 for what cannot be understood, 404 for an unknown
path or key, 409 for an order that is refused or a name that several keys have, 413 for a body over the limit, 503 for
trouble with the store, 500 for a defect. Whoever may open the socket may ask and order: its mode is the guard.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

import structlog
from aiohttp import web

from byokd.errors import ByokdError, OperatorError, OrderRefused, StoreError
from byokd.facts.ledger import OrderKind, OrderState
from byokd.facts.policy import Lane
from byokd.ports import Clock, NewId, Store
from byokd.web import documents
from byokd.web.answers import DEFAULT_ROWS, Answer, Cursor, Desk, Query
from byokd.web.orders import Counter
from byokd.web.requests import read, read_approval
from byokd.web.socket import peer

MAX_BODY: Final = 64 * 1024
"""Bytes of a request's body."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


def build_app(
    store: Store,
    clock: Clock,
    new_id: NewId,
    *,
    wake: Callable[[], None],
    status: Callable[[], Mapping[str, Any]],
    cursor: Cursor,
    lanes: Callable[[], Sequence[Lane]],
    approval: Callable[[], Collection[OrderKind]],
) -> web.Application:
    """The API over `store`.

    `wake` makes the engine look at what is due. `status` is what the daemon says about itself, in values that JSON
    knows and times; its member `ready` (true where missing) is what `/readyz` answers with. `lanes` are those of the
    config in force, and `approval` the kinds of orders that a second person must approve by it.
    """
    desk = Desk(store=store, now=clock.now, cursor=cursor, daemon=status, lanes=lanes)
    counter = Counter(
        store=store, now=clock.now, new_id=new_id, wake=wake, cursor=cursor, approval=approval, lanes=lanes
    )

    async def health(_: web.Request) -> web.Response:
        return _respond(Answer({"ok": True}))

    async def ready(_: web.Request) -> web.Response:
        ok = bool(status().get("ready", True))
        return _respond(Answer({"ok": ok}, 200 if ok else 503))

    app = web.Application(middlewares=[_errors_as_json], client_max_size=MAX_BODY)
    app.add_routes(
        [
            web.get("/v1/status", _plainly(desk.status)),
            web.get("/v1/keys", _plainly(desk.keys)),
            web.get("/v1/keys/{name}", _by_name(desk.key)),
            web.get("/v1/keys/{name}/history", _by_name(desk.key_history)),
            web.get("/v1/keys/{name}/why", _by_name(desk.why)),
            web.get("/v1/history", _plainly(desk.history)),
            web.get("/v1/queue", _plainly(desk.queue)),
            web.get("/v1/conditions", _plainly(desk.conditions)),
            web.get("/v1/drift", _plainly(desk.drift)),
            web.get("/v1/plan", _plainly(desk.plan)),
            web.get("/v1/orders", _plainly(desk.orders)),
            *_order_routes(counter),
            web.get("/healthz", health),
            web.get("/readyz", ready),
        ]
    )
    return app


def _order_routes(counter: Counter) -> tuple[web.RouteDef, ...]:
    """Giving orders, approving them, and taking them back, each in the name of the Unix user who asks."""

    async def give_order(request: web.Request) -> web.Response:
        asked, by = read(await _body(request), counter.now()), peer(request.transport)
        given = await counter.give(asked, by=by)
        if asked.key and not asked.dry_run:
            document = {"order": documents.order(given.orders[0])}
        else:
            document = documents.order_for_many(given.orders, given.refused, dry_run=asked.dry_run, most=DEFAULT_ROWS)
        if asked.dry_run:
            return _respond(Answer(document))
        event = "order_proposed" if given.orders[0].state is OrderState.PROPOSED else "order_given"
        log.info(event, kind=asked.kind.value, key=asked.meant, by=by, orders=len(given.orders))
        return _respond(Answer(document, 201))

    async def approve(request: web.Request) -> web.Response:
        asked, by = read_approval(await _body(request), counter.now()), peer(request.transport)
        given = await counter.approve(asked, by=by)
        if not asked.dry_run:
            log.info("order_approved", kind=asked.kind.value, key=asked.meant, by=by, orders=len(given.orders))
        most = DEFAULT_ROWS
        return _respond(Answer(documents.order_for_many(given.orders, given.refused, dry_run=asked.dry_run, most=most)))

    async def cancel_order(request: web.Request) -> web.Response:
        by = peer(request.transport)
        order = await counter.cancel(request.match_info["id"], by=by)
        log.info("order_cancelled", kind=order.kind.value, key=order.ref, by=by)
        return _respond(Answer({"order": documents.order(order)}))

    return (
        web.post("/v1/orders", give_order),
        web.post("/v1/orders/{id}/cancel", cancel_order),
        web.post("/v1/approvals", approve),
    )


def _plainly(question: Callable[[Query], Awaitable[Answer]]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return _respond(await question(request.query))

    return handle


def _by_name(question: Callable[[str, Query], Awaitable[Answer]]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return _respond(await question(request.match_info["name"], request.query))

    return handle


def _respond(answer: Answer) -> web.Response:
    return web.json_response(answer.document, status=answer.status)


async def _body(request: web.Request) -> object:
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):  # bad UTF-8 is a ValueError too
        raise OperatorError("the body is not JSON") from None


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The one place where an error becomes an answer."""
    try:
        return await handler(request)
    except ByokdError as problem:
        return _respond(Answer(documents.error(problem), _status(problem)))
    except web.HTTPException as refusal:  # no such path, no such method, too large: aiohttp's own
        document = {
            "code": "http",
            "error": f"{refusal.reason}: {request.method} {request.path}",
            "step": OperatorError.step,
        }
        return _respond(Answer(document, refusal.status))
    except Exception:
        log.exception("request_failed", method=request.method, path=request.path)
        return _respond(Answer(documents.error(ByokdError("byokd failed to answer; its log says why")), 500))


def _status(problem: ByokdError) -> int:
    match problem:
        case OrderRefused():
            return 409
        case OperatorError():
            return 400
        case StoreError():
            return 503
        case _:
            return 500
