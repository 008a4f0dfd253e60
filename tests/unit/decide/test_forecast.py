"""The forecast of a lane, and what it is taken to mean."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from byokd.decide.advice import (
    lead_needed,
    level,
    load,
    pace_needed,
    quotas_needed,
    slack_condition,
    slowed,
    spread_helps,
    sustained,
    tight,
    with_lead,
    with_quotas,
)
from byokd.decide.forecast import FARTHEST, Forecast, forecast
from byokd.facts.condition import Severity
from byokd.facts.key import ABSENT, NEVER
from byokd.facts.ledger import Tier
from byokd.facts.policy import ChangeWindow, LearnedPace, Quota
from byokd.facts.snapshot import Reason
from tests.kit.builders import DAY, lane, policy
from tests.kit.clock import START
from tests.kit.futures import hourly, key

HOUR = timedelta(hours=1)


def at(ahead: Forecast) -> list[tuple[int, datetime]]:
    """Whose renewal comes when."""
    return [(int(each.ref[4:]), each.renewed_at) for each in ahead.renewals if isinstance(each.renewed_at, datetime)]


def test_a_key_alone_is_renewed_when_it_is_due() -> None:
    """Thirty days before its end, with all of its lead left."""
    ahead = forecast([key(1)], hourly(), START)
    assert at(ahead) == [(1, START + 30 * DAY)]
    assert ahead.renewals[0].slack == 30 * DAY
    assert tight(ahead, 0.99) is None


def test_each_material_of_a_key_is_renewed_by_its_own_deadline() -> None:
    """A forecast of one import for each key promised those behind it too much."""
    hour = [START + 29 * DAY + number * timedelta(minutes=1) for number in range(3)]
    keys = [key(1, expiry=hour[0], further=(hour[0], hour[2], START + 60 * DAY, NEVER)), key(2, expiry=hour[1])]
    ahead = forecast(keys, hourly(), START)
    assert [number for number, _ in at(ahead)] == [1, 1, 2, 1, 1]
    assert [(moment - START) // HOUR for _, moment in at(ahead)] == [0, 1, 2, 3, 30 * 24]
    assert ahead.keys == 2
    assert ahead.recovery == pytest.approx(6 * HOUR, rel=0.01), "all of them, if all were gone"
    assert ahead.demand_per_s == pytest.approx(5 * forecast(keys[1:], hourly(), START).demand_per_s)


def test_a_lapsed_material_makes_no_others_lapse() -> None:
    """They were forecast as lapsed too, and took tokens from the real emergencies."""
    keys = [key(1, left=-DAY, tier=Tier.LAPSED, further=(START + 60 * DAY,)), key(2, left=-DAY, tier=Tier.LAPSED)]
    ahead = forecast(keys, hourly(), START)
    assert [(moment - START) // HOUR for _, moment in at(ahead)] == [0, 1, 30 * 24]
    assert [each.lapsed for each in ahead.renewals] == [True, True, False]


def test_keys_due_at_once_wait_for_one_another() -> None:
    """The first goes at once, each other one a token later, in the order of deadlines."""
    keys = [key(number, left=29 * DAY - number * timedelta(minutes=1)) for number in range(4)]
    ahead = forecast(keys, hourly(), START)
    assert [number for number, _ in at(ahead)] == [3, 2, 1, 0]
    assert [moment - START for _, moment in at(ahead)] == pytest.approx(
        [0 * HOUR, HOUR, 2 * HOUR, 3 * HOUR], abs=timedelta(seconds=2)
    )


ORDERS = {
    "lapsed before urgent before routine": (
        [{"left": 29 * DAY}, {"left": 14 * DAY}, {"left": -DAY, "tier": Tier.LAPSED}],
        [2, 1, 0],
    ),
    "routine by priority": ([{"left": 20 * DAY}, {"left": 29 * DAY, "policy": policy(priority=1)}], [1, 0]),
    "urgent by deadline, whatever the priority": (
        [{"left": 10 * DAY, "policy": policy(priority=9)}, {"left": 9 * DAY}],
        [1, 0],
    ),
    "lapsed by priority": ([{"left": -2 * DAY}, {"left": -DAY, "policy": policy(priority=1)}], [1, 0]),
    "deleted like lapsed": ([{"left": 29 * DAY}, {"left": 80 * DAY, "tier": Tier.LAPSED}], [1, 0]),
    "a first import is routine": ([{"expiry": ABSENT, "state": "PendingImport"}, {"left": 20 * DAY}], [1, 0]),
}


@pytest.mark.parametrize(("keys", "order"), ORDERS.values(), ids=ORDERS)
def test_who_comes_first(keys: list[dict[str, Any]], order: list[int]) -> None:
    """As in the lane's queue."""
    ahead = forecast([key(number, **changes) for number, changes in enumerate(keys)], hourly(), START)
    assert [number for number, _ in at(ahead)] == order


