"""Change windows: the times in which routine renewals may begin, from cron and a time zone to moments in UTC.

    cron 0 2 * * sat, for 4h, Europe/Berlin      ...│Fri │Sat ▓▓▓▓▓▓      │Sun │...
                                                         02:00  06:00      (local)

A window opens whenever its cron says so and stays open for `lasts` of real time. Only the tier DUE waits for one: from
URGENT on, the deadline alone counts. Without any window a policy is open at all times.

Daylight saving. A time that the clock skips counts as long after the hour before as ever (02:30 that does not exist is
03:30); a time that it doubles opens once, at the first. `lasts` is elapsed time, so that a window of four hours is four
hours long on both days. Deadlines are in UTC and know nothing of all this.

The cron is that of crontab(5): minute, hour, day of month, month, day of week (0 and 7 are Sunday); where both days are
restricted, either will do. This file reads the time zone database and nothing else: the same text gives the same
moments everywhere.
"""

from __future__ import annotations

import heapq
import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from byokd.facts.policy import ChangeWindow

_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ITEM: Final = re.compile(r"(?:(?P<all>\*)|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>[0-9]{1,4}))?", re.ASCII)
_OF_NO_PLACE: Final = ("localtime", "posixrules", "Factory")
"""Files beside those of the time zones: the machine's own zone, a rule for others, and a zone for who has set none."""
_LEAP_YEAR: Final = 2028
_JUDGED: Final = (date(2027, 1, 1), 3 * 365)
"""Over which days `longest_closed` looks: three years with a leap day among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A cron expression, read."""

    minutes: tuple[int, ...]
    """Minutes of the day, ascending."""
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either_day: bool
    """Whether a day needs only one of day of month and day of week, since both are restricted."""

    def on(self, day: date) -> bool:
        """Whether it names this day."""
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (of_month or of_week if self.either_day else of_month and of_week)

    def ever(self) -> bool:
        """Whether it names any day that exists: 31 February is none."""
        return self.either_day or min(self.days) <= max(monthrange(_LEAP_YEAR, month)[1] for month in self.months)


@lru_cache(maxsize=1024)
def parse_cron(text: str) -> Cron:
    """Read five fields of crontab(5): `*`, numbers, names, ranges, lists and steps.

    Raises: ValueError, with what is wrong in words.
    """
    fields = text.lower().split()
    if len(fields) != 5:
        raise ValueError(f"has {len(fields)} fields in place of five: minute, hour, day, month, day of week")
    minutes = _field("minute", fields[0], 0, 59)
    hours = _field("hour", fields[1], 0, 23)
    weekdays = _field("day of week", fields[4], 0, 7, _WEEKDAYS)
    return Cron(
        minutes=tuple(60 * hour + minute for hour in sorted(hours) for minute in sorted(minutes)),
        days=_field("day", fields[2], 1, 31),
        months=_field("month", fields[3], 1, 12, _MONTHS),
        weekdays=frozenset(each % 7 for each in weekdays),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
    )


def _field(name: str, text: str, lowest: int, highest: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} is no {name}")
        low = lowest if match["all"] else _number(name, match["low"], lowest, highest, names)
        high = _number(name, match["high"], lowest, highest, names) if match["high"] else low
        step = int(match["step"] or 1)
        if match["all"] or (match["step"] and not match["high"]):
            high = highest
        if high < low and match["high"] in names[-1:]:
            high = highest  # Sunday begins a week and ends one: fri-sun is 5-7
        if step == 0 or high < low:
            raise ValueError(f"{item!r} names no {name}")
        found.update(range(low, high + 1, step))
    return frozenset(found)


def _number(name: str, text: str, lowest: int, highest: int, names: tuple[str, ...]) -> int:
    number = int(text) if text.isdigit() else names.index(text) + lowest if text in names else -1
    if not lowest <= number <= highest:
        raise ValueError(f"{text!r} is no {name}: from {lowest} to {highest}")
    return number


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """The time zone of this name in the time zone database, e.g. `Europe/Berlin`.

    Raises: ValueError for a name that is not there, or that does not mean the same on every machine.
    """
    if name == "UTC":
        return UTC
    if name.rpartition("/")[2] in _OF_NO_PLACE:
        raise ValueError(f"{name!r} is the time zone of no place, and may be another one on each machine")
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as unknown:  # not there, no such file, or not a name at all
        raise ValueError(f"{name!r} is no time zone that this machine knows") from unknown


