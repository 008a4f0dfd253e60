"""What byokd sends to each lane, and how that goes with its quotas.

The law `quota` is held at once; what takes hindsight is in `queues`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from byokd.facts.policy import LearnedPace, Quota

PARAMETERS: Final = "GetParametersForImport"
IMPORT: Final = "ImportKeyMaterial"
OF_AN_IMPORT: Final = (PARAMETERS, IMPORT)
TRIED_PER_S: Final = 1 / 1800
"""Of its quota, so much more is tried for each second in which requests wait."""
MOST_WAIT: Final = 40
"""More imports than this do not wait for tokens at once; others wait for their turn."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request of an import."""

    at_s: float
    arn: str
    quota: Quota
    left: float
    """Tokens that it left to others, at most."""


class Traffic:
    """The requests of one world, lane by lane."""

    def __init__(self, now_s: Callable[[], float], broken: Callable[[str, str, str], None]) -> None:
        self._now_s = now_s
        self._broken = broken
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}
        self._share: dict[str, float] = {}
        """By lane: what it had last learned."""
        self._waited_s: defaultdict[str, float] = defaultdict(float)
        """By lane: for how long requests may have waited since then."""
        self._waiting: dict[str, tuple[float, float]] = {}
        """By lane: since when the next request may have been waiting, and for how long at most."""
        self.sent: defaultdict[tuple[str, str], list[Sent]] = defaultdict(list)
        """By lane and operation, of the two of an import."""
        self.refused: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        """By lane and operation: when KMS said that it is called too often."""
        self.begun: defaultdict[str, list[float]] = defaultdict(list)
        """By lane: when a new process or a new config began with full buckets."""

    def requested(self, lane: str, operation: str, arn: str, quota: Quota) -> None:
        """byokd sends a request: no faster than it was told, or than it may find out to be allowed."""
        now_s = self._now_s()
        tokens, since_s = self._buckets.get((lane, operation), (quota.burst, now_s))
        tokens = min(quota.burst, tokens + (now_s - since_s) * quota.per_second * quota.headroom) - 1
        self._buckets[lane, operation] = (tokens, now_s)
        if tokens < -0.05:
            self._broken("quota", lane, f"{operation} is sent faster than {quota.per_second * quota.headroom:.3g}/s")
        if operation == PARAMETERS and quota.headroom > 1:
            self._wait_on(lane)
            self._waiting[lane] = (now_s, (MOST_WAIT + quota.burst) / quota.per_second)
        if operation in OF_AN_IMPORT:
            self.sent[lane, operation].append(Sent(now_s, arn, quota, tokens))

    def throttled(self, lane: str, operation: str) -> None:
        """KMS says ThrottlingException."""
        self.refused[lane, operation].append(self._now_s())

    def learned(self, lane: str, pace: LearnedPace | None) -> None:
        """byokd writes down what it found out to be allowed: it has tried more only while requests waited."""
        self._wait_on(lane)
        share, before = 1.0 if pace is None else pace.share, self._share.get(lane, 1.0)
        most = max(1.0, before) + self._waited_s.pop(lane, 0.0) * TRIED_PER_S + 0.05
        self._share[lane] = share
        if share > most:
            self._broken("waits to learn", lane, f"has learned {share:.2f} of its quota, {before:.2f} before")

    def _wait_on(self, lane: str) -> None:
        """Count the time in which the next request of a lane may have waited up to now."""
        now_s = self._now_s()
        since_s, longest_s = self._waiting.get(lane, (now_s, 0.0))
        waited_s = min(now_s - since_s, longest_s)
        self._waited_s[lane] += waited_s
        self._waiting[lane] = (now_s, longest_s - waited_s)

    def restarted(self, lane: str, quotas: dict[str, Quota]) -> None:
        """A new process knows nothing of the tokens that the old one used: its burst may be used again."""
        self.begun[lane].append(self._now_s())
        for operation, quota in quotas.items():
            if (lane, operation) in self._buckets:
                tokens, since_s = self._buckets[lane, operation]
                self._buckets[lane, operation] = (tokens + quota.burst, since_s)
