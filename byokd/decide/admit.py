"""A lane's pace as arithmetic: token buckets that slow down when KMS says so, and learn what they may use.

    ceiling   where one is set, found out: by 1/1800 for each second in which somebody waits for a token; what was too
              much is not tried for a day
    1         the quota of the config: come back to by 1/500 a second
    1/16      slowed down: by half for each throttled answer

Somebody else in the account uses the same quota, and AWS's documents disagree about its size, so what KMS says counts
for more than what is written down. Times here are monotonic seconds: a bucket must not jump when the wall clock does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from byokd.facts.ledger import Tier
from byokd.facts.policy import Lane, LearnedPace, Quota

IMPORT_PARAMETERS: Final = "GetParametersForImport"
"""The scarcest operation of an import, by whose tokens imports are admitted."""
SLOWDOWN: Final = 0.5
"""A throttled answer halves the pace: somebody else uses the account's quota too."""
SLOWEST: Final = 1 / 16
"""Never below this share of the quota, so that a lane always gets somewhere."""
RECOVERY_PER_S: Final = 1 / 500
"""Share of the quota that the pace regains each second, up to the whole of it: slow enough that a lane beside others
who keep using the quota is refused once in several requests, quick enough that one refusal is over in minutes."""
GROWTH_PER_S: Final = 1 / 1800
"""Share of the quota that is tried beyond it for each second in which somebody had to wait for a token, up to the
ceiling. Time in which nobody asked for more says nothing about what is allowed."""
TOO_MUCH: Final = 0.9
"""Of a pace beyond the quota that was throttled, so much is held to be allowed."""
REMEMBERED_S: Final = 86_400.0
"""For how long what was too much is not tried again."""
USED: Final = 0.985
"""Of a pace, so much is used: requests that hold to it exactly overtake it whenever the network is quicker than before,
and AWS counts arrivals."""


MADE_UP: Final = 1.0 - USED
"""Of a token's time, so much lateness in a line is made up for: the quota has room for it, beyond what is used."""
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
    wanted_until: float
    """Until when somebody has to wait for a token, as far as is known."""
    taken: int = 0
    """How many tokens were taken so far."""
    line: tuple[int, ...] = ()
    """Who took a token in advance and waits for it, by number: their requests are not sent yet."""

    @property
    def per_second(self) -> float:
        """Tokens that come in a second."""
        return self.quota.per_second * self.share * USED


def full(quota: Quota, at: float) -> Bucket:
    """A bucket that nobody has used yet."""
    return Bucket(
        quota=quota, tokens=quota.burst, share=1.0, limit=quota.headroom, limited_at=at, at=at, wanted_until=at
    )


def learned(quota: Quota, at: float, *, share: float, limit: float, age_s: float) -> Bucket:
    """A full bucket that goes on with what an earlier one had learned, `limit` being so old."""
    known = age_s < REMEMBERED_S
    most = min(quota.headroom, limit) if known else quota.headroom
    limited_at = at - age_s if known else at
    share = max(SLOWEST, min(share, most))
    return replace(full(quota, at), share=share, limit=most, limited_at=limited_at)


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
    return replace(bucket, tokens=tokens, share=share, limit=limit, at=at)


def _figures(bucket: Bucket, at: float) -> tuple[float, float, float]:
    """Its tokens, share and limit at a later time; a forecast asks for them by the million."""
    quota, passed = bucket.quota, max(0.0, at - bucket.at)
    limit = bucket.limit if at < bucket.limited_at + REMEMBERED_S else quota.headroom
    share, come = bucket.share, passed * bucket.per_second
    if share < limit:
        back, recovered = _risen(share, 1.0, RECOVERY_PER_S, passed)
        waited = min(at, bucket.wanted_until) - bucket.at - recovered
        share, grown = _risen(back, limit, GROWTH_PER_S, max(0.0, waited))
        work = recovered * (bucket.share + back) + grown * (back + share) + 2 * share * (passed - recovered - grown)
        come = work / 2 * quota.per_second * USED
    # KMS has the tokens still that are taken and unused: it keeps a burst of them, those of the line included.
    most = quota.burst - len(bucket.line) + MADE_UP if bucket.line else quota.burst
    return min(most, bucket.tokens + come), share, limit


def _risen(share: float, top: float, per_s: float, within: float) -> tuple[float, float]:
    """A share that rises to `top` for so many seconds at most, and for how many it rose."""
    lasts = (top - share) / per_s
    if lasts <= 0.0:
        return share, 0.0
    return (top, lasts) if lasts <= within else (share + within * per_s, within)


