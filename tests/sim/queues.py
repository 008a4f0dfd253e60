"""The laws about lanes: who goes first, what is left to those in a hurry, and how a lane yields to others.

Like those of `laws` they are held when a world is over, against what reached KMS. Of a key they ask where it stood: how
much was left of its one material, by its policy. Keys of which that is not certain are not judged.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from byokd.facts.key import KeyArn
from byokd.facts.ledger import OrderKind
from tests.sim.fleet import SimKey
from tests.sim.laws import Laws
from tests.sim.model import ModelKms
from tests.sim.obstacles import SMALL_PACE
from tests.sim.periods import Period, periods
from tests.sim.plan import HOUR_S, span
from tests.sim.traffic import OF_AN_IMPORT, PARAMETERS, Sent
from tests.sim.watch import REGAINED_PER_S

YIELDING_S: Final = 60.0
"""For so long after a refusal a lane is seen to have slowed down."""
ADMITTED_S: Final = 10.0
"""Requests that have their token already are sent within so long."""
TOGETHER_S: Final = 5.0
"""Who sets out within so short a time of each other may come in any order."""
SURE_S: Final = 120.0
"""A key that is nearer to a boundary than this may count to either side of it."""
SETS_OUT_S: Final = 10.0
"""So long before its request an import may have set out: it looks at its key first, and looks wait for one another."""
TRIED_S: Final = 1.5 * HOUR_S
"""What has failed is tried again within so long."""


@dataclass(frozen=True, slots=True, order=True)
class Standing:
    """Where a key stands in its lane's queue: the lower goes first."""

    routine: bool
    rank: int
    """Of what is routine: by priority, the highest first."""
    ends_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """A key that is to be imported, and is not yet."""

    key: SimKey
    since_s: float
    until_s: float


