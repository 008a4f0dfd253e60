"""Laws of a lane's pace: token buckets that are asked, refused, and remembered over a restart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from byokd.decide.admit import (
    AT_ONCE_S,
    GROWTH_PER_S,
    IMPORT_PARAMETERS,
    REMEMBERED_S,
    SLOWEST,
    TOO_MUCH,
    Bucket,
    full,
    gave_up,
    kept,
    learned,
    learned_of,
    lined_up,
    refill,
    remains,
    sent,
    sets_out,
    take,
    throttled,
    wanted,
)
from byokd.facts.ledger import Tier
from byokd.facts.policy import Lane, LearnedPace, Quota
from tests.kit.futures import lanes, quotas
from tests.kit.futures import learned as learned_paces

steps = st.lists(
    st.tuples(st.sampled_from(["take", "take", "take", "refuse", "wait"]), st.floats(0, 5000)), max_size=30
)
gaps = st.floats(0, 2 * REMEMBERED_S)


def used(quota: Quota, what: list[tuple[str, float]]) -> Bucket:
    """A bucket after some history."""
    bucket, at = full(quota, 0.0), 0.0
    for kind, gap in what:
        at += gap
        match kind:
            case "take":
                bucket, _ = take(bucket, at)
            case "refuse":
                bucket = throttled(bucket, at)
            case _:
                bucket = refill(bucket, at)
    return bucket


buckets = st.builds(used, quotas, steps)


@given(buckets, gaps)
def test_a_bucket_stays_within_its_bounds(bucket: Bucket, gap: float) -> None:
    """The pace lies between the slowest and the headroom, and tokens never exceed the burst."""
    later = refill(bucket, bucket.at + gap)
    for each in (bucket, later, throttled(bucket, bucket.at + gap)):
        assert SLOWEST <= each.share <= each.quota.headroom
        assert each.tokens <= each.quota.burst
        assert 1.0 <= each.limit <= each.quota.headroom
        assert each.per_second > 0


@given(buckets, gaps, gaps)
def test_time_only_fills(bucket: Bucket, first: float, second: float) -> None:
    """Waiting takes neither tokens nor pace away, and at one moment twice is once."""
    once = refill(bucket, bucket.at + first)
    then = refill(once, once.at + second)

    assert bucket.tokens <= once.tokens <= then.tokens
    assert refill(once, once.at) == once
    assert bucket.share <= once.share <= then.share


@given(buckets, gaps)
def test_a_clock_that_goes_back_is_a_clock_that_stands(bucket: Bucket, gap: float) -> None:
    """No tokens come of it, and none go."""
    assert refill(bucket, bucket.at - gap).tokens == bucket.tokens
    assert refill(bucket, bucket.at - gap).share == bucket.share


@given(buckets, gaps, st.floats(0, 10))
def test_who_leaves_more_to_others_waits_no_less(bucket: Bucket, gap: float, keep: float) -> None:
    """A wait is finite, never negative, and after it the token is there."""
    at = bucket.at + gap
    after, wait = take(bucket, at)
    _, longer = take(bucket, at, keep=keep)

    assert 0 <= wait <= longer < float("inf")
    if bucket.quota.burst >= 1:
        assert refill(after, at + wait).tokens >= -1e-6


asking = st.lists(
    st.tuples(st.sampled_from(["take", "take", "held up", "look"]), st.floats(0, 100_000), st.floats(0, 60)),
    max_size=30,
)


@given(quotas, asking)
def test_only_time_in_which_somebody_waits_teaches(quota: Quota, asked: list[tuple[str, float, float]]) -> None:
    """Whatever peace lies between requests: what is tried beyond the quota grows by the time waited, at most."""
    bucket, at, waited_s, until = full(quota, 0.0), 0.0, 0.0, 0.0
    for kind, gap, told_s in asked:
        at += gap
        wait = 0.0
        match kind:
            case "take":
                bucket, wait = take(bucket, at)
            case "held up":
                bucket, wait = wanted(bucket, at, wait=told_s), told_s
            case _:
                bucket = refill(bucket, at)
        # Two who wait at once wait once.
        waited_s += max(0.0, at + wait - max(at, until))
        until = max(until, at + wait)
        assert 1.0 <= bucket.share <= 1.0 + waited_s * GROWTH_PER_S + 1e-9


@given(buckets, gaps, st.floats(0, 100), gaps)
def test_who_is_held_up_takes_nothing(bucket: Bucket, gap: float, wait: float, later: float) -> None:
    """Tokens and the limit are what they were, then and later; the pace is no less."""
    at = bucket.at + gap
    held, plain = wanted(bucket, at, wait=wait), refill(bucket, at)
    assert replace(held, wanted_until=plain.wanted_until) == plain
    assert refill(held, at + later).share >= refill(plain, at + later).share
    assert refill(held, at + later).limit == refill(plain, at + later).limit


@given(lanes)
def test_what_is_kept_back_is_kept_for_who_is_in_a_hurry(where: Lane) -> None:
    """Routine work leaves less than the burst, so that it goes on; who is near a deadline leaves nothing."""
    burst = where.quotas[IMPORT_PARAMETERS].burst
    for tier in Tier:
        keep = kept(where, tier)
        assert 0.0 <= keep <= max(0.0, burst - 1.0)
        assert keep == 0.0 or tier in (Tier.FRESH, Tier.DUE)


@given(buckets, gaps, st.integers(0, 50), st.floats(0, 10), st.floats(0, 10))
def test_who_sets_out_in_time_waits_no_longer_than_the_lead(
    bucket: Bucket, gap: float, coming: int, lead_s: float, keep: float
) -> None:
    """Whoever is let set out finds a token within the lead, after all who are on their way; nobody sets out later."""
    at = bucket.at + gap
    wait = sets_out(bucket, at, coming=coming, lead_s=lead_s, keep=keep)
    assert 0 <= wait < float("inf")
    assert sets_out(bucket, at, coming=coming + 1, lead_s=lead_s, keep=keep) >= wait
    assert sets_out(bucket, at, coming=coming, lead_s=lead_s + 1, keep=keep) <= wait
    if wait == 0:
        for _ in range(coming):
            bucket, _ = take(bucket, at)
        assert take(bucket, at, keep=keep)[1] <= lead_s + 0.01


@given(buckets, gaps, st.floats(SLOWEST, 4))
def test_a_refusal_slows_down_and_empties(bucket: Bucket, gap: float, share: float) -> None:
    """To half the pace, or half the quota where it was beyond that; what was too much beyond it is remembered."""
    at = bucket.at + gap
    before = refill(replace(bucket, share=min(share, bucket.limit)), at)
    after = throttled(before, at)

    assert after.share == max(SLOWEST, min(before.share, 1.0) / 2)
    assert after.tokens <= 0
    if before.share > 1.0:
        assert (after.limit, after.limited_at) == (max(1.0, before.share * TOO_MUCH), at)
    else:
        assert (after.limit, after.limited_at) == (before.limit, before.limited_at)


@given(buckets, st.floats(0, 3 * REMEMBERED_S))
def test_what_was_learned_outlives_a_restart(bucket: Bucket, age: float) -> None:
    """A new bucket goes on with the pace of the old one; what was too much is tried again after a day, not before."""
    again = learned(bucket.quota, 5.0, share=bucket.share, limit=bucket.limit, age_s=age)

    assert again.tokens == bucket.quota.burst
    assert again.share <= max(bucket.share, SLOWEST)
    if age < REMEMBERED_S:
        assert again.limit == bucket.limit
        forgotten = refill(again, again.limited_at + REMEMBERED_S)
        assert forgotten.limit == bucket.quota.headroom
    else:
        assert again.limit == bucket.quota.headroom


@given(quotas, st.floats(-10, 1000), st.floats(-10, 1000), gaps)
def test_nonsense_on_record_is_put_within_bounds(quota: Quota, share: float, limit: float, age: float) -> None:
    """Whatever the record holds, and whatever the quota is by now: no bucket stops or bolts."""
    again = learned(quota, 0.0, share=share, limit=max(1.0, limit), age_s=age)

    assert SLOWEST <= again.share <= quota.headroom
    assert replace(again, tokens=0.0).per_second > 0


asked = st.lists(
    st.tuples(st.sampled_from(["take", "take", "take", "in a hurry", "refuse"]), st.floats(0, 1000)), max_size=40
)


@given(quotas, asked, st.floats(0, 1))
@example(
    # A lane that recovers from four refusals, and forty who line up. Each was told its wait at the pace of the moment
    # in which it asked, so those who asked later came as close as 4.6 s where 6.7 are allowed.
    Quota(per_second=0.15, burst=1),
    [*(("refuse", 1.0) for _ in range(4)), *(("take", 5.0) for _ in range(40))],
    0.0,
)
def test_a_bucket_never_gives_more_than_its_quota(quota: Quota, what: list[tuple[str, float]], reserve: float) -> None:
    """Over any span, requests sent stay within burst plus rate times the span, also while the pace recovers."""
    quota = replace(quota, ceiling=quota.per_second)
    bucket, at, sent = full(quota, 0.0), 0.0, []
    keep = {"take": reserve * (quota.burst - 1.0), "in a hurry": 0.0}
    for kind, gap in what:
        at += gap
        if kind == "refuse":
            bucket = throttled(bucket, at)
        else:
            bucket, wait = take(bucket, at, keep=keep[kind])
            sent.append(at + wait)
    sent.sort()
    for first, start in enumerate(sent):
        for last in range(first, len(sent)):
            assert last - first + 1 <= quota.burst + quota.per_second * (sent[last] - start) + 1e-6


@given(buckets, gaps)
def test_who_waits_finds_the_token_as_it_comes(bucket: Bucket, gap: float) -> None:
    """The wait that was told is neither longer nor shorter than the bucket takes to fill."""
    after, wait = take(bucket, bucket.at + gap)
    if wait:
        assert refill(after, after.at + wait).tokens == pytest.approx(0.0, abs=1e-6)


@given(buckets, gaps, st.integers(1, 10), st.floats(0, 0.99), st.booleans())
def test_who_waits_slows_down_with_the_lane(
    bucket: Bucket, gap: float, line: int, within: float, refusal: bool
) -> None:
    """What was told is what remains, unless KMS refuses a request meanwhile; who came first goes first all the same."""
    at = bucket.at + gap
    mine, told = take(bucket, at)
    while not told:
        mine, told = take(mine, at)
    bucket = lined_up(mine)
    for _ in range(line):
        bucket = lined_up(take(bucket, at)[0])
    then = at + told * within
    bucket = throttled(bucket, then) if refusal else bucket
    left = remains(bucket, then, taken=mine.taken)
    if refusal:
        assert left >= told - (then - at) - 1e-2
    else:
        assert left == pytest.approx(told - (then - at), abs=1e-2)
    assert 0 <= left <= remains(bucket, then, taken=bucket.taken) < float("inf")
    bucket = wanted(bucket, then, wait=left)
    assert remains(bucket, then + left, taken=mine.taken) == pytest.approx(0.0, abs=2 * AT_ONCE_S)


waits = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "ask", "in a hurry", "give up", "refuse", "pass"]), gaps), max_size=40
)


@given(quotas, waits, st.floats(0, 1))
@example(Quota(per_second=0.25, burst=1), [("ask", 0.0)] * 4 + [("pass", 45.0)], 0.0)
@example(Quota(per_second=1.0, burst=5), [("ask", 0.0)] * 9 + [("pass", 6.5), ("ask", 0.0), ("pass", 2.0)], 0.0)
@example(Quota(per_second=1.0, burst=1), [("ask", 0.0)] * 7 + [("give up", 0.0)] * 3 + [("pass", 45.0)], 0.0)
def test_no_standstill_makes_a_line_send_together(quota: Quota, what: list[tuple[str, float]], reserve: float) -> None:
    """Whoever wakes late, and however many with him: requests stay within burst plus rate times the span.

    Time passes here in gaps, as for a process that is stopped: who waits wakes at the end of one, and asks again.
    """
    quota = replace(quota, ceiling=quota.per_second)
    bucket, at, requests = full(quota, 0.0), 0.0, list[float]()
    waiting: list[tuple[int, float, float]] = []
    """Number, until when, what is left to others."""
    for kind, gap in [*what, *(("pass", 1000.0) for _ in range(50))]:
        at += gap
        for each in [each for each in waiting if each[1] <= at]:
            waiting.remove(each)
            if left := remains(bucket, at, taken=each[0], keep=each[2]):
                waiting.append((each[0], at + left, each[2]))
            else:
                bucket = sent(bucket, at, taken=each[0])
                requests.append(at)
        if kind == "refuse":
            bucket = throttled(bucket, at)
        elif kind == "give up":
            for each in waiting[int(gap) % (len(waiting) or 1) :][:1]:
                waiting.remove(each)
                bucket = gave_up(bucket, at, taken=each[0])
        elif kind != "pass":
            keep = reserve * (quota.burst - 1.0) if kind == "ask" else 0.0
            bucket, wait = take(bucket, at, keep=keep)
            if wait:
                bucket = lined_up(bucket)
                waiting.append((bucket.taken, at + wait, keep))
            else:
                requests.append(at)
    assert sorted(bucket.line) == sorted(each[0] for each in waiting)
    for first, start in enumerate(requests):
        for last in range(first, len(requests)):
            within = quota.per_second * (requests[last] - start + 2 * AT_ONCE_S)
            assert last - first + 1 <= quota.burst + within + 1e-6


@given(st.integers(min_value=1, max_value=20))
def test_a_throttled_bucket_slows_down_but_never_stops(times: int) -> None:
    """However often KMS refuses, the wait stays finite and the share positive."""
    bucket = full(Quota(per_second=1, burst=1), 0.0)
    for at in range(times):
        bucket = throttled(bucket, float(at))
    after, wait = take(bucket, float(times))

    assert 0 < after.share <= 1
    assert 0 < wait <= 40


operations = st.sampled_from(["GetParametersForImport", "ImportKeyMaterial", "DescribeKey"])


@given(st.dictionaries(operations, quotas), learned_paces, st.floats(0.0005, 50))
def test_what_was_learned_is_of_one_quota(known: dict[str, Quota], paces: dict[str, LearnedPace], other: float) -> None:
    """It is kept as it is for its own quota, for none that differs, and for any where its own is not on record."""
    own = {name: replace(pace, per_second=known[name].per_second) for name, pace in paces.items() if name in known}
    unlike = {name: pace for name, pace in own.items() if pace.per_second != other}

    assert learned_of(known, own) == own
    assert learned_of(known, paces) == {name: pace for name, pace in paces.items() if name in known}
    assert learned_of(known, {name: replace(pace, per_second=other) for name, pace in unlike.items()}) == {}
    assert learned_of({}, own) == {}
