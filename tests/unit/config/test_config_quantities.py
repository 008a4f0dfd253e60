"""How durations and shares are written, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest

from byokd.config.problems import Unfit
from byokd.config.quantities import Portion, Span, format_duration, format_share, parse_duration, parse_share
from byokd.facts.key import NEVER

DURATIONS = {
    "seconds": ("45s", timedelta(seconds=45)),
    "minutes": ("2m", timedelta(minutes=2)),
    "hours": ("6h", timedelta(hours=6)),
    "days": ("90d", timedelta(days=90)),
    "weeks": ("2w", timedelta(weeks=2)),
    "a compound": ("1h30m", timedelta(minutes=90)),
    "every unit": ("1w1d1h1m1s", timedelta(days=8, hours=1, minutes=1, seconds=1)),
    "nothing at all": ("0s", timedelta()),
}


@pytest.mark.parametrize(("text", "value"), DURATIONS.values(), ids=DURATIONS)
def test_a_duration_is_whole_numbers_with_units(text, value):
    """Durations are read as written, largest unit first."""
    assert parse_duration(text) == value
    assert parse_duration(format_duration(value)) == value


NOT_DURATIONS = {
    "no unit": ("90", "durations need a unit: s, m, h, d, w"),
    "a fraction without unit": ("1.5", "durations need a unit: s, m, h, d, w"),
    "a number": (90, "durations need a unit: s, m, h, d, w"),
    "a boolean": (True, "must be a duration"),
    "a list": (["1d"], "must be a duration"),
    "nothing": ("", "is not a duration"),
    "an unknown unit": ("3y", "is not a duration"),
    "a word": ("soon", "is not a duration"),
    "the smaller unit first": ("30m1h", "is not a duration"),
    "a unit twice": ("1h1h", "is not a duration"),
    "a fraction": ("1.5h", "is not a duration"),
    "a sign": ("-1h", "is not a duration"),
    "spaces": ("1 h", "is not a duration"),
    "digits of another script": ("٣h", "is not a duration"),
    "longer than time itself": ("9" * 30 + "w", "longer than anything"),
    "a long text": ("1h" * 1000, "is not a duration"),
}


@pytest.mark.parametrize(("text", "what"), NOT_DURATIONS.values(), ids=NOT_DURATIONS)
def test_what_is_not_a_duration_is_refused_with_a_way_out(text, what):
    """No duration is guessed, and each refusal says how to write one."""
    with pytest.raises(Unfit) as caught:
        parse_duration(text)
    assert what in caught.value.what
    assert caught.value.hint


WRITTEN = {
    "days alone": ("400d", "400d"),
    "weeks as days": ("2w", "14d"),
    "mixed": ("90m", "1h30m"),
    "long": ("25h", "1d1h"),
}


@pytest.mark.parametrize(("text", "written"), WRITTEN.values(), ids=WRITTEN)
def test_durations_are_shown_as_people_write_them(text, written):
    """Messages show durations in the config's own notation, not Python's."""
    assert format_duration(parse_duration(text)) == written


SHARES = {
    "a percentage": ("33%", Fraction(33, 100)),
    "part of a percent": ("2.5%", Fraction(1, 40)),
    "a fraction": ("1/3", Fraction(1, 3)),
    "none": ("0%", Fraction(0)),
}


@pytest.mark.parametrize(("text", "value"), SHARES.values(), ids=SHARES)
def test_a_share_is_exact(text, value):
    """A third is a third, not 33 percent."""
    assert parse_share(text) == value
    assert format_share(value) == text


@pytest.mark.parametrize("text", ["33", "33 %", "1/0", "-5%", "third", "", 0.33, 5, True, None])
def test_what_is_not_a_share_is_refused_with_a_way_out(text):
    """A bare number could be a percentage or a fraction, so it is neither."""
    with pytest.raises(Unfit) as caught:
        parse_share(text)
    assert caught.value.hint


def test_bounds_of_a_duration_are_inclusive():
    """Both ends are allowed, and a second beyond either is not."""
    span = Span("10s", "1m")
    assert (span.parse("10s"), span.parse("60s")) == (timedelta(seconds=10), timedelta(seconds=60))
    for outside in ("9s", "61s"):
        with pytest.raises(Unfit, match="out of bounds"):
            span.parse(outside)


@pytest.mark.parametrize(
    ("span", "number", "hint"),
    [
        (Span("1s", "365d"), "90", 'write for example "90d"'),
        (Span("1s", "30d"), "60", 'write for example "60h"'),
        (Span("1s", "1h"), 90, 'write for example "90s", in quotes'),
        (Span("1s", "30d"), 7, 'write for example "7d", in quotes'),
        (Span("1s", "30d"), "99999999", "write whole numbers with units, from 1s to 30d"),
        (Span("1s", "30d"), "9" * 32, "write whole numbers with units, from 1s to 30d"),
        (Span("1s", "30d"), "1.5", "write whole numbers with units, from 1s to 30d"),
        (Span("1s", "30d"), 1.5, "write whole numbers with units, from 1s to 30d, in quotes"),
        (Span("1s", "30d"), -5, "write whole numbers with units, from 1s to 30d, in quotes"),
        (Span("1s", "30d"), "0", "write whole numbers with units, from 1s to 30d"),
    ],
)
def test_a_number_without_unit_is_told_one_that_fits(span: Span, number: object, hint: str):
    """Whoever followed the hint was refused again: "60d" was proposed where 30d is the most, and "1.5d" anywhere."""
    with pytest.raises(Unfit, match="durations need a unit") as caught:
        span.parse(number)
    assert caught.value.hint == hint


def test_a_share_of_nothing_is_refused_where_no_duration_is_none():
    """`renew_before = "0%"` was taken for a second, and refused for an emergency that would have come before it."""
    for text in ("0%", "0/5", "0.0%"):
        assert Span("0s", "365d", share=True).parse(text) == 0
        with pytest.raises(Unfit, match="must be more than 0"):
            Span("1s", "365d", share=True).parse(text)


def test_the_upper_bound_of_a_share_is_exclusive():
    """The lower bound is allowed, the upper is not."""
    portion = Portion("0.1%", "100%")
    assert portion.parse("0.1%") == Fraction(1, 1000)
    for outside in ("0.05%", "100%"):
        with pytest.raises(Unfit, match="out of bounds"):
            portion.parse(outside)


def test_never_and_shares_are_taken_only_where_they_make_sense():
    """`never` and shares are durations only in settings that say so."""
    assert Span("1s", "1d", never=True).parse("never") is NEVER
    assert Span("1s", "1d", share=True).parse("1/3") == Fraction(1, 3)
    for text in ("never", "1/3"):
        with pytest.raises(Unfit, match="is not a duration"):
            Span("1s", "1d").parse(text)
