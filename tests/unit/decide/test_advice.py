"""What a forecast costs and how far it goes, and what its figures are to the last one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from byokd.decide.advice import level, load, most_imports, slack_condition, spread_helps
from byokd.decide.case import LONGEST
from byokd.decide.forecast import forecast, round_s, steps_ahead
from byokd.facts.key import ABSENT
from byokd.facts.policy import OnLoss
from tests.kit.builders import DAY, policy
from tests.kit.clock import START
from tests.kit.futures import hourly, key

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
WEEKLY = policy(valid_for=7 * DAY, renew_before=DAY)


def test_a_small_fleet_is_followed_to_its_last_deadline() -> None:
    """Weeks beside a year: the steps that a forecast may take are many, however few keys there are."""
    keys = [*(key(number, left=7 * DAY, policy=WEEKLY) for number in range(3)), key(99, left=364 * DAY)]
    ahead = forecast(keys, hourly(60), START)
    assert ahead.until == START + 364 * DAY
    assert len(ahead.times) == pytest.approx(3 * 364 / 6, abs=6)
    assert steps_ahead(keys, START) == pytest.approx(len(ahead.times), abs=6)


ROUNDS = {
    "the life less the lead and half of the spread": ({"spread": 4 * DAY}, 58 * DAY),
    "no longer than is asked of KMS": ({"valid_for": 500 * DAY}, LONGEST - 30 * DAY),
    "no shorter than the floor": ({"valid_for": 2 * HOUR, "renew_before": 1.5 * HOUR}, HOUR),
    "no shorter than a second": ({"renewal_floor": timedelta(0), "spread": 200 * DAY}, SECOND),
}


@pytest.mark.parametrize(("changes", "length"), ROUNDS.values(), ids=ROUNDS)
def test_from_one_renewal_to_the_next(changes: dict[str, Any], length: timedelta) -> None:
    """On average, and so what a key asks for in the long run."""
    assert round_s(policy(**changes)) == length.total_seconds()


LEFT = {
    "half of the lead": (60 * DAY, 15 * DAY, 0.5, None),
    "a second less": (60 * DAY, 15 * DAY - SECOND, 0.5, "late"),
    "a second": (60 * DAY, SECOND, 0.5, "late"),
    "nothing": (60 * DAY, timedelta(0), 0.5, "missed"),
    "less than nothing": (60 * DAY, -SECOND, 0.5, "missed"),
    "late already": (15 * DAY, 15 * DAY - SECOND, 0.5, None),
    "not late yet": (15 * DAY + SECOND, 15 * DAY - SECOND, 0.5, "late"),
    "late already, and to be missed": (15 * DAY, timedelta(0), 0.5, "missed"),
    "never, in a forecast that goes far enough": (60 * DAY, None, 0.5, "missed"),
    "a second, where that is enough": (60 * DAY, SECOND, 0.0, None),
    "nothing, where a second is enough": (60 * DAY, timedelta(0), 0.0, "missed"),
    "never, where a second is enough": (60 * DAY, None, 0.0, "missed"),
}


@pytest.mark.parametrize(("left", "slack", "least", "stage"), LEFT.values(), ids=LEFT)
def test_people_are_told_from_the_second_on(
    left: timedelta, slack: timedelta | None, least: float, stage: str | None
) -> None:
    """Of less than the lane's share of the lead, and of nothing left; not of a key that something else made late.

    With a threshold of 0 % nobody heard of keys that would never be renewed: no slack is not less than none.
    """
    ahead = forecast([key(1, left=left)], hourly(), START)
    renewed_at = ABSENT if slack is None else START + left - slack
    (renewal,) = ahead.renewals
    found = slack_condition(replace(ahead, renewals=(replace(renewal, renewed_at=renewed_at),)), least)
    assert (found.stage if found else None) == stage
    beyond = replace(renewal, renewed_at=ABSENT, beyond=True)
    assert slack_condition(replace(ahead, renewals=(beyond,)), least) is None


LINES = {
    "nothing ahead": (timedelta(0), MINUTE, 1),
    "forty minutes": (40 * MINUTE, MINUTE, 40),
    "a second more": (40 * MINUTE + SECOND, 10 * MINUTE, 5),
    "forty weeks": (280 * DAY, 7 * DAY, 40),
    "a year and more": (400 * DAY, 28 * DAY, 15),
}


@pytest.mark.parametrize(("span", "length", "count"), LINES.values(), ids=LINES)
def test_the_load_is_told_in_the_shortest_lines_that_are_few(span: timedelta, length: timedelta, count: int) -> None:
    """Forty at most, and what a lane gets done in one of them follows its length."""
    found, lines = load(replace(forecast([], hourly(120), START), until=START + span))
    assert (found, len(lines)) == (length, count)
    assert [each.starts_at for each in lines] == [START + number * length for number in range(count)]
    assert all(each.capacity == pytest.approx(120 * length / HOUR, abs=1) for each in lines)


def test_each_renewal_is_counted_in_its_own_line() -> None:
    """A line begins with its first second; what lies beyond the last one is counted there."""
    ahead = forecast([key(1)], hourly(), START)
    due = [timedelta(0), MINUTE - SECOND, MINUTE, 2 * MINUTE, DAY]
    renewals = tuple(replace(ahead.renewals[0], due_at=START + each) for each in due)
    times = tuple(START + each for each in due)
    _, lines = load(replace(ahead, renewals=renewals, times=times, until=START + 3 * MINUTE, per_second=1.0))
    assert [each.due for each in lines] == [2, 1, 2]
    assert [each.renewed for each in lines] == [2, 1, 2]


def test_the_one_that_cannot_begin_earlier_is_too_late() -> None:
    """Three are due in an hour, of a lane of one in an hour: two begin earlier, and of those one would have had to."""
    keys = [key(number, left=30 * DAY + HOUR) for number in range(3)]
    even = level(forecast(keys, hourly(), START))
    hours = [(each - START) / HOUR for each in even.times]
    assert hours == pytest.approx([-1, 0, 1], abs=0.001)
    even = level(replace(forecast(keys, hourly(), START), per_second=1 / 3600))
    assert (even.too_late, even.moved, even.spread) == (1, HOUR, HOUR)


def test_a_spread_fits_to_the_second() -> None:
    """Beside lead and floor a life has room for it, and for one second."""
    room = 60 * DAY - HOUR - SECOND
    assert spread_helps([key(1)], hourly(), START, 0.5, room)
    assert not spread_helps([key(1)], hourly(), START, 0.5, room + SECOND)


def test_who_does_not_move_needs_no_wider_spread() -> None:
    """The spread that a key has already is no advice."""
    assert level(forecast([key(1, policy=policy(spread=3 * DAY))], hourly(), START)).spread == timedelta(0)


def test_the_most_that_a_lane_can_be_given_is_its_share() -> None:
    """Of two looks for each import, at ten thousand a second of which half is the lane's."""
    assert most_imports(replace(hourly(), quota_share=0.5)) == 2500.0


@pytest.mark.parametrize(("on_lapse", "renewed"), [(OnLoss.HEAL, 90), (OnLoss.REPORT, 60)])
def test_what_is_only_reported_once_it_lapsed_is_renewed_before(on_lapse: OnLoss, renewed: int) -> None:
    """Ninety keys on one day at two a day: thirty lapse, and are renewed after that or never."""
    keys = [key(number, left=40 * DAY, policy=policy(on_lapse=on_lapse)) for number in range(90)]
    ahead = forecast(keys, hourly(1 / 12), START)
    assert sum(each.renewed_at is not ABSENT for each in ahead.renewals) == pytest.approx(renewed, abs=1)
