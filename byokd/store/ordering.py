"""Taking and taking back operators' orders: only for keys in the config, since nobody would carry out another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, insert, update

from byokd.errors import OrderRefused
from byokd.facts.ledger import HistoryEntry, Order, OrderState
from byokd.store.fleet import earlier
from byokd.store.tables.history import entry_values, history
from byokd.store.tables.keys import MANAGED, keys
from byokd.store.tables.orders import NOT_CLOSED, PROPOSED, order_values, orders
from byokd.store.times import seconds, seconds_or_null

_WAKE: Final = (
    update(keys).where(keys.c.ref == bindparam("of_ref"), MANAGED).values(due_at=earlier(bindparam("wake_at")))
)


_APPROVE: Final = (
    update(orders)
    .where(orders.c.id == bindparam("of_order"), PROPOSED)
    .values(state=OrderState.OPEN.value, ordered_by=bindparam("by"), created_at=bindparam("given_at"))
)
_CANCEL: Final = (
    update(orders)
    .where(orders.c.id == bindparam("of_order"), NOT_CLOSED)
    .values(state=OrderState.CANCELLED.value, closed_at=bindparam("closed_at"), outcome=bindparam("outcome"))
)


def add_orders(connection: Connection, given: Sequence[tuple[Order, HistoryEntry]]) -> None:
    """Record orders with their lines of history, and make their keys due. Raises: OrderRefused for an unknown key."""
    for order, entry in given:
        _add(connection, order, entry)


def approve_orders(connection: Connection, given: Sequence[tuple[Order, HistoryEntry]]) -> None:
    """Put proposed orders in force, all or none. Raises: OrderRefused where one is not proposed any more."""
    for order, entry in given:
        given_at = seconds(order.created_at)
        if not connection.execute(_APPROVE, {"of_order": order.id, "by": order.by, "given_at": given_at}).rowcount:
            raise OrderRefused(f"the order {order.id} is not proposed any more")
        connection.execute(_WAKE, {"of_ref": order.ref, "wake_at": given_at})
        connection.execute(insert(history), entry_values(entry))


def cancel_order(connection: Connection, order: Order, entry: HistoryEntry) -> None:
    """Close an order as cancelled. Raises: OrderRefused where it is closed already."""
    closed_at = seconds_or_null(order.closed_at)
    row = {"of_order": order.id, "closed_at": closed_at, "outcome": order.outcome}
    if not connection.execute(_CANCEL, row).rowcount:
        raise OrderRefused(f"the order {order.id} is not open any more")
    connection.execute(_WAKE, {"of_ref": order.ref, "wake_at": closed_at})
    connection.execute(insert(history), entry_values(entry))


def _add(connection: Connection, order: Order, entry: HistoryEntry) -> None:
    woken = connection.execute(_WAKE, {"of_ref": order.ref, "wake_at": seconds(order.created_at)})
    if not woken.rowcount:
        raise OrderRefused(f"{order.ref} is not a key of the config")
    connection.execute(insert(orders), order_values(order))
    connection.execute(insert(history), entry_values(entry))
