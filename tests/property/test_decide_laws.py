"""Laws of `decide` that no snapshot may break."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.decide.backoff import retry_at
from byokd.decide.decide import decide
from byokd.decide.verdict import SOON, patience
from byokd.decide.why import why
from byokd.decide.window import window
from byokd.facts.condition import ConditionKind, Severity
from byokd.facts.key import ABSENT, NEVER, KeyRef, KeyState
from byokd.facts.ledger import OrderKind, Proved, Tier
from byokd.facts.snapshot import Decision, DeletionWanted, ImportWanted, OrderWanted, ProofWanted, Reason, Snapshot
from tests.kit.builders import DAY, MATERIAL, order, queued
from tests.kit.clock import START
from tests.kit.situations import LOOKS, Look, looks
from tests.kit.strategies import moments, policies, seconds, snapshots, spans

LADDER = list(Tier)
quick = settings(deadline=None, max_examples=100)


@quick
@given(looks())
def test_decide_is_total_and_wakes_later(look: Look) -> None:
    """No snapshot makes it raise, and it always wakes again, later than now and within `look_every`."""
    it, now = look
    decision = decide(it, now)

    assert now < decision.wake_at <= now + max(it.desired.policy.look_every, timedelta(seconds=1))
    assert decision.message


@given(moments, spans, spans)
def test_an_order_that_waits_is_looked_at_less_and_less(now: Any, waited: timedelta, longer: timedelta) -> None:
    """Between half a minute and an hour apart, and never more than an eighth of what it has waited, but for that."""
    first, later = (patience(order(OrderKind.RESUME, created_at=now - each), now) for each in (waited, waited + longer))

    assert SOON <= first <= later <= timedelta(hours=1)
    assert first <= max(SOON, waited / 8 + timedelta(seconds=1))


@given(snapshots, moments)
def test_decide_is_a_function(it: Snapshot, now: Any) -> None:
    """The same facts give the same decision."""
    assert decide(it, now) == decide(it, now)


@pytest.mark.parametrize("kind", LOOKS)
@settings(deadline=None, max_examples=40)
@given(st.data(), st.floats(0, 1))
def test_nobody_oversleeps(kind: str, data: st.DataObject, share: float) -> None:
    """One time to wake is enough: before it, there is nothing to do or to tell that was not already."""
    it, now = data.draw(LOOKS[kind])
    decision = decide(it, now)
    asleep = (decision.wake_at - now).total_seconds() - 1
    for part in (share, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1):
        at = now + timedelta(seconds=int(part * asleep))
        later = decide(it, at)
        assert decision.action is not ABSENT or later.action is ABSENT or _brought_forward(later, it, at)
        assert LADDER.index(decision.tier) <= LADDER.index(later.tier)
        assert _told(later) == _told(decision)


def _brought_forward(decision: Decision, it: Snapshot, at: datetime) -> bool:
    """Whether nothing is to be done but drills before their time, which a turn takes along and nobody wakes for."""
    asked = [each for each in decision.parts or (decision,) if isinstance(each.action, ProofWanted)]
    proofs = [it.tracks[each.place].proof for each in asked if each.reason is Reason.FRESH]
    young = [each for each in proofs if isinstance(each, Proved) and at < each.at + it.desired.policy.drill_every]
    return isinstance(decision.action, ProofWanted) and len(young) == len(asked)


def _told(decision: Decision) -> set[tuple[ConditionKind, Severity, str]]:
    return {(each.kind, each.severity, each.stage) for each in decision.conditions}


@quick
@given(looks(), spans)
def test_no_condition_gets_softer_by_itself(look: Look, later: timedelta) -> None:
    """With nothing new seen or ordered, time alone makes nothing that people were told less severe.

    But for what a suspension asks for: its material's ValidTo takes what was to be deleted, and no deadline is left.
    """
    it, now = look
    first, second = decide(it, now), decide(it, now + later)
    if second.tier is Tier.SUSPENDED:
        return
    severity = {each.kind: each.severity for each in first.conditions}
    assert all(severity.get(each.kind, each.severity) <= each.severity for each in second.conditions)


@quick
@given(looks())
def test_a_decision_on_record_is_decided_again(look: Look) -> None:
    """Once the import that is wanted stands in the queue, the same one is wanted, for the same reason."""
    it, now = look
    decision = decide(it, now)
    at_hand = it.turned_to(decision.place)
    if isinstance(decision.action, ImportWanted) and at_hand.ledger.open_import is ABSENT:
        wanted = decision.action
        row = queued(
            material=wanted.material,
            reason=wanted.reason,
            tier=wanted.tier,
            expiry=wanted.expiry,
            deadline=wanted.deadline,
            order_id=wanted.order_id,
            not_before=now,
            created_at=now,
        )
        again = decide(replace(at_hand, ledger=replace(at_hand.ledger, open_import=row)), now)
        assert (again.action, again.reason, again.place, again.cancel) == (wanted, decision.reason, decision.place, "")


@quick
@given(looks(), spans)
def test_no_calendar_moves_a_decision(look: Look, later: timedelta) -> None:
    """A month later all is decided a month later, over leap days and changes of the clock: deadlines know neither.

    But for change windows, which people mean by the calendar; and for the spread, which is drawn by the `ValidTo`.
    """
    it, now = look
    plain = replace(it.desired.policy, windows=(), spread=timedelta(0))
    it = replace(it, desired=replace(it.desired, policy=plain))
    here, there = decide(it, now), decide(moved(it, later), now + later)

    assert there.wake_at == here.wake_at + later
    assert (there.reason, there.tier, there.place) == (here.reason, here.tier, here.place)
    assert _silent(there.action) == _silent(moved(here.action, later))
    assert [(each.kind, each.severity, each.stage) for each in there.conditions] == [
        (each.kind, each.severity, each.stage) for each in here.conditions
    ]


def _silent(action: Any) -> Any:
    """Without what byokd says of an order of its own, which names the moment in words."""
    return replace(action, why="") if isinstance(action, OrderWanted) else action


def moved(value: Any, by: timedelta) -> Any:
    """The same with every moment in it so much later."""
    if isinstance(value, datetime):
        return value + by
    if isinstance(value, tuple):
        return tuple(moved(each, by) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: moved(getattr(value, each.name), by) for each in fields(value)})
    return value


@given(snapshots, moments)
def test_every_decision_can_be_explained(it: Snapshot, now: Any) -> None:
    """Whatever is decided, what is told of it is the same decision, and something would change it."""
    told = why(it, now)
    assert told.decision == decide(it, now)
    assert all(each.mind.ways for each in told.materials)


@given(snapshots, moments)
def test_what_people_did_on_purpose_is_never_imported_into(it: Snapshot, now: Any) -> None:
    """Only keys seen Enabled or PendingImport, and not held, are ever imported into."""
    decision = decide(it, now)

    if isinstance(decision.action, ImportWanted):
        assert getattr(it.view, "state", None) in (KeyState.ENABLED, KeyState.PENDING_IMPORT)
        holds = [each for each in it.ledger.open_orders if each.kind is OrderKind.HOLD]
        if holds:
            assert holds[0].until is not ABSENT
            assert holds[0].until <= now


@given(snapshots, moments)
def test_only_a_suspension_deletes_and_nothing_imports_under_one(it: Snapshot, now: Any) -> None:
    """byokd deletes for one reason, which an operator gave, and imports nothing while it is in force."""
    action = decide(it, now).action

    if it.ledger.suspension is ABSENT:
        assert not isinstance(action, DeletionWanted)
    else:
        assert not isinstance(action, ImportWanted)


@quick
@given(looks())
def test_a_source_that_is_to_be_asked_is_asked_soon(look: Look) -> None:
    """Also where the turn did something else first: after a probe, a drill that was due waited for days (seed 51)."""
    it, now = look
    decision = decide(it, now)
    if isinstance(decision.action, ProofWanted):
        assert now < decision.wake_at <= now + SOON


@given(snapshots, moments)
def test_no_due_time_lies_beyond_the_deadline(it: Snapshot, now: Any) -> None:
    """Whatever is decided before ValidTo, somebody is awake at ValidTo."""
    expiry = getattr(it.view, "expiry", None)
    present = getattr(it.view, "state", None) is not KeyState.PENDING_IMPORT
    if present and isinstance(expiry, type(START)) and expiry > now and it.ledger.material == MATERIAL:
        assert decide(it, now).wake_at <= expiry


@given(snapshots, moments)
def test_an_import_reaches_into_the_future_and_shortens_nothing(it: Snapshot, now: Any) -> None:
    """The ValidTo asked for is later than now, at most 365 days away, and not before the present one."""
    action = decide(it, now).action

    if isinstance(action, ImportWanted) and action.expiry is not NEVER:
        assert action.expiry > now
        shown = getattr(it.view, "expiry", now)
        assert action.expiry <= max(now + 365 * DAY, shown if isinstance(shown, type(now)) else now)


@given(policies, moments, seconds)
def test_tiers_only_move_forward(rules: Any, valid_to: Any, step: timedelta) -> None:
    """Time never makes a deadline look farther away, and the boundaries keep their order."""
    frame = window(KeyRef("k"), rules, valid_to)
    ladder = list(Tier)
    assert frame.renew_at <= frame.valid_to
    assert frame.urgent_at <= frame.emergency_at <= frame.valid_to
    first, second = sorted((START, START + step))
    assert ladder.index(frame.tier(first)) <= ladder.index(frame.tier(second))


@given(st.integers(min_value=1, max_value=10**6), seconds, st.booleans())
def test_backoff_leaves_time_for_another_try(failures: int, left: timedelta, emergency: bool) -> None:
    """The wait is at least a second and never more than an eighth of the time left."""
    deadline = START + left
    again = retry_at(who="k", failures=failures, now=START, deadline=deadline, emergency=emergency)

    assert again >= START + timedelta(seconds=1)
    if left > timedelta(seconds=8):
        assert again - START <= left / 8 + timedelta(seconds=1)
