"""Bugs that the simulator found in byokd, each as the shortest world that shows it. Its own are in `test_unjust`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from byokd.facts.condition import ConditionKind
from tests.sim.plan import DAY_S, HOUR_S, Event
from tests.sim.run import run
from tests.sim.small import small_family, small_key, small_world
from tests.sim.windows import WindowPlan

pytestmark = pytest.mark.timeout(300)


def test_a_source_that_hangs_is_told() -> None:
    """A turn that waited for its source never came to its conditions: the key lapsed, and nobody had been told."""
    hangs = Event(number=0, at_s=1 * DAY_S, kind="source", span_s=30 * DAY_S, how={"mode": "hang", "all": True})
    verdict = run(small_world(hangs, keys=(small_key(imported=True), small_key(number=1))))

    assert verdict.ok, verdict.violations[0]
    told = {each.condition.condition.kind for each in verdict.book.told.values() if each.heard}
    assert ConditionKind.SOURCE_UNREADABLE in told


def test_an_order_is_carried_out_once_where_readings_are_behind() -> None:
    """Readings lagged 30 s; the look that saw an ordered import done took the order for another one, six times over."""
    stale = Event(number=0, at_s=9.4 * DAY_S, kind="stale", span_s=1.6 * DAY_S, how={"lag_s": 30})
    orders = (Event(number=1 + hour, at_s=9.5 * DAY_S + hour * HOUR_S, kind="order") for hour in range(6))
    verdict = run(small_world(stale, *orders, days=21.0))

    assert verdict.ok, verdict.violations[0]
    (life,) = verdict.book.lives.values()
    ends = [each.at_s for each in life.imports if 9.5 * DAY_S <= each.at_s < 10 * DAY_S]
    assert len(ends) == 6, "one import for each order"


def test_a_key_that_waits_for_its_window_alarms_nobody() -> None:
    """A weekly window opened days after the renewal was due, and people were told meanwhile that nothing was done."""
    weekly = WindowPlan(hour=2, lasts_s=4 * 3600, weekday=3)
    verdict = run(
        small_world(
            keys=tuple(
                small_key(number=number, life_s=int((30 + number) * DAY_S), window=weekly) for number in range(4)
            )
        )
    )

    assert verdict.ok, verdict.violations[0]
    told = {each.condition.condition.kind for each in verdict.book.told.values()}
    assert ConditionKind.EXPIRING not in told


def test_a_rotation_that_waits_for_weeks_asks_seldom() -> None:
    """Its primary and the replica that somebody held were looked at twice a minute, for as long as that lasted."""
    held = Event(number=0, at_s=1 * DAY_S, kind="hold", span_s=15 * DAY_S, who=1, how={"until": False})
    rotate = Event(number=1, at_s=1.1 * DAY_S, kind="rotate")
    verdict = run(small_world(held, rotate, keys=small_family(), days=30.0, regions=2))

    assert verdict.ok, verdict.violations[0]
    assert verdict.requests < 4000, "two keys, two requests a look, 15 days"
    asked = [at_s for at_s, _, what in verdict.book.story if what.startswith("byokd asks to rotate")]
    (released_s,) = (at_s for at_s, _, what in verdict.book.story if what == "order release")
    assert [released_s < at_s < released_s + HOUR_S / 4 for at_s in asked] == [True], "and it goes on at once"


def test_a_clock_that_is_put_right_is_not_put_right_twice() -> None:
    """The host was half a day behind and byokd went by KMS's clock; when the host was set, it added the difference.

    The measurement was void and made again from the lane's memory, at once, so that the next look was due half a day
    late. Other worlds showed it as a renewal an hour early.
    """
    behind = Event(number=0, at_s=5 * DAY_S, kind="step", span_s=30 * HOUR_S, how={"by_s": -int(11.7 * HOUR_S)})
    verdict = run(replace(small_world(behind, keys=(small_key(look_s=int(DAY_S)),), days=30.0), notices_steps=False))

    assert verdict.ok, verdict.violations[0]


def test_the_look_that_shows_a_clock_to_be_wrong_is_gone_by_at_once() -> None:
    """The host was set minutes ahead while a renewal waited for its change window, and no key was looked at meanwhile.

    The first look told so, and its turn began the renewal all the same, before the window had opened.
    """
    ahead = Event(number=0, at_s=20 * DAY_S + HOUR_S, kind="step", span_s=2 * DAY_S, how={"by_s": 254})
    verdict = run(
        small_world(ahead, keys=(small_key(window=WindowPlan(hour=20, lasts_s=4 * 3600, weekday=None)),), days=30.0)
    )

    assert verdict.ok, verdict.violations[0]


def test_a_rotation_that_is_refused_makes_no_renewal_late() -> None:
    """It was refused while a renewal waited for its change window, and the next turn came after that had closed."""
    weekly = WindowPlan(hour=2, lasts_s=4 * 3600, weekday=3)
    rotate = Event(number=0, at_s=15.5 * DAY_S, kind="rotate")
    key = small_key(window=weekly, lead_s=int(15 * DAY_S), look_s=int(4 * DAY_S), drill_s=int(6 * DAY_S))
    verdict = run(small_world(rotate, keys=(key,), days=30.0))

    assert verdict.ok, verdict.violations[0]


def test_what_was_suspended_while_the_clock_was_ahead_can_be_resumed() -> None:
    """The clock was half a month ahead: the resumption seemed to be the older order, and was refused."""
    ahead = Event(number=0, at_s=5 * DAY_S, kind="step", span_s=3 * HOUR_S, how={"by_s": int(15 * DAY_S)})
    suspend = Event(number=1, at_s=5 * DAY_S + HOUR_S, kind="suspend_key", span_s=2 * DAY_S)
    verdict = run(small_world(ahead, suspend, days=30.0))

    assert verdict.ok, verdict.violations[0]


def test_a_resumption_that_meets_a_hold_is_carried_out_after_it() -> None:
    """It was refused, and had ended the suspension: what policy heals no loss stayed without material for good."""
    suspend = Event(number=0, at_s=2 * DAY_S, kind="suspend_key", span_s=3 * DAY_S)
    hold = Event(number=1, at_s=4 * DAY_S, kind="hold", span_s=2 * DAY_S, how={"until": True})
    verdict = run(small_world(suspend, hold, keys=(small_key(heals_lapse=False, heals_delete=False),), days=30.0))

    assert verdict.ok, verdict.violations[0]


def test_a_key_that_is_enabled_half_a_day_before_its_end_is_renewed() -> None:
    """It was looked at when its emergency began and then at its ValidTo, when it had lapsed."""
    disable = Event(number=0, at_s=15 * DAY_S, kind="disable", span_s=14.5 * DAY_S)
    verdict = run(small_world(disable, keys=(small_key(look_s=int(8 * DAY_S)),), days=60.0))

    assert verdict.ok, verdict.violations[0]


def test_what_people_brought_while_a_source_hung_is_not_imported_over() -> None:
    """A rotation went on with a reading from before its source hung, into what people had imported meanwhile."""
    soon_over = Event(number=0, at_s=4 * DAY_S, kind="import_by_hand", how={"life": 240 / (30 * DAY_S)})
    hang = Event(number=1, at_s=4 * DAY_S, kind="source", span_s=5 * HOUR_S, how={"mode": "hang", "all": False})
    rotate = Event(number=2, at_s=4 * DAY_S + 60, kind="rotate")
    by_hand = Event(number=3, at_s=4 * DAY_S + 540, kind="rotate_by_hand", how={"steps": 1})
    verdict = run(small_world(soon_over, hang, rotate, by_hand, keys=(small_key(imported=True, stock=1),), days=30.0))

    assert verdict.ok, verdict.violations[0]


def test_a_rotation_is_seen_done_though_the_clock_is_ahead() -> None:
    """KMS had rotated minutes before it was told to, as the host's clock had it: the order was refused as futile."""
    ahead = Event(number=0, at_s=5 * DAY_S, kind="step", span_s=4 * HOUR_S, how={"by_s": 224})
    by_hand = Event(number=1, at_s=5 * DAY_S + 4, kind="rotate_by_hand", how={"steps": 1})
    rotate = Event(number=2, at_s=5 * DAY_S + HOUR_S, kind="rotate")
    verdict = run(small_world(ahead, by_hand, rotate, keys=(small_key(imported=True, stock=1),), days=30.0))

    assert verdict.ok, verdict.violations[0]


