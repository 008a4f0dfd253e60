"""Taking an operator's order: only for a key in the config, since nobody would ever carry out another one."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, insert, update

from byokd.errors import OrderRefused
from byokd.facts.ledger import HistoryEntry, Order
from byokd.store.fleet import earlier
from byokd.store.tables.history import entry_values, history
from byokd.store.tables.keys import MANAGED, keys
from byokd.store.tables.orders import order_values, orders
from byokd.store.times import seconds

_WAKE: Final = (
    update(keys).where(keys.c.ref == bindparam("of_ref"), MANAGED).values(due_at=earlier(bindparam("wake_at")))
)


def add_order(connection: Connection, order: Order, entry: HistoryEntry) -> None:
    """Record the order and its line of history, and make the key due. Raises: OrderRefused for an unknown key."""
    woken = connection.execute(_WAKE, {"of_ref": order.ref, "wake_at": seconds(order.created_at)})
    if not woken.rowcount:
        raise OrderRefused(f"{order.ref} is not a key of the config.")
    connection.execute(insert(orders), order_values(order))
    connection.execute(insert(history), entry_values(entry))