def _seconds(tokens: float, quota: Quota, share: float, limit: float) -> float:
    """How long so many tokens take to come, to somebody who waits for them: 0 where none have to.

    The share rises meanwhile, as `_figures` has it. Who asks later is told of the same rise, so that no two are told to
    send closer together than the pace is by then.
    """
    if tokens <= 0.0:
        return 0.0
    whole, passed = quota.per_second * USED, 0.0
    for top, rise in ((1.0, RECOVERY_PER_S), (limit, GROWTH_PER_S)):
        if share < top:
            lasts = (top - share) / rise
            if tokens <= (come := lasts * (share + top) / 2 * whole):
                work = tokens / whole
                return passed + 2.0 * work / (share + math.sqrt(share * share + 2.0 * rise * work))
            share, tokens, passed = top, tokens - come, passed + lasts
    return passed + tokens / (quota.per_second * share * USED)


def take(bucket: Bucket, at: float, *, keep: float = 0.0) -> tuple[Bucket, float]:
    """Take one token, leaving `keep` of them to others who may be in a greater hurry.

    Returns the bucket and how many seconds to wait before the request may be sent: the token is taken in advance, so
    that callers are served in the order in which they asked. Who has waited asks `remains`.
    """
    tokens, share, limit = _figures(bucket, at)
    wait = _seconds(1.0 + keep - tokens, bucket.quota, share, limit)
    left = Bucket(
        quota=bucket.quota,
        tokens=tokens - 1.0,
        share=share,
        limit=limit,
        limited_at=bucket.limited_at,
        at=at,
        wanted_until=max(bucket.wanted_until, at + wait),
        taken=bucket.taken + 1,
        line=bucket.line,
    )
    return left, wait


def lined_up(bucket: Bucket) -> Bucket:
    """Whoever took a token just now has to wait for it."""
    return replace(bucket, line=(*bucket.line, bucket.taken))


def sent(bucket: Bucket, at: float, *, taken: int) -> Bucket:
    """Whoever took a token as number `taken`, and stood in the line, sends its request."""
    return replace(refill(bucket, at), line=tuple(each for each in bucket.line if each != taken))


def gave_up(bucket: Bucket, at: float, *, taken: int) -> Bucket:
    """The same who sends none after all: its token is there for the next."""
    left = sent(bucket, at, taken=taken)
    return replace(left, tokens=left.tokens + 1.0)


def remains(bucket: Bucket, at: float, *, taken: int, keep: float = 0.0) -> float:
    """Seconds for which whoever took a token as number `taken` is still to wait: 0 when it was told, as a rule.

    Longer where KMS refused a request meanwhile: each that is sent at the pace that was refused is refused as well.
    And where the process stood still, and the waits of a whole line are over together: their tokens are not.
    """
    behind = sum(1 for each in bucket.line if each > taken)
    return _until(bucket, at, keep - behind)


def sets_out(bucket: Bucket, at: float, *, coming: int, lead_s: float, keep: float = 0.0) -> float:
    """Seconds until one more may set out for a token that it takes about `lead_s` later, when it has got there.

    `coming` others have set out and taken none yet. Whoever sets out in time finds its token there as it arrives, or
    waits for it a little; so no token is lost, and none is held by somebody who may be long in coming.
    """
    return _until(bucket, at, 1.0 + keep + coming, lead_s=lead_s)


def _until(bucket: Bucket, at: float, tokens: float, *, lead_s: float = 0.0) -> float:
    """Seconds until the bucket has so many tokens, but for a lead."""
    present, share, limit = _figures(bucket, at)
    wait = _seconds(tokens - present, bucket.quota, share, limit) - lead_s
    return wait if wait > AT_ONCE_S else 0.0


def wanted(bucket: Bucket, at: float, *, wait: float) -> Bucket:
    """Somebody has been told that it may not set out for so many seconds: the pace is too small for the work there is.

    What may be beyond it is tried for as long as that, and no longer.
    """
    return replace(refill(bucket, at), wanted_until=max(bucket.wanted_until, at + wait))


def kept(lane: Lane, tier: Tier) -> float:
    """Tokens that an import of this tier leaves to those in a greater hurry: the lane's reserve, if it is routine.

    There is something to keep back where the burst is more than one request. Of a burst of one there is none: who is in
    a hurry gets the next token anyway, by its rank, and one that is kept unused is lost.
    """
    return lane.reserve * (lane.quotas[IMPORT_PARAMETERS].burst - 1.0) if tier in (Tier.FRESH, Tier.DUE) else 0.0


def throttled(bucket: Bucket, at: float) -> Bucket:
    """KMS refused a request for its rate: slow down, and start again from an empty bucket.

    A pace beyond the quota was too much, which is remembered. One within it is slowed down for the sake of others.
    """
    now = refill(bucket, at)
    if now.share > 1.0:
        allowed = max(1.0, now.share * TOO_MUCH)
        now = replace(now, limit=allowed, limited_at=at)
    share = max(SLOWEST, min(now.share, 1.0) * SLOWDOWN)
    return replace(now, share=share, tokens=min(now.tokens, -float(len(now.line))))