def test_what_no_suspension_emptied_is_told_as_lapsed() -> None:
    """It was suspended and resumed while byokd was down, and lapsed: byokd told of a key that was being resumed."""
    down = Event(number=0, at_s=15 * DAY_S, kind="crash", span_s=16 * DAY_S, how={"calls": 0, "of": "", "again": 0})
    suspend = Event(number=1, at_s=17 * DAY_S, kind="suspend_key", span_s=60)
    verdict = run(small_world(down, suspend, days=60.0))

    assert verdict.ok, verdict.violations[0]
    told = {each.condition.condition.kind for each in verdict.book.told.values()}
    assert ConditionKind.LAPSED in told
    assert ConditionKind.SUSPENDED not in told


def test_what_a_receiver_refused_while_the_clock_was_put_back_is_offered_again() -> None:
    """The clock was ahead for 15 seconds, in which a notice was offered and not answered: then nobody woke for it."""
    missing = Event(number=0, at_s=5.19 * DAY_S, kind="source", span_s=HOUR_S, how={"mode": "missing", "all": False})
    hangs = Event(number=1, at_s=5 * DAY_S, kind="channel", span_s=13 * HOUR_S, how={"mode": "hang"})
    ahead = Event(number=2, at_s=5.5 * DAY_S, kind="step", span_s=15, how={"by_s": 2726})
    verdict = run(replace(small_world(missing, hangs, ahead, days=30.0), safety_wake_s=int(1.5 * DAY_S)))

    assert verdict.ok, verdict.violations[0]


