"""The queue of a lane, worked off in advance: what `forecast` asks, with seconds since `now` for times.

    due ─▶ waits ─▶ rank, deadline ─▶ a token ─▶ renewed ─▶ due again
             │ urgent: another rank, no change window
             └ ends: lapsed, another rank

It walks from event to event and not through time. An event is a key becoming due, urgent or lapsed; one that a renewal
has overtaken finds that the key's round is over, and does nothing. Whoever waits in the queue stands there with the
rank that he has now; an entry from before is passed over when its turn comes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from byokd.decide.admit import Bucket
from byokd.decide.case import LONGEST
from byokd.decide.window import window
from byokd.decide.windows import Opening, openings
from byokd.facts.key import NEVER
from byokd.facts.ledger import Tier, rank
from byokd.facts.policy import ChangeWindow, OnLoss
from byokd.facts.prospect import Prospect

Take = Callable[[Bucket, float, Tier], tuple[Bucket, float]]
"""Takes a token for one import, as the lane's pace does; returns the bucket then, and the seconds to wait for it."""

_NEVER_S: Final = float("inf")
_Windows = tuple[ChangeWindow, ...]
_Entry = tuple[int, float, int, int, int, Tier]
"""Rank, deadline, order of arrival, index of the key, its turn, tier: sorted as the store sorts the queue."""


@dataclass(slots=True)
class Course:
    """One material on its way through the forecast: its next renewal, and where it stands now."""

    prospect: Prospect
    first_due: float
    """When its next renewal may begin; 0 where that has passed."""
    first_end: float | None
    """When its material ends; None where it never had any."""
    lapsed: bool
    """Whether the material is gone at the beginning."""
    due: float
    urgent: float
    """When it becomes urgent; infinity where it never does."""
    end: float | None
    renewed: float | None = None
    """When the lane got to its next renewal."""
    turn: int = 0
    """How often it was renewed."""
    waits_as: Tier | None = None


@dataclass(slots=True)
class _Gate:
    """The change windows of one policy, as time goes on."""

    coming: Iterator[Opening]
    now: datetime
    opens: float = -_NEVER_S
    closes: float = -_NEVER_S

    def opens_at(self, at: float) -> float:
        """When somebody who waits at `at` may begin: `at` itself while a window is open; infinity after the last."""
        while self.closes <= at and self.closes != _NEVER_S:
            opening = next(self.coming, None)
            if opening is None:
                self.opens = self.closes = _NEVER_S
            else:
                self.opens, self.closes = (self._s(each) for each in opening)
        return max(at, self.opens)

    def _s(self, moment: datetime) -> float:
        return (moment - self.now).total_seconds()


