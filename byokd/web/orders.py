"""Orders: what an operator asks for, checked, written as a row, and told to the engine by a nudge.

An order is refused here only for what is plain at once: an unknown key, a hold that would be over before it began, a
release of nothing. Whether the key's state lets the order be carried out is the engine's to find, and its answer closes
the order. A nudge that gets lost costs nothing: the store makes the key due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from byokd.config.problems import Unfit
from byokd.config.quantities import parse_duration
from byokd.errors import OperatorError, OrderRefused
from byokd.facts.key import ABSENT, Absent, KeyRef
from byokd.facts.ledger import HistoryEntry, HistoryEvent, Order, OrderKind, OrderState
from byokd.ports import NewId, Store
from byokd.web import documents
from byokd.web.answers import MAX_TEXT, NotOneKey, one_key

MEMBERS: Final = ("kind", "key", "why", "until")
MAX_WHY: Final = 500
"""Characters of a reason: it is shown whole in every history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An order as it was asked for, well-formed."""

    kind: OrderKind
    key: str
    why: str
    until: str
    """A duration from now (`2h`) or an ISO 8601 time with a zone; empty where there is no end."""


def read(body: object) -> Request:
    """The order that a decoded JSON body asks for. Raises `OperatorError` on anything else."""
    if not isinstance(body, dict):
        raise OperatorError(f"an order is a JSON object with the members {', '.join(MEMBERS)}")
    for name, value in body.items():
        if name not in MEMBERS:
            raise OperatorError(f"an order has no member {name!r}: there are {', '.join(MEMBERS)}")
        if value is not None and not (isinstance(value, str) and value.isprintable()):
            raise OperatorError(f"{name} must be text on one line")
    texts = {name: body.get(name) or "" for name in MEMBERS}
    if texts["kind"] not in set(OrderKind):
        raise OperatorError(f"kind is {texts['kind']!r}: it must be one of {', '.join(OrderKind)}")
    if not texts["key"]:
        raise OperatorError("an order needs a key")
    for name, most in (("key", MAX_TEXT), ("until", MAX_TEXT), ("why", MAX_WHY)):
        if len(texts[name]) > most:
            raise OperatorError(f"{name} is longer than {most} characters")
    kind = OrderKind(texts["kind"])
    if texts["until"] and kind is not OrderKind.HOLD:
        raise OperatorError("only a hold has an end (until)")
    return Request(kind=kind, key=texts["key"], why=texts["why"], until=texts["until"])


async def give(
    request: Request, *, by: str, store: Store, now: datetime, new_id: NewId, wake: Callable[[], None]
) -> Order:
    """Put the order on record and nudge the engine.

    Raises:
        OrderRefused: the order cannot be; nothing was written.
        StoreError: it could not be written.
    """
    ref = await one_key(store, request.key)
    if isinstance(ref, NotOneKey):
        raise OrderRefused(str(ref))
    until = _end(request.until, now)
    if request.kind is OrderKind.RELEASE and not await _held(store, ref, now):
        raise OrderRefused(f"no hold is in force on {ref}: there is nothing to release")
    order = Order(
        id=new_id(),
        ref=ref,
        kind=request.kind,
        state=OrderState.OPEN,
        by=by,
        why=request.why,
        created_at=now,
        until=until,
    )
    await store.add_order(order, _entry(order))
    wake()
    return order


def _end(text: str, now: datetime) -> datetime | Absent:
    """When a hold ends: strictly after `now`."""
    if not text:
        return ABSENT
    try:
        end = _moment(text, now)
    except (Unfit, ValueError, OverflowError):
        raise OperatorError(f"until is {text!r}: write a duration such as 2h, or 2026-03-01T12:00:00Z") from None
    if end <= now:
        raise OrderRefused(
            f"the hold would be over already: {documents.stamp(end)} is not after {documents.stamp(now)}"
        )
    return end


def _moment(text: str, now: datetime) -> datetime:
    if text[:4].isdigit() and "-" in text:
        return documents.moment(text).astimezone(UTC).replace(microsecond=0)
    return now + parse_duration(text)


async def _held(store: Store, ref: KeyRef, now: datetime) -> bool:
    for snapshot in await store.snapshots([ref]):
        for order in snapshot.ledger.open_orders:
            if order.kind is OrderKind.HOLD and (isinstance(order.until, Absent) or order.until > now):
                return True
    return False


def _entry(order: Order) -> HistoryEntry:
    end = "" if isinstance(order.until, Absent) else f" until {documents.stamp(order.until)}"
    why = f": {order.why}" if order.why else ""
    return HistoryEntry(
        at=order.created_at,
        ref=order.ref,
        event=HistoryEvent.ORDER_GIVEN,
        detail=f"{order.kind.value}{end}{why}",
        cause=f"order of {order.by}",
    )
