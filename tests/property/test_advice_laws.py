"""Laws of the advice that is drawn from a forecast, whatever the keys and the lane."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.decide.admit import IMPORT_PARAMETERS
from byokd.decide.advice import (
    STRETCHES,
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
from byokd.decide.forecast import CALLS_PER_IMPORT, FARTHEST, Forecast, Renewal, forecast
from byokd.decide.what_if import imagined_keys
from byokd.decide.window import window
from byokd.facts.condition import Severity
from byokd.facts.key import ABSENT, NEVER
from byokd.facts.ledger import Tier
from byokd.facts.policy import FASTEST_QUOTA, Lane, LearnedPace, Policy, Quota
from byokd.facts.prospect import Prospect
from tests.kit.builders import DAY, lane
from tests.kit.clock import START
from tests.kit.futures import fleets, lanes, prospects
from tests.kit.strategies import moments, policies

SECOND = timedelta(seconds=1)
quick = settings(deadline=None, max_examples=60)
few = settings(deadline=None, max_examples=12)
shares = st.floats(0, 0.99)
Fleet = tuple[tuple[Prospect, ...], Lane, float]
forecasts = st.builds(forecast, prospects, lanes, st.just(START))


@quick
@given(forecasts, shares, shares)
def test_asking_for_more_slack_finds_no_fewer(ahead: Forecast, first: float, second: float) -> None:
    """Who is tight by a low threshold is so by a higher one, but for who is below that already.

    What is missed is tight by any, and the least is the least.
    """
    low, high = sorted((first, second))
    few_found, found = tight(ahead, low), tight(ahead, high)
    missed = {each.ref for each in ahead.renewals if each.missed}
    for by_any in (few_found, found):
        assert {each.ref for each in by_any.missed} == missed if by_any is not None else not missed
    if few_found is not None:
        still = [each for each in few_found.renewals if not _below_already(each, high)]
        assert set(still) <= set(found.renewals if found is not None else ())
    if found is not None:
        assert missed <= {each.ref for each in found.renewals}
        ends = [each.valid_to for each in found.missed if isinstance(each.valid_to, datetime)]
        assert ends == sorted(ends)
        slacks = [slack_share(each) for each in found.renewals]
        assert slack_share(found.least) == min(each for each in slacks if each is not None)
        assert all(each is not None and (each < high or each <= 0) for each in slacks)


def _below_already(renewal: Renewal, least: float) -> bool:
    return isinstance(renewal.valid_to, datetime) and renewal.valid_to - least * renewal.lead <= START


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
@given(fleets(), slowed_down)
def test_the_pace_that_is_advised_is_enough(fleet: Fleet, known: Any) -> None:
    """Who gives the lane the quotas that it takes leaves nobody too little; it is never less than there is."""
    them, where, least = fleet
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
@given(fleets(), slowed_down)
def test_the_lead_that_is_advised_is_enough(fleet: Fleet, known: Any) -> None:
    """Nobody has too little then: of the longer lead, as the next forecast will say, and of the lead of today."""
    them, where, least = fleet
    factor = lead_needed(them, where, START, least, learned=known)
    if factor is not None:
        assert factor >= 1
        earlier = [replace(each, policy=with_lead(each.policy, factor)) for each in them]
        ahead = forecast(earlier, where, START, learned=known)
        assert tight(ahead, least) is None
        assert tight(ahead, least / factor) is None
        assert sustained(ahead)


@few
@given(fleets(), slowed_down, st.floats(0, 4))
def test_a_spread_that_helps_is_enough_and_fits(fleet: Fleet, known: Any, leads: float) -> None:
    """With it nobody has too little, and each life has room for it; nobody's spread becomes narrower."""
    them, where, least = fleet
    spread = leads * max((each.policy.renew_before for each in them), default=DAY)
    wider = [replace(each, policy=with_spread(each.policy, spread)) for each in them]
    assert all(new.policy.spread >= old.policy.spread for new, old in zip(wider, them, strict=True))
    if spread_helps(them, where, START, least, spread, learned=known):
        ahead = forecast(wider, where, START, learned=known)
        assert tight(ahead, least) is None
        assert sustained(ahead)
        lives = {each.policy for each in wider}
        assert all(
            life.valid_for is NEVER or life.valid_for > life.renew_before + life.spread + life.renewal_floor
            for life in lives
        )


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
    """A factor of one leaves all as it is; a longer lead is longer; a slowed lane is slower in every operation.

    And has as much less at once, but for the one request that a bucket holds at least.
    """
    assert with_lead(rules, 1.0) == rules
    assert slowed(where, 1.0) == where
    assert with_lead(rules, factor).renew_before >= rules.renew_before
    assert all(
        (slowed(where, by).quotas[name].per_second < where.quotas[name].per_second) is (by > 1) or by == 1
        for name in where.quotas
    )
    assert all(slowed(where, by).quotas[name].burst == max(1.0, each.burst / by) for name, each in where.quotas.items())


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
