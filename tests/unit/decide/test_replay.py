"""Rebuilding a key as it was: what the lines say, and where they do not say enough."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byokd.decide.case import case
from byokd.decide.decide import decide
from byokd.decide.recall import Turn, as_of, expiries, states
from byokd.decide.replay import NotKnown, Replayed, replay
from byokd.decide.transitions import of_key, of_material, show_expiry
from byokd.facts.change import KeyLine
from byokd.facts.condition import Condition, ConditionKind, OpenCondition, Severity
from byokd.facts.key import ABSENT, NEVER, NEVER_LOOKED, Expiry, KeyRef, KeyState
from byokd.facts.ledger import HistoryEntry, HistoryEvent, ImportState, OrderKind, OrderState, Tier
from byokd.facts.past import Past
from byokd.facts.snapshot import Reason, Snapshot
from tests.kit.builders import ARN, DAY, LANE_ID, desired, ledger, observed, order, queued, snapshot
from tests.kit.clock import START

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
ENDS = START + 60 * DAY
LINE = KeyLine(
    ref=KeyRef(ARN), name=ARN, fleet="payments", lane=LANE_ID, arn=ARN, state="Enabled", expiry=ENDS, started_at=START,
    tier=Tier.FRESH, reason="fresh", message="Fine.", severity=ABSENT, due_at=START, import_state=ABSENT, renewals=1,
)  # fmt: skip


def told(at: Any, event: HistoryEvent, detail: str = "", cause: str = "") -> HistoryEntry:
    """A line of the key's history."""
    return HistoryEntry(at=at, ref=KeyRef(ARN), event=event, detail=detail, cause=cause)


TRACKED = told(START - 30 * DAY, HistoryEvent.TRACKED)
SEEN = told(START - 30 * DAY, HistoryEvent.STATE_CHANGED, "not seen before → Enabled")
ENDING = told(START - 30 * DAY, HistoryEvent.EXPIRY_CHANGED, f"none → {ENDS:%Y-%m-%d %H:%M:%S}Z")


def a_past(*lines: HistoryEntry, **changes: Any) -> Past:
    """The past of a healthy key that came into the config thirty days ago, and what happened since."""
    history = (TRACKED, SEEN, ENDING, *lines)
    base = Past(
        snapshot=snapshot(), line=LINE, history=history, imports=(), orders=(), conditions=(), known_from=history[0].at
    )
    return replace(base, **changes)


def rebuilt(past: Past, at: Any) -> Snapshot:
    """What was known then."""
    found = replay(past, at)
    assert isinstance(found, Replayed)
    return found.snapshot


@pytest.mark.parametrize(
    ("past", "at", "says"),
    [
        (a_past(known_from=ABSENT, history=()), START, "there is no history on record"),
        (a_past(), START - 31 * DAY, "the history goes back to 2026-01-30 12:00:00Z, and not to then"),
        (a_past(known_from=START), START - SECOND, "the history goes back to 2026-03-01 12:00:00Z, and not to then"),
        (
            a_past(known_from=START - 99 * DAY),
            START - 31 * DAY,
            "the key was not in the config then",
        ),
        (
            a_past(told(START, HistoryEvent.UNTRACKED), line=ABSENT),
            START + DAY,
            "the key was not in the config then: it left at 2026-03-01 12:00:00Z",
        ),
    ],
    ids=["no history", "before the first line", "forgotten", "before it was tracked", "after it left"],
)
def test_what_is_not_on_record_is_said(past: Past, at: Any, says: str) -> None:
    """Pruned, older than the first line, or not in the config: nothing is guessed."""
    assert replay(past, at) == NotKnown(why=says)


@pytest.mark.parametrize(
    ("at", "twice"),
    [(3 * HOUR, False), (4 * HOUR, True), (6 * HOUR, True), (8 * HOUR - SECOND, True), (8 * HOUR, False)],
)
def test_a_moment_that_came_twice_is_not_told(at: timedelta, twice: bool) -> None:
    """The clock was set back by four hours, and what was known in between was told as if it had come once."""
    before = told(START + 8 * HOUR, HistoryEvent.STATE_CHANGED, "Enabled → Disabled")
    after = told(START + 4 * HOUR, HistoryEvent.STATE_CHANGED, "Disabled → Enabled")
    found = replay(a_past(before, after), START + at)
    assert isinstance(found, NotKnown) is twice
    assert not isinstance(found, NotKnown) or "this moment came twice" in found.why


