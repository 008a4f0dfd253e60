"""The laws that take hindsight: held against the book when a world is over.

Each is written from what the product promises, not from how it keeps it. The words *free* and *need* run through all of
them: a stretch of time is free for a key if nothing was in the way of byokd doing its work, and byokd needs a certain
span of such time, since it waits for up to an eighth of the time left between two tries, and an hour at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from byokd.facts.condition import ConditionKind, NoticeKind
from byokd.facts.key import NEVER
from byokd.facts.policy import Policy
from tests.sim.book import Book, Told
from tests.sim.clocks import seconds
from tests.sim.fleet import SimKey
from tests.sim.life import Imported
from tests.sim.periods import Period, enabled_unseen, losses, periods
from tests.sim.plan import HOUR_S, Event, span
from tests.sim.world import World

BASE_S: Final = 420.0
"""What a few tries, a settling import and its reading take."""
A_LOOK_S: Final = 1.0
"""A look that began so shortly before may show what came after it."""
HEAL_S: Final = 1.25 * HOUR_S
"""A lapsed key is tried at least every 30 s, and every hour after a refusal."""
CLOCK_S: Final = 60.0
"""What two clocks may differ by that nobody turns, or that byokd has put right."""
OUTAGES: Final = (ConditionKind.LAPSED, ConditionKind.MATERIAL_DELETED)
BLIND: Final = (
    ConditionKind.COULD_NOT_LOOK,
    ConditionKind.KEY_NOT_FOUND,
    ConditionKind.ACCESS_DENIED,
    ConditionKind.REPLICA_MISSING,
)
ANNOUNCE: Final = (ConditionKind.EXPIRING, ConditionKind.OVERDUE, ConditionKind.SUSPENDED, *OUTAGES, *BLIND)
"""What is told of a key that is about to lapse, or cannot be seen to."""


class Laws:
    """Judges a world that is over."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.book: Book = world.book
        self.end_s = world.now_s
        self._in_lane = Counter(key.lane for key in world.keys)

    def hold(self) -> None:
        """Write every breach into the book."""
        for key in self.world.keys:
            for period in periods(key, self.end_s):
                self._no_lapse(key, period)
                self._announced(key, period)
                self._healed(key, period)
                self._in_time(key, period)
            for fingerprint in dict.fromkeys(each.fingerprint for each in key.life.imports):
                self._pace_of_imports(key, key.life.imports_of(fingerprint))
            self._told_of(key)
        self._resolved()

    # -- what is needed -----------------------------------------------------------------------------------------------

    def _queue_s(self, key: SimKey) -> float:
        return 60.0 + 2.5 * self._in_lane[key.lane] / (key.lane.plan.slowest * 0.5)

    def _need_s(self, key: SimKey, left_s: float) -> float:
        longest = 3 * HOUR_S + 2 * key.plan.drill_s + key.plan.look_s
        return min(0.5 * left_s, longest) + BASE_S + self._queue_s(key)

    def _policies(self, key: SimKey, begin_s: float, end_s: float) -> list[Policy]:
        """Those in force at some time of a span."""
        known = key.policies
        ends = [at_s for at_s, _ in known[1:]] + [float("inf")]
        return [
            policy for (at_s, policy), until_s in zip(known, ends, strict=True) if at_s <= end_s and until_s >= begin_s
        ]

    def _lead_s(self, key: SimKey, ends_s: float) -> float:
        """The shortest lead that the config gave while it mattered."""
        lead_s = min(
            each.renew_before.total_seconds() for each in self._policies(key, ends_s - key.plan.life_s, ends_s)
        )
        return lead_s if key.plan.window is None else lead_s / 2  # the other half may pass while no window opens

    def _life_s(self, policy: Policy) -> float:
        """How long an import lives; what never ends is measured by its lead."""
        return (3 * policy.renew_before if policy.valid_for is NEVER else policy.valid_for).total_seconds()

    def _due_s(self, key: SimKey, policy: Policy, ends_s: float) -> float:
        """From when on a renewal may begin: in the first window that opens before it is urgent."""
        due_s = ends_s - policy.renew_before.total_seconds()
        if key.plan.window is None:
            return due_s
        return min(key.plan.window.opens_s(due_s), self._urgent_s(policy, ends_s))

    def _urgent_s(self, policy: Policy, ends_s: float) -> float:
        """From when on a renewal waits neither for a window nor for a rotation."""
        half_s = policy.renew_before.total_seconds() / 2
        return ends_s - max(half_s, self._life_s(policy) * policy.emergency_share)

    def _is_rotated_to(self, key: SimKey, period: Period, at_s: float) -> bool:
        """Whether byokd asks KMS at that time to rotate to the material: what is only due stays with that."""
        needed_s = key.life.needed.get(period.began.fingerprint, float("inf"))
        return needed_s > at_s and any(abs(asked_s - at_s) < HOUR_S for asked_s in key.life.rotation_asks)

    def _known_s(self, key: SimKey, period: Period) -> float:
        """From when on byokd had to know this ValidTo."""
        began = period.began
        return began.at_s + key.plan.look_s + HOUR_S if began.by_hand else began.visible_s

    def _free_enough(self, key: SimKey, scopes: tuple[str, ...], begin_s: float, ends_s: float) -> str:
        for a, b in self.book.obstacles.free(scopes, begin_s, ends_s):
            if b - a >= self._need_s(key, ends_s - a):
                return f"{span(a)} to {span(b)}"
        return ""

    # -- the laws -----------------------------------------------------------------------------------------------------

    def _no_lapse(self, key: SimKey, period: Period) -> None:
        """No key lapses that could have been renewed."""
        if not period.lapsed:
            return
        lead_s = self._lead_s(key, period.ends_s)
        begin_s = max(self._known_s(key, period), period.ends_s - lead_s)
        if found := self._free_enough(key, self.book.scopes(key.life), begin_s, period.ends_s):
            self._broken(key, "no lapse", period.ends_s, f"lapsed, though nothing was in the way {found}")

    def _announced(self, key: SimKey, period: Period) -> None:
        """A lapse was announced before it came, if byokd could speak, and told when it was there."""
        if not period.lapsed:
            return
        ends_s, speaks = period.ends_s, ("voice", "*", f"config {key.life.ref}")
        lead_s = self._lead_s(key, ends_s)
        begin_s = max(self._known_s(key, period), ends_s - lead_s)
        if self._free_enough(key, speaks, begin_s, ends_s) and not self._heard_of(
            key, ANNOUNCE, ends_s - 60, ends_s + 60
        ):
            self._broken(key, "announced in time", ends_s, "lapsed, and nobody had been told")
        limit_s = HEAL_S + key.plan.look_s
        # What was healed before byokd could see it is history: by somebody else, or by an import that was on the way.
        healed = period.next is not None and (period.next.by_hand or self._under_way(key, ends_s, period.next.at_s))
        last_s = period.until_s if healed else self.end_s
        for a, b in self.book.obstacles.free(speaks, ends_s, min(last_s, ends_s + 20 * limit_s)):
            if b - a > limit_s:
                # Of a key that is suspended, or to be resumed, that is what is told.
                kinds = {*OUTAGES, ConditionKind.SUSPENDED} if key.life.suspensions else {*OUTAGES}
                if period.began.by_hand and self._out_of_sight(key, period.began.visible_s, b):
                    kinds.add(ConditionKind.COULD_NOT_LOOK)  # all that byokd can know
                # Who was told that the key is lost is not told of each further material that it loses.
                since_s = min(
                    (lost_s for lost_s, back_s in losses(key, self.end_s) if lost_s < ends_s < back_s), default=ends_s
                )
                wanted = self._suspension_told(key, ends_s, b) or self._suspended_unseen(key, ends_s, speaks, limit_s)
                if not self._heard_of(key, tuple(kinds), since_s - 60, b) and not wanted:
                    self._broken(key, "an outage is told", b, f"lapsed at {span(ends_s)}, and nobody was told")
                return

    def _under_way(self, key: SimKey, begin_s: float, end_s: float) -> bool:
        """Whether an import of the key was on record as running all through a span."""
        sent = (each for each in self.book.watch.sent if each.ref == key.life.ref and each.begin_s <= begin_s)
        return any(each.end_s is None or each.end_s >= end_s for each in sent)

    def _out_of_sight(self, key: SimKey, since_s: float, until_s: float) -> bool:
        """Whether the key could not be looked at for long enough to be sure of one look."""
        free = self.book.obstacles.free(self.book.scopes(key.life), since_s, until_s)
        return all(b - a <= HOUR_S + BASE_S for a, b in free)

    def _suspension_told(self, key: SimKey, ends_s: float, by_s: float) -> bool:
        """Whether people knew a key suspended when what somebody had imported meanwhile ended, seen by byokd or not."""
        begun = (begin_s for begin_s, end_s in key.life.all_suspensions if begin_s <= ends_s < end_s)
        return any(self._heard_of(key, (ConditionKind.SUSPENDED,), begin_s, by_s) for begin_s in begun)

    def _suspended_unseen(self, key: SimKey, ends_s: float, speaks: tuple[str, ...], limit_s: float) -> bool:
        """Whether it ended while people had the key suspended, in a time that passed before byokd could tell of it."""
        for begin_s, end_s in key.life.all_suspensions:
            if begin_s <= ends_s < end_s:
                free = self.book.obstacles.free(speaks, begin_s, min(end_s, self.end_s))
                return all(b - a <= limit_s for a, b in free)
        return False

    def _healed(self, key: SimKey, period: Period) -> None:
        """What is lost is brought back as soon as the world allows."""
        if not (period.lapsed or period.deleted) or not (key.plan.heals_lapse and key.plan.heals_delete):
            return
        lost_s = min(period.ends_s, period.until_s)
        if enabled_unseen(key, lost_s):
            return
        later = [each.at_s for each in key.life.imports_of(period.began.fingerprint) if each.at_s > lost_s]
        healed_s = min(later, default=self.end_s)
        limit_s = HEAL_S + self._queue_s(key)
        if period.deleted or period.began.by_hand:
            limit_s += key.plan.look_s
        for a, b in self.book.obstacles.free(self.book.scopes(key.life), lost_s, healed_s):
            # What people take back, byokd sees at its next look, whatever else was in the way until then.
            back_s = self.book.obstacles.last_end(f"people {key.life.ref}", lost_s, a)
            noticed_s = a if back_s is None else max(a, back_s + key.plan.look_s)
            late_s = noticed_s + limit_s
            if b > late_s:
                self._broken(key, "healed", late_s, f"lost at {span(lost_s)}, free since {span(a)}, not healed")
                return

    def _looked(self, key: SimKey, begin_s: float, end_s: float) -> bool:
        """Whether byokd saw the key between two moments."""
        return any(begin_s < look_s < end_s for look_s in self.book.watch.looks[key.life.ref])

    def _in_time(self, key: SimKey, period: Period) -> None:
        """Where nothing is in the way, a renewal comes when it is due, and not half a lead later."""
        if period.deleted or period.ends_s == float("inf"):
            return
        ends_s = period.ends_s
        policies = self._policies(key, ends_s - key.plan.life_s, ends_s)
        if len(policies) != 1:
            return
        due_s = self._due_s(key, policies[0], ends_s)
        if self._is_rotated_to(key, period, due_s):
            due_s = self._urgent_s(policies[0], ends_s)
        late_s = due_s + BASE_S + self._queue_s(key)
        if period.until_s <= late_s or late_s > min(ends_s, self.end_s):
            return
        if self._undisturbed(key, period, due_s, late_s):
            self._broken(key, "renewed in time", late_s, f"due at {span(due_s)}, nothing was in the way")

    def _undisturbed(self, key: SimKey, period: Period, due_s: float, late_s: float) -> bool:
        """Whether nothing was in the way of a renewal, nor a short time before: byokd may have put off a try.

        What people do with a key shows at its next look, and in its source at the next drill; but an import of byokd's
        own has shown that all was well.
        """
        known_s = self._known_s(key, period)
        tries_s = due_s - 4 * HOUR_S
        looks_s = tries_s - 2 * key.plan.drill_s - key.plan.look_s
        if not period.began.by_hand:
            tries_s, looks_s = max(tries_s, known_s), max(looks_s, known_s)
        if min(looks_s, due_s) < known_s:
            return False
        ref, calm = key.life.ref, self.book.obstacles.calm
        slow = (f"people {ref}", f"config {ref}", f"refusals {key.life.lane}")
        return calm(("*", key.life.lane, ref), tries_s, late_s) and calm(slow, looks_s, late_s)

    def _pace_of_imports(self, key: SimKey, imports: list[Imported]) -> None:
        """Two imports keep the floor, and none comes long before it is due."""
        last: Imported | None = None
        for each in imports:
            if each.by_hand:
                last = None
                continue
            if last is not None and not self._doubtful(key, last, each):
                self._floor(key, last, each)
            if last is None or not self._doubtful(key, last, each):
                self._not_too_early(key, each)
            last = each

    def _doubtful(self, key: SimKey, last: Imported, each: Imported) -> bool:
        """Whether byokd could not know that the import before had succeeded."""
        gone_s = (at_s for at_s, of in key.life.deleted if of == last.fingerprint and last.at_s <= at_s < each.at_s)
        return (
            each.ordered
            or any(not self._looked(key, last.at_s, at_s - A_LOOK_S) for at_s in gone_s)
            or each.late
            or last.late  # it came after its time was up, and byokd knew nothing of it
            or last.visible_s > last.at_s + 5
            or abs(last.off_by_s - each.off_by_s) > 5
            or not self.book.obstacles.calm(("*",), last.at_s - 1, each.at_s)
        )

    def _floor(self, key: SimKey, last: Imported, each: Imported) -> None:
        gap_s = each.at_s - last.at_s
        left_s = seconds(last.expiry) - each.at_s if isinstance(last.expiry, datetime) else float("inf")
        policies = self._policies(key, last.at_s - key.plan.look_s, each.at_s)
        longest_s = max(self._life_s(each) for each in policies)
        lost = not isinstance(each.before, datetime)
        hurry = lost or left_s <= longest_s * key.plan.emergency_share + abs(each.off_by_s) + 60
        if gap_s < (58.0 if hurry else min(key.plan.floor_s, 1e9) - 2):
            self._broken(key, "floor", each.at_s, f"imported {gap_s:.0f} s after the import before")

    def _not_too_early(self, key: SimKey, each: Imported) -> None:
        if each.ordered or not isinstance(each.before, datetime) or self.book.blurred(key.life, each.at_s):
            return
        policies = self._policies(key, each.at_s - key.plan.look_s - HOUR_S, each.at_s)
        leads = [(rule.renew_before + rule.spread).total_seconds() for rule in policies]
        left_s = seconds(each.before) - each.at_s
        early = left_s > max(leads) + self._clock_s(each) + 60
        # What somebody imported since the last look, byokd could not see.
        if early and self._looked(key, key.life.visible_before_s(each), each.at_s):
            text = f"renewed with {span(left_s)} left, due at {span(max(leads))}"
            self._broken(key, "not too early", each.at_s, text)

    def _clock_s(self, each: Imported) -> float:
        """How far byokd's time may be from KMS's at an import: it puts right what it has had an hour to measure."""
        off_s = abs(each.off_by_s)
        return min(off_s, CLOCK_S) if self.book.obstacles.calm(("*",), each.at_s - HOUR_S, each.at_s) else off_s

    # -- alerts -------------------------------------------------------------------------------------------------------

    def _told(self, key: SimKey) -> Iterator[Told]:
        return (
            each
            for each in self.book.told.values()
            if each.condition.subject in (key.life.ref, f"lane:{key.life.lane}")
        )

    def _heard_of(self, key: SimKey, kinds: tuple[ConditionKind, ...], from_s: float, to_s: float) -> bool:
        """Whether people hear of it then, or had heard of it before and it is not over: a clock may be ahead."""
        return any(
            at_s <= to_s and (from_s <= at_s or each.resolved_s is None or from_s < each.resolved_s)
            for each in self._told(key)
            if each.condition.condition.kind in kinds
            for at_s, _ in each.heard
        )

    def _told_of(self, key: SimKey) -> None:
        """What lasts is told: a key that is disabled, held near its end, or without its source."""
        limit_s = key.plan.look_s + 2 * key.plan.drill_s + 4 * HOUR_S
        for event in self.world.plan.events:
            wanted = {
                "disable": (ConditionKind.DISABLED,),
                "suspend_key": (ConditionKind.SUSPENDED,),
                "schedule_deletion": (ConditionKind.PENDING_DELETION,),
                "source": (
                    ConditionKind.SOURCE_UNREADABLE,
                    ConditionKind.MATERIAL_CHANGED,
                    ConditionKind.SOURCE_UNSAFE,
                    ConditionKind.MATERIAL_INVALID,
                    ConditionKind.IMPORT_REFUSED,
                ),
            }.get(event.kind)
            if wanted is None or not self._about(key, event) or event.how.get("mode") == "hang":
                continue
            if event.how.get("mode") == "changed" and not key.life.fingerprint:
                continue
            if self._interferes(key, event.number, event.at_s, event.at_s + event.span_s):
                continue
            stretch = self.book.obstacles.free(
                ("voice", "*", key.life.lane, f"config {key.life.ref}"), event.at_s, event.at_s + event.span_s
            )
            if not any(b - a > limit_s for a, b in stretch):
                continue
            if not any(
                each.condition.condition.kind in wanted
                and each.since_s <= event.at_s + event.span_s
                and (each.resolved_s is None or each.resolved_s >= event.at_s)
                and each.heard
                for each in self._told(key)
            ):
                self._broken(key, "told in time", event.at_s + limit_s, f"nobody heard of {event}")

    def _interferes(self, key: SimKey, number: int, begin_s: float, end_s: float) -> bool:
        """Whether another event about the same key goes on meanwhile."""
        people = ("disable", "schedule_deletion", "source", "hold", "untrack", "policy", "suspend_key")
        return any(
            each.number != number
            and each.kind in people
            and (self._about(key, each) or each.how.get("all"))
            and each.at_s < end_s + 60
            and each.at_s + each.span_s > begin_s - 60
            for each in self.world.plan.events
        )

    def _about(self, key: SimKey, event: Event) -> bool:
        """Whether an event befalls the key; what befalls a source befalls all keys that have their material there."""
        if event.kind == "source":
            return self.world.keys[event.who].plan.root == key.plan.root
        return event.who == key.plan.number

    def _resolved(self) -> None:
        """Who was told that something is wrong, is told when it is over; unless worse has overtaken that."""
        for told in (each for each in self.book.told.values() if each.condition.id not in self.book.watch.over_untold):
            if told.resolved_s is None or not told.heard or told.resolved_s > self.end_s - HOUR_S:
                continue
            if not any(notice.kind is NoticeKind.RESOLVED for _, notice in told.heard):
                what = told.condition.condition.kind.value
                self.book.broken("resolved is told", told.condition.subject, what, at_s=told.resolved_s)

    def _broken(self, key: SimKey, law: str, at_s: float, text: str) -> None:
        self.book.broken(law, key.life.ref, text, at_s=at_s)
