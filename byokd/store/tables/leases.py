"""Who owns which lane: one row per lane, its epoch counting the changes of ownership."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Table, Text

from byokd.store.tables.metadata import METADATA, Seconds

leases: Final = Table(
    "leases",
    METADATA,
    Column("lane", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("renewed_at", Seconds, nullable=False),
)