def test_two_who_write_at_a_time_set_no_clock_back() -> None:
    """An order and a turn may reach the record in another order than that of their stamps, seconds apart."""
    later, earlier = (told(START + each * SECOND, HistoryEvent.ORDER_GIVEN, "import") for each in (20, 10))
    assert isinstance(replay(a_past(later, earlier), START + 15 * SECOND), Replayed)


def test_what_was_is_not_what_is() -> None:
    """A key that is Disabled today was Enabled before the line that says so, and is from its second on."""
    past = a_past(
        told(START, HistoryEvent.STATE_CHANGED, "Enabled → Disabled", "by someone else"),
        snapshot=snapshot(view=observed(state=KeyState.DISABLED)),
    )
    assert decide(rebuilt(past, START - SECOND), START - SECOND).reason is Reason.FRESH
    assert decide(rebuilt(past, START), START).reason is Reason.HANDS_OFF


def test_a_line_that_was_forgotten_is_told_by_the_next_one() -> None:
    """Of lines that were pruned, the first one left still says what was before it."""
    past = a_past(
        history=(told(START + DAY, HistoryEvent.STATE_CHANGED, "Disabled → Enabled"),), known_from=START - DAY
    )
    assert decide(rebuilt(past, START), START).reason is Reason.HANDS_OFF


def test_nothing_that_changed_is_as_it_is_today() -> None:
    """Without a line of its own since the history begins, a key is what it was."""
    past = a_past(history=(), known_from=START - DAY)
    assert decide(rebuilt(past, START), START) == decide(snapshot(), START)


def test_before_the_first_look_nothing_was_known() -> None:
    """In the config, and not looked at yet."""
    late = replace(SEEN, at=START + HOUR)
    past = a_past(history=(TRACKED, late, replace(ENDING, at=START + HOUR)))
    known = rebuilt(past, START)
    assert known.view is NEVER_LOOKED
    assert decide(known, START).reason is Reason.NEVER_LOOKED


def test_an_order_is_in_force_from_its_giving_to_its_end() -> None:
    """A hold that was released is none before and none after."""
    hold = order(OrderKind.HOLD, state=OrderState.DONE, closed_at=START + DAY, outcome="released")
    past = a_past(orders=(hold,))
    assert decide(rebuilt(past, START - SECOND), START - SECOND).reason is Reason.FRESH
    during = rebuilt(past, START)
    assert decide(during, START).reason is Reason.HELD
    assert during.ledger.open_orders[0].outcome == ""
    assert decide(rebuilt(past, START + DAY), START + DAY).reason is Reason.FRESH


def test_an_order_that_nobody_approved_was_never_in_force() -> None:
    """Neither while it is proposed nor if it was taken back; one that was approved counts from then on."""
    hold = order(OrderKind.HOLD, state=OrderState.PROPOSED)
    cancelled = replace(hold, state=OrderState.CANCELLED, closed_at=START + DAY)
    approved = replace(cancelled, created_at=START + SECOND)
    proposed = told(START, HistoryEvent.ORDER_PROPOSED, "hold: maintenance", "proposed by operator")
    given = told(START + SECOND, HistoryEvent.ORDER_GIVEN, "hold: maintenance", "order of operator")
    found = []
    for lines, it in (((proposed,), hold), ((proposed,), cancelled), ((proposed, given), approved)):
        past = a_past(*lines, orders=(it,))
        found.append([decide(rebuilt(past, at), at).reason for at in (START, START + HOUR)])
    assert found == [[Reason.FRESH] * 2, [Reason.FRESH] * 2, [Reason.FRESH, Reason.HELD]]


def test_an_import_is_as_far_as_it_was() -> None:
    """Queued, sent, failed and sent again, by the lines that it left."""
    row = queued(state=ImportState.DONE, attempts=2, started_at=START + 2 * HOUR, finished_at=START + 3 * HOUR)
    cause = f"import {row.id}: renewal_due"
    past = a_past(
        told(START, HistoryEvent.IMPORT_QUEUED, "to 2026-05-30 12:00:00Z", cause),
        told(START + SECOND, HistoryEvent.IMPORT_STARTED, "to 2026-05-30 12:00:00Z, attempt 1", cause),
        told(START + HOUR, HistoryEvent.IMPORT_FAILED, "attempt 1: no route", cause),
        told(START + 2 * HOUR, HistoryEvent.IMPORT_STARTED, "to 2026-05-30 12:00:00Z, attempt 2", cause),
        imports=(row,),
    )
    found = []
    for at in (START, START + SECOND, START + HOUR, START + 2 * HOUR, START + 3 * HOUR):
        opened = rebuilt(past, at).ledger.open_import
        found.append(None if opened is ABSENT else (opened.state.value, opened.attempts, opened.detail))
    assert found == [("queued", 0, ""), ("running", 1, ""), ("failed", 1, "no route"), ("running", 2, "no route"), None]