# -- worlds whose law or event was wrong, and byokd was not ------------------------------------------------------------


def test_an_order_to_resume_ends_when_its_key_leaves_the_config() -> None:
    """byokd died before it could resume the key; its order was cancelled meanwhile, and policy heals no deletion."""
    dies = Event(number=0, at_s=4 * DAY_S, kind="crash", span_s=5 * DAY_S, how={"calls": 1, "of": "import", "again": 0})
    suspend = Event(number=1, at_s=5 * DAY_S, kind="suspend_key", span_s=DAY_S)
    leaves = Event(number=2, at_s=8 * DAY_S, kind="untrack", span_s=60)
    verdict = run(small_world(dies, suspend, leaves, keys=(small_key(imported=True, heals_delete=False),), days=60.0))

    assert verdict.ok, verdict.violations[0]


def test_what_somebody_imports_in_the_second_of_a_waking_is_not_seen_yet() -> None:
    """Readings were half a minute behind when the machine woke, and byokd imported over what it could not see."""
    sleeps = Event(number=0, at_s=15 * DAY_S, kind="suspend", span_s=18 * DAY_S)
    stale = Event(number=1, at_s=16 * DAY_S, kind="stale", span_s=10 * DAY_S, how={"lag_s": 30})
    by_hand = Event(number=2, at_s=17 * DAY_S, kind="import_by_hand", how={"life": 0.8})
    verdict = run(small_world(sleeps, stale, by_hand, keys=(small_key(imported=True),), days=60.0))

    assert verdict.ok, verdict.violations[0]


def test_a_hold_outlasts_a_clock_that_is_weeks_ahead() -> None:
    """The clock was three weeks ahead for some hours, and the hold was over for good: the key was imported into."""
    hold = Event(number=0, at_s=4 * DAY_S, kind="hold", span_s=20 * DAY_S, how={"until": True})
    ahead = Event(number=1, at_s=5 * DAY_S, kind="step", span_s=4 * HOUR_S, how={"by_s": 21 * DAY_S})
    verdict = run(small_world(hold, ahead, days=40.0))

    assert verdict.ok, verdict.violations[0]


def test_what_a_full_disk_kept_from_record_is_not_known() -> None:
    """byokd saw a later ValidTo, could not write it down, saw nothing after that, and waited by the one on record."""
    held = Event(number=0, at_s=5 * DAY_S, kind="hurry", span_s=7 * HOUR_S, how={"life_s": 3 * HOUR_S, "of": "hold"})
    full = Event(number=1, at_s=held.at_s + HOUR_S, kind="store", span_s=HOUR_S, how={"share": 1.0, "full": True})
    how = {"life_s": 6 * HOUR_S, "of": "describe"}
    later = Event(number=2, at_s=full.at_s + 60, kind="hurry", span_s=7 * HOUR_S, how=how)
    verdict = run(small_world(held, full, later, days=30.0))

    assert verdict.ok, verdict.violations[0]


def test_a_key_that_is_enabled_again_is_seen_before_it_is_looked_at_next() -> None:
    """Enabled again and half a day later without material, before the next look, it passed for Disabled for ever."""
    disabled = Event(number=0, at_s=1.2 * DAY_S, kind="disable", span_s=5 * HOUR_S)
    deleted = Event(number=1, at_s=2 * DAY_S, kind="delete_material")
    verdict = run(small_world(disabled, deleted))

    assert verdict.ok, verdict.violations[0]
    assert "order import" not in [what for _, _, what in verdict.book.story], "byokd heals it by itself"


