"""A lane's pace against a KMS that counts arrivals: it uses what it may, is not refused when alone, and yields."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from byokd.decide.admit import SLOWEST, Bucket, full, learned, refill, sets_out, take, throttled
from byokd.facts.policy import Quota

DAY_S = 86_400.0
IMPORTS = Quota(per_second=0.25, burst=1)


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
    """At least 97 % of what AWS allows, and not one refusal in a day, with a network that is never quite as quick."""
    service = Service(per_second=0.25, burst=1)
    _full_queue(full(IMPORTS, 0.0), service, for_s=DAY_S)
    assert service.refused == 0
    assert service.served >= 0.97 * 0.25 * DAY_S


def test_a_larger_quota_is_found_out_little_by_little() -> None:
    """AWS's documents name 0.25 and 1 a second: where it is 1, a day of work uses most of it, at few refusals."""
    service = Service(per_second=1.0, burst=1)
    bucket = _full_queue(full(Quota(per_second=0.25, burst=1, ceiling=1), 0.0), service, for_s=DAY_S)
    assert bucket.share >= 3.5
    assert service.served >= 0.8 * DAY_S
    assert service.refused <= 3


def test_what_was_too_much_is_not_tried_again_the_same_day() -> None:
    """Where the ceiling is higher than what AWS allows, a day costs a handful of refusals and ends near the quota."""
    service = Service(per_second=0.5, burst=1)
    bucket = _full_queue(full(Quota(per_second=0.25, burst=1, ceiling=1), 0.0), service, for_s=DAY_S / 2)
    assert service.refused <= 5
    assert 1.6 <= bucket.limit <= 2.0
    assert service.served >= 0.8 * 0.5 * DAY_S / 2


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
    quota = Quota(per_second=0.25, burst=1, ceiling=1)
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
    """Of ten tokens, a reserve of a fifth keeps nearly two for who is in a hurry."""
    bucket, waits = full(Quota(per_second=1.0, burst=10), 0.0), []
    for _ in range(9):
        bucket, wait = take(bucket, 0.0, keep=1.8)
        waits.append(wait)
    assert [wait > 0 for wait in waits] == [False] * 8 + [True]
    assert take(bucket, 0.0)[1] == 0.0
