"""What the fleet on record was last made from: a row where that is known, none where it is not."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Table, Text

from byokd.store.tables.metadata import METADATA

takeovers: Final = Table(
    "takeovers",
    METADATA,
    # Of the config whose keys these are, by `Config.digest`. A migration that gives the config's part of a key another
    # meaning must empty this table.
    Column("digest", Text, primary_key=True),
)