class Queues(Laws):
    """Judges a world that is over."""

    def hold(self) -> None:
        """Write every breach into the book."""
        self._keys = {key.arn: key for key in self.world.keys if self._simple(key)}
        self._periods = {key.life.ref: list(periods(key, self.end_s)) for key in self._keys.values()}
        for kms in self.world.lanes:
            sent = self.book.traffic.sent[kms.plan.id, PARAMETERS]
            for operation in OF_AN_IMPORT:
                self._yields(kms, operation)
            self._leaves_the_reserve(kms, sent)
            self._goes_in_turn(kms, sent)

    # -- where a key stands -------------------------------------------------------------------------------------------

    def _simple(self, key: SimKey) -> bool:
        plan, life = key.plan, key.life
        return not (life.stock or life.several or life.suspensions or plan.never or plan.primary is not None)

    def _period(self, key: SimKey, at_s: float) -> Period | None:
        """That in which a key is at a time, if byokd has been able to see it."""
        for each in self._periods[key.life.ref]:
            if each.began.at_s <= at_s < each.until_s:
                seen = any(each.began.visible_s < look_s < at_s for look_s in self.book.watch.looks[key.life.ref])
                return each if seen else None
        return None

    def _standing(self, key: SimKey, at_s: float, period: Period | None) -> Standing | None:
        """None where it is not certain."""
        if period is None or period.ends_s == float("inf") or at_s > period.ends_s - SURE_S:
            return None
        policies = self._policies(key, period.ends_s - key.plan.life_s, at_s)
        if len(policies) != 1:
            return None
        policy = policies[0]
        urgent_s = self._urgent_s(policy, period.ends_s)
        if abs(at_s - urgent_s) < SURE_S:
            return None
        routine = at_s < urgent_s
        return Standing(routine, -policy.priority if routine else 0, period.ends_s)

    # -- the laws -----------------------------------------------------------------------------------------------------

    def _yields(self, kms: ModelKms, operation: str) -> None:
        """After a ThrottlingException a lane sends less: the half at first, and more by degrees."""
        sent = self.book.traffic.sent[kms.plan.id, operation]
        times = [each.at_s for each in sent]
        for at_s in self.book.traffic.refused[kms.plan.id, operation]:
            begin_s, end_s = at_s + ADMITTED_S, at_s + ADMITTED_S + YIELDING_S
            first, last = bisect_left(times, begin_s), bisect_left(times, end_s)
            if first == last or any(at_s <= each < end_s for each in self.book.traffic.begun[kms.plan.id]):
                continue
            share = 0.5 + REGAINED_PER_S * (ADMITTED_S + YIELDING_S / 2)
            if last - first > 2 + sent[first].quota.per_second * share * YIELDING_S:
                text = f"{last - first} times {operation} in the minute after a refusal at {span(at_s)}"
                self.book.broken("yields", kms.plan.id, text, at_s=end_s)
                return

    def _leaves_the_reserve(self, kms: ModelKms, sent: list[Sent]) -> None:
        """Routine work leaves a share of the burst to those in a hurry."""
        hurried: list[float] = []
        for each in sent if kms.plan.reserve and kms.plan.burst > 1 else ():
            key = self._keys.get(KeyArn(each.arn))
            standing = None if key is None else self._standing(key, each.at_s, self._period(key, each.at_s))
            if standing is None or not standing.routine:
                hurried.append(each.at_s)
                continue
            # Somebody in a hurry may have gone before one who had been promised its token.
            kept = kms.plan.reserve * (each.quota.burst - 1)
            least = kept - (len(hurried) - bisect_left(hurried, each.at_s - 2 * ADMITTED_S)) - 0.05
            scopes = ("*", kms.plan.id)
            if each.left < least and self.book.obstacles.calm(
                scopes, each.at_s - SURE_S, each.at_s, despite=SMALL_PACE
            ):
                text = f"a routine import leaves {each.left:.2f} of {kept:.2f} tokens"
                self.book.broken("reserve", kms.plan.id, text, at_s=each.at_s)
                return

    def _goes_in_turn(self, kms: ModelKms, sent: list[Sent]) -> None:
        """Nobody is served before one who waits visibly longer and stands before it."""
        times = [each.at_s for each in sent]
        long_s = SURE_S + 5.0 * sum(key.lane is kms for key in self.world.keys)
        for wait in self._waits(kms, sent):
            first, last = bisect_right(times, wait.since_s + long_s), bisect_left(times, wait.until_s - TOGETHER_S)
            for each in sent[first:last]:
                other = self._keys.get(KeyArn(each.arn))
                if other is None or other is wait.key or not self._stands_before(wait, other, each.at_s):
                    continue
                if self._hindered(wait, each.at_s):
                    continue
                text = f"waits since {span(wait.since_s)}, and {other.life.ref} goes first"
                self._broken(wait.key, "in turn", each.at_s, text)
                return

    def _waits(self, kms: ModelKms, sent: list[Sent]) -> Iterator[Wait]:
        """Keys that were to be imported, each until its next request."""
        asked: dict[str, list[float]] = {}
        for each in sent:
            asked.setdefault(each.arn, []).append(each.at_s)
        for key in self._keys.values():
            if key.lane is not kms or key.plan.window is not None:
                continue
            for since_s, until_s in (*self._due(key), *self._ordered(key)):
                mine = asked.get(key.arn, [])
                place = bisect_left(mine, since_s)
                # One that has failed waits for its next try.
                again_s = mine[place - 1] + TRIED_S if place else since_s
                yield Wait(key, max(since_s, again_s), min([until_s, *mine[place : place + 1]]))

    def _seen_s(self, key: SimKey, period: Period) -> float:
        """When byokd first looked at the key after its ValidTo showed."""
        looks = self.book.watch.looks[key.life.ref]
        return next((at_s for at_s in looks[bisect_right(looks, period.began.visible_s) :]), self.end_s)

    def _due(self, key: SimKey) -> Iterator[tuple[float, float]]:
        """From when to when it was due."""
        for period in self._periods[key.life.ref]:
            policies = self._policies(key, period.ends_s - key.plan.life_s, period.ends_s)
            if len(policies) == 1 and not period.deleted and period.ends_s < float("inf"):
                due_s = max(self._due_s(key, policies[0], period.ends_s), self._seen_s(key, period))
                if due_s < period.until_s:
                    yield max(due_s, period.began.at_s + key.plan.floor_s), min(period.until_s, period.ends_s)

    def _ordered(self, key: SimKey) -> Iterator[tuple[float, float]]:
        """From when to when an order to import it was open."""
        for asked in self.book.watch.orders.values():
            if asked.order.ref == key.life.ref and asked.order.kind is OrderKind.IMPORT:
                last_s = max((each.at_s for each in key.life.imports if each.at_s < asked.at_s), default=0.0)
                until_s = self.end_s if asked.closed_s is None else asked.closed_s
                yield max(asked.at_s, last_s + key.plan.floor_s), until_s

    def _stands_before(self, wait: Wait, other: SimKey, at_s: float) -> bool:
        """Whether the one who waits stood before the other for a while already."""
        mine = self._standing(wait.key, at_s - SURE_S, self._period(wait.key, at_s - SURE_S))
        its = self._standing(other, at_s, self._period(other, at_s))
        if mine is None or its is None:
            return False
        return (mine.routine, mine.rank, mine.ends_s + SURE_S) < (its.routine, its.rank, its.ends_s)

    def _hindered(self, wait: Wait, at_s: float) -> bool:
        """Whether anything but the pace was in the way of one who waits."""
        key = wait.key
        if self._looked(key, at_s - SETS_OUT_S, at_s):
            return True  # it could not set out meanwhile, and the next one did
        ref, obstacles = key.life.ref, self.book.obstacles
        looks_s = wait.since_s - 2 * key.plan.drill_s - key.plan.look_s
        return not (
            obstacles.calm(("*", key.life.lane, ref), at_s - TRIED_S - SURE_S, at_s, despite=SMALL_PACE)
            and obstacles.calm((f"people {ref}", f"config {ref}", f"refusals {key.life.lane}"), looks_s, at_s)
        )