def test_a_lapse_that_only_kms_knows_of_is_told_as_a_key_that_cannot_be_looked_at() -> None:
    """While DescribeKey failed somebody imported material that ended soon; people heard that byokd saw nothing."""
    how = {"mode": "5xx", "share": 1.0, "of": "describe"}
    blind = Event(number=0, at_s=5 * DAY_S, kind="outage", span_s=8 * DAY_S, how=how)
    by_hand = Event(number=1, at_s=5 * DAY_S + HOUR_S, kind="import_by_hand", how={"life": 0.01})
    sleeps = Event(number=2, at_s=12 * DAY_S, kind="suspend", span_s=60)
    verdict = run(small_world(blind, by_hand, sleeps, days=30.0))

    assert verdict.ok, verdict.violations[0]


def test_a_rotation_that_was_cut_short_is_known_again_by_a_clock_that_is_ahead() -> None:
    """byokd died when KMS had rotated. To a clock ahead that was before the order, and it rotated once more."""
    ahead = Event(number=0, at_s=4 * DAY_S, kind="step", span_s=4 * HOUR_S, how={"by_s": 155})
    half = Event(number=1, at_s=ahead.at_s + HOUR_S / 2, kind="rotate_by_hand", how={"steps": 1})
    how = {"calls": 2, "of": "rotation", "again": 0}
    dies = Event(number=2, at_s=ahead.at_s + HOUR_S, kind="crash", span_s=HOUR_S / 2, how=how)
    order = Event(number=3, at_s=dies.at_s + 1, kind="rotate")
    verdict = run(small_world(ahead, half, dies, order, keys=(small_key(imported=True, stock=2),), days=40.0))

    assert verdict.ok, verdict.violations[0]


def test_what_is_deleted_before_anybody_sees_it_was_never_imported() -> None:
    """Somebody deleted what an unanswered import had brought, while byokd looked: it saw nothing, and tried again."""
    meddler = Event(number=0, at_s=5 * DAY_S, kind="meddle")
    how = {"mode": "lost_applied", "share": 1.0}
    lost = Event(number=1, at_s=meddler.at_s + 100, kind="answers", span_s=HOUR_S, how=how)
    once_more = Event(number=2, at_s=meddler.at_s + 130.9, kind="delete_material")
    verdict = run(small_world(meddler, lost, once_more, days=30.0))

    assert verdict.ok, verdict.violations[0]


def test_what_never_ends_is_not_imported_again_for_the_end_of_another_material() -> None:
    """Where ListKeyRotations was refused now and then, the end of the one was taken for that of the other, and back."""
    rotates = Event(number=0, at_s=5 * DAY_S, kind="rotate")
    soon = Event(number=1, at_s=8 * DAY_S, kind="hurry", span_s=6 * HOUR_S, how={"of": "source", "life_s": 18000})
    how = {"mode": "refused", "share": 0.7, "of": "rotations"}
    now_and_then = Event(number=2, at_s=soon.at_s + HOUR_S, kind="outage", span_s=DAY_S / 2, how=how)
    verdict = run(small_world(rotates, soon, now_and_then, keys=(small_key(never=True, stock=1),), days=30.0))

    assert verdict.ok, verdict.violations[0]


def test_an_import_that_another_material_hides_is_not_made_again() -> None:
    """ListKeyRotations was denied, and an order to import went on for hours: "its ValidTo did not move", 12 times."""
    rotates = Event(number=0, at_s=5 * DAY_S, kind="rotate")
    how = {"mode": "denied", "share": 1.0, "of": "rotations"}
    denied = Event(number=1, at_s=7 * DAY_S, kind="outage", span_s=DAY_S / 2, how=how)
    order = Event(number=2, at_s=denied.at_s + HOUR_S, kind="order")
    verdict = run(small_world(rotates, denied, order, keys=(small_key(stock=1),), days=30.0))

    assert verdict.ok, verdict.violations[0]
    imports = [at_s for at_s, _, what in verdict.book.story if what.startswith("byokd imports") and at_s > order.at_s]
    assert sum(at_s < denied.at_s + DAY_S / 2 for at_s in imports) == 2, "one for each material"


def test_a_lapse_that_nobody_saw_is_not_in_the_history() -> None:
    """DescribeKey failed past the `ValidTo` on record; somebody had imported in time, and byokd noted a lapse."""
    how = {"mode": "5xx", "share": 1.0, "of": "describe"}
    blind = Event(number=0, at_s=15 * DAY_S, kind="outage", span_s=20 * DAY_S, how=how)
    by_hand = Event(number=1, at_s=blind.at_s + HOUR_S, kind="import_by_hand", how={"life": 1.0})
    verdict = run(small_world(blind, by_hand, days=40.0))

    assert verdict.ok, verdict.violations[0]
