"""What each lane learned about its quotas, by KMS operation; a lane at its quota has no row."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, Double, Row, Table, Text

from byokd.facts.policy import LearnedPace
from byokd.store.tables.metadata import METADATA, Seconds
from byokd.store.times import instant, seconds

paces: Final = Table(
    "paces",
    METADATA,
    Column("lane", Text, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("share", Double, nullable=False),
    Column("share_limit", Double, nullable=False),
    Column("limited_at", Seconds, nullable=False),
    Column("per_second", Double),
)


def pace_values(lane: str, operation: str, pace: LearnedPace) -> dict[str, Any]:
    """The columns of a learned pace."""
    return {
        "lane": lane,
        "operation": operation,
        "share": pace.share,
        "share_limit": pace.limit,
        "limited_at": seconds(pace.limited_at),
        "per_second": pace.per_second,
    }


def read_pace(row: Row[Any]) -> LearnedPace:
    """The pace that `pace_values` wrote."""
    return LearnedPace(
        share=row.share, limit=row.share_limit, limited_at=instant(row.limited_at), per_second=row.per_second or 0.0
    )
