"""A lane's token buckets: who calls KMS asks here first, and is told how long to wait."""

from __future__ import annotations

from byokd.decide.admit import Bucket, full, refill, take, throttled
from byokd.errors import Throttled
from byokd.facts.policy import Lane
from byokd.ports import Clock

IMPORT_PARAMETERS = "GetParametersForImport"


class Pace:
    """One bucket per KMS operation. The buckets start full, so a restarted daemon may use its burst again."""

    def __init__(self, lane: Lane, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {
            operation: full(quota, clock.monotonic()) for operation, quota in lane.quotas.items()
        }

    def reserve(self, operation: str, cost: float = 1.0) -> float:
        """Take a token now, in advance if need be; returns the seconds to wait before using it."""
        self._buckets[operation], wait = take(self._buckets[operation], self._clock.monotonic(), cost)
        return wait

    def ready(self, operation: str) -> bool:
        """Whether a token is there without waiting."""
        return refill(self._buckets[operation], self._clock.monotonic()).tokens >= 1

    async def admit(self, operation: str) -> None:
        """Return when a request of this kind may be sent."""
        wait = self.reserve(operation)
        if wait > 0:
            await self._clock.sleep(wait)

    def heard(self, operation: str, error: Exception) -> None:
        """Slow this operation down if KMS said that it is called too often."""
        if isinstance(error, Throttled):
            self._buckets[operation] = throttled(self._buckets[operation], self._clock.monotonic())
