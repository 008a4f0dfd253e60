"""Laws of change windows, held against a clock that is read minute by minute; through leap days and summer time."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from byokd.decide.windows import longest_closed, openings, opens_at, parse_cron, zone
from byokd.facts.policy import ChangeWindow
from tests.kit.clock import START
from tests.kit.strategies import TIME_ZONES, crons, moments, spans, windows

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
few = settings(deadline=None, max_examples=25)
quick = settings(deadline=None, max_examples=60)


@cache
def wall(time_zone: str, since: datetime, until: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """Each time that a clock on the wall of the zone shows, and when: by looking at it every minute.

    A second reading of the rules of `byokd.decide.windows`, by another way: where the hand jumps forward, what it
    jumped over counts on from there; where it goes back, what comes twice counts once.
    """
    where, shown = zone(time_zone), []
    at, latest = since, (since - MINUTE).astimezone(where).replace(tzinfo=None)
    before = latest
    while at <= until:
        local = at.astimezone(where).replace(tzinfo=None)
        shown += [(before + n * MINUTE, at + (n - 1) * MINUTE) for n in range(1, (local - before) // MINUTE)]
        if local > latest:
            shown.append((local, at))
        before, latest = local, max(local, latest)
        at += MINUTE
    return tuple(shown)


def ticks(window: ChangeWindow, since: datetime, until: datetime) -> list[datetime]:
    """When the window's cron says to open."""
    cron, shown = parse_cron(window.cron), wall(window.time_zone, since, until)
    return [at for local, at in shown if 60 * local.hour + local.minute in cron.minutes and cron.on(local.date())]


ODD_DAYS = {
    "Berlin, an hour skipped": ("Europe/Berlin", "2026-03-28"),
    "Berlin, an hour doubled": ("Europe/Berlin", "2026-10-24"),
    "New York, skipped": ("America/New_York", "2026-03-07"),
    "New York, doubled": ("America/New_York", "2026-10-31"),
    "Lord Howe, half an hour": ("Australia/Lord_Howe", "2026-04-04"),
    "Lord Howe, half an hour skipped": ("Australia/Lord_Howe", "2026-10-03"),
    "Troll, two hours": ("Antarctica/Troll", "2026-03-28"),
    "Santiago, at midnight": ("America/Santiago", "2026-09-05"),
    "Santiago, doubled at midnight": ("America/Santiago", "2026-04-04"),
    "Apia, the day that never was": ("Pacific/Apia", "2011-12-29"),
    "the leap day": ("Asia/Kathmandu", "2028-02-28"),
    "a year that is none": ("UTC", "2100-02-28"),
}


@pytest.mark.parametrize(("time_zone", "day"), ODD_DAYS.values(), ids=ODD_DAYS)
@few
@given(crons, st.integers(1, 300))
def test_the_odd_days_of_the_calendar(time_zone: str, day: str, cron: str, minutes: int) -> None:
    """Whatever the clock does on such a day: open is what the wall says, and it opens neither twice nor never."""
    window = ChangeWindow(cron=cron, lasts=minutes * MINUTE, time_zone=time_zone)
    since = datetime.fromisoformat(day).replace(tzinfo=UTC)
    until = since + 2 * DAY
    begun = ticks(window, since - DAY, until + DAY)
    found = list(openings((window,), since=since, until=until))

    for opens, closes in found:
        assert opens in begun or opens < since - DAY
        assert closes - opens >= window.lasts
    for tick in begun:
        if since <= tick <= until:
            assert any(opens <= tick and tick + window.lasts <= closes for opens, closes in found), tick


@quick
@given(windows, moments, st.integers(0, 40))
def test_openings_are_in_order_apart_and_asked_for(some: tuple[ChangeWindow, ...], since: datetime, days: int) -> None:
    """What comes out overlaps the time asked about, and no two touch each other."""
    until = since + days * DAY
    found = list(openings(some, since=since, until=until))

    assert all(since < closes and opens <= until and opens < closes for opens, closes in found)
    assert all(one[1] < other[0] for one, other in pairwise(found))
    assert bool(some) or not found


@quick
@given(windows, moments, st.integers(0, 40), st.integers(0, 40))
def test_asking_for_less_shows_the_same(
    some: tuple[ChangeWindow, ...], since: datetime, first: int, second: int
) -> None:
    """Whether somebody asks about a week or about two, its openings are the same ones."""
    cut, until = since + first * DAY, since + (first + second) * DAY
    whole = list(openings(some, since=since, until=until))
    part = list(openings(some, since=since, until=cut))

    # The last one may be met by another that begins later than was asked about.
    assert part[:-1] == whole[: len(part)][:-1]
    assert not part or part[-1][0] == whole[len(part) - 1][0]


