"""Which open orders are carried out, over or impossible, given what was decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from byokd.facts.key import Absent
from byokd.facts.ledger import Import, ImportState, Order, OrderKind, OrderState
from byokd.facts.snapshot import Reason

_IMPOSSIBLE = (Reason.HANDS_OFF, Reason.HELD, Reason.WRONG_ORIGIN, Reason.UNSUPPORTED_SPEC)


def before_deciding(orders: tuple[Order, ...], now: datetime) -> tuple[Order, ...]:
    """Orders to close before the rules are asked: a release closes itself and every hold; a hold ends at `until`."""
    releases = [order for order in orders if order.kind is OrderKind.RELEASE]
    closed = [_closed(order, OrderState.DONE, now, "") for order in releases]
    for hold in (order for order in orders if order.kind is OrderKind.HOLD):
        if any(release.created_at >= hold.created_at for release in releases):
            closed.append(_closed(hold, OrderState.DONE, now, "released"))
        elif not isinstance(hold.until, Absent) and hold.until <= now:
            closed.append(_closed(hold, OrderState.DONE, now, "ended"))
    return tuple(closed)


def after_deciding(
    orders: tuple[Order, ...], *, reason: Reason, message: str, ended: Import | Absent, now: datetime
) -> tuple[Order, ...]:
    """Import orders that this cycle answered: their import ended, or the key cannot be imported into."""
    closed = []
    for order in (order for order in orders if order.kind is OrderKind.IMPORT):
        if not isinstance(ended, Absent) and ended.state in (ImportState.DONE, ImportState.REFUSED):
            state = OrderState.DONE if ended.state is ImportState.DONE else OrderState.REFUSED
            if ended.order_id == order.id or (ended.state is ImportState.DONE and ended.created_at >= order.created_at):
                closed.append(_closed(order, state, now, ended.detail))
                continue
        if reason in _IMPOSSIBLE:
            closed.append(_closed(order, OrderState.REFUSED, now, message))
    return tuple(closed)


def _closed(order: Order, state: OrderState, now: datetime, outcome: str) -> Order:
    return replace(order, state=state, closed_at=now, outcome=outcome)
