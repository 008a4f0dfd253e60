"""Laws of the forecast, whatever the keys and the lane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.decide.admit import IMPORT_PARAMETERS
from byokd.decide.advice import keys_of
from byokd.decide.ahead import QueueAhead
from byokd.decide.forecast import (
    CALLS_PER_IMPORT,
    FARTHEST,
    STEPS,
    Forecast,
    forecast,
    lane_bucket,
    recovery,
    round_s,
    steps_ahead,
)
from byokd.decide.window import window
from byokd.decide.windows import opens_at
from byokd.facts.key import NEVER, Absent
from byokd.facts.policy import Lane, Policy
from byokd.facts.prospect import Prospect
from tests.kit.builders import lane
from tests.kit.clock import START
from tests.kit.futures import lanes, learned, prospects
from tests.kit.strategies import all_policies, moments, spans

SECOND = timedelta(seconds=1)
quick = settings(deadline=None, max_examples=60)
forecasts = st.builds(forecast, prospects, lanes, st.just(START))


@quick
@given(prospects, lanes, moments, learned)
def test_a_forecast_is_total_and_counts_everybody(them: Any, where: Lane, now: datetime, known: Any) -> None:
    """Nobody makes it raise, nobody is left out, and nobody is there oftener than it has materials that end."""
    ahead = forecast(them, where, now, learned=known)

    assert ahead.keys == len(them)
    assert ahead.keys == keys_of(ahead.renewals) + ahead.never_expire + ahead.left_alone + ahead.unknown
    assert ahead.blind == keys_of(each for each in ahead.renewals if each.blind)
    materials = {each.ref: 1 + len(each.further) for each in them}
    assert all(count == materials[ref] for ref, count in Counter(each.ref for each in ahead.renewals).items())
    assert now <= ahead.until <= now + FARTHEST
    assert ahead.per_second > 0
    assert ahead == forecast(them, where, now, learned=known)


@quick
@given(prospects, lanes, st.randoms(use_true_random=False))
def test_the_order_in_which_keys_are_named_does_not_matter(them: Any, where: Lane, chance: Any) -> None:
    """The same keys in another order have the same future."""
    mixed = list(them)
    chance.shuffle(mixed)

    assert forecast(mixed, where, START) == forecast(them, where, START)


@quick
@given(forecasts)
def test_nobody_is_renewed_before_the_time(ahead: Forecast) -> None:
    """Renewals lie at or after their due times, in order, within the forecast; the rest stand at the end."""
    moments = [each.renewed_at for each in ahead.renewals if isinstance(each.renewed_at, datetime)]

    assert moments == sorted(moments)
    assert moments == [each.renewed_at for each in ahead.renewals[: len(moments)]]
    assert list(ahead.times) == sorted(ahead.times)
    for each in ahead.renewals:
        assert ahead.now <= each.due_at
        if isinstance(each.renewed_at, datetime):
            assert each.due_at <= each.renewed_at <= ahead.until
            assert each.renewed_at in ahead.times


@quick
@given(prospects, lanes)
def test_the_lane_is_never_faster_than_its_quota(them: Any, where: Lane) -> None:
    """Between any two renewals lie as many tokens as there are renewals, but for the burst: of the scarcest, too.

    A burst of 10,000 GetParametersForImport was counted on where ImportKeyMaterial allowed five a second.
    """
    ahead = forecast(them, where, START)
    scarce = where.quotas[ahead.bottleneck].burst / CALLS_PER_IMPORT[ahead.bottleneck]
    burst = max(1.0, min(where.quotas[IMPORT_PARAMETERS].burst, scarce))

    for first in range(0, len(ahead.times), max(1, len(ahead.times) // 20)):
        for last in range(first, len(ahead.times), max(1, len(ahead.times) // 20)):
            passed = (ahead.times[last] - ahead.times[first] + SECOND).total_seconds()
            assert last - first + 1 <= burst + passed * ahead.per_second + 1e-6


@quick
@given(prospects, lanes)
def test_routine_renewals_keep_to_their_windows(them: Sequence[Prospect], where: Lane) -> None:
    """What is renewed before it is urgent begins while a window is open."""
    by_ref = {each.ref: each for each in them}
    for each in forecast(them, where, START).renewals:
        key = by_ref[each.ref]
        if isinstance(each.renewed_at, Absent) or isinstance(each.valid_to, Absent) or each.lapsed:
            continue
        urgent_at = window(key.ref, key.policy, each.valid_to).urgent_at
        if each.renewed_at + SECOND < urgent_at:  # a forecast cuts its times to whole seconds
            opens = opens_at(key.policy.windows, each.renewed_at, by=urgent_at)
            assert opens <= each.renewed_at + SECOND


def _ending_later(key: Prospect, later: timedelta) -> Prospect:
    """With all its materials."""

    def moved(end: Any) -> Any:
        return end + later if isinstance(end, datetime) else end

    return replace(key, expiry=moved(key.expiry), further=tuple(moved(end) for end in key.further))


@quick
@given(prospects, lanes, spans)
def test_no_calendar_moves_a_forecast(them: Sequence[Prospect], where: Lane, later: timedelta) -> None:
    """A month later all happens a month later: leap days and daylight saving are nothing to it."""
    plain = [replace(each, policy=replace(each.policy, windows=(), spread=timedelta(0))) for each in them]
    moved = [_ending_later(each, later) for each in plain]
    first, second = forecast(plain, where, START), forecast(moved, where, START + later)

    assert second.until == first.until + later
    assert second.times == tuple(each + later for each in first.times)
    assert [each.ref for each in second.renewals] == [each.ref for each in first.renewals]
    assert [each.slack for each in second.renewals] == [each.slack for each in first.renewals]


@quick
@given(prospects, st.integers(0, 40), st.integers(0, 40))
def test_a_queue_that_is_cut_short_is_the_beginning_of_the_whole(them: Any, first: int, second: int) -> None:
    """Fewer steps show less of the same future."""
    served = []
    for steps in (first, first + second):
        queue = QueueAhead(now=START, farthest=FARTHEST)
        for each in them:
            if each.expiry is not NEVER:
                queue.add(each)
        queue.work_off(lane_bucket(lane())[0], lambda bucket, at, tier: (bucket, 3600.0), steps=steps)
        served.append(queue.served)

    assert served[0] == served[1][: len(served[0])]
    assert len(served[0]) <= first


@quick
@given(lanes, learned)
def test_the_bottleneck_is_one(where: Lane, known: Any) -> None:
    """The pace of imports is that of the scarcest operation, and is not above any."""
    bucket, name = lane_bucket(where, known)

    assert name in where.quotas
    assert bucket.tokens == bucket.quota.burst
    quota = where.quotas[IMPORT_PARAMETERS]
    share = known[IMPORT_PARAMETERS].share if IMPORT_PARAMETERS in known else 1.0
    assert bucket.per_second <= quota.per_second * min(1.0, share)


@given(st.integers(0, 10**6), st.floats(0.0001, 1000), st.floats(1, 100))
def test_recovery_is_monotone(keys: int, pace: float, times: float) -> None:
    """More keys take no less time, and a faster lane no more."""
    assert recovery(keys, pace) <= recovery(keys + 1, pace)
    assert recovery(keys, pace * times) <= recovery(keys, pace)
    assert recovery(0, pace) == timedelta(0)


@given(all_policies)
def test_a_round_is_shorter_than_a_life(rules: Policy) -> None:
    """From one renewal to the next at least a second passes, and never the whole life, but for the floor."""
    length = round_s(rules)

    assert length >= 1
    if rules.valid_for is NEVER:
        assert length == float("inf")
    else:
        assert length <= max(rules.valid_for, rules.renewal_floor).total_seconds()


@quick
@given(prospects, lanes, moments)
def test_what_a_forecast_costs_is_known_before(them: Any, where: Lane, now: datetime) -> None:
    """At least a step for each material that ends, and no less for more keys; never more than is gone through."""
    ahead, cost = forecast(them, where, now), steps_ahead(them, now)
    assert len(ahead.renewals) <= cost <= max(STEPS, 2 * len(ahead.renewals))
    assert steps_ahead(them[1:], now) <= cost