Opening = tuple[datetime, datetime]
"""When a window opens (inclusive) and closes (exclusive), in UTC."""


def openings(windows: tuple[ChangeWindow, ...], *, since: datetime, until: datetime) -> Iterator[Opening]:
    """The times in which one of the windows is open, in order and apart, that end after `since` and begin by `until`.

    Nothing comes out where there are no windows: whoever asks must know that this means "always".
    """
    opened: Opening | None = None
    for opens, closes in heapq.merge(*(_each(window, since, until) for window in windows)):
        if opened is not None and opens <= opened[1]:
            opened = opened[0], max(closes, opened[1])
            continue
        if opened is not None:
            yield opened
        opened = opens, closes
    if opened is not None:
        yield opened


def _each(window: ChangeWindow, since: datetime, until: datetime) -> Iterator[Opening]:
    cron, where = parse_cron(window.cron), zone(window.time_zone)
    day, last = (since - window.lasts - _DAY).astimezone(where).date(), (until + _DAY).astimezone(where).date()
    while day <= last:
        if cron.on(day):
            runs = _runs(window)
            if _moment(day + _DAY, 0, where) - _moment(day, 0, where) != _DAY:
                # On a day of 23 or 25 hours, what is together by the clock may be an hour apart, or the reverse.
                runs = tuple((minute, window.lasts) for minute in cron.minutes)
            # Sorted: on a day that skips an hour, a skipped time comes after times that are later by the clock.
            for opens, lasts in sorted((_moment(day, start, where), lasts) for start, lasts in runs):
                if opens + lasts > since and opens <= until:
                    yield opens, opens + lasts
        day += _DAY


def _moment(day: date, minute: int, where: tzinfo) -> datetime:
    # fold=0 is the rule of the module's docstring: the first of two, and the offset from before the gap.
    return datetime.combine(day, time(minute // 60, minute % 60), tzinfo=where).astimezone(UTC)


@lru_cache(maxsize=1024)
def _runs(window: ChangeWindow) -> tuple[tuple[int, timedelta], ...]:
    """The window's times of a day, as minute and duration; times that overlap are one, so that many cost no more."""
    runs: list[tuple[int, timedelta]] = []
    for minute in parse_cron(window.cron).minutes:
        if runs and (minute - runs[-1][0]) * _MINUTE <= runs[-1][1]:
            runs[-1] = runs[-1][0], (minute - runs[-1][0]) * _MINUTE + window.lasts
        else:
            runs.append((minute, window.lasts))
    return tuple(runs)


def opens_at(windows: tuple[ChangeWindow, ...], now: datetime, *, by: datetime) -> datetime:
    """When routine work may begin, from `now` on: `now` itself while a window is open, and `by` at the latest."""
    if not windows or by <= now:
        return now
    first = next(openings(windows, since=now, until=by), None)
    return by if first is None else min(by, max(now, first[0]))


@lru_cache(maxsize=256)
def longest_closed(windows: tuple[ChangeWindow, ...]) -> tuple[timedelta, bool]:
    """How long all the windows can be closed in one stretch, and whether it may be longer than what was looked at.

    Looked up over three years, so a window on a leap day is found; by the year, the answer may differ by days. Where
    none opens in them, it is all of that time.
    """
    first, days = _JUDGED
    since = datetime.combine(first, time(), tzinfo=UTC)
    longest, closed_since, opened = timedelta(0), since, False
    for opens, closes in openings(windows, since=since, until=since + days * _DAY):
        # Before the first opening nothing is known of the one before it, which lies outside.
        longest = max(longest, opens - closed_since) if opened else longest
        closed_since, opened = closes, True
    last = since + days * _DAY - closed_since
    return max(longest, last), last > longest
