"""Which notices are told in one message, and when: a lane that breaks with all its keys wakes people a few times.

Notices of one *group* differ in nothing but their key: the same channel, lane, kind, condition, severity and stage. The
first is told at once. Those that follow are told together, and as long as more come, a group's messages come further
and further apart, up to `Audience.gather_for`. Nothing is dropped, and nothing that is raised waits longer than an
eighth of the time that its key has left.

A key that reaches a later tier has another severity or stage, hence another group: it does not wait behind its past.
That what is told of one key keeps its order is the outbox's to see to (`ports.Store`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from byokd.decide.backoff import EIGHTH
from byokd.decide.notices import OUTAGES, Audience
from byokd.facts.condition import ConditionKind, Notice, NoticeKind
from byokd.facts.key import Absent

FEW: Final = 3
"""So many notices of a group are told one by one all the same: each says more than a summary could."""

FIRST_PAUSE: Final = timedelta(seconds=15)
LENGTHENED: Final = 4
"""By how much each pause between a group's messages is longer than the one before."""
OUTAGE: Final = timedelta(minutes=5)
"""The longest that people wait to hear of one more key that is unusable, or past its deadline."""

Group = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """When a group is told something."""

    at: datetime
    """Its latest message, given or still to come."""
    pause: timedelta
    """The least time from that to the next."""


def group_of(notice: Notice) -> Group | None:
    """What a notice has in common with those it can be told with; None for one that is no key's.

    Resolutions are told together whatever was true last.
    """
    lane, condition = notice.lane, notice.condition
    if isinstance(lane, Absent):
        return None
    same = (notice.channel, lane, notice.kind.value, condition.kind.value)
    over = notice.kind is NoticeKind.RESOLVED
    return same if over else (*same, condition.severity.name, condition.stage)


def longest_wait(notice: Notice, audience: Audience, deadline: datetime | None, now: datetime) -> timedelta:
    """How long a notice may wait for others. `deadline` is that of its key, where one is known.

    A reminder tells nothing new: it may take an eighth of the time between two.
    """
    longest = audience.gather_for
    if notice.kind is NoticeKind.RESOLVED or not longest:
        return longest
    passed = deadline is not None and deadline <= now
    if notice.kind is NoticeKind.REMINDER:
        longest = max(longest, audience.remind_every // EIGHTH)
    elif passed or notice.condition.kind in OUTAGES:
        longest = min(longest, OUTAGE)
    return longest if deadline is None or passed else min(longest, (deadline - now) // EIGHTH)


def next_beat(beat: Beat | None, longest: timedelta, now: datetime) -> Beat:
    """When something of a group is told that is new at `now` and may wait for `longest`.

    A group that has been quiet for that long begins anew, at once. So does one whose beat is further ahead than its
    pause, which none ever is unless the clock was set back.
    """
    if beat is None or now - beat.at >= max(longest, beat.pause) or beat.at - now > beat.pause:
        return Beat(at=now, pause=FIRST_PAUSE)
    if now <= beat.at:
        return Beat(at=min(beat.at, now + longest), pause=beat.pause)
    at = min(max(now, beat.at + beat.pause), now + longest)
    return Beat(at=at, pause=max(FIRST_PAUSE, min(LENGTHENED * beat.pause, longest)))


def gathered(notices: Sequence[Notice], *, alone: bool = False) -> list[tuple[Notice, ...]]:
    """Notices of one channel as messages, in the order in which to tell them; `alone`: each by itself.

    What is told of one condition of one key keeps its order: a notice that would overtake another one begins a message
    of its own. What failed together is told together again and with nothing else, so that a receiver that took it all
    the same knows it by its id.
    """
    messages: list[list[Notice]] = []
    open_one: dict[tuple[Group, datetime | None], int] = {}
    latest: dict[tuple[str, ConditionKind], int] = {}
    for notice in notices:
        common = None if alone else group_of(notice)
        group = None if common is None else (common, notice.not_before if notice.attempts else None)
        number = len(messages) if group is None else open_one.get(group, len(messages))
        if number < latest.get(notice.thread, 0):
            number = len(messages)
        if number == len(messages):
            messages.append([])
        messages[number].append(notice)
        latest[notice.thread] = number
        if group is not None:
            open_one[group] = number
    return [part for message in messages for part in _parts(message)]


def _parts(message: list[Notice]) -> list[tuple[Notice, ...]]:
    return [tuple(message)] if len(message) > FEW else [(notice,) for notice in message]


def beside(messages: Sequence[tuple[Notice, ...]]) -> list[tuple[Notice, ...]]:
    """What may be offered though the first of these messages was not taken, in the order in which to try it.

    What was tried least comes first, and then what is worst: what is never taken must not stand in the way of news. Of
    one condition of one key only the oldest is there, and nothing of those that the failed message is about.
    """
    seen: set[tuple[str, ConditionKind]] = set()
    others = []
    for message in messages:
        about = {notice.thread for notice in message}
        if seen and not about & seen:
            others.append(message)
        seen |= about
    return sorted(others, key=lambda each: (each[0].attempts, -each[0].condition.severity))
