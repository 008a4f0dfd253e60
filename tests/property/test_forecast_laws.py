"""Laws of the forecast and of the advice that is drawn from it, whatever the keys and the lane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.decide.admit import IMPORT_PARAMETERS
from byokd.decide.advice import (
    STRETCHES,
    keys_of,
    lead_needed,
    level,
    load,
    most_imports,
    pace_needed,
    quotas_needed,
    slack_condition,
    slack_share,
    slowed,
    spread_helps,
    sustained,
    tight,
    with_lead,
    with_quotas,
    with_spread,
)
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
from byokd.decide.what_if import imagined_keys
from byokd.decide.window import window
from byokd.decide.windows import opens_at
from byokd.facts.condition import Severity
from byokd.facts.key import ABSENT, NEVER, Absent
from byokd.facts.ledger import Tier
from byokd.facts.policy import FASTEST_QUOTA, Lane, LearnedPace, Policy, Quota
from byokd.facts.prospect import Prospect
from tests.kit.builders import lane
from tests.kit.clock import START
from tests.kit.futures import lanes, learned, prospects
from tests.kit.strategies import all_policies, moments, policies, spans

SECOND = timedelta(seconds=1)
quick = settings(deadline=None, max_examples=60)
few = settings(deadline=None, max_examples=12)
shares = st.floats(0, 0.99)
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
    """Between any two renewals lie as many tokens as there are renewals, but for the burst."""
    ahead = forecast(them, where, START)
    burst = where.quotas[IMPORT_PARAMETERS].burst

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


# -- advice -----------------------------------------------------------------------------------------------------------


@quick
@given(forecasts, shares, shares)
def test_asking_for_more_slack_finds_no_fewer(ahead: Forecast, first: float, second: float) -> None:
    """Who is tight by a low threshold is so by a higher one; what is missed is tight, and the least is the least."""
    low, high = sorted((first, second))
    few_found, found = tight(ahead, low), tight(ahead, high)
    if few_found is not None:
        assert found is not None
        assert {each.ref for each in few_found.missed} <= {each.ref for each in found.missed}
    if found is not None:
        assert {each.ref for each in found.missed} <= {each.ref for each in found.renewals}
        ends = [each.valid_to for each in found.missed if isinstance(each.valid_to, datetime)]
        assert ends == sorted(ends)
        slacks = [slack_share(each) for each in found.renewals]
        assert slack_share(found.least) == min(each for each in slacks if each is not None)
        assert all(each is not None and each < high for each in slacks)


@quick
@given(forecasts, shares, st.integers(1, 50))
def test_a_condition_is_stated_where_the_pace_is_not_enough(ahead: Forecast, least: float, every: int) -> None:
    """And nowhere else; critical where somebody would miss."""
    condition, found = slack_condition(ahead, least, every=every), tight(ahead, least)

    assert (condition is None) is (found is None and sustained(ahead))
    if condition is not None:
        assert condition.detail
        assert condition.stage
        assert (condition.severity is Severity.CRITICAL) is bool(found and found.missed)


slowed_down = st.dictionaries(
    st.sampled_from([IMPORT_PARAMETERS, "DescribeKey", "ListKeyRotations"]),
    st.builds(LearnedPace, share=st.floats(1 / 16, 1), limit=st.just(1.0), limited_at=moments),
)


@few
@given(prospects, lanes, shares, slowed_down)
def test_the_pace_that_is_advised_is_enough(them: Any, where: Lane, least: float, known: Any) -> None:
    """Who gives the lane the quotas that it takes leaves nobody too little; it is never less than there is."""
    needed = pace_needed(them, where, START, least, learned=known)
    if needed is not None:
        quotas = quotas_needed(where, needed)
        ahead = forecast(them, with_quotas(where, quotas), START, learned=known)
        assert tight(ahead, least) is None
        assert sustained(ahead)
        assert all(where.quotas[name].per_second < rate <= FASTEST_QUOTA for name, rate in quotas.items())
        assert needed <= most_imports(where)
        assert needed >= min(where.quotas[name].per_second / calls for name, calls in CALLS_PER_IMPORT.items())
        before = forecast(them, where, START, learned=known)
        assert bool(quotas) is not (tight(before, least) is None and sustained(before))


@few
@given(prospects, lanes, shares, slowed_down)
def test_the_lead_that_is_advised_is_enough(them: Any, where: Lane, least: float, known: Any) -> None:
    """Nobody has too little then: of the longer lead, as the next forecast will say, and of the lead of today."""
    factor = lead_needed(them, where, START, least, learned=known)
    if factor is not None:
        assert factor >= 1
        earlier = [replace(each, policy=with_lead(each.policy, factor)) for each in them]
        ahead = forecast(earlier, where, START, learned=known)
        assert tight(ahead, least) is None
        assert tight(ahead, least / factor) is None
        assert sustained(ahead)


@few
@given(prospects, lanes, shares, slowed_down, spans)
def test_a_spread_that_helps_is_enough_and_fits(
    them: Any, where: Lane, least: float, known: Any, spread: timedelta
) -> None:
    """With it nobody has too little, and each life has room for it; nobody's spread becomes narrower."""
    wider = [replace(each, policy=with_spread(each.policy, spread)) for each in them]
    assert all(new.policy.spread >= old.policy.spread for new, old in zip(wider, them, strict=True))
    if spread_helps(them, where, START, least, spread, learned=known):
        ahead = forecast(wider, where, START, learned=known)
        assert tight(ahead, least) is None
        assert sustained(ahead)
        lives = {each.policy for each in wider if each.policy.valid_for is not NEVER}
        assert all(life.valid_for > life.renew_before + life.spread + life.renewal_floor for life in lives)


