"""The lives of the keys, a line each. Lines are added and pruned, never changed.

The order is that of writing, by `id`: the wall clock may step back, and then `at` would tell the story wrongly.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, ForeignKey, Index, Row, Table, Text

from byokd.facts.key import KeyRef
from byokd.facts.ledger import HistoryEntry, HistoryEvent
from byokd.store.tables.metadata import METADATA, Seconds, Serial
from byokd.store.times import instant, seconds

history: Final = Table(
    "history",
    METADATA,
    Column("id", Serial, primary_key=True),
    Column("at", Seconds, nullable=False, index=True),
    Column("ref", Text, ForeignKey("keys.ref"), nullable=False),
    Column("event", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Index("ix_history_of_key", "ref", "id"),
)


def entry_values(entry: HistoryEntry) -> dict[str, Any]:
    """The columns of a line of history."""
    return {
        "at": seconds(entry.at),
        "ref": entry.ref,
        "event": entry.event.value,
        "detail": entry.detail,
        "cause": entry.cause,
    }


def read_entry(row: Row[Any]) -> HistoryEntry:
    """The line that `entry_values` wrote."""
    return HistoryEntry(
        at=instant(row.at),
        ref=KeyRef(row.ref),
        event=HistoryEvent(row.event),
        detail=row.detail,
        cause=row.cause,
    )
