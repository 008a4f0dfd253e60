"""Where the simulator was unjust: worlds in which a law, or people, blamed byokd for what it had done right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.plan import DAY_S, HOUR_S, Event, draw
from tests.sim.run import run
from tests.sim.small import small_key, small_world

pytestmark = pytest.mark.timeout(300)


def test_who_is_rushed_in_two_ways_has_its_source_back() -> None:
    """A hold counted as the successor of a source that was taken away, which nobody brought back."""
    source = Event(number=0, at_s=5 * DAY_S, kind="hurry", span_s=2 * HOUR_S, how={"life_s": 7200, "of": "source"})
    hold = Event(number=1, at_s=5 * DAY_S + HOUR_S, kind="hurry", span_s=HOUR_S, how={"life_s": 7200, "of": "hold"})
    verdict = run(small_world(source, hold, days=30.0))

    assert verdict.ok, verdict.violations[0]


def test_what_leaves_the_config_was_suspended_until_then() -> None:
    """People heard for weeks that it is suspended, and usable again by hand; the law forgot why once it had left."""
    suspend = Event(number=0, at_s=5 * DAY_S, kind="suspend_key", span_s=90 * DAY_S)
    by_hand = Event(number=1, at_s=6 * DAY_S, kind="import_by_hand", how={"life": 1.0})
    for leaves_s in (33 * DAY_S, 50 * DAY_S):  # before and after the end of what was imported by hand
        leaves = Event(number=2, at_s=leaves_s, kind="untrack", span_s=60)
        verdict = run(small_world(suspend, by_hand, leaves))

        assert verdict.ok, verdict.violations[0]


def test_what_byokd_cannot_know_to_be_enabled_people_order() -> None:
    """Half an hour after it was enabled its material was deleted; byokd asked for an order, and nobody gave one."""
    disabled = Event(number=0, at_s=1.2 * DAY_S, kind="disable", span_s=2.6 * HOUR_S)
    deleted = Event(number=1, at_s=disabled.at_s + disabled.span_s + HOUR_S / 2, kind="delete_material")
    verdict = run(small_world(disabled, deleted))

    assert verdict.ok, verdict.violations[0]
    assert [what for _, _, what in verdict.book.story].count("order import") == 1


def test_what_people_could_not_order_when_they_were_asked_they_order_later() -> None:
    """It was Disabled when byokd asked, then held. After that nobody ordered it, until a whole lane was imported."""
    disabled = Event(number=0, at_s=4 * HOUR_S, kind="disable", span_s=4 * HOUR_S)
    held = Event(number=1, at_s=7.5 * HOUR_S, kind="hold", span_s=2 * HOUR_S, how={"until": True})
    lane = Event(number=2, at_s=24 * HOUR_S, kind="renew")
    hours = {"life_s": 6, "lead_s": 2, "look_s": 3, "drill_s": 8, "floor_s": 0.2}
    short = small_key(alerts_s=(4000, 2000), **{name: int(each * HOUR_S) for name, each in hours.items()})
    verdict = run(small_world(disabled, held, lane, keys=(short,), days=2.0))

    assert verdict.ok, verdict.violations[0]
    first_s = next(at_s for at_s, _, what in verdict.book.story if what == "order import")
    assert abs(first_s - 9.5 * HOUR_S) < 60, "as the hold is over"


def test_a_key_is_not_seen_enabled_by_a_look_that_fails() -> None:
    """Enabled again while DescribeKey failed, it lapsed while byokd was down: nobody ordered it back when asked."""
    disabled = Event(number=0, at_s=19 * DAY_S, kind="disable", span_s=10.9 * DAY_S)
    blind = {"mode": "5xx", "share": 1.0, "of": "describe"}
    outage = Event(number=1, at_s=29.5 * DAY_S, kind="outage", span_s=0.49 * DAY_S, how=blind)
    stopped = Event(number=2, at_s=29.98 * DAY_S, kind="stop", span_s=0.5 * DAY_S)
    verdict = run(small_world(disabled, outage, stopped, days=40.0))

    assert verdict.ok, verdict.violations[0]
    assert [what for _, _, what in verdict.book.story].count("order import") == 1


@pytest.mark.parametrize(("kind", "end"), [("suspend_key", "order resume"), ("hold", "order release")])
def test_whose_order_is_refused_orders_it_once_more(kind: str, end: str) -> None:
    """The host was hours behind and KMS had put byokd right: given while byokd was down, it seemed the older order."""
    behind = Event(number=0, at_s=5 * DAY_S, kind="step", span_s=12 * HOUR_S, how={"by_s": -4 * HOUR_S})
    off = Event(number=1, at_s=5 * DAY_S + HOUR_S, kind=kind, span_s=3 * HOUR_S, how={"until": False})
    once = {"calls": 1, "of": "any", "again": 0}
    killed = Event(number=2, at_s=off.at_s + HOUR_S / 2, kind="crash", span_s=4 * HOUR_S, how=once)
    verdict = run(small_world(behind, off, killed, days=30.0))

    assert verdict.ok, verdict.violations[0]
    assert [what for _, _, what in verdict.book.story].count(end) == 2


def test_a_hold_that_a_clock_makes_longer_is_released() -> None:
    """To a clock days ahead it was to end days later, as it said; nobody released it, and the key lapsed meanwhile."""
    ahead = Event(number=0, at_s=19 * DAY_S, kind="step", span_s=2 * HOUR_S, how={"by_s": 3 * DAY_S})
    held = Event(number=1, at_s=19.02 * DAY_S, kind="hold", span_s=10.9 * DAY_S, how={"until": True})
    verdict = run(small_world(ahead, held, days=40.0))

    assert verdict.ok, verdict.violations[0]


def test_a_world_outlives_a_crash_in_the_middle_of_a_chore() -> None:
    """The world waited for a chore whose process was dead: it never ended, and its seed was not told."""
    killed = Event(number=0, at_s=5 * DAY_S, kind="crash", span_s=60, how={"calls": 1, "of": "any", "again": 0})
    prunes = Event(number=1, at_s=5 * DAY_S, kind="prune")
    verdict = run(small_world(killed, prunes, days=30.0))

    assert verdict.ok, verdict.violations[0]
    assert "byokd is killed" in [what for _, _, what in verdict.book.story]


def test_what_an_import_on_the_way_heals_is_no_outage() -> None:
    """A hold ended a second before the `ValidTo`, and the import came a moment after it: nobody saw the key lapsed."""
    held = Event(number=0, at_s=19 * DAY_S, kind="hold", span_s=11 * DAY_S - 1, how={"until": True})
    verdict = run(small_world(held, days=40.0))

    assert verdict.ok, verdict.violations[0]
    assert "was Absent" in next(what for at_s, _, what in verdict.book.story if at_s > 29 * DAY_S and "imports" in what)


def test_whose_resumption_fails_otherwise_is_not_suspended_by_that() -> None:
    """KMS refused the import that a resumption began: its suspension was over, and the book took it to stand again."""
    suspended = Event(number=0, at_s=5 * DAY_S, kind="suspend_key", span_s=6 * HOUR_S)
    refused = {"mode": "refused", "share": 1.0, "of": "import"}
    outage = Event(number=1, at_s=5 * DAY_S + HOUR_S, kind="outage", span_s=8 * HOUR_S, how=refused)
    verdict = run(small_world(suspended, outage, days=30.0))

    assert verdict.ok, verdict.violations[0]
    assert [what for _, _, what in verdict.book.story].count("order resume") == 1


def test_an_import_on_its_way_is_not_on_record_when_a_forecast_is_made() -> None:
    """KMS had the renewal a tenth of a second before, and byokd the answer after it: what followed came in its time."""

    def moments(what: str, days: float) -> list[float]:
        verdict = run(small_world(days=days))
        assert verdict.ok, verdict.violations[0]
        return [at_s for at_s, _, told in verdict.book.story if what in told]

    too_early_s = moments("imports until", 30.0)[2] + 0.1 - moments("the forecast is made", 30.0)[0]
    days = 30.0 + too_early_s / DAY_S

    assert moments("the forecast is made", days)[0] - moments("imports until", days)[2] == pytest.approx(0.1)


def test_a_lane_whose_keys_byokd_renews_once_is_never_scarce() -> None:
    """Somebody imported with a `ValidTo` what is to live for ever: one renewal is the last, and has its token."""
    by_hand = Event(number=0, at_s=5 * DAY_S, kind="import_by_hand", how={"life": 1.0})
    scarce = Event(number=1, at_s=8 * DAY_S, kind="lane_settings", span_s=2 * HOUR_S, how={"times": 0.0})
    verdict = run(small_world(by_hand, scarce, keys=(small_key(never=True),), days=60.0))

    assert verdict.ok, verdict.violations[0]


def test_what_kms_is_asked_to_rotate_to_is_renewed_when_it_is_urgent() -> None:
    """Somebody deleted what waited in a replica, and nobody saw it for three weeks: what was due stayed with that."""
    primary = small_key(imported=True, stock=1, primary=0)
    seldom = {name: int(27 * DAY_S) for name in ("look_s", "drill_s")}
    replica = small_key(number=1, lane=1, stock=1, primary=0, life_s=int(90 * DAY_S), **seldom)
    late = Event(number=0, at_s=5 * DAY_S - 60, kind="stale", span_s=600, how={"lag_s": 110})
    rotated = Event(number=1, at_s=5 * DAY_S, kind="rotate", who=0)
    deleted = Event(number=2, at_s=5 * DAY_S + 120, kind="delete_waiting", who=1)
    verdict = run(small_world(late, rotated, deleted, keys=(primary, replica), days=60.0, regions=2))

    assert verdict.ok, verdict.violations[0]
    asked = [at_s for at_s, _, what in verdict.book.story if what.startswith("byokd asks to rotate")]
    assert asked[0] < deleted.at_s + HOUR_S
    assert asked[-1] > 27 * DAY_S


def test_of_an_hmac_key_that_is_to_be_deleted_nobody_sees_the_material_go() -> None:
    """DescribeKey says PendingDeletion and nothing else, and nothing lists its material: a loss was to be told."""
    to_be_deleted = Event(number=0, at_s=5 * DAY_S, kind="schedule_deletion", span_s=10 * DAY_S)
    deleted = Event(number=1, at_s=8 * DAY_S, kind="delete_material")
    verdict = run(small_world(to_be_deleted, deleted, keys=(small_key(hmac=True),), days=40.0))

    assert verdict.ok, verdict.violations[0]
    assert "history material_deleted" in " ".join(what for _, _, what in verdict.book.story), "once it shows"


def test_an_order_that_comes_while_an_import_is_on_its_way_is_for_another() -> None:
    """The import that had begun before was taken for what was ordered, and the one for the order for one too many."""
    usual = run(small_world(days=30.0)).book.story
    begun_s, taken_s = (
        [at_s for at_s, _, told in usual if what in told][1] for what in ("history import_started", "imports until")
    )
    order = Event(number=0, at_s=(begun_s + taken_s) / 2, kind="order")
    verdict = run(small_world(order, days=30.0))

    assert verdict.ok, verdict.violations[0]
    at_once = [at_s for at_s, _, what in verdict.book.story if "imports until" in what and abs(at_s - taken_s) < HOUR_S]
    assert len(at_once) == 2


def test_who_is_looked_at_as_a_token_comes_lets_the_next_go() -> None:
    """People asked byokd to look at eight that waited; the next one set out meanwhile, and looked at its own."""
    drawn = draw(434298589481).only(frozenset({4, 5}))
    verdict = run(replace(drawn, stormy_s=143 * DAY_S))

    assert verdict.ok, verdict.violations[0]


def test_what_ends_unseen_in_the_peace_people_order_before() -> None:
    """Somebody had imported it with a nearer `ValidTo`; byokd only reports, and saw it when nobody ordered more."""
    key = small_key(heals_delete=False, look_s=int(12 * DAY_S), drill_s=int(12 * DAY_S))
    by_hand = Event(number=0, at_s=29 * DAY_S, kind="import_by_hand", how={"life": 0.05})
    verdict = run(small_world(by_hand, keys=(key,), days=30.0))

    assert verdict.ok, verdict.violations[0]


def test_a_process_that_begins_knows_nothing_of_what_the_last_one_measured() -> None:
    """A lane that had not called yet showed what its clock had been hours before, which put the right lanes wrong."""
    drawn = draw(963689811714).only(frozenset({5, 9, 24, 25, 26}))
    verdict = run(replace(drawn, stormy_s=94 * DAY_S))

    assert verdict.ok, verdict.violations[0]