def test_a_wait_from_quieter_days_ends_with_the_emergency() -> None:
    """Also where the row was hurried later: how near the deadline was when it was sent counts, and not how it ended."""
    emergency_at = ENDS - 90 * DAY * 0.05
    row = queued(state=ImportState.DONE, tier=Tier.LAPSED, attempts=9, finished_at=ENDS + DAY, created_at=START)
    cause = f"import {row.id}: renewal_due"
    past = a_past(
        told(emergency_at - 3 * SECOND, HistoryEvent.IMPORT_STARTED, "to 2026-05-30 12:00:00Z, attempt 8", cause),
        told(emergency_at - 2 * SECOND, HistoryEvent.IMPORT_FAILED, "attempt 8: no route", cause),
        imports=(row,),
        snapshot=snapshot(ledger=ledger(last_success_at=ENDS + DAY)),
    )
    waits, hurries = (decide(rebuilt(past, at), at).reason for at in (emergency_at - SECOND, emergency_at))
    assert (waits, hurries) == (Reason.BACKING_OFF, Reason.RENEWAL_DUE)


def test_a_condition_tells_what_a_source_said() -> None:
    """No other line does; what is said of one material is not said of the others."""
    detail = "material 2 of 2: the source could not produce the material since then: gone"
    told_of = Condition(kind=ConditionKind.SOURCE_UNREADABLE, severity=Severity.WARNING, detail=detail)
    open_ = OpenCondition(id="1", subject=ARN, condition=told_of, since=START)
    two = snapshot(desired=desired(further=("2.key",)), others=(snapshot().tracks[0],))
    known = rebuilt(a_past(conditions=(open_,), snapshot=two), START)
    assert decide(known, START).reason is not Reason.SOURCE_UNPROVED
    assert decide(replace(known.turned_to(1), others=()), START).reason is Reason.SOURCE_UNPROVED


def test_lines_of_another_form_tell_nothing() -> None:
    """What a later version may write is not guessed at."""
    odd = (
        told(START, HistoryEvent.EXPIRY_CHANGED, "moved"),
        told(START, HistoryEvent.EXPIRY_CHANGED, "soon → later"),
        told(START, HistoryEvent.STATE_CHANGED, "changed"),
        told(START, HistoryEvent.STATE_CHANGED, "Enabled → Dreaming"),
    )
    assert expiries(odd, 0) == []
    assert [turn.after for turn in states(odd)] == [KeyState.UNKNOWN]


moments = st.integers(min_value=0, max_value=4 * 10**9).map(lambda n: START.fromtimestamp(n, START.tzinfo))
ends = st.one_of(moments, st.just(NEVER))


@given(ends, ends, st.sampled_from(KeyState), st.sampled_from(KeyState))
def test_what_is_written_can_be_read_again(was: Expiry, now: Expiry, before: KeyState, after: KeyState) -> None:
    """The lines of states and of ends of life say, read again, what they were written from."""
    old = snapshot(view=observed(valid_to=was, state=before), ledger=ledger(last_expiry=was))
    the = case(replace(old, view=observed(valid_to=now, state=after)), START)
    for turn in states(of_key(old, the)):
        assert (turn.before, turn.after) == (before, after)
    for change in expiries(of_material(old, the), 0):
        assert (change.before, change.after) == (was, now)


@given(st.lists(st.tuples(moments, ends), min_size=1, unique_by=lambda each: each[0]), moments)
def test_the_last_change_before_a_moment_tells(changes: list[tuple[Any, Any]], at: Any) -> None:
    """Whatever number of the first lines was forgotten, as long as none after the moment was."""
    changes.sort()
    values = [ABSENT, *(value for _, value in changes)]
    turns = [
        Turn(at=when, before=before, after=after, cause=show_expiry(after))
        for (when, after), before in zip(changes, values, strict=False)
    ]
    expected = as_of(turns, at, values[-1])
    kept = [turn for turn in turns if turn.at > at]
    assert as_of(kept, at, values[-1]).value == expected.value
