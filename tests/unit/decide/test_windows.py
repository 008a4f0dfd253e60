"""Change windows: cron and time zones, the two odd days of the year, and what a due key makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byokd.decide.decide import decide
from byokd.decide.windows import longest_closed, openings, opens_at, parse_cron, zone
from byokd.facts.key import ABSENT
from byokd.facts.ledger import OrderKind, Proved, Tier
from byokd.facts.policy import ChangeWindow
from byokd.facts.snapshot import Decision, ImportWanted, Reason
from tests.kit.builders import DAY, FINGERPRINT, desired, ledger, observed, order, policy, queued, snapshot
from tests.kit.clock import START

HOUR = timedelta(hours=1)
SATURDAYS = ChangeWindow(cron="0 2 * * sat", lasts=4 * HOUR, time_zone="Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opened(window: ChangeWindow, since: str, until: str) -> list[str]:
    """The openings as `day hour-hour`, in UTC."""
    found = openings((window,), since=at(since), until=at(until))
    return [f"{opens:%m-%d %H:%M}-{closes:%H:%M}" for opens, closes in found]


CRONS = {
    "every minute": ("* * * * *", "2026-03-01", 1440),
    "once a day": ("30 2 * * *", "2026-03-01", 1),
    "a list and a range with a step": ("0,30 8-16/4 * * *", "2026-03-01", 6),
    "a step from a number on": ("0 20/2 * * *", "2026-03-01", 2),
    "names": ("0 2 * mar sun", "2026-03-01", 1),
    "the other Sunday": ("0 2 * * 7", "2026-03-01", 1),
    "another day of the week": ("0 2 * * mon-sat", "2026-03-01", 0),
    "either of two days that are restricted": ("0 2 13 * sun", "2026-03-01", 1),
    "the other of the two": ("0 2 13 * sun", "2026-03-13", 1),
    "neither of the two": ("0 2 13 * sun", "2026-03-14", 0),
    "both where one is not": ("0 2 */2 * sun", "2026-03-02", 0),
    "a leap day": ("0 2 29 2 *", "2028-02-29", 1),
}


WEEKS = {
    "sun": "sun",
    "0": "sun",
    "7": "sun",
    "sun-tue": "sun mon tue",
    "fri-sun": "sun fri sat",
    "5-7": "sun fri sat",
    "sat-sun": "sun sat",
    "3-sun/2": "sun wed fri",
    "sun-sun": "sun",
    "mon,sat-sun": "sun mon sat",
}


@pytest.mark.parametrize(("text", "named"), WEEKS.items(), ids=WEEKS)
def test_sunday_begins_a_week_and_ends_one(text: str, named: str) -> None:
    """`fri-sun` was refused, though `5-7` was taken: by its name, Sunday was the first day of a week alone."""
    days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
    assert [days[each] for each in sorted(parse_cron(f"0 22 * * {text}").weekdays)] == named.split()


@pytest.mark.parametrize(("text", "day", "times"), CRONS.values(), ids=CRONS)
def test_a_cron_means_what_crontab_says(text: str, day: str, times: int) -> None:
    """Five fields, with lists, ranges, steps and names; either day where both are restricted."""
    cron = parse_cron(text)
    assert (len(cron.minutes) if cron.on(datetime.fromisoformat(day).date()) else 0) == times


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "0 fields"),
        ("0 2 * *", "4 fields"),
        ("60 2 * * *", "'60' is no minute: from 0 to 59"),
        ("0 2 0 * *", "'0' is no day: from 1 to 31"),
        ("0 2 * * someday", "'someday' is no day of week"),
        ("0 2 * * fri-mon", "names no day of week"),
        ("0 2 * * 5-0", "names no day of week"),
        ("0 2 * nov-jan *", "names no month"),
        ("*/0 2 * * *", "names no minute"),
        ("0 2 L * *", "'l' is no day"),
        ("0 2 * * sat,", "'' is no day of week"),
        ("@daily", "1 fields"),
    ],
)
def test_a_cron_that_is_none_is_told(text: str, says: str) -> None:
    """What is wrong is said in words, and nothing is guessed."""
    with pytest.raises(ValueError, match=says):
        parse_cron(text)


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "../../etc/passwd", "Europe", "\0"])
def test_a_zone_that_is_none_is_told(name: str) -> None:
    """A name that the time zone database does not have is refused, whatever the file system makes of it."""
    with pytest.raises(ValueError, match="no time zone"):
        zone(name)


@pytest.mark.parametrize("name", ["localtime", "posixrules", "Factory"])
def test_a_zone_that_is_another_on_each_machine_is_told(name: str) -> None:
    """They lie among the time zones and were taken for ones: the same text gave other moments on another host."""
    with pytest.raises(ValueError, match=f"'{name}' is the time zone of no place"):
        zone(name)


DAYS = {
    "winter": ("0 2 * * *", "2026-02-10", "2026-02-10T12:00", ["02-10 01:00-05:00"]),
    "summer": ("0 2 * * *", "2026-07-10", "2026-07-10T12:00", ["07-10 00:00-04:00"]),
    # Berlin, 2026-03-29: 02:00 is followed by 03:00. 2026-10-25: 03:00 is followed by 02:00.
    "the day with a skipped hour, before it": (
        "0 1 * * *",
        "2026-03-28T12:00",
        "2026-03-29T12:00",
        ["03-29 00:00-04:00"],
    ),
    "a time that is skipped": ("30 2 * * *", "2026-03-28T12:00", "2026-03-29T12:00", ["03-29 01:30-05:30"]),
    "after the skipped hour": ("0 4 * * *", "2026-03-28T12:00", "2026-03-29T12:00", ["03-29 02:00-06:00"]),
    "a time that comes twice": ("30 2 * * *", "2026-10-24T12:00", "2026-10-25T12:00", ["10-25 00:30-04:30"]),
    "after the doubled hour": ("0 4 * * *", "2026-10-24T12:00", "2026-10-25T12:00", ["10-25 03:00-07:00"]),
    "open at midnight": ("0 22 * * *", "2026-02-10T00:00", "2026-02-10T12:00", ["02-09 21:00-01:00"]),
    "overlapping times are one opening": ("0 2,4,5 * * *", "2026-02-10", "2026-02-10T12:00", ["02-10 01:00-08:00"]),
}


@pytest.mark.parametrize(("cron", "since", "until", "expected"), DAYS.values(), ids=DAYS)
def test_windows_open_by_local_time_and_last_in_real_time(
    cron: str, since: str, until: str, expected: list[str]
) -> None:
    """Four hours are four hours; a skipped time comes an hour late by the clock, a doubled one comes once."""
    window = ChangeWindow(cron=cron, lasts=4 * HOUR, time_zone="Europe/Berlin")
    assert opened(window, since, until) == expected


@pytest.mark.parametrize("cron", ["*/20 * * * *", "15 2 * * *", "0 0 * * sun", "45 2,3 * * *"])
@pytest.mark.parametrize("time_zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"])
def test_openings_are_in_order_and_apart_over_a_whole_year(cron: str, time_zone: str) -> None:
    """Through both changes of the clock, openings neither overlap nor go back, and last as long as said."""
    window = ChangeWindow(cron=cron, lasts=timedelta(minutes=10), time_zone=time_zone)
    found = list(openings((window,), since=at("2026-01-01"), until=at("2027-01-01")))
    assert len(found) >= 51
    assert all(closes - opens >= window.lasts for opens, closes in found)
    assert all(one[1] < other[0] for one, other in pairwise(found))


def test_what_is_together_by_the_clock_is_an_hour_apart_on_a_long_day() -> None:
    """A window of every minute was taken for one of 24 hours from midnight on: on the day of 25 it closed at 23:00.

    The hour that the clock doubles is passed over the second time, as ever.
    """
    always = ChangeWindow(cron="* * * * *", lasts=timedelta(minutes=1), time_zone="Europe/Berlin")
    assert opened(always, "2026-10-24T12:00", "2026-10-26T12:00") == ["10-23 22:00-01:00", "10-25 02:00-23:00"]
    nights = ChangeWindow(cron="*/30 0-3 * * *", lasts=timedelta(minutes=30), time_zone="Europe/Berlin")
    assert opened(nights, "2026-03-28T12:00", "2026-03-29T12:00") == ["03-28 23:00-02:00"]


def test_two_windows_that_meet_are_one_opening() -> None:
    """Whoever asks is not told of an end that is none."""
    evening = ChangeWindow(cron="0 22 * * *", lasts=2 * HOUR, time_zone="UTC")
    night = ChangeWindow(cron="0 0 * * *", lasts=3 * HOUR, time_zone="UTC")
    (only,) = openings((evening, night), since=at("2026-02-10T12:00"), until=at("2026-02-11T06:00"))
    assert only == (at("2026-02-10T22:00"), at("2026-02-11T03:00"))


def test_bounds_of_a_window() -> None:
    """It is open at its first second and closed at its last; without windows it is always open."""
    opens, closes = at("2026-03-07T01:00"), at("2026-03-07T05:00")
    by = at("2026-03-30")
    second = timedelta(seconds=1)
    assert opens_at((SATURDAYS,), opens - second, by=by) == opens
    assert opens_at((SATURDAYS,), opens, by=by) == opens
    assert opens_at((SATURDAYS,), closes - second, by=by) == closes - second
    assert opens_at((SATURDAYS,), closes, by=by) == opens + 7 * DAY
    assert opens_at((SATURDAYS,), closes, by=closes + HOUR) == closes + HOUR
    assert opens_at((), closes, by=by) == closes


CLOSED = {
    "every day": (("0 2 * * *",), timedelta(hours=21), False),
    "every minute": (("* * * * *",), timedelta(0), False),
    "twice a day, by two windows": (("0 2 * * *", "0 14 * * *"), timedelta(hours=9), False),
    "once a week": (("0 2 * * sat",), timedelta(days=6, hours=21), False),
    "on a leap day": (("0 0 29 2 *",), timedelta(days=670, hours=21), True),
    "never": (("0 0 31 2 *",), timedelta(days=3 * 365), True),
}


@pytest.mark.parametrize(("crons", "time", "or_more"), CLOSED.values(), ids=CLOSED)
def test_the_longest_time_without_a_window(crons: tuple[str, ...], time: timedelta, or_more: bool) -> None:
    """What a policy's windows must be held against: between two of them, nothing routine can begin.

    What only the end of the years that are judged cuts short was told as the longest: leap days are four years apart.
    """
    windows = tuple(ChangeWindow(cron=cron, lasts=3 * HOUR, time_zone="UTC") for cron in crons)
    assert longest_closed(windows) == (time, or_more)


# -- what decide makes of them ----------------------------------------------------------------------------------------

# Sunday 2026-03-01 12:00Z; the next Saturday's window opens on 2026-03-07 at 01:00Z.
CONFINED = desired(policy=policy(windows=(SATURDAYS,)))
OPENS = at("2026-03-07T01:00")


def decided(left: timedelta, now: datetime = START, **changes: Any) -> Decision:
    known = ledger(last_expiry=START + left, **changes)
    return decide(snapshot(desired=CONFINED, view=observed(valid_to=START + left), ledger=known), now)


def test_a_due_renewal_waits_for_its_window() -> None:
    """It does nothing, says until when, and is awake when the window opens."""
    decision = decided(29 * DAY)
    assert decision.reason is Reason.WAITS_FOR_WINDOW
    assert decision.action is ABSENT
    assert decision.message == "is due; waits for its change window at 2026-03-07 01:00:00Z"
    assert decision.wake_at <= OPENS


def test_inside_the_window_it_is_renewed() -> None:
    """From the first second to the last, and not a second longer."""
    proved = snapshot(desired=CONFINED, view=observed(valid_to=START + 29 * DAY))
    for now, expected in (
        (OPENS - timedelta(seconds=1), Reason.WAITS_FOR_WINDOW),
        (OPENS, Reason.RENEWAL_DUE),
        (OPENS + 4 * HOUR - timedelta(seconds=1), Reason.RENEWAL_DUE),
        (OPENS + 4 * HOUR, Reason.WAITS_FOR_WINDOW),
    ):
        assert decide(proved, now).reason is expected


@pytest.mark.parametrize(("left", "tier"), [(14 * DAY, Tier.URGENT), (4 * DAY, Tier.EMERGENCY)])
def test_what_is_urgent_ignores_the_window_and_says_so(left: timedelta, tier: Tier) -> None:
    """Half of the lead is gone: the deadline counts, and a person can read why this happens on a Sunday."""
    decision = decided(left)
    assert decision.tier is tier
    assert isinstance(decision.action, ImportWanted)
    assert f"({tier.value}, outside its change windows)" in decision.message


def test_lapsed_material_and_orders_ignore_the_window() -> None:
    """What is broken is healed now, and says so; what a person orders is done now."""
    assert decided(-HOUR).reason is Reason.LAPSED
    assert decided(-HOUR).message == "its ValidTo has passed; waits for no change window"
    assert decided(-HOUR, OPENS).message == "its ValidTo has passed"
    assert decided(29 * DAY, open_orders=(order(OrderKind.IMPORT),)).reason is Reason.ORDERED


def test_a_window_that_does_not_come_in_time_is_not_waited_for() -> None:
    """The key wakes when it becomes urgent, and says that no window comes before."""
    decision = decided(timedelta(days=15, hours=1))
    assert decision.reason is Reason.WAITS_FOR_WINDOW
    assert "no change window opens before it is urgent, at 2026-03-01 13:00:00Z" in decision.message
    assert decision.wake_at == START + HOUR


def test_a_queued_row_outlives_the_end_of_the_window() -> None:
    """The lane did not get to it while the window was open: the row waits for the next one and is not cancelled."""
    assert decided(29 * DAY, open_import=queued()).cancel == ""


windows = st.lists(
    st.builds(
        ChangeWindow,
        cron=st.sampled_from(["0 2 * * sat", "*/20 * * * *", "30 2 * * *", "0 0 31 2 *", "0 12 1 * mon"]),
        lasts=st.integers(60, 7 * 86_400).map(lambda seconds: timedelta(seconds=seconds)),
        time_zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    ),
    max_size=3,
).map(tuple)


@given(windows, st.integers(-40 * 86_400, 100 * 86_400), st.integers(0, 365 * 86_400))
def test_no_windows_put_off_what_is_urgent_or_let_anybody_oversleep(
    some: tuple[ChangeWindow, ...], left_s: int, later_s: int
) -> None:
    """Whatever the windows are: from urgent on the key is imported, and before it somebody is awake in time."""
    now = START + timedelta(seconds=later_s)
    left = timedelta(seconds=left_s)
    seen = observed(at=now, valid_to=now + left)
    known = ledger(last_expiry=now + left, last_success_at=now - 60 * DAY)
    fresh = Proved(at=now, fingerprint=FINGERPRINT, length=32)
    decision = decide(snapshot(desired=desired(policy=policy(windows=some)), view=seen, ledger=known, proof=fresh), now)
    assert now < decision.wake_at
    if decision.tier in (Tier.URGENT, Tier.EMERGENCY, Tier.LAPSED):
        assert isinstance(decision.action, ImportWanted)
    elif decision.reason is Reason.WAITS_FOR_WINDOW:
        assert decision.wake_at <= now + left - 15 * DAY
