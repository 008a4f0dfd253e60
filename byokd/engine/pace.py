"""A lane's token buckets: who calls KMS asks here first, and is told how long to wait.

An import is admitted by its GetParametersForImport, the scarcest quota of all: it is *booked* before the import begins,
so that whoever waits has the earliest deadline, and given back where no request came of it.
"""

from __future__ import annotations

from byokd.decide.admit import Bucket, full, refill, take, throttled
from byokd.errors import Throttled
from byokd.facts.ledger import Tier
from byokd.facts.policy import Lane
from byokd.ports import Clock

IMPORT_PARAMETERS = "GetParametersForImport"


class Pace:
    """One bucket per KMS operation. The buckets start full, so a restarted daemon may use its burst again."""

    def __init__(self, lane: Lane, clock: Clock) -> None:
        self._clock = clock
        self._reserve = lane.reserve
        self._buckets: dict[str, Bucket] = {
            operation: full(quota, clock.monotonic()) for operation, quota in lane.quotas.items()
        }

    def book(self, tier: Tier) -> float:
        """Book one import, in advance if need be; returns the seconds to wait before it may begin."""
        return self._take(IMPORT_PARAMETERS, self._cost(tier))

    def book_now(self, tier: Tier) -> bool:
        """Book one import if a token is there for it; whether one was. What it leaves to others, the next one waits."""
        if refill(self._buckets[IMPORT_PARAMETERS], self._clock.monotonic()).tokens < 1:
            return False
        self.book(tier)
        return True

    def give_back(self, tier: Tier) -> None:
        """Undo a booking that no request came of."""
        self._take(IMPORT_PARAMETERS, -self._cost(tier))

    async def admit(self, operation: str) -> None:
        """Return when a request of this kind may be sent."""
        wait = self._take(operation, 1.0)
        if wait > 0:
            await self._clock.sleep(wait)

    def heard(self, operation: str, error: Exception) -> None:
        """Slow this operation down if KMS said that it is called too often."""
        if isinstance(error, Throttled):
            self._buckets[operation] = throttled(self._buckets[operation], self._clock.monotonic())

    def _take(self, operation: str, cost: float) -> float:
        self._buckets[operation], wait = take(self._buckets[operation], self._clock.monotonic(), cost)
        return wait

    def _cost(self, tier: Tier) -> float:
        # The reserve: routine work leaves a share of the pace to what is urgent.
        routine = tier in (Tier.FRESH, Tier.DUE)
        return 1 / (1 - self._reserve) if routine else 1.0
