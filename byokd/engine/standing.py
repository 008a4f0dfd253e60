"""Conditions of something that is not a key: a lane, or the daemon itself."""

from __future__ import annotations

from collections.abc import Callable

from byokd.decide.transitions import compare
from byokd.facts.condition import Condition, ConditionKind, OpenCondition
from byokd.ports import Clock, NewId, Store


class Standing:
    """The conditions of one subject. Writes only what changed, be it a sentence, and reads the record once."""

    def __init__(self, subject: str, *, store: Store, clock: Clock, new_id: NewId, told: Callable[[], None]) -> None:
        """`told` is called when a condition was raised, changed or resolved."""
        self._told = told
        self._subject = subject
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._open: dict[ConditionKind, OpenCondition] | None = None

    async def state(self, what: Condition | ConditionKind) -> None:
        """Say that a condition is true now, or, given its kind alone, that it is not."""
        if self._open is None:
            self._open = {each.condition.kind: each for each in await self._store.open_conditions(self._subject)}
        kind = what.kind if isinstance(what, Condition) else what
        known = self._open.get(kind)
        if known is None and not isinstance(what, Condition):
            return
        now = self._clock.now()
        change = compare([known] if known else [], [what] if isinstance(what, Condition) else [], now)
        raised = [
            OpenCondition(id=self._new_id(), subject=self._subject, condition=each, since=now) for each in change.raised
        ]
        news = [*raised, *change.changed, *change.resolved]
        if rows := [*news, *change.reworded]:
            await self._store.save_conditions(rows)
            for row in [*raised, *change.changed, *change.reworded]:
                self._open[kind] = row
            if change.resolved:
                del self._open[kind]
        if news:
            self._told()
