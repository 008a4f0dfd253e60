"""A lane's pace against a KMS that counts arrivals: it uses what it may, is not refused when alone, and yields."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest

from byokd.config.lanes import LaneSettings
from byokd.decide.admit import (
    GROWTH_PER_S,
    IMPORT_PARAMETERS,
    SLOWEST,
    Bucket,
    full,
    kept,
    learned,
    refill,
    sets_out,
    take,
    throttled,
)
from byokd.facts.ledger import Tier
from byokd.facts.policy import Quota
from tests.kit.builders import OPERATIONS, lane

DAY_S = 86_400.0
BY_DEFAULT = LaneSettings(account="111122223333", region="eu-central-1").lane("by default")
IMPORTS = BY_DEFAULT.quotas[IMPORT_PARAMETERS]
UP_TO_ONE = replace(IMPORTS, ceiling=1.0)
"""For a lane that is to find out which of AWS's documents is right."""


@dataclass
class Service:
    """AWS's side: a bucket of its own, which other callers use too."""

    per_second: float
    burst: float
    others_per_second: float = 0.0
    tokens: float = field(init=False)
    at: float = 0.0
    refused: int = 0
    served: int = 0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def answers(self, at: float) -> bool:
        """Whether a request that arrives now is served."""
        free = max(0.0, self.per_second - self.others_per_second)
        self.tokens = min(self.burst, self.tokens + (at - self.at) * free)
        self.at = at
        if self.tokens < 1.0:
            self.refused += 1
            return False
        self.tokens -= 1.0
        self.served += 1
        return True


def _full_queue(bucket: Bucket, service: Service, *, for_s: float, start: float = 0.0) -> Bucket:
    """Send as soon as the bucket lets us, for so long; each request is up to 50 ms on its way."""
    chance = random.Random(7)
    now = start
    while now < start + for_s:
        bucket, wait = take(bucket, now)
        now += wait
        if not service.answers(now + chance.uniform(0.001, 0.05)):
            bucket = throttled(bucket, now)
    return bucket


def test_a_full_queue_uses_the_quota_and_draws_no_throttling_when_alone() -> None:
    """With the settings as they come: at least 97 % of what AWS allows, and not one refusal in an hour or a day.

    The network is never quite as quick.
    """
    for span_s in (3600.0, DAY_S):
        service = Service(per_second=0.25, burst=1)
        _full_queue(full(IMPORTS, 0.0), service, for_s=span_s)
        assert service.refused == 0
        assert service.served >= 0.97 * 0.25 * span_s


def test_nothing_is_tried_beyond_a_quota_by_default() -> None:
    """No operation goes faster than its `per_second` unless somebody wrote a `ceiling`."""
    assert {quota.headroom for quota in BY_DEFAULT.quotas.values()} == {1.0}


@pytest.mark.parametrize(("span_s", "used"), [(3600.0, 0.965), (DAY_S, 0.98)], ids=["the first hour", "a day"])
def test_trying_where_aws_grants_no_more_costs_a_refusal_a_day(span_s: float, used: float) -> None:
    """And the minute of pace that it takes to come back to the quota."""
    service = Service(per_second=0.25, burst=1)
    _full_queue(full(UP_TO_ONE, 0.0), service, for_s=span_s)
    assert service.refused == 1
    assert service.served >= used * 0.25 * span_s


def test_a_larger_quota_is_found_out_little_by_little() -> None:
    """AWS's documents name 0.25 and 1 a second: where it is 1, a day of work uses most of it, at few refusals."""
    service = Service(per_second=1.0, burst=1)
    bucket = _full_queue(full(UP_TO_ONE, 0.0), service, for_s=DAY_S)
    assert bucket.share >= 3.5
    assert service.served >= 0.8 * DAY_S
    assert service.refused <= 3


def test_what_was_too_much_is_not_tried_again_the_same_day() -> None:
    """Where the ceiling is higher than what AWS allows, a day costs a handful of refusals and ends near the quota."""
    service = Service(per_second=0.5, burst=1)
    bucket = _full_queue(full(UP_TO_ONE, 0.0), service, for_s=DAY_S / 2)
    assert service.refused <= 5
    assert 1.6 <= bucket.limit <= 2.0
    assert service.served >= 0.8 * 0.5 * DAY_S / 2


IDLE = {
    "one import an hour": ([3600.0 * hour for hour in range(720)], 0.0),
    "two at once, then thirty days of peace": ([0.0, 0.0, 30 * DAY_S], 4.1),
    "two a second apart, and the next an hour later": ([0.0, 1.0, 3601.0], 3.1),
    "two at once each hour for a day": ([3600.0 * hour for hour in range(24) for _ in range(2)], 24 * 4.1),
    "twenty at once, and then a year": ([0.0] * 20 + [365 * DAY_S], 19 * 4.1),
}


