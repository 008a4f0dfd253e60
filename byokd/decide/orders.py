"""Which open orders are carried out, over or impossible, given what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from byokd.decide.case import CLOCKS_DIFFER, Case
from byokd.facts.key import ABSENT, Absent, MaterialState, ObservedKey, View
from byokd.facts.ledger import Import, ImportState, Order, OrderKind, OrderState
from byokd.facts.snapshot import Reason

_IMPOSSIBLE = (
    Reason.HANDS_OFF,
    Reason.HELD,
    Reason.SUSPENDING,
    Reason.SUSPENDED,
    Reason.WRONG_ORIGIN,
    Reason.UNSUPPORTED_SPEC,
    Reason.WRAPPING_REFUSED,
)
_IMPORTS = (OrderKind.IMPORT, OrderKind.RESUME)
_ACTS = (*_IMPORTS, OrderKind.ROTATE)


def before_deciding(orders: tuple[Order, ...], now: datetime) -> tuple[Order, ...]:
    """Orders to close before the rules are asked.

    A release closes itself and the holds before it, a resumption the suspensions before it; a hold ends at `until`, and
    an import that was to end at a time that has passed is none any more.
    """
    newest = {order.kind: order.created_at for order in orders}
    closed = []
    for order in orders:
        match order.kind:
            case OrderKind.RELEASE:
                closed.append(_closed(order, OrderState.DONE, now, ""))
            case OrderKind.HOLD if _before(order, newest.get(OrderKind.RELEASE)):
                closed.append(_closed(order, OrderState.DONE, now, "released"))
            case OrderKind.HOLD if not isinstance(order.until, Absent) and order.until <= now:
                closed.append(_closed(order, OrderState.DONE, now, "ended"))
            case OrderKind.SUSPEND if _before(order, newest.get(OrderKind.RESUME)):
                closed.append(_closed(order, OrderState.DONE, now, "resumed"))
            case OrderKind.IMPORT if isinstance(order.valid_to, datetime) and order.valid_to <= now:
                closed.append(_closed(order, OrderState.REFUSED, now, "the end of life asked for has passed"))
    return tuple(closed)


def _before(order: Order, end: datetime | None) -> bool:
    return end is not None and order.created_at <= end


def rotated_at(view: View) -> datetime | Absent:
    """When the key was rotated to the material that is current now; ABSENT where it never was, or is not seen."""
    materials = view.materials if isinstance(view, ObservedKey) else ()
    return next((each.rotated_at for each in materials if each.state is MaterialState.CURRENT), ABSENT)


def rotated(orders: tuple[Order, ...], view: View, now: datetime) -> tuple[Order, ...]:
    """Orders to rotate that are carried out: the key's current material became so since, by whoever it was.

    A rotation just before counts as well: KMS's clock may differ, and no key is to be rotated twice for one order.
    """
    at = rotated_at(view)
    if isinstance(at, Absent) or not isinstance(view, ObservedKey):
        return ()
    done = (order for order in orders if order.kind is OrderKind.ROTATE and order.created_at <= at + CLOCKS_DIFFER)
    return tuple(_closed(order, OrderState.DONE, now, f"rotated to {view.current_material}") for order in done)


def answered(orders: tuple[Order, ...], ended: Import, now: datetime) -> tuple[Order, ...]:
    """Import orders that an import which is done or refused answers: its own, and those that were open when it began.

    They are closed before anything is decided: an order whose import is done asks for no other.
    """
    match ended.state:
        case ImportState.DONE:
            state = OrderState.DONE
        case ImportState.REFUSED:
            state = OrderState.REFUSED
        case _:
            return ()
    return tuple(
        _closed(order, state, now, ended.detail)
        for order in orders
        if order.kind in _IMPORTS
        and (ended.order_id == order.id or (state is OrderState.DONE and ended.created_at >= order.created_at))
    )


def imported(orders: tuple[Order, ...], needed: Sequence[Case], now: datetime) -> tuple[Order, ...]:
    """Import orders that are carried out for a key with several materials: each that it needs was imported since.

    By whichever imports that was, so that none which began before an order leaves it open.
    """
    done = (order for order in orders if needed and all(each.imported_for(order) for each in needed))
    return tuple(_closed(order, OrderState.DONE, now, "") for order in done if order.kind in _IMPORTS)


def after_deciding(orders: tuple[Order, ...], *, reason: Reason, message: str, now: datetime) -> tuple[Order, ...]:
    """Orders that a decision answers: an import that cannot be; a suspended key whose material is gone.

    What an order waits for stands in its outcome, where people alone can help: replicas, a key that KMS does not know.
    """
    if reason is Reason.SUSPENDED:
        effective = (order for order in orders if order.kind is OrderKind.SUSPEND and order.effective_at is ABSENT)
        changed = [replace(order, effective_at=now, outcome="") for order in effective]
    else:
        changed = []
    waits = {
        Reason.WAITS_FOR_REPLICAS: (OrderKind.ROTATE,),
        Reason.KEY_NOT_FOUND: (*_ACTS, OrderKind.SUSPEND),
    }.get(reason, ())
    waiting = (order for order in orders if order.kind in waits and order.outcome != message)
    changed += [replace(order, outcome=message) for order in waiting]
    refused = {Reason.CANNOT_ROTATE: (OrderKind.ROTATE,)}.get(reason, _ACTS if reason in _IMPOSSIBLE else ())
    changed += [_closed(order, OrderState.REFUSED, now, message) for order in orders if order.kind in refused]
    return tuple(changed)


def without(orders: tuple[Order, ...], closed: tuple[Order, ...]) -> tuple[Order, ...]:
    """The orders that are left when some were closed."""
    gone = {order.id for order in closed}
    return tuple(order for order in orders if order.id not in gone)


def _closed(order: Order, state: OrderState, now: datetime, outcome: str) -> Order:
    return replace(order, state=state, closed_at=now, outcome=outcome)
