"""The part of the store in dictionaries that is about telling people: conditions, and notices of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from byokd.decide.notices import LONGEST_RETRY, OVERTAKEN_AFTER
from byokd.errors import StoreError
from byokd.facts.condition import ConditionKind, Notice, NoticeKind, OpenCondition, Severity
from byokd.facts.key import ABSENT, Absent
from tests.kit.memory_pruning import prune_rows

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""When a condition that was just written is to be told."""


class MemoryOutbox:
    """Conditions and notices; the methods that the port has are described there."""

    def __init__(self) -> None:
        self._conditions: dict[str, OpenCondition] = {}
        self._open: defaultdict[str, dict[str, OpenCondition]] = defaultdict(dict)
        self._notify_at: dict[str, datetime] = {}
        self._notices: dict[str, Notice] = {}
        self._unsent: dict[str, Notice] = {}
        self._unsent_about: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._notices_of: defaultdict[str, list[str]] = defaultdict(list)

    async def open_conditions(self, subject: str = "") -> tuple[OpenCondition, ...]:
        subjects = (subject,) if subject else tuple(self._open)
        return tuple(sorted((each for of in subjects for each in self.open_of(of)), key=_worst_first))

    async def save_conditions(self, conditions: Sequence[OpenCondition]) -> None:
        for each in conditions:
            self.put_condition(each)

    async def conditions_to_tell(
        self, *, now: datetime, limit: int
    ) -> tuple[tuple[OpenCondition, tuple[Notice, ...]], ...]:
        due = sorted([(at, each) for each, at in self._notify_at.items() if at <= now])
        return tuple((self._conditions[each], self._all_of(each)) for _, each in due[:limit])

    async def save_notices(
        self, condition_id: str, notices: Sequence[Notice], *, decided_for: OpenCondition, again_at: datetime | Absent
    ) -> None:
        if any(notice.condition_id not in self._conditions for notice in notices):
            raise StoreError("A notice of a condition that is not on record.")
        for notice in notices:
            self._made_before(notice)
        for notice in notices:
            if notice.id not in self._notices:
                self._notices_of[notice.condition_id].append(notice.id)
                self._put_notice(notice)
            self._hasten(notice)
        known = self._conditions.get(condition_id)
        if known is not None and _in_the_same_words(known, decided_for) == decided_for:
            self._notify_at.pop(condition_id, None)
            if not isinstance(again_at, Absent):
                self._notify_at[condition_id] = again_at

    async def tell_anew(self, channel: str, *, at_least: Severity, by: datetime) -> None:
        for each in (each for of in self._open.values() for each in of.values()):
            told = any(
                notice.channel == channel
                and notice.condition.severity >= each.condition.severity
                and notice.condition.stage == each.condition.stage
                for notice in self._all_of(each.id)
            )
            too_far = self._notify_at.get(each.id, by) > by
            if each.condition.severity >= at_least and (too_far or not told):
                self._notify_at[each.id] = AT_ONCE

    async def outbox(self, channel: str, *, now: datetime, limit: int) -> tuple[Notice, ...]:
        mine = sorted((each for each in self._unsent.values() if each.channel == channel), key=_oldest_first)
        ready: list[Notice] = []
        held: defaultdict[tuple[str, ConditionKind], list[Notice]] = defaultdict(list)
        for each in mine:
            before = held[each.thread]
            tried_ahead = each.attempts > 0 and each.not_before > now + LONGEST_RETRY
            if each.not_before > now and each.created_at <= now and not tried_ahead:
                before.append(each)
            elif all(_overtakes(each, older) for older in before):
                ready.append(each)
        return tuple(ready[:limit])

    async def waiting_by_channel(self) -> dict[str, int]:
        return dict(Counter(each.channel for each in self._unsent.values()))

    async def replace_notices(self, notices: Sequence[Notice]) -> None:
        if any(notice.id not in self._notices for notice in notices):
            raise StoreError("A row that was to be changed is not on record.")
        for notice in notices:
            if not isinstance(notice.sent_at, Absent) and notice.kind is not NoticeKind.RESOLVED:
                self._overtake(self._notices[notice.id], notice.sent_at)
        for notice in notices:
            self._put_notice(notice)

    async def next_notify_at(self, *, after: datetime) -> datetime | Absent:
        waits = (notice.not_before for notice in self._unsent.values() if notice.not_before > after)
        return min((*self._notify_at.values(), *waits), default=ABSENT)

    # For the rest of the store.

    def open_of(self, subject: str) -> tuple[OpenCondition, ...]:
        """Open conditions of one subject, worst first."""
        opened = self._open.get(subject)
        return tuple(sorted(opened.values(), key=_worst_first)) if opened else ()

    def _has(self, subject: str, kind: str) -> bool:
        """Whether a condition of this kind is open; where none is asked for, that is no question."""
        return not kind or any(each.condition.kind == kind for each in self.open_of(subject))

    def put_condition(self, condition: OpenCondition) -> None:
        """Insert or replace one condition, which makes it due, unless only its sentence is another one.

        What is over stays over.
        """
        known = self._conditions.get(condition.id)
        if known is not None and not isinstance(known.resolved_at, Absent):
            return
        if known is None or _in_the_same_words(known, condition) != condition:
            self._notify_at[condition.id] = AT_ONCE
        self._conditions[condition.id] = condition
        self._open[condition.subject].pop(condition.id, None)
        if isinstance(condition.resolved_at, Absent):
            self._open[condition.subject][condition.id] = condition

    def resolve_all(self, subject: str, at: datetime | Absent) -> None:
        """Resolve the open conditions of one subject, as of `at` or of when they began."""
        for each in self.open_of(subject):
            self.put_condition(replace(each, resolved_at=each.since if isinstance(at, Absent) else at))

    def figures(self) -> tuple[dict[str, int], int]:
        """Open conditions by the name of their severity, and unsent notices."""
        opened: Counter[Severity] = Counter(
            each.condition.severity for of in self._open.values() for each in of.values()
        )
        return {severity.name.lower(): count for severity, count in opened.items()}, len(self._unsent)

    def prune_told(self, *, before: datetime, limit: int) -> int:
        """Delete old sent notices of resolved conditions, then old conditions that nothing is left to tell about."""
        opened = {notice for of in self._open.values() for each in of for notice in self._notices_of[each]}
        gone = prune_rows([self._notices], lambda notice: notice.sent_at, opened, before=before, limit=limit)
        for condition_id in tuple(self._notices_of):
            left = [notice for notice in self._notices_of.pop(condition_id) if notice in self._notices]
            if left:
                self._notices_of[condition_id] = left
        told = set(self._notices_of) | set(self._notify_at)
        return gone + prune_rows([self._conditions], lambda each: each.resolved_at, told, before=before, limit=limit)

    def _made_before(self, new: Notice) -> None:
        of_same = (it for it in self._notices_of[new.condition_id] if self._notices[it].channel == new.channel)
        for each in [self._notices[it] for it in {*self._unsent_about[_about(new)], *of_same}]:
            if each.created_at > new.created_at:
                self._put_notice(replace(each, created_at=new.created_at - timedelta(seconds=1)))

    def _hasten(self, new: Notice) -> None:
        for each in [self._notices[it] for it in self._unsent_about[_about(new)]]:
            if _oldest_first(each) < _oldest_first(new) and each.not_before > new.not_before:
                self._put_notice(replace(each, not_before=new.not_before))

    def _overtake(self, taken: Notice, at: datetime) -> None:
        for each in [self._notices[it] for it in self._unsent_about[_about(taken)]]:
            if _oldest_first(each) < _oldest_first(taken):
                self._put_notice(replace(each, sent_at=at))

    def _put_notice(self, notice: Notice) -> None:
        self._notices[notice.id] = notice
        self._unsent.pop(notice.id, None)
        self._unsent_about[_about(notice)].discard(notice.id)
        if isinstance(notice.sent_at, Absent):
            self._unsent[notice.id] = notice
            self._unsent_about[_about(notice)].add(notice.id)

    def _all_of(self, condition_id: str) -> tuple[Notice, ...]:
        notices = (self._notices[each] for each in self._notices_of.get(condition_id, ()))
        return tuple(sorted(notices, key=_oldest_first))


def _worst_first(condition: OpenCondition) -> tuple[int, datetime, str]:
    return -condition.condition.severity, condition.since, condition.id


def _in_the_same_words(one: OpenCondition, other: OpenCondition) -> OpenCondition:
    return replace(one, condition=replace(one.condition, detail=other.condition.detail))


def _about(notice: Notice) -> tuple[str, str, str]:
    return notice.channel, *notice.thread


def _overtakes(new: Notice, old: Notice) -> bool:
    worse = old.condition.severity < new.condition.severity and new.kind is not NoticeKind.RESOLVED
    return worse and old.attempts >= OVERTAKEN_AFTER


def _oldest_first(notice: Notice) -> tuple[datetime, str]:
    return notice.created_at, notice.id
