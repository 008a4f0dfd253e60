"""What operators asked for. An order is a row that stays true until it is closed."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Boolean, Column, ForeignKey, Index, Row, Table, Text, false, text

from byokd.facts.key import KeyRef
from byokd.facts.ledger import Order, OrderKind, OrderState
from byokd.store.tables.metadata import METADATA, Seconds, one_of, partial_index
from byokd.store.times import (
    ABSENT_S,
    expiry_or_absent,
    expiry_seconds,
    instant,
    instant_or_absent,
    seconds,
    seconds_or_null,
)

OPEN: Final = one_of("orders.state", (OrderState.OPEN,))
NOT_CLOSED: Final = text("orders.closed_at IS NULL")
"""Open, or proposed to become so."""
PROPOSED: Final = one_of("orders.state", (OrderState.PROPOSED,))
CLOSED_AT: Final = text("orders.closed_at IS NOT NULL")

orders: Final = Table(
    "orders",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("ref", Text, ForeignKey("keys.ref"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("ordered_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("created_at", Seconds, nullable=False),
    Column("until_at", Seconds),
    Column("valid_to", Seconds, nullable=False, server_default=text(str(ABSENT_S))),
    Column("effective_at", Seconds),
    Column("closed_at", Seconds),
    Column("outcome", Text, nullable=False),
    Column("lose_material", Boolean, nullable=False, server_default=false()),
    Index("ix_orders_of_key", "ref", "id"),
)

partial_index("ix_orders_not_closed", orders.c.id, where=NOT_CLOSED)
partial_index("ix_orders_closed", orders.c.closed_at, orders.c.id, where=CLOSED_AT)


def order_values(order: Order) -> dict[str, Any]:
    """The columns of an order."""
    return {
        "id": order.id,
        "ref": order.ref,
        "kind": order.kind.value,
        "state": order.state.value,
        "ordered_by": order.by,
        "why": order.why,
        "created_at": seconds(order.created_at),
        "until_at": seconds_or_null(order.until),
        "valid_to": expiry_seconds(order.valid_to),
        "effective_at": seconds_or_null(order.effective_at),
        "closed_at": seconds_or_null(order.closed_at),
        "outcome": order.outcome,
        "lose_material": order.lose,
    }


def read_order(row: Row[Any]) -> Order:
    """The order that `order_values` wrote."""
    return Order(
        id=row.id,
        ref=KeyRef(row.ref),
        kind=OrderKind(row.kind),
        state=OrderState(row.state),
        by=row.ordered_by,
        why=row.why,
        created_at=instant(row.created_at),
        until=instant_or_absent(row.until_at),
        valid_to=expiry_or_absent(row.valid_to),
        effective_at=instant_or_absent(row.effective_at),
        closed_at=instant_or_absent(row.closed_at),
        outcome=row.outcome,
        lose=row.lose_material,
    )
