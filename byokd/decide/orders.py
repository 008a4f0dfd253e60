"""Which open orders are carried out, over or impossible, given what was decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from byokd.facts.key import ABSENT, Absent
from byokd.facts.ledger import Import, ImportState, Order, OrderKind, OrderState
from byokd.facts.snapshot import Reason

_IMPOSSIBLE = (
    Reason.HANDS_OFF,
    Reason.HELD,
    Reason.SUSPENDING,
    Reason.SUSPENDED,
    Reason.WRONG_ORIGIN,
    Reason.UNSUPPORTED_SPEC,
)
_IMPORTS = (OrderKind.IMPORT, OrderKind.RESUME)


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


def after_deciding(
    orders: tuple[Order, ...], *, reason: Reason, message: str, ended: Import | Absent, now: datetime
) -> tuple[Order, ...]:
    """Orders that this cycle answered: their import ended, or cannot be; the material of a suspended key is gone."""
    closed = []
    if reason is Reason.SUSPENDED:
        closed += [replace(order, effective_at=now, outcome="") for order in orders if _takes_effect(order)]
    for order in (order for order in orders if order.kind in _IMPORTS):
        if not isinstance(ended, Absent) and ended.state in (ImportState.DONE, ImportState.REFUSED):
            state = OrderState.DONE if ended.state is ImportState.DONE else OrderState.REFUSED
            if ended.order_id == order.id or (ended.state is ImportState.DONE and ended.created_at >= order.created_at):
                closed.append(_closed(order, state, now, ended.detail))
                continue
        if reason in _IMPOSSIBLE:
            closed.append(_closed(order, OrderState.REFUSED, now, message))
    return tuple(closed)


def _takes_effect(order: Order) -> bool:
    return order.kind is OrderKind.SUSPEND and order.effective_at is ABSENT


def _closed(order: Order, state: OrderState, now: datetime, outcome: str) -> Order:
    return replace(order, state=state, closed_at=now, outcome=outcome)
