"""The import queue. A row leaves the open states once and is never touched again, except to be pruned.

Uniqueness is the database's: one open row per key and material, whoever writes and however often.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Row, Table, Text, text

from byokd.facts.key import ABSENT, Absent, KeyRef, LaneId, MaterialId
from byokd.facts.ledger import Import, ImportState, Tier
from byokd.store.tables.metadata import METADATA, Seconds, one_of, partial_index
from byokd.store.times import (
    expiry,
    expiry_seconds,
    instant,
    instant_or_absent,
    seconds,
    seconds_or_null,
)

OPEN: Final = one_of("imports.state", (state for state in ImportState if state.open))
CLOSED: Final = one_of("imports.state", (state for state in ImportState if not state.open))
WAITING: Final = one_of("imports.state", (ImportState.QUEUED, ImportState.FAILED))
"""Rows that the lane may take up."""
RUNNING: Final = one_of("imports.state", (ImportState.RUNNING,))
"""Rows of which KMS was asked something, or is about to be."""
CLOSED_AT: Final = text("imports.finished_at IS NOT NULL")

imports: Final = Table(
    "imports",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("ref", Text, ForeignKey("keys.ref"), nullable=False),
    Column("lane", Text, nullable=False),
    # Empty where KMS has not named the material yet.
    Column("material", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("expiry", Seconds, nullable=False),
    Column("deadline", Seconds, nullable=False),
    Column("not_before", Seconds, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Seconds, nullable=False),
    Column("started_at", Seconds),
    Column("answered", Boolean, nullable=False),
    Column("finished_at", Seconds),
    Column("outcome", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("order_id", Text),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    # What the lane serves first: `Import.rank`.
    Column("rank", Integer, nullable=False, server_default=text("2100")),
    Index("ix_imports_of_key", "ref", "state", "id"),
)

IN_TURN: Final = (imports.c.rank, imports.c.deadline, imports.c.id)
"""The order in which a lane serves its rows: that of `Import.turn`."""

partial_index("uq_imports_open", imports.c.ref, imports.c.material, where=OPEN, unique=True)
partial_index("ix_imports_by_rank", imports.c.lane, *IN_TURN, where=WAITING)
partial_index("ix_imports_by_not_before", imports.c.lane, imports.c.not_before, where=WAITING)
partial_index("ix_imports_running", imports.c.lane, imports.c.ref, where=RUNNING)
partial_index("ix_imports_closed", imports.c.finished_at, imports.c.id, where=CLOSED_AT)


def import_values(row: Import) -> dict[str, Any]:
    """The columns of a row of the queue."""
    return {
        "id": row.id,
        "ref": row.ref,
        "lane": row.lane,
        "material": "" if isinstance(row.material, Absent) else row.material,
        "state": row.state.value,
        "reason": row.reason,
        "tier": row.tier.value,
        "expiry": expiry_seconds(row.expiry),
        "deadline": seconds(row.deadline),
        "not_before": seconds(row.not_before),
        "attempts": row.attempts,
        "created_at": seconds(row.created_at),
        "started_at": seconds_or_null(row.started_at),
        "answered": row.answered,
        "finished_at": seconds_or_null(row.finished_at),
        "outcome": row.outcome,
        "detail": row.detail,
        "order_id": None if isinstance(row.order_id, Absent) else row.order_id,
        "priority": row.priority,
        "rank": row.rank,
    }


def read_import(row: Row[Any]) -> Import:
    """The row that `import_values` wrote."""
    return Import(
        id=row.id,
        ref=KeyRef(row.ref),
        lane=LaneId(row.lane),
        material=MaterialId(row.material) if row.material else ABSENT,
        state=ImportState(row.state),
        reason=row.reason,
        tier=Tier(row.tier),
        expiry=expiry(row.expiry),
        deadline=instant(row.deadline),
        not_before=instant(row.not_before),
        attempts=row.attempts,
        created_at=instant(row.created_at),
        started_at=instant_or_absent(row.started_at),
        answered=bool(row.answered),
        finished_at=instant_or_absent(row.finished_at),
        outcome=row.outcome,
        detail=row.detail,
        order_id=ABSENT if row.order_id is None else row.order_id,
        priority=row.priority,
    )
