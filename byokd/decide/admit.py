"""A lane's pace as arithmetic: token buckets that slow down when KMS says so, and learn what they may use.

    ceiling   found out: by 1/1800 a second while requests have to wait; what was too much is not tried for a day
    1         the quota of the config: come back to by 1/500 a second
    1/16      slowed down: by half for each throttled answer

Somebody else in the account uses the same quota, and AWS's documents disagree about its size, so what KMS says counts
for more than what is written down. Times here are monotonic seconds: a bucket must not jump when the wall clock does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from byokd.facts.policy import LearnedPace, Quota

SLOWDOWN: Final = 0.5
"""A throttled answer halves the pace: somebody else uses the account's quota too."""
SLOWEST: Final = 1 / 16
"""Never below this share of the quota, so that a lane always gets somewhere."""
RECOVERY_PER_S: Final = 1 / 500
"""Share of the quota that the pace regains each second, up to the whole of it: slow enough that a lane beside others
who keep using the quota is refused once in several requests, quick enough that one refusal is over in minutes."""
GROWTH_PER_S: Final = 1 / 1800
"""Share of the quota that is tried beyond it for each second in which requests had to wait, up to the ceiling."""
TOO_MUCH: Final = 0.9
"""Of a pace beyond the quota that was throttled, so much is held to be allowed."""
REMEMBERED_S: Final = 86_400.0
"""For how long what was too much is not tried again."""
USED: Final = 0.985
"""Of a pace, so much is used: requests that hold to it exactly overtake it whenever the network is quicker than before,
and AWS counts arrivals."""


AT_ONCE_S: Final = 1e-3
"""A wait that is shorter is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One operation's quota in one lane."""

    quota: Quota
    tokens: float
    share: float
    """The present pace as a share of the quota: `SLOWEST` to the quota's headroom."""
    limit: float
    """The share that was found to be allowed; the headroom while none was found to be too much."""
    limited_at: float
    """When `limit` was found."""
    at: float
    """When `tokens` and `share` were true."""

    @property
    def per_second(self) -> float:
        """Tokens that come in a second."""
        return self.quota.per_second * self.share * USED


def full(quota: Quota, at: float) -> Bucket:
    """A bucket that nobody has used yet."""
    return Bucket(quota=quota, tokens=quota.burst, share=1.0, limit=quota.headroom, limited_at=at, at=at)


def learned(quota: Quota, at: float, *, share: float, limit: float, age_s: float) -> Bucket:
    """A full bucket that goes on with what an earlier one had learned, `limit` being so old."""
    known = age_s < REMEMBERED_S
    most = min(quota.headroom, limit) if known else quota.headroom
    limited_at = at - age_s if known else at
    share = max(SLOWEST, min(share, most))
    return Bucket(quota=quota, tokens=quota.burst, share=share, limit=most, limited_at=limited_at, at=at)


def learned_of(quotas: Mapping[str, Quota], paces: Mapping[str, LearnedPace]) -> dict[str, LearnedPace]:
    """Those paces, by operation, that were learned of these quotas: the others say nothing about them."""
    return {
        operation: pace
        for operation, pace in paces.items()
        if operation in quotas and pace.per_second in {0.0, quotas[operation].per_second}
    }


def refill(bucket: Bucket, at: float) -> Bucket:
    """The bucket at a later time."""
    tokens, share, limit = _figures(bucket, at)
    return Bucket(quota=bucket.quota, tokens=tokens, share=share, limit=limit, limited_at=bucket.limited_at, at=at)


def _figures(bucket: Bucket, at: float) -> tuple[float, float, float]:
    """Its tokens, share and limit at a later time; a forecast asks for them by the million."""
    quota, passed = bucket.quota, max(0.0, at - bucket.at)
    tokens = min(quota.burst, bucket.tokens + passed * bucket.per_second)
    limit = bucket.limit if at < bucket.limited_at + REMEMBERED_S else quota.headroom
    share = bucket.share
    if share < (normal := min(1.0, limit)):
        share = min(normal, share + passed * RECOVERY_PER_S)
    return tokens, share, limit


def take(bucket: Bucket, at: float, *, keep: float = 0.0) -> tuple[Bucket, float]:
    """Take one token, leaving `keep` of them to others who may be in a greater hurry.

    Returns the bucket and how many seconds to wait before the request may be sent: the token is taken in advance, so
    that callers are served in the order in which they asked.
    """
    tokens, share, limit = _figures(bucket, at)
    tokens, pace = tokens - 1.0, bucket.quota.per_second * share * USED
    if bucket.tokens < 0.0:
        # Somebody waited all this time: the pace is too small for the work there is.
        share = max(share, min(share + (at - bucket.at) * GROWTH_PER_S, limit))
    left = Bucket(quota=bucket.quota, tokens=tokens, share=share, limit=limit, limited_at=bucket.limited_at, at=at)
    return left, (keep - tokens) / pace if keep > tokens else 0.0


def sets_out(bucket: Bucket, at: float, *, coming: int, lead_s: float, keep: float = 0.0) -> float:
    """Seconds until one more may set out for a token that it takes about `lead_s` later, when it has got there.

    `coming` others have set out and taken none yet. Whoever sets out in time finds its token there as it arrives, or
    waits for it a little; so no token is lost, and none is held by somebody who may be long in coming.
    """
    tokens, share, _ = _figures(bucket, at)
    wait = (coming + 1.0 + keep - tokens) / (bucket.quota.per_second * share * USED) - lead_s
    return wait if wait > AT_ONCE_S else 0.0


def throttled(bucket: Bucket, at: float) -> Bucket:
    """KMS refused a request for its rate: slow down, and start again from an empty bucket.

    A pace beyond the quota was too much, which is remembered. One within it is slowed down for the sake of others.
    """
    now = refill(bucket, at)
    if now.share > 1.0:
        allowed = max(1.0, now.share * TOO_MUCH)
        now = replace(now, limit=allowed, limited_at=at)
    share = max(SLOWEST, min(now.share, 1.0) * SLOWDOWN)
    return replace(now, share=share, tokens=min(now.tokens, 0.0))
