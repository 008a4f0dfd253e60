"""A lane's token buckets: who calls KMS asks here first, and is told how long to wait.

A token is taken as the last thing before its request is sent, so that what a bucket gives is what KMS gets, however
long the look or the source before it took.

An import is admitted by its GetParametersForImport, the scarcest quota of all. It has to be prepared first: looked at,
proved, its intent written down. So it *sets out* a little before a token is there for it, and waits for that at its
request. Whoever sets out has the earliest deadline, and holds no token until then: where no request comes of it, none
was used.

    sets out ──▶ look ─▶ prove ─▶ intent ──▶ a token ──▶ GetParametersForImport
       └────────────── lead ──────────────────┘
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Final

from byokd.decide.admit import (
    IMPORT_PARAMETERS,
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
from byokd.errors import Throttled
from byokd.facts.key import KeyRef
from byokd.facts.ledger import Tier
from byokd.facts.policy import FASTEST_QUOTA, SLOWEST_QUOTA, Lane, LearnedPace, Quota
from byokd.ports import Clock

OF_AN_IMPORT: Final = (IMPORT_PARAMETERS, "ImportKeyMaterial")
SHORTEST_LEAD_S: Final = 0.25
LONGEST_LEAD_S: Final = 10.0
"""What takes longer on its way to its request is not reckoned with: others set out meanwhile."""
REST_S: Final = 1.0
"""How long an import takes from its request to its record, on a busy machine."""
LEAD_KEPT: Final = 0.9
"""Of a lead that turned out longer than need be, so much is kept for the next import."""


class Pace:
    """One bucket per KMS operation. The buckets start full, so a restarted daemon may use its burst again."""

    def __init__(
        self, lane: Lane, clock: Clock, *, waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """`waiting` is entered while an import waits for its token."""
        self._waiting = waiting
        self._clock = clock
        self._quotas = dict(lane.quotas)
        self._share = lane.quota_share
        self._kept = {tier: kept(lane, tier) for tier in Tier}
        self._buckets: dict[str, Bucket] = {
            operation: full(quota, clock.monotonic()) for operation, quota in lane.quotas.items()
        }
        self._remembered: Mapping[str, LearnedPace] = {}
        """By operation: what was on record at the start."""
        self._untold = lane.read_quotas
        """Whether Service Quotas is still to tell what the account is allowed."""
        self._allowed = asyncio.Event()
        """Set when Service Quotas told, and another one put in its place: whoever waits for a token asks again."""
        self._slowed_at: dict[str, float] = {}
        """By operation, monotonic seconds."""
        self._coming: dict[KeyRef, float] = {}
        """Imports that have set out and have no token yet: since when, monotonic seconds."""
        self._lead_s = 1.0
        """How long an import was on its way to its request lately."""

    def recall(self, known: Mapping[str, LearnedPace]) -> None:
        """Go on with what was learned before a restart, of the same quotas."""
        self._remembered = known
        for operation in self._quotas:
            self._buckets[operation] = self._begun(operation)

    def known(self) -> dict[str, LearnedPace]:
        """What was learned, by operation; those that are at their quota are left out.

        What was learned of other quotas is among it for as long as Service Quotas may still tell these.
        """
        now, at = self._clock.now(), self._clock.monotonic()
        # At its quota a bucket stays there while nobody waits; most are, and this is asked at each wake.
        buckets = {
            operation: refill(bucket, at)
            for operation, bucket in self._buckets.items()
            if bucket.share != 1.0 or bucket.limit != bucket.quota.headroom or bucket.wanted_until > bucket.at
        }
        of_these = learned_of(self._quotas, self._remembered)
        of_others = {name: pace for name, pace in self._remembered.items() if self._untold and name not in of_these}
        return of_others | {
            operation: LearnedPace(
                share=round(bucket.share, 4),
                limit=round(bucket.limit, 4),
                limited_at=now - timedelta(seconds=int(at - bucket.limited_at)),
                per_second=bucket.quota.per_second,
            )
            for operation, bucket in buckets.items()
            if bucket.share != 1.0 or bucket.limit != bucket.quota.headroom
        }

    @property
    def quotas(self) -> Mapping[str, Quota]:
        """Those of the config, or what Service Quotas told in their place."""
        return self._quotas

    def allow(self, per_second: Mapping[str, float]) -> bool:
        """Go by what the account is allowed, for the two operations of an import, where that can be.

        What was learned of other quotas is void then. Returns whether anything changed.
        """
        changed, self._untold = False, False
        for operation in OF_AN_IMPORT:
            told = per_second.get(operation, 0.0)
            quota, rate = self._quotas[operation], told * self._share
            if SLOWEST_QUOTA <= told <= FASTEST_QUOTA and (rate, rate) != (quota.per_second, quota.ceiling):
                self._quotas[operation] = replace(quota, per_second=rate, ceiling=rate)
                self._buckets[operation] = self._begun(operation)
                changed = True
        if changed:
            self._allowed.set()
            self._allowed = asyncio.Event()
        return changed

    def sooner(self, tier: Tier, *, than: Tier) -> bool:
        """Whether imports of a tier take from tokens that another tier leaves."""
        return self._kept[tier] < self._kept[than]

    def wait(self, tier: Tier) -> float:
        """Seconds until another import may set out; 0 where it may now. Who asks has one that wants to.

        Those seconds count as time in which the pace is too small (`admit.wanted`), also where the import is withdrawn
        meanwhile.
        """
        at = self._clock.monotonic()
        # Who is late already may be held up for long, and keeps nobody waiting.
        coming = sum(1 for since in self._coming.values() if at - since <= self._lead_s)
        bucket = self._buckets[IMPORT_PARAMETERS]
        wait = sets_out(bucket, at, coming=coming, lead_s=self._lead_s, keep=self._kept[tier])
        if wait:
            self._buckets[IMPORT_PARAMETERS] = wanted(bucket, at, wait=wait)
        return wait

    @property
    def abreast(self) -> int:
        """How many imports are under way at once where none has to wait for anything but its token."""
        return math.ceil(self._buckets[IMPORT_PARAMETERS].per_second * (self._lead_s + REST_S))

    def set_out(self, ref: KeyRef) -> None:
        """An import of the key is on its way to its request."""
        self._coming[ref] = self._clock.monotonic()

    def turned_back(self, ref: KeyRef) -> bool:
        """The key's turn is over; returns whether its import was on its way still, and made room for another."""
        return self._coming.pop(ref, None) is not None

    def all_turned_back(self) -> None:
        """Nobody is on the way any more."""
        self._coming.clear()

    def near(self, tier: Tier) -> bool:
        """Whether an import that gets to its request now has its token soon; else it had better wait in the queue."""
        bucket, at = self._buckets[IMPORT_PARAMETERS], self._clock.monotonic()
        return not sets_out(bucket, at, coming=0, lead_s=LONGEST_LEAD_S, keep=self._kept[tier])

    async def arrived(self, ref: KeyRef, tier: Tier) -> None:
        """Return when the import that had set out may send its GetParametersForImport: at once, as a rule."""
        at = self._clock.monotonic()
        if (since := self._coming.pop(ref, None)) is not None:
            took_s = min(at - since, LONGEST_LEAD_S)
            self._lead_s = max(SHORTEST_LEAD_S, took_s, self._lead_s * LEAD_KEPT)
        with self._waiting():
            await self.admit(IMPORT_PARAMETERS, keep=self._kept[tier])

    async def admit(self, operation: str, *, keep: float = 0.0) -> None:
        """Return when a request of this kind may be sent, `keep` tokens being left to others."""
        bucket, wait = take(self._buckets[operation], self._clock.monotonic(), keep=keep)
        self._buckets[operation] = bucket
        if not wait:
            return
        self._buckets[operation] = lined_up(bucket)
        leaves = gave_up
        try:
            while wait:
                until = self._clock.now() + timedelta(seconds=wait + 1)  # never before the wait is over
                await self._clock.wait(self._allowed, until=until, cap_s=wait)
                now = self._clock.monotonic()
                wait = remains(self._buckets[operation], now, taken=bucket.taken, keep=keep)
                self._buckets[operation] = wanted(self._buckets[operation], now, wait=wait)
            leaves = sent
        finally:
            self._buckets[operation] = leaves(self._buckets[operation], self._clock.monotonic(), taken=bucket.taken)

    def request(self, operation: str, *, admitted: bool = False) -> Request:
        """Around one request: waits until it may be sent, and slows down where KMS says that it is called too often.

        What was `admitted` already does not wait.
        """
        return Request(self, operation, self._clock, admitted=admitted)

    def refused(self, operation: str, sent_at: float) -> None:
        """KMS refused a request for its rate that was sent at `sent_at`, monotonic seconds.

        Of requests that are under way together all may be refused; the pace that they were sent at has been slowed
        down by the first.
        """
        if sent_at > self._slowed_at.get(operation, -math.inf):
            now = self._clock.monotonic()
            self._buckets[operation] = throttled(self._buckets[operation], now)
            self._slowed_at[operation] = now

    def _begun(self, operation: str) -> Bucket:
        """A bucket that goes on with what was learned of this quota before a restart.

        What was used a moment ago of the burst is not there again, and who waits goes on waiting: a survey may have
        begun before the lane has read its record.
        """
        quota, at = self._quotas[operation], self._clock.monotonic()
        old, new = refill(self._buckets[operation], at), full(quota, at)
        if (pace := learned_of(self._quotas, self._remembered).get(operation)) is not None:
            age_s = max(0.0, (self._clock.now() - pace.limited_at).total_seconds())
            new = learned(quota, at, share=pace.share, limit=pace.limit, age_s=age_s)
        return replace(new, tokens=old.tokens, taken=old.taken, line=old.line)


class Request:
    """See `Pace.request`; there is one for each call to KMS, and as a generator it would cost twice as much."""

    __slots__ = ("_admitted", "_clock", "_operation", "_pace", "_sent_at")

    def __init__(self, pace: Pace, operation: str, clock: Clock, *, admitted: bool) -> None:
        self._pace = pace
        self._operation = operation
        self._clock = clock
        self._admitted = admitted
        self._sent_at = -math.inf

    async def __aenter__(self) -> None:
        """Wait until the request may be sent."""
        if not self._admitted:
            await self._pace.admit(self._operation)
        self._sent_at = self._clock.monotonic()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Look whether it was refused for its rate."""
        if isinstance(error, Throttled):
            self._pace.refused(self._operation, self._sent_at)