@pytest.mark.parametrize(("asked_at", "waited_s"), IDLE.values(), ids=IDLE)
def test_an_idle_lane_learns_nothing(asked_at: list[float], waited_s: float) -> None:
    """After peace, only the seconds have taught anything in which somebody waited for a token."""
    bucket = full(UP_TO_ONE, 0.0)
    for at in asked_at:
        bucket, _ = take(bucket, at)
    assert bucket.share <= 1.0 + waited_s * GROWTH_PER_S


def test_a_wave_a_day_is_refused_no_oftener_than_a_full_queue() -> None:
    """Twenty keys are renewed each day. What nobody waited for in between was learned, and the waves began at four
    times the quota."""
    service, chance = Service(per_second=0.25, burst=1), random.Random(1)
    bucket, now = full(UP_TO_ONE, 0.0), 0.0
    for day in range(30):
        now = max(now, day * DAY_S)
        for _ in range(20):
            bucket, wait = take(bucket, now)
            now += wait
            if not service.answers(now + chance.uniform(0.001, 0.05)):
                bucket = throttled(bucket, now)
    assert service.refused <= 30
    assert bucket.share <= 1.1


def test_a_quota_without_a_ceiling_is_not_exceeded() -> None:
    """Nothing is learned upward that nobody asked for."""
    bucket = _full_queue(full(IMPORTS, 0.0), Service(per_second=10.0, burst=10), for_s=DAY_S)
    assert bucket.share == 1.0


def test_a_lane_yields_when_others_use_the_account() -> None:
    """With two thirds of the quota gone, one request in four is refused at most, and most of what is left is used."""
    service = Service(per_second=0.25, burst=1, others_per_second=0.17)
    _full_queue(full(IMPORTS, 0.0), service, for_s=DAY_S)
    assert service.refused <= 0.25 * (service.served + service.refused)
    assert service.served >= 0.55 * 0.08 * DAY_S


def test_after_throttling_the_whole_quota_is_used_again() -> None:
    """The pace comes back within minutes, and never falls below a floor."""
    bucket = full(IMPORTS, 0.0)
    for at in range(10):
        bucket = throttled(bucket, float(at))
    assert bucket.share >= SLOWEST
    assert refill(bucket, 510.0).share == 1.0


def test_what_was_learned_outlives_a_restart_for_a_day() -> None:
    """A new bucket goes on at the pace and under the limit of the old one; a day later the limit is tried again."""
    quota = UP_TO_ONE
    young = learned(quota, 0.0, share=1.8, limit=1.9, age_s=3600.0)
    assert (young.share, young.limit) == (1.8, 1.9)
    assert refill(young, DAY_S - 3601.0).limit == 1.9
    assert refill(young, DAY_S - 3600.0).limit == 4.0
    assert learned(quota, 0.0, share=1.8, limit=1.9, age_s=DAY_S).limit == 4.0
    shrunk = learned(Quota(per_second=1.0, burst=1), 0.0, share=1.8, limit=1.9, age_s=0.0)
    assert (shrunk.share, shrunk.limit) == (1.0, 1.0)


def test_who_is_on_the_way_to_a_token_keeps_the_next_waiting_and_takes_none() -> None:
    """At a token in four seconds and a second on the way, the next sets out three seconds after the one before."""
    bucket, pace_s = full(IMPORTS, 0.0), 1 / full(IMPORTS, 0.0).per_second
    assert sets_out(bucket, 0.0, coming=0, lead_s=1.0) == 0.0
    assert sets_out(bucket, 0.0, coming=1, lead_s=1.0) == pytest.approx(pace_s - 1.0)
    after, _ = take(bucket, 1.0)
    assert sets_out(after, 1.0, coming=0, lead_s=1.0) == pytest.approx(pace_s - 1.0)
    assert sets_out(after, pace_s, coming=0, lead_s=1.0) == 0.0


def test_routine_work_leaves_a_part_of_the_burst() -> None:
    """Of eleven tokens, a reserve of a fifth keeps two for who is in a hurry."""
    quota = Quota(per_second=1.0, burst=11)
    site = lane(quotas=dict.fromkeys(OPERATIONS, quota), reserve=0.2)
    bucket, waits = full(quota, 0.0), []
    for _ in range(10):
        bucket, wait = take(bucket, 0.0, keep=kept(site, Tier.DUE))
        waits.append(wait)
    assert [wait > 0 for wait in waits] == [False] * 9 + [True]
    assert take(bucket, 0.0, keep=kept(site, Tier.EMERGENCY))[1] == 0.0


@pytest.mark.parametrize("tier", Tier)
def test_of_a_burst_of_one_nothing_is_kept_back(tier: Tier) -> None:
    """A token kept unused would be lost: the reserve costs a default lane nothing, and rank gives the next token."""
    assert BY_DEFAULT.reserve > 0
    assert kept(BY_DEFAULT, tier) == 0.0
