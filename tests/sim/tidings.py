"""The laws about what people have to hear of: deadlines, holds, clocks, keys out of sight, imports that fail.

Like those of `laws` they are held when a world is over, against the book alone. Each says since when something was so,
and until when; in any stretch of that in which byokd could speak for long enough, people heard of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from typing import Final

from byokd.facts.condition import Condition, ConditionKind
from byokd.facts.ledger import HistoryEvent, OrderKind
from tests.sim.clocks import seconds
from tests.sim.fleet import SimKey
from tests.sim.laws import BASE_S, BLIND, Laws
from tests.sim.model import ModelKms
from tests.sim.periods import Period, periods
from tests.sim.plan import HOUR_S, span
from tests.sim.watch import OF_A_SOURCE

TOLD_S: Final = 2 * HOUR_S
"""A turn that hangs, an hour between two tries, and an hour in which news wait for each other."""
PATIENCE: Final = 3
"""Imports that may fail before people hear of it."""
A_ROUND_S: Final = 60.0
"""What a look showed of the clock is told at the lane's next round, which began if another look comes so much later."""
TOO_FAR_S: Final = 33.0
NEAR_S: Final = 27.0
"""A clock that is off by the threshold, and by what a `Date` header does not tell."""
A_STEP_S: Final = 4.0
KNOWN_BY: Final = (HistoryEvent.EXPIRY_CHANGED, HistoryEvent.IMPORT_ADOPTED, HistoryEvent.IMPORT_DONE)
ENDS_TRIES: Final = (
    HistoryEvent.IMPORT_DONE,
    HistoryEvent.IMPORT_ADOPTED,
    HistoryEvent.IMPORT_CANCELLED,
    HistoryEvent.IMPORT_REFUSED,
)
Wanted = Callable[[Condition], bool]


