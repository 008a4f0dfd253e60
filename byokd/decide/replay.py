"""What byokd knew of a key at a moment, rebuilt from what the store remembers, so that `decide` can be asked again.

    history      states, ends of life, losses, steps of imports     ┐
    imports      what was wanted, done and refused                  ├─▶ Snapshot at `at` ─▶ decide
    orders       what was asked for                                 │
    conditions   since when the source or KMS failed                ┘

What no line tells is taken from today, and said (`Replayed.assumed`): the policy, for one. Where too much is missing
nothing is rebuilt (`NotKnown`): a guess would look like an answer (docs/decisions, what was known is rebuilt).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from byokd.decide.backoff import retry_at
from byokd.decide.case import CLOCKS_DIFFER
from byokd.decide.materials import names
from byokd.decide.orders import before_deciding, without
from byokd.decide.recall import Was, as_of, attempt, brought_by, expiries, in_config, lost, states
from byokd.decide.window import window
from byokd.decide.wrapping import kind_of_key
from byokd.facts.condition import ConditionKind
from byokd.facts.key import (
    ABSENT,
    NEVER_LOOKED,
    Absent,
    Blind,
    Expiry,
    KeyState,
    MaterialState,
    ObservedKey,
    ObservedMaterial,
    View,
    last_seen,
)
from byokd.facts.ledger import (
    NOT_PROVED,
    Fingerprint,
    HistoryEntry,
    HistoryEvent,
    Import,
    ImportState,
    Ledger,
    Order,
    OrderState,
    Probe,
    Proof,
    Proved,
    Tier,
    Track,
    Unproved,
)
from byokd.facts.moment import in_words
from byokd.facts.past import Past
from byokd.facts.snapshot import Snapshot

BLIND_CODES: Final[Mapping[ConditionKind, str]] = {
    ConditionKind.COULD_NOT_LOOK: "could_not_look",
    ConditionKind.KEY_NOT_FOUND: "key_not_found",
    ConditionKind.ACCESS_DENIED: "access_denied",
    ConditionKind.DUPLICATE_KEY: "duplicate_key",
}
SOURCE_CODES: Final[Mapping[ConditionKind, str]] = {
    kind: kind.value
    for kind in (
        ConditionKind.SOURCE_UNREADABLE,
        ConditionKind.SOURCE_UNSAFE,
        ConditionKind.MATERIAL_INVALID,
        ConditionKind.MATERIAL_CHANGED,
    )
}
_PROBES: Final = (HistoryEvent.KEY_PROBED, HistoryEvent.PROBE_FAILED)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_TOLD: Final = re.compile(r"(?:material (?P<number>[0-9]+) of [0-9]+: )?(?P<text>.*)", re.DOTALL)
"""What a condition says of one material of several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotKnown:
    """What byokd knew then is not on record."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What byokd knew then."""

    snapshot: Snapshot
    assumed: tuple[str, ...]
    """What no line tells and was taken from today, a sentence each."""


def replay(past: Past, at: datetime) -> Replayed | NotKnown:
    """What byokd knew of a key at `at`, which does not lie in the future."""
    if isinstance(past.known_from, Absent):
        return NotKnown(why="there is no history on record")
    if at < past.known_from:
        return NotKnown(why=f"the history goes back to {in_words(past.known_from)}, and not to then")
    if (twice := _came_twice(past.history, at)) is not None:
        return NotKnown(why=twice)
    managed = as_of(in_config(past.history), at, not isinstance(past.line, Absent))
    if not managed.value:
        left = "" if isinstance(managed.since, Absent) else f": it left at {in_words(managed.since)}"
        return NotKnown(why=f"the key was not in the config then{left}")
    return _Moment(past, at).replayed()


def _came_twice(history: Sequence[HistoryEntry], at: datetime) -> str | None:
    """Of a moment that came once more since the clock was set back, why nobody can tell what was known; else None.

    Lines stand in the order of writing, in which only such a clock goes back, but for what two write at a time.
    """
    latest = _EARLIEST
    for each in history:
        if each.at <= at < latest and each.at < latest - CLOCKS_DIFFER:
            return (
                f"the clock was set back, from {in_words(latest)} or later to {in_words(each.at)} or "
                f"earlier: this moment came twice, and the record does not tell the one from the other"
            )
        latest = max(latest, each.at)
    return None