@dataclass(slots=True)
class QueueAhead:
    """The keys of one lane, from `now` on. `farthest` bounds the time that is looked at."""

    now: datetime
    farthest: timedelta
    courses: list[Course] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    """When the lane served somebody, in order."""
    _events: list[tuple[float, str, int, int, Tier]] = field(default_factory=list)
    """When, whose (the store names the due of one second by ref), key, turn, tier."""
    _waiting: dict[_Windows, list[_Entry]] = field(default_factory=dict)
    _gates: dict[_Windows, _Gate] = field(default_factory=dict)
    _arrived: int = 0
    _open: int = 0
    """Keys that were not renewed yet."""

    _farthest_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._farthest_s = self.farthest.total_seconds()

    def add(self, key: Prospect) -> None:
        """Take up a key as it stands now; one with several materials, once for each."""
        due, urgent, end, lapsed = 0.0, _NEVER_S, None, False
        if isinstance(key.expiry, datetime):
            end = self._s(key.expiry)
            lapsed = key.tier is Tier.LAPSED or end <= 0
            if not lapsed:
                frame = window(key.ref, key.policy, key.expiry)
                due, urgent = max(0.0, self._s(frame.renew_at)), self._s(frame.urgent_at)
        self.courses.append(
            Course(prospect=key, first_due=due, first_end=end, lapsed=lapsed, due=due, urgent=urgent, end=end)
        )
        self._open += 1
        self._expect(due, len(self.courses) - 1, Tier.LAPSED if lapsed else Tier.DUE)

    def work_off(self, bucket: Bucket, take: Take, *, steps: int) -> float:
        """Serve everybody once, and again what falls due until the last of today's deadlines; returns how far it went.

        Stops early after `steps` renewals.
        """
        at = 0.0
        horizon = max((course.first_end for course in self.courses if course.first_end is not None), default=0.0)
        while len(self.served) < steps and at <= self._farthest_s and (self._open or at <= horizon):
            self._let_happen(at)
            entry = self._first(at)
            if entry is None:
                following = self._following(at)
                if following > self._farthest_s or (following > horizon and not self._open):
                    return min(max(at, horizon), self._farthest_s)
                at = following
                continue
            taken, wait = take(bucket, at, entry[-1])
            if wait > 0:
                # Somebody in a greater hurry may come meanwhile, and the window may close.
                at += wait
                self._let_happen(at)
                entry = self._first(at)
            if entry is not None:
                bucket = taken
                self._serve(entry, at)
        return min(at, self._farthest_s)

    # -- events -------------------------------------------------------------------------------------------------------

    def _expect(self, at: float, index: int, tier: Tier) -> None:
        course = self.courses[index]
        heapq.heappush(self._events, (at, course.prospect.ref, index, course.turn, tier))

    def _let_happen(self, at: float) -> None:
        """What happens up to `at`. A key's next event is expected only now: most are renewed before it."""
        while self._events and self._events[0][0] <= at:
            when, _, index, turn, tier = heapq.heappop(self._events)
            course = self.courses[index]
            if turn != course.turn:
                continue
            self._put(index, tier)
            if tier is Tier.DUE and course.urgent < _NEVER_S:
                self._expect(max(when, course.urgent), index, Tier.URGENT)
            elif tier is Tier.URGENT and course.end is not None:
                self._expect(course.end, index, Tier.LAPSED)

    def _put(self, index: int, tier: Tier) -> None:
        """The key waits in the queue as one of this tier from now on."""
        course = self.courses[index]
        policy = course.prospect.policy
        lapses = tier is Tier.LAPSED and not (course.lapsed and course.turn == 0)
        if lapses and policy.on_lapse is OnLoss.REPORT:
            course.waits_as = None
            self._open -= course.renewed is None
            return
        course.waits_as = tier
        # A key without material has nothing to lose; its deadline is nominal, as in `Case.deadline`.
        deadline = course.due + policy.renew_before.total_seconds() if course.end is None else course.end
        group = policy.windows if tier is Tier.DUE and course.end is not None else ()
        self._arrived += 1
        entry = (rank(tier, policy.priority), deadline, self._arrived, index, course.turn, tier)
        heapq.heappush(self._waiting.setdefault(group, []), entry)

    def _following(self, at: float) -> float:
        """When something happens next; infinity where nothing does."""
        opening = (self._gate(group).opens_at(at) for group, entries in self._waiting.items() if group and entries)
        return min([event[0] for event in self._events[:1]] + list(opening), default=_NEVER_S)

    # -- the queue ----------------------------------------------------------------------------------------------------

    def _first(self, at: float) -> _Entry | None:
        """Who is served next at this time; None if nobody may be."""
        best: _Entry | None = None
        for group, entries in self._waiting.items():
            while entries and not self._stands(entries[0]):
                heapq.heappop(entries)
            if entries and (best is None or entries[0] < best) and (not group or self._gate(group).opens_at(at) <= at):
                best = entries[0]
        return best

    def _stands(self, entry: _Entry) -> bool:
        course = self.courses[entry[3]]
        return course.turn == entry[4] and course.waits_as is entry[5]

    def _serve(self, entry: _Entry, at: float) -> None:
        course = self.courses[entry[3]]
        self.served.append(at)
        course.waits_as = None
        course.turn += 1
        if course.renewed is None:
            course.renewed = at
            self._open -= 1
        key = course.prospect
        if key.policy.valid_for is NEVER:
            return
        # Whole seconds, as the engine asks for them.
        course.end = float(int(at) + int(min(key.policy.valid_for, LONGEST).total_seconds()))
        if course.end - (key.policy.renew_before + key.policy.spread).total_seconds() >= self._farthest_s:
            return  # due beyond the forecast, whatever its share of the spread: what that is takes the longest to find
        frame = window(key.ref, key.policy, self.now + timedelta(seconds=course.end))
        course.due = max(self._s(frame.renew_at), at + key.policy.renewal_floor.total_seconds())
        course.urgent = self._s(frame.urgent_at)
        if course.due < self._farthest_s:
            self._expect(course.due, entry[3], Tier.DUE)

    def _gate(self, group: _Windows) -> _Gate:
        if group not in self._gates:
            until = self.now + self.farthest
            self._gates[group] = _Gate(coming=openings(group, since=self.now, until=until), now=self.now)
        return self._gates[group]

    def _s(self, moment: datetime) -> float:
        return (moment - self.now).total_seconds()
