"""The part of the store in dictionaries that tells a key's past."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from byokd.facts.change import KeyLine
from byokd.facts.condition import OpenCondition
from byokd.facts.key import ABSENT, Absent, KeyRef
from byokd.facts.ledger import HistoryEntry
from byokd.facts.past import Past
from byokd.facts.snapshot import Snapshot


class MemoryPast:
    """The past of keys; the method is described in the port."""

    _keys: Mapping[KeyRef, Any]
    _history: list[HistoryEntry]
    _conditions: dict[str, OpenCondition]

    async def past(self, ref: KeyRef, *, at: datetime, limit: int = 10_000) -> Past | None:
        if (key := self._keys.get(ref)) is None:
            return None
        told = [entry for entry in self._history if entry.ref == ref][-limit:]
        imports = sorted(key.imports.values(), key=lambda row: row.id)[-limit:]
        orders = sorted(key.orders.values(), key=lambda order: order.id)[-limit:]
        begins = [entry.at for entry in told[:1] if len(told) == limit]
        begins += [row.created_at for row in imports[:1] if len(imports) == limit]
        begins += [order.created_at for order in orders[:1] if len(orders) == limit]
        oldest = [min(entry.at for entry in self._history)] if self._history else []
        return Past(
            snapshot=self._snapshot(ref, key),
            line=self._line(ref, key) if key.managed else ABSENT,
            history=tuple(told),
            imports=tuple(imports),
            orders=tuple(orders),
            conditions=tuple(sorted((each for each in self._of(ref, at)), key=lambda each: (each.since, each.id))),
            known_from=max(oldest + begins, default=ABSENT),
        )

    def _of(self, ref: KeyRef, at: datetime) -> list[OpenCondition]:
        return [
            each
            for each in self._conditions.values()
            if each.subject == ref
            and each.since <= at
            and (isinstance(each.resolved_at, Absent) or each.resolved_at > at)
        ]

    def _snapshot(self, ref: KeyRef, key: Any) -> Snapshot:
        raise NotImplementedError

    def _line(self, ref: KeyRef, key: Any) -> KeyLine:
        raise NotImplementedError