class _Moment:
    """One key at one moment."""

    def __init__(self, past: Past, at: datetime) -> None:
        self._past = past
        self._at = at
        self._now = past.snapshot.turned_to(0)
        self._names = names(self._now)
        self._state = as_of(states(past.history), at, self._state_now())
        self._brought = brought_by(past.history, self._now.places)
        self._conditions = tuple(
            each
            for each in past.conditions
            if each.since <= at and (isinstance(each.resolved_at, Absent) or each.resolved_at > at)
        )
        self._assumed = [
            "the policy and the sources are those of today's config: older ones are not kept",
            "the host's clock was not set back over this moment: no line of the key shows it",
        ]

    def replayed(self) -> Replayed:
        """The key as it was."""
        if self._now.relatives:
            self._assumed.append("its relatives in other Regions are as they are today")
        view = self._view()
        tracks = tuple(self._track(place, view) for place in self._now.places)
        ledger = Ledger(
            pinned_arn=self._now.ledger.pinned_arn, open_orders=self._orders(view), probe=self._probe(tracks)
        )
        blank = replace(
            self._now, view=view, ledger=ledger, conditions=self._conditions, place=len(tracks), others=tracks
        )
        return Replayed(
            snapshot=replace(blank.turned_to(0), others=tracks[1:]), assumed=tuple(dict.fromkeys(self._assumed))
        )

    def _probe(self, tracks: tuple[Track, ...]) -> Probe | Absent:
        """What had come of using the key after its last import."""
        of = max((each.last_success_at for each in tracks if isinstance(each.last_success_at, datetime)), default=None)
        told = [each for each in self._past.history if each.event in _PROBES and of is not None and each.at <= self._at]
        if of is None or not told or told[-1].at < of:
            return ABSENT
        last = told[-1]
        failed = last.event is HistoryEvent.PROBE_FAILED
        code = ConditionKind.PROBE_FAILED.value if failed else ""
        return Probe(of=of, at=self._at, failures=int(failed), code=code, message=last.detail if failed else "")

    # -- KMS ----------------------------------------------------------------------------------------------------------

    def _state_now(self) -> KeyState | Absent:
        seen = last_seen(self._now.view)
        return seen.state if isinstance(seen, ObservedKey) else ABSENT

    def _view(self) -> View:
        seen = self._seen()
        failing = next((each for each in self._conditions if each.condition.kind in BLIND_CODES), None)
        if failing is None:
            return seen or NEVER_LOOKED
        self._assumed.append("when it was last tried to look is not on record")
        return Blind(
            since=failing.since,
            at=self._at,
            code=BLIND_CODES[failing.condition.kind],
            message=failing.condition.detail,
            failures=1,
            last=seen or NEVER_LOOKED,
        )

    def _seen(self) -> ObservedKey | None:
        seen, state = last_seen(self._now.view), self._state
        if not isinstance(seen, ObservedKey) or isinstance(state.value, Absent):
            return None
        materials = tuple(self._listed(seen))
        permanent = [each for each in materials if each.state.permanent]
        ends = [each.expiry for each in permanent if each.imported and isinstance(each.expiry, datetime)]
        alone = ABSENT if self._gone(0) else self._end(0).value
        lasting = next((each.expiry for each in permanent if each.imported), alone)
        return replace(
            seen,
            at=self._at,
            state=state.value,
            expiry=min(ends, default=lasting),
            current_material=next(
                (each.material_id for each in materials if each.state is MaterialState.CURRENT), ABSENT
            ),
            materials=materials,
            deletion_at=seen.deletion_at if state.value is seen.state else ABSENT,
            was_disabled=state.value is KeyState.PENDING_IMPORT and self._was_disabled(),
            alias_target=ABSENT,
        )

    def _was_disabled(self) -> bool:
        turns = [turn for turn in states(self._past.history) if turn.at <= self._at]
        seen = last_seen(self._now.view)
        if not turns:
            return isinstance(seen, ObservedKey) and seen.was_disabled
        return turns[-1].before is KeyState.DISABLED

    def _listed(self, seen: ObservedKey) -> Iterator[ObservedMaterial]:
        """The materials that KMS showed then."""
        shown = [each for now in seen.materials if (each := self._shown(seen, now)) is not None]
        permanent = [each for each in shown if each.state.permanent]
        current = max(permanent, key=_rotated_at, default=None)
        for each in shown:
            kept = MaterialState.CURRENT if each is current else MaterialState.NON_CURRENT
            yield replace(each, state=kept) if each.state.permanent else each

    def _shown(self, seen: ObservedKey, now: ObservedMaterial) -> ObservedMaterial | None:
        """One material as KMS showed it then; None where the key did not have it yet."""
        later = isinstance(now.rotated_at, datetime) and now.rotated_at > self._at
        shown = replace(now, state=MaterialState.PENDING_ROTATION, rotated_at=ABSENT) if later else now
        if now.material_id not in self._names:
            self._assumed.append("materials that byokd has no source for are as they are today")
            return None if later else shown
        if later and not isinstance(seen.family, Absent):
            self._assumed.append("whether its replicas had the next material then is not on record")
        place = self._names.index(now.material_id)
        end, gone = self._end(place).value, self._gone(place)
        if not shown.state.permanent and isinstance(self._done_at(place), Absent):
            return None
        if isinstance(end, Absent) and isinstance(self._lost(place).value, Absent):
            return None
        return replace(shown, imported=not gone, expiry=ABSENT if gone else end)

    # -- one material -------------------------------------------------------------------------------------------------

    def _end(self, place: int) -> Was[Expiry | Absent]:
        return as_of(expiries(self._past.history, place), self._at, self._now.turned_to(place).ledger.last_expiry)

    def _lost(self, place: int) -> Was[datetime | Absent]:
        return as_of(lost(self._past.history, place), self._at, self._now.turned_to(place).ledger.lost_at)

    def _gone(self, place: int) -> bool:
        alone = not self._now.others and self._state.value is KeyState.PENDING_IMPORT
        return alone or not isinstance(self._lost(place).value, Absent)

    def _rows(self, place: int) -> list[Import]:
        """The rows about one material that there were then."""
        return [row for row in self._past.imports if row.created_at <= self._at and self._place_of(row) == place]

    def _place_of(self, row: Import) -> int:
        if not self._now.others:
            return 0
        if row.material is not ABSENT and row.material in self._names:
            return self._names.index(row.material)
        nameless = (place for place, name in enumerate(self._names) if name is ABSENT)
        return self._brought.get(row.id, next(nameless, 0))

    def _done_at(self, place: int) -> datetime | Absent:
        done = (row.finished_at for row in self._rows(place) if row.state is ImportState.DONE)
        known = self._now.turned_to(place).ledger.last_success_at
        moments = [each for each in (*done, known) if isinstance(each, datetime) and each <= self._at]
        return max(moments, default=ABSENT)

    def _track(self, place: int, view: View) -> Track:
        known, done_at = self._now.turned_to(place).ledger, self._done_at(place)
        listed = view.materials if isinstance(view, ObservedKey) else ()
        named = (
            any(each.material_id == known.material for each in listed) if self._now.others else done_at is not ABSENT
        )
        return Track(
            proof=self._proof(place, view),
            fingerprint=known.fingerprint,
            material=known.material if named else ABSENT,
            last_expiry=self._end(place).value,
            last_success_at=done_at,
            lost_at=self._lost(place).value,
            open_import=self._open_import(place),
            refused_import=self._refused(place, done_at),
        )

    def _proof(self, place: int, view: View) -> Proof:
        for each in self._conditions:
            told = _TOLD.match(each.condition.detail)
            assert told is not None  # it matches anything
            if each.condition.kind in SOURCE_CODES and int(told["number"] or place + 1) == place + 1:
                self._assumed.append("when the source was last asked is not on record")
                code, text = SOURCE_CODES[each.condition.kind], told["text"]
                return Unproved(since=each.since, at=self._at, code=code, message=text, failures=1)
        seen = last_seen(view)
        kind = kind_of_key(seen) if isinstance(seen, ObservedKey) else None
        if kind is None:
            return NOT_PROVED
        self._assumed.append("looks and sources did not fail: no condition says so")
        return Proved(at=self._at, fingerprint=Fingerprint(""), length=kind.length, kind=kind.material)

    # -- what was on its way ------------------------------------------------------------------------------------------

    def _open_import(self, place: int) -> Import | Absent:
        rows = (row for row in self._rows(place) if isinstance(row.finished_at, Absent) or row.finished_at > self._at)
        row = max(rows, key=lambda each: each.id, default=None)
        if row is None:
            return ABSENT
        steps = [each for each in self._past.history if each.cause.startswith(f"import {row.id}:")]
        done = [each for each in steps if each.at <= self._at]
        if row.state.open and len(done) == len(steps):
            return row
        begun = replace(row, state=ImportState.QUEUED, attempts=0, started_at=ABSENT, finished_at=ABSENT, detail="")
        for step in done:
            number, text = attempt(step)
            if step.event is HistoryEvent.IMPORT_STARTED:
                tier = self._tier(place, step.at)  # a wait from quieter days does not hold in an emergency
                begun = replace(begun, state=ImportState.RUNNING, attempts=number, started_at=step.at, tier=tier)
            elif step.event is HistoryEvent.IMPORT_FAILED:
                again = self._retry_at(place, begun, number, step.at)
                begun = replace(begun, state=ImportState.FAILED, attempts=number, not_before=again, detail=text)
        return begun

    def _retry_at(self, place: int, row: Import, number: int, failed_at: datetime) -> datetime:
        self._assumed.append("when the next attempt was to be is worked out anew")
        emergency = self._tier(place, failed_at) in (Tier.EMERGENCY, Tier.LAPSED)
        return retry_at(who=row.ref, failures=max(1, number), now=failed_at, deadline=row.deadline, emergency=emergency)

    def _tier(self, place: int, at: datetime) -> Tier:
        """How near the material's deadline was at another moment."""
        history, known = self._past.history, self._now.turned_to(place).ledger
        if not isinstance(as_of(lost(history, place), at, known.lost_at).value, Absent):
            return Tier.LAPSED
        end = as_of(expiries(history, place), at, known.last_expiry).value
        return (
            window(self._now.ref, self._now.desired.policy, end).tier(at) if isinstance(end, datetime) else Tier.FRESH
        )

    def _refused(self, place: int, done_at: datetime | Absent) -> Import | Absent:
        rows = (
            row
            for row in self._rows(place)
            if row.state is ImportState.REFUSED
            and isinstance(row.finished_at, datetime)
            and row.finished_at <= self._at
            and (isinstance(done_at, Absent) or row.finished_at > done_at)
        )
        return max(rows, key=lambda row: row.id, default=ABSENT)

    def _orders(self, view: View) -> tuple[Order, ...]:
        """The orders that were open then, as they were."""
        found = tuple(
            replace(
                order,
                state=OrderState.OPEN,
                closed_at=ABSENT,
                outcome=order.outcome if isinstance(order.closed_at, Absent) else "",
                effective_at=ABSENT if _after(order.effective_at, self._at) else order.effective_at,
            )
            for order in self._past.orders
            if order.created_at <= self._at
            and (isinstance(order.closed_at, Absent) or order.closed_at > self._at)
            and self._in_force(order)
        )
        return without(found, before_deciding(found, view, self._at))

    def _in_force(self, order: Order) -> bool:
        """Whether an order was ever more than proposed; it is given at the moment when somebody approves it."""
        if order.state is OrderState.PROPOSED:
            return False
        lines = {
            each.event
            for each in self._past.history
            if each.at == order.created_at and each.detail.startswith(order.kind.value)
        }
        return HistoryEvent.ORDER_PROPOSED not in lines or HistoryEvent.ORDER_GIVEN in lines


def _after(moment: datetime | Absent, at: datetime) -> bool:
    return isinstance(moment, datetime) and moment > at


def _rotated_at(material: ObservedMaterial) -> datetime:
    """When the key was rotated to it; its first material comes before all."""
    return material.rotated_at if isinstance(material.rotated_at, datetime) else _EARLIEST