@quick
@given(windows, moments, st.integers(0, 30), st.integers(0, 30 * 86_400))
def test_waiting_for_a_window_is_monotone_and_ends(
    some: tuple[ChangeWindow, ...], now: datetime, days: int, later: int
) -> None:
    """It opens no earlier for who comes later, `by` is the latest, and who waited until then need not wait again."""
    by = now + days * DAY
    opens = opens_at(some, now, by=by)
    moved = now + timedelta(seconds=later)

    assert now <= opens <= max(now, by)
    assert opens_at(some, opens, by=by) == opens
    if moved <= opens:
        assert opens_at(some, moved, by=by) == opens
    else:
        assert opens_at(some, moved, by=max(moved, by)) >= opens
    assert some or opens == now


sparse = st.lists(
    st.builds(
        lambda cron, hours, where: ChangeWindow(cron=cron, lasts=timedelta(hours=hours), time_zone=where),
        st.sampled_from(
            ["0 2 * * sat", "30 2 * * *", "0 0 1 */3 *", "15 1,14 * * mon-fri", "0 0 31 2 *", "5 4 29 2 *"]
        ),
        st.integers(1, 30),
        st.sampled_from(TIME_ZONES),
    ),
    max_size=2,
).map(tuple)


@few
@given(sparse)
@example((ChangeWindow(cron="0 0 29 2 *", lasts=MINUTE, time_zone="UTC"),))
@example((ChangeWindow(cron="30 2 * * *", lasts=DAY, time_zone="UTC"),))
def test_the_longest_time_without_a_window_is_the_longest(some: tuple[ChangeWindow, ...]) -> None:
    """In the three years that are judged, no wait is longer; one is as long, or goes on after them."""
    longest, or_more = longest_closed(some)
    since, until = datetime(2027, 1, 1, tzinfo=UTC), datetime(2029, 12, 31, tzinfo=UTC)
    found = list(openings(some, since=since, until=until))
    if not found:
        assert (longest, or_more) == (until - since, True)
        return
    waits = [second[0] - first[1] for first, second in pairwise(found)]
    last = until - found[-1][1]
    assert max(waits, default=timedelta(0)) <= longest
    assert longest == last if or_more else longest in (waits or [timedelta(0)])


@quick
@given(crons, st.dates(date(2020, 1, 1), date(2040, 12, 31)))
def test_a_cron_is_read_once_and_for_all(text: str, day: date) -> None:
    """Case and blanks do not matter, minutes are those of one day, and a day is named or not."""
    cron = parse_cron(text)

    assert parse_cron(f"  {text.upper()}\t") == cron
    assert list(cron.minutes) == sorted(set(cron.minutes))
    assert 0 <= cron.minutes[0] <= cron.minutes[-1] < 24 * 60
    assert isinstance(cron.on(day), bool)


@quick
@given(crons)
@example("0 2 30 2 *")
@example("0 2 29 2 *")
@example("0 2 31 2,4,6,9,11 *")
@example("0 2 31 2 sat")
@example("* * */10 6 sat")
@example("0 2 29 2 */7")
def test_a_cron_that_is_ever_on_is_so_within_28_years(text: str) -> None:
    """Dates fall on the same days of the week again after 28 years; in four, no 1, 11 or 21 June need be a Saturday."""
    cron = parse_cron(text)
    assert cron.ever() == any(cron.on(date(2026, 1, 1) + n * DAY) for n in range(28 * 365 + 7))


@quick
@given(st.one_of(st.text(max_size=30), st.lists(st.text("0123456789*/,-abc", max_size=6), max_size=6).map(" ".join)))
def test_any_text_is_a_cron_or_is_told_why_not(text: str) -> None:
    """Reading raises a `ValueError` and nothing else."""
    with suppress(ValueError):
        assert parse_cron(text).minutes


@quick
@given(st.one_of(st.text(max_size=30), st.sampled_from(TIME_ZONES)))
def test_any_text_is_a_time_zone_or_is_told_why_not(name: str) -> None:
    """Likewise for names, whatever a file system would make of them."""
    with suppress(ValueError):
        assert zone(name).utcoffset(START.replace(tzinfo=None)) is not None


@quick
@given(windows, moments, spans)
def test_no_window_moves_a_deadline(some: tuple[ChangeWindow, ...], now: datetime, left: timedelta) -> None:
    """Windows hold work back until the time that is given, which is in UTC, and not a second longer."""
    assert opens_at(some, now, by=now + left) <= now + left