def test_what_was_routine_overtakes_when_it_becomes_urgent() -> None:
    """Low priority and a near deadline: it waits behind the others until it is urgent, and then goes first."""
    late = key(99, left=15 * DAY + 2 * HOUR, policy=policy(priority=-5))
    ahead = forecast([late, *(key(number, left=29 * DAY) for number in range(20))], hourly(), START)
    assert [number for number, _ in at(ahead)].index(99) in (2, 3)


LEFT_OUT = {
    "held": ({"reason": Reason.HELD.value}, "left_alone"),
    "disabled": ({"reason": Reason.HANDS_OFF.value, "state": "Disabled"}, "left_alone"),
    "only reported": ({"reason": Reason.REPORT_ONLY.value, "left": -DAY}, "left_alone"),
    "never ending": ({"expiry": NEVER}, "never_expire"),
    "never looked at": ({"expiry": ABSENT, "state": "NeverLooked"}, "unknown"),
    "looked at in vain": ({"expiry": ABSENT, "state": "Blind", "reason": Reason.COULD_NOT_LOOK.value}, "unknown"),
    "not in KMS": ({"state": "Blind", "reason": Reason.KEY_NOT_FOUND.value}, "unknown"),
}


@pytest.mark.parametrize(("changes", "counted"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_keys_that_take_no_part_are_counted(changes: dict[str, Any], counted: str) -> None:
    """They ask nothing of the lane, and the forecast says how many there are."""
    ahead = forecast([key(1, **changes)], hourly(), START)
    assert (ahead.renewals, ahead.keys, getattr(ahead, counted)) == ((), 1, 1)


def test_a_key_that_cannot_be_looked_at_now_is_forecast_by_what_was_seen() -> None:
    """And counted, since nobody renews it before it can be; held, it is nobody's business."""
    blind: dict[str, Any] = {"state": "Blind", "reason": Reason.COULD_NOT_LOOK.value}
    keys = [key(1, **blind), key(2), key(3, **blind | {"reason": Reason.HELD.value})]
    ahead = forecast(keys, hourly(), START)
    assert (ahead.blind, ahead.unknown, ahead.left_alone) == (1, 0, 1)
    assert [(each.name, each.blind) for each in ahead.renewals] == [("alias/1", True), ("alias/2", False)]


def test_keys_that_are_not_known_to_exist_raise_no_alarm() -> None:
    """A hundred ARNs that nobody can look at, in a lane of two imports a day: they have conditions of their own."""
    unseen: dict[str, Any] = {"expiry": ABSENT, "state": "Blind", "reason": Reason.COULD_NOT_LOOK.value}
    gone: dict[str, Any] = {"left": 31 * DAY, "state": "Blind", "reason": Reason.KEY_NOT_FOUND.value}
    for changes in (unseen, gone):
        keys = [key(number, **changes) for number in range(100)]
        assert slack_condition(forecast(keys, hourly(1 / 12), START), 0.5) is None


def test_a_renewal_in_windows_waits_for_them_and_urgent_ones_do_not() -> None:
    """Saturday at two; when the windows are too short for all, the rest comes when it is urgent."""
    saturdays = ChangeWindow(cron="0 2 * * sat", lasts=timedelta(minutes=90), time_zone="UTC")
    rules = policy(windows=(saturdays,), renew_before=20 * DAY)
    ahead = forecast([key(number, left=19 * DAY, policy=rules) for number in range(6)], hourly(), START)
    moments = [f"{moment:%a %d %H}" for _, moment in at(ahead)]
    # Urgent ten days before the end: on Tuesday the 10th at noon.
    assert moments == ["Sat 07 02", "Sat 07 03", "Tue 10 12", "Tue 10 13", "Tue 10 14", "Tue 10 15"]


def test_the_first_that_would_miss_is_named() -> None:
    """Ninety keys on one day at two a day: the lead of thirty days serves sixty of them."""
    ahead = forecast([key(number, left=40 * DAY) for number in range(90)], hourly(1 / 12), START)
    found = tight(ahead, 0.5)
    assert found is not None
    assert len(found.missed) == pytest.approx(29, abs=1)
    assert found.missed[0].valid_to == START + 40 * DAY
    condition = slack_condition(ahead, 0.5)
    assert condition is not None
    assert (condition.severity, condition.stage) == (Severity.CRITICAL, "missed")


STAGES = {
    "enough": (1.0, 20, None),
    "late": (1 / 12, 40, "late"),
    "missed": (1 / 12, 90, "missed"),
}


@pytest.mark.parametrize(("pace", "keys", "stage"), STAGES.values(), ids=STAGES)
def test_the_condition_has_stages(pace: float, keys: int, stage: str | None) -> None:
    """Nothing, less than half of the lead left, too late."""
    found = slack_condition(forecast([key(number) for number in range(keys)], hourly(pace), START), 0.5)
    assert (found.stage if found else None) == stage


def test_a_pace_that_is_too_small_in_the_long_run_is_told_before_anybody_is_late() -> None:
    """Two thousand keys with ends far apart ask for one import in 43 minutes; the lane gives one in an hour."""
    keys = [key(number, left=31 * DAY + number * 50 * timedelta(minutes=1)) for number in range(2000)]
    ahead = forecast(keys, hourly(), START)
    assert not sustained(ahead)
    few = forecast(keys[:3], hourly(), START)
    crowded = replace(few, demand_per_s=ahead.demand_per_s)
    condition = slack_condition(crowded, 0.5)
    assert condition is not None
    assert condition.stage == "not sustained"


def test_a_key_that_is_late_already_is_not_the_paces_doing() -> None:
    """Its source failed for weeks, which has a condition of its own; the lane has all the pace it needs."""
    assert slack_condition(forecast([key(1, left=3 * DAY)], hourly(), START), 0.5) is None


def test_the_pace_that_would_be_enough_is_enough_and_nearly_the_least() -> None:
    """Tried out: with it nobody is tight, with nine tenths of it somebody is."""
    keys = [key(number, left=40 * DAY) for number in range(90)]
    needed = pace_needed(keys, hourly(1 / 12), START, 0.5)
    assert needed is not None

    def enough(per_second: float) -> bool:
        return tight(forecast(keys, hourly(per_second * 3600 * 0.985), START), 0.5) is None

    assert enough(needed)
    assert not enough(needed * 0.85)


def test_the_lead_that_would_be_enough_is_enough() -> None:
    """With every renew_before so much longer, nobody has less left than half of today's."""
    keys = [key(number, left=70 * DAY) for number in range(60)]
    slow = hourly(1 / 12)
    factor = lead_needed(keys, slow, START, 0.5)
    assert factor is not None
    assert factor > 1
    longer = [replace(each, policy=with_lead(each.policy, factor)) for each in keys]
    assert tight(forecast(longer, slow, START), 0.5) is None
    assert tight(forecast(longer, slow, START), 0.5 / factor) is None
    assert tight(forecast(keys, slow, START), 0.5) is not None


def test_no_pace_is_enough_where_windows_take_all_the_time() -> None:
    """Windows that open too late for most of the lead to be left: a faster lane changes nothing, and it says so."""
    yearly = ChangeWindow(cron="0 2 1 * *", lasts=HOUR, time_zone="UTC")
    keys = [key(number, left=29 * DAY, policy=policy(windows=(yearly,))) for number in range(3)]
    assert pace_needed(keys, hourly(), START, 0.9) is None


def test_a_level_load_moves_renewals_earlier_and_never_later() -> None:
    """Forty keys due on one day at two a day: the first begins nineteen days and a half before."""
    ahead = forecast([key(number) for number in range(40)], hourly(1 / 12), START)
    even = level(ahead)
    assert even.moved == even.spread == pytest.approx(39 * 12 * HOUR, abs=timedelta(minutes=1))
    assert (max(even.times), even.too_late) == (START + 30 * DAY, 0)
    gaps = [later - earlier for earlier, later in pairwise(even.times)]
    assert min(gaps) >= 12 * HOUR - timedelta(seconds=1)


def test_the_spread_that_is_suggested_is_in_place_of_the_present_one() -> None:
    """Whoever had a spread of three days already, and wrote down how far a renewal had to move, had a smaller one."""
    keys = [key(number, policy=policy(spread=3 * DAY)) for number in range(40)]
    even = level(forecast(keys, hourly(1 / 12), START))
    assert even.spread > even.moved + DAY
    assert even.spread == pytest.approx(39 * 12 * HOUR, abs=3 * DAY)
    assert spread_helps(keys, hourly(1 / 12), START, 0.5, even.spread)
    assert not spread_helps(keys, hourly(1 / 12), START, 0.5, 3 * DAY)


@pytest.mark.parametrize("spread", [5 * DAY, 7 * DAY], ids=["too much work in the long run", "a whole life"])
def test_a_spread_that_makes_it_worse_helps_nobody(spread: timedelta) -> None:
    """Four hundred keys of a week, at five hundred a week: there is no room for their peak."""
    rules = policy(valid_for=7 * DAY, renew_before=DAY, spread=timedelta(0))
    keys = [key(number, left=7 * DAY, policy=rules) for number in range(400)]
    assert level(forecast(keys, hourly(500 / 168), START)).too_late == 0
    assert not spread_helps(keys, hourly(500 / 168), START, 0.5, spread)


def test_a_level_load_ends_somewhere() -> None:
    """The slowest lane that the config takes, throttled, would have had to begin before the calendar does."""
    quotas = hourly().quotas | {"GetParametersForImport": Quota(per_second=0.001 * 0.01 / 16, burst=1)}
    ahead = forecast([key(number) for number in range(45_000)], lane(quotas=quotas), START)
    even = level(ahead)
    assert len(even.times) == 45_000
    assert even.too_late > 44_000


def test_the_longest_lead_that_is_tried_fits_into_the_calendar() -> None:
    """A policy without an end, and a key that still has one: a lead of forty years was advised."""
    rules = policy(valid_for=NEVER, renew_before=365 * DAY, spread=timedelta(0))
    keys = [key(number, left=300 * DAY, policy=rules) for number in range(2)]
    factor = lead_needed(keys, hourly(1 / 2000), START, 0.9)
    assert factor is not None
    assert factor <= FARTHEST / (365 * DAY)


def test_the_load_counts_every_renewal_once() -> None:
    """In weeks for a fleet of months; what is due, what gets done, and what the lane could do."""
    ahead = forecast([key(number, left=(31 + number) * DAY) for number in range(50)], hourly(), START)
    length, lines = load(ahead)
    assert length == 7 * DAY
    assert sum(line.due for line in lines) == 50
    assert sum(line.level for line in lines) == 50
    assert sum(line.renewed for line in lines) == len(ahead.times) >= 50
    assert lines[0].capacity in (7 * 24 - 1, 7 * 24)


def test_a_sample_at_a_slower_pace_foretells_what_the_whole_fleet_does() -> None:
    """Every fourth of three hundred keys in a lane four times as slow: the same condition, about as many keys."""
    fleet = [key(number) for number in range(300)]
    whole = slack_condition(forecast(fleet, hourly(1 / 2), START), 0.5)
    part = slack_condition(forecast(fleet[::4], slowed(hourly(1 / 2), 4), START), 0.5, every=4)
    assert whole is not None
    assert part is not None
    assert (whole.stage, part.stage) == ("late", "late")
    assert "pace 119 keys will" in whole.detail
    assert "pace about 116 keys will" in part.detail


def test_recovery_is_all_keys_at_the_whole_pace() -> None:
    """A hundred keys at one an hour; those that byokd leaves alone are not brought back."""
    keys = [key(number) for number in range(100)] + [key(200, reason=Reason.HELD.value)]
    assert forecast(keys, hourly(), START).recovery == pytest.approx(100 * HOUR, abs=timedelta(seconds=1))


SLOWED_DOWN = {"GetParametersForImport": LearnedPace(share=0.25, limit=1.0, limited_at=START)}


def test_throttling_slows_the_next_minutes_and_says_nothing_of_the_long_run() -> None:
    """A share of a quarter was taken for the lane's pace for ever: an alarm, and the advice to go slower still."""
    keys = [key(number, left=29 * DAY) for number in range(300)]
    plain, slow = (forecast(keys, hourly(720), START, learned=each) for each in ({}, SLOWED_DOWN))
    crowded = replace(slow, demand_per_s=0.9 * 720 / 3600)
    assert (slow.present_share, plain.present_share) == (0.25, 1.0)
    assert (slow.per_second, slow.recovery, slow.bottleneck) == (plain.per_second, plain.recovery, plain.bottleneck)
    assert sustained(crowded)
    assert slack_condition(crowded, 0.5) is None
    late = [later - earlier for earlier, later in zip(plain.times, slow.times, strict=True)]
    assert late == sorted(late), "it comes back and does not catch up"
    assert timedelta(minutes=1) < late[-1] < timedelta(minutes=3)
    needed = pace_needed(keys, hourly(720), START, 0.5, learned=SLOWED_DOWN)
    assert needed == pytest.approx(0.2 / 0.985), "what there is, and no less"


def test_an_operation_that_was_throttled_slows_imports_only_where_it_is_scarce() -> None:
    """DescribeKey at a sixteenth of a hundred a second is plenty for one import in ten seconds."""
    slow = {"DescribeKey": LearnedPace(share=1 / 16, limit=1.0, limited_at=START)}
    quotas = hourly(360).quotas | {"DescribeKey": Quota(per_second=100.0, burst=100)}
    ahead = forecast([key(1)], lane(quotas=quotas), START, learned=slow)
    assert (ahead.bottleneck, ahead.present_share) == ("GetParametersForImport", 1.0)
    quotas = hourly(360).quotas | {"DescribeKey": Quota(per_second=1.0, burst=100)}
    ahead = forecast([key(1)], lane(quotas=quotas), START, learned=slow)
    assert ahead.bottleneck == "GetParametersForImport"
    assert ahead.present_share == pytest.approx(0.985 / 32 / 0.1)


SCARCE = {
    "the import itself": {"ImportKeyMaterial": 0.05},
    "two looks for each import": {"DescribeKey": 0.1},
    "all of them": {"GetParametersForImport": 0.1, "ImportKeyMaterial": 0.07, "ListKeyRotations": 0.11},
}


@pytest.mark.parametrize("scarce", SCARCE.values(), ids=SCARCE)
def test_the_quotas_that_are_advised_are_those_that_fall_short(scarce: dict[str, float]) -> None:
    """Each in its own requests. It was GetParametersForImport's figure, told of whatever the bottleneck was."""
    rules = policy(valid_for=DAY, renew_before=4 * HOUR, spread=timedelta(0))
    keys = [key(number, left=DAY, policy=rules) for number in range(1000)]
    slow = with_quotas(hourly(900), scarce)
    assert tight(forecast(keys, slow, START), 0.5) is not None
    needed = pace_needed(keys, slow, START, 0.5)
    assert needed is not None
    quotas = quotas_needed(slow, needed)
    assert set(quotas) == set(scarce), "GetParametersForImport has 0.25, which is enough where it is not named"
    assert tight(forecast(keys, with_quotas(slow, quotas), START), 0.5) is None
    assert all(quotas[name] < 4 * 0.15 for name in scarce)


def test_the_scarcest_operation_sets_the_pace() -> None:
    """Each import looks twice; a lane whose DescribeKey is scarcer than its imports goes by that."""
    quotas = hourly(3600).quotas | {"DescribeKey": Quota(per_second=1.0, burst=1)}
    ahead = forecast([key(1)], lane(quotas=quotas), START)
    assert ahead.bottleneck == "DescribeKey"
    assert ahead.per_second == pytest.approx(0.5 * 0.985)


def test_a_short_life_beside_a_long_one_bounds_the_work() -> None:
    """Minutes beside a year: the forecast ends early, says so, and counts nobody as late whom it did not reach."""
    rules = policy(valid_for=20 * timedelta(minutes=1), renew_before=10 * timedelta(minutes=1), renewal_floor=HOUR / 60)
    keys = [key(number, left=timedelta(minutes=15), policy=rules) for number in range(20)]
    ahead = forecast([*keys, key(99, left=365 * DAY)], hourly(3600), START)
    assert ahead.until < START + 365 * DAY
    assert tight(ahead, 0.5) is None
