"""The part of the store in dictionaries that tells a key's past."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from byokd.facts.change import KeyLine
from byokd.facts.condition import ConditionKind, OpenCondition
from byokd.facts.key import ABSENT, Absent, Expiry, KeyRef
from byokd.facts.ledger import HistoryEntry, HistoryEvent
from byokd.facts.past import LeftBehind, Past
from byokd.facts.snapshot import Snapshot
from byokd.store.times import expiry_seconds
from byokd.store.views import shown_expiry, shown_state


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
            conditions=self._told_of(ref, at),
            known_from=max(oldest + begins, default=ABSENT),
            skews=tuple(
                each
                for each in self._told_of(f"lane:{key.known.desired.lane}", at)
                if each.condition.kind is ConditionKind.CLOCK_SKEW
            ),
        )

    async def left_behind(self, *, now: datetime, limit: int) -> tuple[LeftBehind, ...]:
        managed = {key.known.arn for key in self._keys.values() if key.managed}
        found = [self._left(ref, key) for ref, key in self._keys.items() if not key.managed]
        alive = [each for each in found if each is not None and each.arn not in managed and _alive(each.expiry, now)]
        return tuple(sorted(alive, key=lambda each: (expiry_seconds(each.expiry), each.ref))[:limit])

    def _left(self, ref: KeyRef, key: Any) -> LeftBehind | None:
        known, expiry = key.known, shown_expiry(key.known)
        if isinstance(known.arn, Absent) or isinstance(expiry, Absent) or shown_state(known.view) != "Enabled":
            return None
        left = (each.at for each in self._history if each.ref == ref and each.event is HistoryEvent.UNTRACKED)
        desired = known.desired
        return LeftBehind(
            ref=ref,
            name=desired.name,
            fleet=desired.fleet,
            lane=desired.lane,
            arn=known.arn,
            expiry=expiry,
            left_at=max(left, default=ABSENT),
        )

    def _told_of(self, subject: str, at: datetime) -> tuple[OpenCondition, ...]:
        open_then = (
            each
            for each in self._conditions.values()
            if each.subject == subject
            and each.since <= at
            and (isinstance(each.resolved_at, Absent) or each.resolved_at > at)
        )
        return tuple(sorted(open_then, key=lambda each: (each.since, each.id)))

    def _snapshot(self, ref: KeyRef, key: Any) -> Snapshot:
        raise NotImplementedError

    def _line(self, ref: KeyRef, key: Any) -> KeyLine:
        raise NotImplementedError


def _alive(expiry: Expiry, now: datetime) -> bool:
    return not isinstance(expiry, datetime) or expiry > now
