"""Owning a lane: a new epoch under which older writes fail, a look at what was under way, and what the owner tells."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from byokd.errors import LeaseLost
from byokd.facts.key import LaneId
from byokd.facts.policy import LearnedPace
from byokd.store.tables import imports as queue
from byokd.store.tables import paces as tables
from byokd.store.tables.imports import imports
from byokd.store.tables.keys import keys
from byokd.store.tables.leases import leases
from byokd.store.tables.paces import pace_values, read_pace
from byokd.store.times import seconds

_TAKE_OVER: Final = (
    update(leases)
    .where(leases.c.lane == bindparam("of_lane"))
    .values(node=bindparam("node"), epoch=leases.c.epoch + 1, renewed_at=bindparam("renewed_at"))
)

WAKE_RUNNING: Final = (
    update(keys)
    .where(
        keys.c.due_at > bindparam("wake_at"),
        keys.c.ref.in_(select(imports.c.ref).where(imports.c.lane == bindparam("of_lane"), queue.RUNNING)),
    )
    .values(due_at=bindparam("wake_at"))
)


_KEEP: Final = (
    update(leases)
    .where(leases.c.lane == bindparam("of_lane"), leases.c.epoch == bindparam("of_epoch"))
    .values(renewed_at=bindparam("renewed_at"))
)

WAKE_ALL: Final = (
    update(keys)
    .where(keys.c.lane == bindparam("of_lane"), keys.c.due_at > bindparam("wake_at"))
    .values(due_at=bindparam("wake_at"))
)


def acquire(connection: Connection, lane: LaneId, *, node: str, now: datetime) -> int:
    """Own the lane under a new epoch, and wake the keys whose last attempt nobody has explained yet.

    All keys are woken where the lane was kept later than `now`: the clock was set back, and their due times may lie in
    a future that was never meant.
    """
    kept_at = connection.scalar(select(leases.c.renewed_at).where(leases.c.lane == lane))
    row = {"of_lane": lane, "node": node, "renewed_at": seconds(now)}
    if kept_at is None:
        connection.execute(insert(leases), {"lane": lane, "node": node, "epoch": 1, "renewed_at": seconds(now)})
    else:
        connection.execute(_TAKE_OVER, row)
    wake = WAKE_ALL if kept_at is not None and kept_at > seconds(now) else WAKE_RUNNING
    connection.execute(wake, {"of_lane": lane, "wake_at": seconds(now)})
    epoch: int = connection.execute(select(leases.c.epoch).where(leases.c.lane == lane)).scalar_one()
    return epoch


def keep(
    connection: Connection,
    lane: LaneId,
    *,
    epoch: int,
    now: datetime,
    look_again: bool,
    paces: Mapping[str, LearnedPace],
) -> None:
    """Say that the lane is owned and what it learned, and wake all its keys if asked.

    Raises: LeaseLost where another epoch owns it.
    """
    row = {"of_lane": lane, "of_epoch": epoch, "renewed_at": seconds(now)}
    if not connection.execute(_KEEP, row).rowcount:
        raise LeaseLost(f"Another node owns the lane {lane} now.")
    connection.execute(delete(tables.paces).where(tables.paces.c.lane == lane))
    if paces:
        rows = [pace_values(lane, operation, pace) for operation, pace in paces.items()]
        connection.execute(insert(tables.paces), rows)
    if look_again:
        connection.execute(WAKE_ALL, {"of_lane": lane, "wake_at": seconds(now)})


def learned(connection: Connection, lane: LaneId) -> dict[str, LearnedPace]:
    """What the lane learned about its quotas, by operation."""
    rows = connection.execute(select(tables.paces).where(tables.paces.c.lane == lane))
    return {row.operation: read_pace(row) for row in rows}
