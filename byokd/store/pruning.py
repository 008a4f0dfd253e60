"""Forgetting what is old: bounded, oldest first, and nothing that a decision still rests on.

Kept however old they are: refused imports in force (they stop byokd from trying again), notices of open conditions
(without them people would be told anew), and conditions that have unsent notices or are yet to be told.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Table, bindparam, delete, exists, not_, select
from sqlalchemy.sql.dml import Delete
from sqlalchemy.sql.elements import TextClause

from byokd.store.snapshots import IN_FORCE
from byokd.store.tables import conditions as told
from byokd.store.tables import imports as queue
from byokd.store.tables import orders as ordered
from byokd.store.tables.conditions import conditions, notices
from byokd.store.tables.history import history
from byokd.store.tables.imports import imports
from byokd.store.tables.orders import orders
from byokd.store.times import seconds


def _oldest(table: Table, ended_at: Column[Any], *where: ColumnElement[bool] | TextClause) -> Delete:
    old = (
        select(table.c.id)
        .where(ended_at < bindparam("before"), *where)
        .order_by(ended_at, table.c.id)
        .limit(bindparam("limit"))
    )
    return delete(table).where(table.c.id.in_(old))


_resolved: Final = exists(select(conditions.c.id).where(conditions.c.id == notices.c.condition_id, told.RESOLVED))
_noticed: Final = exists(select(notices.c.id).where(notices.c.condition_id == conditions.c.id))

IN_ORDER: Final = (
    _oldest(history, history.c.at),
    _oldest(imports, imports.c.finished_at, queue.CLOSED_AT, queue.CLOSED, not_(IN_FORCE)),
    _oldest(orders, orders.c.closed_at, ordered.CLOSED_AT),
    # Notices before the conditions that they are about.
    _oldest(notices, notices.c.sent_at, told.SENT, _resolved),
    _oldest(conditions, conditions.c.resolved_at, told.RESOLVED, conditions.c.notify_at.is_(None), ~_noticed),
)


def prune(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete at most `limit` rows of each kind that ended before `before`; returns how many went."""
    parameters = {"before": seconds(before), "limit": limit}
    return sum(connection.execute(statement, parameters).rowcount for statement in IN_ORDER)
