"""A lane's token buckets: who calls KMS asks here first, and is told how long to wait.

An import is admitted by its GetParametersForImport, the scarcest quota of all: it is *booked* before the import begins,
so that whoever waits has the earliest deadline, and given back where no request came of it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from byokd.decide.admit import Bucket, full, give_back, learned, refill, take, throttled
from byokd.errors import Throttled
from byokd.facts.ledger import Tier
from byokd.facts.policy import Lane, LearnedPace
from byokd.ports import Clock

IMPORT_PARAMETERS = "GetParametersForImport"


class Pace:
    """One bucket per KMS operation. The buckets start full, so a restarted daemon may use its burst again."""

    def __init__(self, lane: Lane, clock: Clock) -> None:
        self._clock = clock
        self._quotas = dict(lane.quotas)
        self._share = lane.quota_share
        self._kept = lane.reserve * (lane.quotas[IMPORT_PARAMETERS].burst - 1.0)
        """Tokens that routine imports leave; none of a burst of one: who is in a hurry gets the next token anyway."""
        self._buckets: dict[str, Bucket] = {
            operation: full(quota, clock.monotonic()) for operation, quota in lane.quotas.items()
        }
        self._slowed_at: dict[str, float] = {}
        """By operation, monotonic seconds."""

    def recall(self, known: Mapping[str, LearnedPace]) -> None:
        """Go on with what was learned before a restart."""
        now, at = self._clock.now(), self._clock.monotonic()
        for operation, pace in known.items():
            if operation in self._quotas:
                age_s = max(0.0, (now - pace.limited_at).total_seconds())
                self._buckets[operation] = learned(
                    self._quotas[operation], at, share=pace.share, limit=pace.limit, age_s=age_s
                )

    def known(self) -> dict[str, LearnedPace]:
        """What was learned, by operation; those that are at their quota are left out."""
        now, at = self._clock.now(), self._clock.monotonic()
        # At its quota a bucket stays there by itself; most are, and this is asked at each wake.
        buckets = {
            operation: refill(bucket, at)
            for operation, bucket in self._buckets.items()
            if bucket.share != 1.0 or bucket.limit != bucket.quota.headroom
        }
        return {
            operation: LearnedPace(
                share=round(bucket.share, 4),
                limit=round(bucket.limit, 4),
                limited_at=now - timedelta(seconds=int(at - bucket.limited_at)),
            )
            for operation, bucket in buckets.items()
            if bucket.share != 1.0 or bucket.limit != bucket.quota.headroom
        }

    def allow(self, per_second: Mapping[str, float]) -> None:
        """Go by what the account is allowed, for the two operations of an import. What was learned is void then."""
        for operation in (IMPORT_PARAMETERS, "ImportKeyMaterial"):
            quota, rate = self._quotas[operation], per_second.get(operation, 0.0) * self._share
            if rate > 0 and (rate, rate) != (quota.per_second, quota.ceiling):
                self._quotas[operation] = replace(quota, per_second=rate, ceiling=rate)
                self._buckets[operation] = full(self._quotas[operation], self._clock.monotonic())

    def book(self, tier: Tier) -> float:
        """Book one import, in advance if need be; returns the seconds to wait before it may begin."""
        return self._take(IMPORT_PARAMETERS, self._keep(tier))

    def book_now(self, tier: Tier) -> bool:
        """Book one import if a token is there for it; whether one was."""
        tokens = refill(self._buckets[IMPORT_PARAMETERS], self._clock.monotonic()).tokens
        return tokens >= 1.0 + self._keep(tier) and self.book(tier) == 0.0

    def give_back(self) -> None:
        """Undo a booking that no request came of."""
        self._buckets[IMPORT_PARAMETERS] = give_back(self._buckets[IMPORT_PARAMETERS], self._clock.monotonic())

    async def admit(self, operation: str) -> None:
        """Return when a request of this kind may be sent."""
        wait = self._take(operation)
        if wait > 0:
            await self._clock.sleep(wait)

    @asynccontextmanager
    async def request(self, operation: str, *, booked: bool = False) -> AsyncIterator[None]:
        """Around one request: waits until it may be sent, and slows down where KMS says that it is called too often.

        What was `booked` does not wait. Of requests that are under way together all may be refused; the pace that they
        were sent at has been slowed down by the first.
        """
        if not booked:
            await self.admit(operation)
        sent_at = self._clock.monotonic()
        try:
            yield
        except Throttled:
            now = self._clock.monotonic()
            if sent_at > self._slowed_at.get(operation, -math.inf):
                self._buckets[operation] = throttled(self._buckets[operation], now)
                self._slowed_at[operation] = now
            raise

    def _take(self, operation: str, keep: float = 0.0) -> float:
        self._buckets[operation], wait = take(self._buckets[operation], self._clock.monotonic(), keep=keep)
        return wait

    def _keep(self, tier: Tier) -> float:
        return self._kept if tier in (Tier.FRESH, Tier.DUE) else 0.0
