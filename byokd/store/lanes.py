"""Taking over a lane: a new epoch, under which older writes fail, and a look at what was under way."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, update

from byokd.facts.key import LaneId
from byokd.facts.ledger import ImportState
from byokd.store.tables import imports as queue
from byokd.store.tables.imports import imports
from byokd.store.tables.keys import keys
from byokd.store.tables.leases import leases
from byokd.store.times import seconds

_TAKE_OVER: Final = (
    update(leases)
    .where(leases.c.lane == bindparam("of_lane"))
    .values(node=bindparam("node"), epoch=leases.c.epoch + 1, renewed_at=bindparam("renewed_at"))
)

_WAKE_RUNNING: Final = (
    update(keys)
    .where(
        keys.c.due_at > bindparam("wake_at"),
        keys.c.ref.in_(
            select(imports.c.ref).where(
                imports.c.lane == bindparam("of_lane"), queue.OPEN, imports.c.state == ImportState.RUNNING.value
            )
        ),
    )
    .values(due_at=bindparam("wake_at"))
)


def acquire(connection: Connection, lane: LaneId, *, node: str, now: datetime) -> int:
    """Own the lane under a new epoch, and wake the keys whose last attempt nobody has explained yet."""
    taken = connection.execute(_TAKE_OVER, {"of_lane": lane, "node": node, "renewed_at": seconds(now)})
    if not taken.rowcount:
        connection.execute(insert(leases), {"lane": lane, "node": node, "epoch": 1, "renewed_at": seconds(now)})
    connection.execute(_WAKE_RUNNING, {"of_lane": lane, "wake_at": seconds(now)})
    epoch: int = connection.execute(select(leases.c.epoch).where(leases.c.lane == lane)).scalar_one()
    return epoch