class Tidings(Laws):
    """Judges a world that is over."""

    def hold(self) -> None:
        """Write every breach into the book."""
        for key in self.world.keys:
            holds = list(self._holds(key))
            refused = [each for each in key.life.entries if each[1] is HistoryEvent.IMPORT_REFUSED]
            for period in periods(key, self.end_s):
                known_s = self._put_down_s(key, period)
                if known_s is not None:
                    self._deadline(key, period, known_s)
                    self._held_near_its_end(key, period, known_s, holds)
                if refused:
                    self._refused(key, period, refused)
            self._held(key, holds)
            self._out_of_sight_told(key)
            self._failing(key)
            self._alias_told(key)
        for kms in self.world.lanes:
            self._clock(kms)

    # -- what they have in common -------------------------------------------------------------------------------------

    def _untold(self, key: SimKey, wanted: Wanted, stretches: list[tuple[float, float]], since_s: float) -> str:
        """The first stretch in which people had to hear of something, and did not; empty where there is none."""
        limit_s = TOLD_S + BASE_S + self._queue_s(key)
        for a, b in stretches:
            if b - a > limit_s and not self._had_heard(key, wanted, since_s, a + limit_s):
                return f"free {span(a)} to {span(b)}"
        return ""

    def _had_heard(self, key: SimKey, wanted: Wanted, since_s: float, by_s: float) -> bool:
        """Whether people had heard by then of what was not over at `since_s`."""
        return any(
            at_s <= by_s and wanted(notice.condition)
            for each in self._told(key)
            if each.resolved_s is None or each.resolved_s > since_s
            for at_s, notice in each.heard
        )

    def _speaks(self, key: SimKey) -> tuple[str, ...]:
        """Whatever can be in the way of telling what byokd knows of a key."""
        return "voice", "*", f"config {key.life.ref}"

    def _put_down_s(self, key: SimKey, period: Period) -> float | None:
        """When byokd wrote down this ValidTo: it knows of it from then on."""
        if not isinstance(period.began.expiry, datetime):
            return None
        shown = f"{period.began.expiry:%Y-%m-%d %H:%M:%S}Z"
        since = key.life.entries[bisect_left(key.life.entries, (period.began.at_s,)) :]
        return next((at_s for at_s, event, text in since if event in KNOWN_BY and text.endswith(shown)), None)

    # -- the laws -----------------------------------------------------------------------------------------------------

    def _deadline(self, key: SimKey, period: Period, known_s: float) -> None:
        """Each time before a ValidTo at which the policy wants people to hear of it, they do; and that it is late."""
        until_s, ends_s = min(period.until_s, period.ends_s), period.ends_s
        if known_s >= until_s:
            return
        policies = self._policies(key, known_s, until_s)
        if len(policies) != 1:
            return
        due_s = self._due_s(key, policies[0], ends_s)
        for each in policies[0].alert_before:
            before_s = each.total_seconds()
            if ends_s - before_s > due_s:
                self._deadline_told(key, max(known_s, ends_s - before_s), until_s, _expiring(key, before_s))
        urgent_s = max(known_s, ends_s - self._urgent_before_s(key, period))
        self._deadline_told(key, urgent_s, until_s, _of(ConditionKind.OVERDUE))

    def _deadline_told(self, key: SimKey, begin_s: float, until_s: float, wanted: Wanted) -> None:
        free = self.book.obstacles.free(self._speaks(key), begin_s, until_s)
        stretches = [(a, b) for a, b in free if not self._suspended_then(key, a, b)]
        if found := self._untold(key, wanted, stretches, begin_s):
            self._broken(key, "a deadline is told", begin_s, f"it was to be told by now, {found}")

    def _suspended_then(self, key: SimKey, begin_s: float, end_s: float) -> bool:
        """Whether the key was suspended, or to be resumed: then that is what is told."""
        resumes = [
            (each.at_s, self.end_s if each.closed_s is None else each.closed_s)
            for each in self.book.watch.orders.values()
            if each.order.ref == key.life.ref and each.order.kind is OrderKind.RESUME
        ]
        return any(a <= end_s and b >= begin_s for a, b in (*key.life.all_suspensions, *resumes))

    def _urgent_before_s(self, key: SimKey, period: Period) -> float:
        """How long before its ValidTo a material is urgent, whatever the policy was."""
        policies = self._policies(key, period.began.at_s, period.until_s)
        return min(
            max(each.renew_before.total_seconds() / 2, self._life_s(each) * key.plan.emergency_share)
            for each in policies
        )

    def _holds(self, key: SimKey) -> Iterator[tuple[float, float]]:
        """From when to when byokd was kept away by an operator."""
        for asked in self.book.watch.orders.values():
            if asked.order.ref == key.life.ref and asked.order.kind is OrderKind.HOLD:
                over_s = self.end_s if asked.closed_s is None else asked.closed_s
                until = asked.order.until
                yield asked.at_s, min(over_s, seconds(until) - 60) if isinstance(until, datetime) else over_s

    def _held_free(self, key: SimKey, begin_s: float, end_s: float) -> list[tuple[float, float]]:
        """When a hold is all that is in the way of a key: whatever else is, is told in its place."""
        scopes = (*self._speaks(key), key.life.lane, f"people {key.life.ref}")
        return self.book.obstacles.free(scopes, begin_s, end_s, despite="held")

    def _held(self, key: SimKey, holds: list[tuple[float, float]]) -> None:
        """A hold is on record while it lasts."""
        limit_s = TOLD_S + BASE_S + self._queue_s(key)
        for begin_s, end_s in holds:
            for a, b in self._held_free(key, begin_s, end_s):
                if b - a > limit_s and not any(
                    self._hold_is_told(key, b)(each.condition.condition)
                    and each.since_s <= a + limit_s
                    and (each.resolved_s is None or each.resolved_s > a)
                    for each in self._told(key)
                ):
                    self._broken(key, "a hold is told", a + limit_s, f"held since {span(begin_s)}, not on record")

    def _held_near_its_end(self, key: SimKey, period: Period, known_s: float, holds: list[tuple[float, float]]) -> None:
        """Where a hold lets a renewal become overdue, people hear of it."""
        if period.deleted or not holds:
            return
        urgent_s = max(known_s, period.ends_s - self._urgent_before_s(key, period))
        for begin_s, end_s in holds:
            stretches = self._held_free(key, max(urgent_s, begin_s), min(end_s, period.until_s))
            if found := self._untold(key, self._hold_is_told(key, end_s), stretches, urgent_s):
                self._broken(key, "a hold is told", urgent_s, f"held since {span(begin_s)}, overdue, {found}")

    def _hold_is_told(self, key: SimKey, by_s: float) -> Wanted:
        # What was lost while the key was Disabled is left alone for that, and this is said first.
        disabled = (ConditionKind.DISABLED,) if key.life.disabled_between(0, by_s) else ()
        return _of(ConditionKind.HELD, *disabled)

    def _out_of_sight_told(self, key: SimKey) -> None:
        """Where looks at a key begin to fail, and go on failing, people hear of it."""
        for event in self.world.plan.events:
            hurry = event.kind == "hurry" and event.how["of"] == "describe"
            whole = event.kind == "outage" and event.how["share"] == 1.0 and event.how["of"] in ("all", "describe")
            lane = self.world.keys[event.who].plan.lane if hurry else event.who
            if lane != key.plan.lane or not (hurry or (whole and event.how["mode"] != "throttled")):
                continue
            end_s = min(event.at_s + event.span_s, self.world.plan.stormy_s)
            looks = (each for each in self.book.watch.looks[key.life.ref] if event.at_s + BASE_S < each < end_s)
            first_s = min(looks, default=end_s)
            if not any(f"#{event.number} " in why for why in self.book.obstacles.why((key.life.lane,), first_s, end_s)):
                continue  # nothing came of it, as of a hurry about a key that is to be deleted
            scopes = (*self._speaks(key), key.life.lane)
            stretches = self.book.obstacles.free(scopes, first_s, end_s, despite=f"#{event.number} ")
            if found := self._untold(key, _of(*BLIND), stretches, event.at_s):
                self._broken(key, "out of sight is told", first_s, f"{event}: looks fail, {found}")

    def _failing(self, key: SimKey) -> None:
        """An import that was tried three times, and is not over, is told."""
        tries = [each for each in key.life.entries if each[1] in (HistoryEvent.IMPORT_FAILED, *ENDS_TRIES)]
        failing_s: float | None = None
        for at_s, event, text in (*tries, (self.end_s, HistoryEvent.IMPORT_CANCELLED, "")):
            if event is HistoryEvent.IMPORT_FAILED:
                if int(text.split(":")[0].removeprefix("attempt ")) >= PATIENCE and failing_s is None:
                    failing_s = at_s
            elif failing_s is not None:
                stretches = self.book.obstacles.free(self._speaks(key), failing_s, at_s)
                if found := self._untold(key, _of(ConditionKind.IMPORT_FAILING), stretches, failing_s):
                    self._broken(key, "a failed import is told", failing_s, f"imports fail, {found}")
                failing_s = None

    def _refused(self, key: SimKey, period: Period, refused: list[tuple[float, HistoryEvent, str]]) -> None:
        """An import that was due, and was refused for good, is told until one is done."""
        if period.deleted or period.ends_s == float("inf"):
            return
        policies = self._policies(key, period.began.at_s, period.until_s)
        due_s = max(self._due_s(key, each, period.ends_s) for each in policies)
        ends = (HistoryEvent.IMPORT_DONE, HistoryEvent.IMPORT_ADOPTED)
        done = [at_s for at_s, event, _ in key.life.entries if event in ends]
        kinds = (ConditionKind.IMPORT_REFUSED, ConditionKind.MATERIAL_DIFFERS, *OF_A_SOURCE)
        for at_s, _, text in refused:
            if not period.began.at_s < at_s < period.until_s:
                continue
            until_s = min((each for each in done if each > at_s), default=self.end_s)
            free = self.book.obstacles.free(self._speaks(key), max(at_s, due_s), min(until_s, period.until_s))
            if found := self._untold(key, _of(*kinds), free, max(at_s, due_s)):
                self._broken(key, "a failed import is told", at_s, f"refused ({text}), {found}")

    def _alias_told(self, key: SimKey) -> None:
        """Where a key is known by an alias, and that names another one by now, people hear of it."""
        for begin_s, end_s in key.moved if key.plan.by_alias else []:
            free = self.book.obstacles.free((*self._speaks(key), key.life.lane), begin_s, end_s)
            looks = self.book.watch.looks[key.life.ref]
            stretches = [(min((each for each in looks if each > a), default=b), b) for a, b in free]
            if found := self._untold(key, _of(ConditionKind.ALIAS_MOVED), stretches, begin_s):
                self._broken(key, "a moved alias is told", begin_s, f"it names another key, {found}")

    def _clock(self, kms: ModelKms) -> None:
        """A host's clock that is too far off is told by each lane that can see it, and that it is right again."""
        here = [each for each in self.book.told.values() if each.condition.subject == f"lane:{kms.plan.id}"]
        told = [each for each in here if each.condition.condition.kind is ConditionKind.CLOCK_SKEW]
        for begin_s, end_s, wrong, rate in _spans(self.world.host.readings, self.end_s):
            if (seen_s := self._clock_seen_s(kms, begin_s, end_s, abs(rate))) is None:
                continue
            open_then = [each for each in told if each.since_s <= seen_s and (each.resolved_s or self.end_s) > seen_s]
            if wrong and not any(at_s <= seen_s for each in open_then for at_s, _ in each.heard):
                self.book.broken("a clock is told", kms.plan.id, f"off since {span(begin_s)}", at_s=seen_s)
            if not wrong and open_then:
                self.book.broken("a clock is told", kms.plan.id, f"right since {span(begin_s)}", at_s=seen_s)

    def _clock_seen_s(self, kms: ModelKms, begin_s: float, end_s: float, rate: float) -> float | None:
        """When byokd had to have told how its clock is: some time after two looks; None where that was not to be.

        A clock that moved by five seconds from the one to the other passes for one that was set in between.
        """
        looks = sorted(
            look_s
            for key in self.world.keys
            if key.lane is kms
            for look_s in self.book.watch.looks[key.life.ref]
            if begin_s < look_s < end_s
        )
        for a, b in self.book.obstacles.free(("voice", "*", kms.plan.id), begin_s, end_s, despite="the clock"):
            mine = [each for each in looks if a + A_ROUND_S < each < b - HOUR_S]
            for first_s in mine:
                second_s = next((each for each in mine if each > first_s + A_ROUND_S), None)
                if second_s is not None and rate * (second_s - first_s) < A_STEP_S:
                    return second_s + HOUR_S
        return None


def _of(*kinds: ConditionKind) -> Wanted:
    return lambda condition: condition.kind in kinds


def _expiring(key: SimKey, before_s: float) -> Wanted:
    """News of a ValidTo that is so near, or nearer. Of several materials, people hear of the worst."""

    def wanted(condition: Condition) -> bool:
        if condition.kind is not ConditionKind.EXPIRING:
            return False
        return bool(key.life.stock) or float(condition.stage.removesuffix("s")) <= before_s

    return wanted


def _spans(readings: list[tuple[float, float, float]], end_s: float) -> Iterator[tuple[float, float, bool, float]]:
    """From when to when a clock was too far off all the time, or near enough."""
    for (a, off_s, rate), (b, _, _) in pairwise([*readings, (end_s, 0.0, 0.0)]):
        least, most = sorted((off_s, off_s + rate * (b - a)))
        if least > TOO_FAR_S or most < -TOO_FAR_S:
            yield a, b, True, rate
        elif max(-least, most) < NEAR_S:
            yield a, b, False, rate
        elif rate and abs(off_s) < NEAR_S:
            yield a + (TOO_FAR_S - off_s * (1 if rate > 0 else -1)) / abs(rate), b, True, rate
