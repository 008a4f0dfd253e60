"""Which notices a condition calls for, given those already in the outbox: the policy of the second loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from byokd.facts.condition import ConditionKind, Notice, NoticeKind, OpenCondition, Severity
from byokd.facts.key import ABSENT, Absent

FIRST_RETRY: Final = timedelta(seconds=10)
LONGEST_RETRY: Final = timedelta(minutes=15)

OVERTAKEN_AFTER: Final = 5
"""So often has a notice failed, over some minutes, that a worse one about the same does not wait for it any more."""

OUTAGES: Final = (ConditionKind.LAPSED, ConditionKind.MATERIAL_DELETED)
"""The key was unusable, if only for a second: somebody may have to look after what depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """What a channel wants to hear."""

    channel: str
    min_severity: Severity
    remind_every: timedelta
    """How often an open critical condition is told again."""
    gather_for: timedelta = timedelta()
    """The longest that a notice waits for others of its group (`byokd.decide.gathering`); 0: each is told by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Notices to put into the outbox now, as (channel, kind), and when to ask again."""

    notices: tuple[tuple[str, NoticeKind], ...]
    again_at: datetime | Absent


def tell(condition: OpenCondition, told: Sequence[Notice], audiences: Sequence[Audience], now: datetime) -> Telling:
    """Decide the notices of one condition at `now`.

    A condition is told when it is raised, when its severity rises or its stage changes, again every `remind_every`
    while it is critical, and once when it is resolved to those who heard of it. Nobody is reminded of what is still in
    the outbox for them. What was over before it could be told stays untold, unless it was an outage.

    A notice made later than `now` is of a clock that was set back since: no reminder waits for it.
    """
    if not isinstance(condition.resolved_at, Absent):
        return Telling(notices=_at_the_end(condition, told, audiences), again_at=ABSENT)
    notices: list[tuple[str, NoticeKind]] = []
    again: list[datetime] = []
    for audience in audiences:
        mine = sorted((each for each in told if each.channel == audience.channel), key=lambda each: each.created_at)
        last = mine[-1] if mine else None
        if not _concerns(audience, condition):
            continue
        if last is None or _is_news(condition, last):
            notices.append((audience.channel, NoticeKind.RAISED))
            at = now
        elif condition.condition.severity is Severity.CRITICAL and _is_long_ago(last, audience, now):
            if not any(isinstance(each.sent_at, Absent) for each in mine):
                notices.append((audience.channel, NoticeKind.REMINDER))
            at = now
        else:
            at = last.created_at
        if condition.condition.severity is Severity.CRITICAL:
            again.append(at + audience.remind_every)
    return Telling(notices=tuple(notices), again_at=min(again, default=ABSENT))


def _at_the_end(
    condition: OpenCondition, told: Sequence[Notice], audiences: Sequence[Audience]
) -> tuple[tuple[str, NoticeKind], ...]:
    """Who heard of it, also if that has left the config and may come back; and of an outage who did not."""
    heard = dict.fromkeys(each.channel for each in told)
    over = {each.channel for each in told if each.kind is NoticeKind.RESOLVED}
    ended = [(channel, NoticeKind.RESOLVED) for channel in heard if channel not in over]
    missed = [each.channel for each in audiences if each.channel not in heard and _concerns(each, condition)]
    if condition.condition.kind in OUTAGES:
        ended += [(channel, kind) for channel in missed for kind in (NoticeKind.RAISED, NoticeKind.RESOLVED)]
    return tuple(ended)


def _concerns(audience: Audience, condition: OpenCondition) -> bool:
    return condition.condition.severity >= audience.min_severity


def redeliver_at(attempts: int, now: datetime) -> datetime:
    """When to offer an undelivered notice again: 10 s, doubling to 15 minutes, without end."""
    doubled: timedelta = FIRST_RETRY * 2 ** min(max(attempts, 1) - 1, 10)
    return now + min(doubled, LONGEST_RETRY)


def _is_long_ago(last: Notice, audience: Audience, now: datetime) -> bool:
    return not last.created_at <= now < last.created_at + audience.remind_every


def _is_news(condition: OpenCondition, last: Notice) -> bool:
    now, then = condition.condition, last.condition
    return now.severity > then.severity or now.stage != then.stage