@quick
@given(prospects, lanes, slowed_down)
def test_throttling_of_a_moment_says_nothing_of_the_long_run(them: Any, where: Lane, known: Any) -> None:
    """What a lane keeps up, its bottleneck and its recovery are those of its quotas; nothing comes sooner for it."""
    plain, slow = forecast(them, where, START), forecast(them, where, START, learned=known)

    assert (slow.per_second, slow.bottleneck, slow.recovery) == (plain.per_second, plain.bottleneck, plain.recovery)
    assert sustained(slow) is sustained(plain)
    assert plain.present_share == 1
    assert 1 / 16 <= slow.present_share <= 1


@given(policies, st.floats(1, 10), lanes, st.floats(0.1, 100))
def test_no_change_is_no_change(rules: Policy, factor: float, where: Lane, by: float) -> None:
    """A factor of one leaves all as it is; a longer lead is longer; a slowed lane is slower in every operation."""
    assert with_lead(rules, 1.0) == rules
    assert slowed(where, 1.0) == where
    assert with_lead(rules, factor).renew_before >= rules.renew_before
    assert all(
        (slowed(where, by).quotas[name].per_second < where.quotas[name].per_second) is (by > 1) or by == 1
        for name in where.quotas
    )


@quick
@given(forecasts)
def test_a_levelled_load_has_no_queue(ahead: Forecast) -> None:
    """Nobody is moved to later, no two come nearer than a token, and everybody is still there."""
    even = level(ahead)
    times = even.times
    due = sorted(each.due_at for each in ahead.renewals)
    step = timedelta(seconds=1 / ahead.per_second) - timedelta(microseconds=1)

    assert len(times) == len(due)
    assert all(at <= begins for at, begins in zip(times, due, strict=True))
    assert all(second - first >= step for first, second in pairwise(times) if first > ahead.now - FARTHEST)
    assert even.too_late == sum(at < ahead.now for at in times)
    assert timedelta(0) <= even.moved <= even.spread


@few
@given(prospects, st.floats(0.001, 10_000), st.floats(0.01, 1), st.floats(1 / 16, 4), st.floats(1, 10_000))
def test_no_pace_is_too_small_to_be_told_of(
    them: Any, per_second: float, part: float, share: float, every: float
) -> None:
    """Whatever the config takes and throttling left of it, in the lane of a sample too, is reckoned with in the end."""
    quota = Quota(per_second=per_second * part, burst=1.0)
    slow = lane(quotas=lane().quotas | {IMPORT_PARAMETERS: quota})
    known = {IMPORT_PARAMETERS: LearnedPace(share=share, limit=4.0, limited_at=START, per_second=quota.per_second)}
    ahead = forecast(them, slowed(slow, every), START, learned=known)

    even = level(ahead)
    assert len(even.times) == len(ahead.renewals)
    assert even.too_late <= len(even.times)
    assert sum(each.level for each in load(ahead)[1]) == len(even.times)
    if found := slack_condition(ahead, 0.5, every=int(every)):
        assert found.detail


@quick
@given(forecasts)
def test_no_load_is_lost_between_its_lines(ahead: Forecast) -> None:
    """The lines add up to all renewals, and lie end to end."""
    length, lines = load(ahead)

    assert length in STRETCHES
    assert sum(each.due for each in lines) == sum(each.level for each in lines) == len(ahead.renewals)
    assert sum(each.renewed for each in lines) == len(ahead.times)
    assert lines[0].starts_at == ahead.now
    assert all(second.starts_at - first.starts_at == length for first, second in pairwise(lines))


@given(st.integers(0, 300), policies, moments, st.floats(0.001, 100), st.booleans())
def test_imagined_keys_were_imported_by_now(
    count: int, rules: Policy, now: datetime, pace: float, at_once: bool
) -> None:
    """So many, each with a name of its own, the last one imported now, none in the future and none due yet."""
    keys = imagined_keys(count, rules, now, per_second=pace, at_once=at_once)
    ends = [each.expiry for each in keys if isinstance(each.expiry, datetime)]
    life = 3 * rules.renew_before if rules.valid_for is NEVER else rules.valid_for

    assert len({each.ref for each in keys}) == len(ends) == count
    assert ends == sorted(ends)
    assert all(each == now + life if at_once else each <= now + life for each in ends)
    assert not ends or ends[-1] == now + life
    assert all(each.tier is Tier.FRESH for each in keys)
    assert all(each.expiry is not ABSENT for each in keys)
    if life - rules.renew_before >= rules.spread:
        assert all(window(each.ref, rules, end).renew_at >= now for each, end in zip(keys, ends, strict=True))
