"""Forgetting old rows of dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from byokd.facts.key import Absent


def prune_rows(
    tables: Sequence[dict[str, Any]],
    ended_at: Callable[[Any], datetime | Absent],
    kept: Collection[str],
    *,
    before: datetime,
    limit: int,
) -> int:
    """Delete at most `limit` rows that ended before `before`, oldest first; returns how many there were."""
    old = sorted(
        (ended, row.id, i)
        for i, table in enumerate(tables)
        for row in table.values()
        if not isinstance(ended := ended_at(row), Absent) and ended < before and row.id not in kept
    )[:limit]
    for _, row_id, i in old:
        del tables[i][row_id]
    return len(old)
