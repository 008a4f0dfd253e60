"""A lane's pace as arithmetic: token buckets that slow down when KMS says so and learn their way back.

Times here are monotonic seconds, since a bucket must not jump when the wall clock does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from byokd.facts.policy import Quota

SLOWDOWN: Final = 0.5
"""A throttled answer halves the pace: somebody else uses the account's quota too."""
SLOWEST: Final = 1 / 16
"""Never below this share of the quota, so that a lane always gets somewhere."""
RECOVERY_PER_S: Final = 0.01
"""Share of the quota that the pace regains each second without throttling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One operation's quota in one lane."""

    quota: Quota
    tokens: float
    share: float
    """The present pace as a share of the quota, `SLOWEST` to 1."""
    at: float
    """When `tokens` and `share` were true."""


def full(quota: Quota, at: float) -> Bucket:
    """A bucket that nobody has used yet."""
    return Bucket(quota=quota, tokens=quota.burst, share=1.0, at=at)


def refill(bucket: Bucket, at: float) -> Bucket:
    """The bucket at a later time."""
    quota, passed = bucket.quota, max(0.0, at - bucket.at)
    return Bucket(
        quota=quota,
        tokens=min(quota.burst, bucket.tokens + passed * quota.per_second * bucket.share),
        share=min(1.0, bucket.share + passed * RECOVERY_PER_S),
        at=at,
    )


def take(bucket: Bucket, at: float, cost: float = 1.0) -> tuple[Bucket, float]:
    """Take one token, or `cost` of them where a reserve is to be left for others; a negative cost gives back.

    Returns the bucket and how many seconds to wait before the request may be sent: the token is taken in advance, so
    that callers are served in the order in which they asked.
    """
    now = refill(bucket, at)
    tokens = min(now.quota.burst, now.tokens - cost)
    left = Bucket(quota=now.quota, tokens=tokens, share=now.share, at=at)
    return left, max(0.0, -tokens) / (now.quota.per_second * now.share)


def throttled(bucket: Bucket, at: float) -> Bucket:
    """KMS refused a request for its rate: slow down, and start again from an empty bucket."""
    now = refill(bucket, at)
    return replace(now, share=max(SLOWEST, now.share * SLOWDOWN), tokens=min(now.tokens, 0.0))
