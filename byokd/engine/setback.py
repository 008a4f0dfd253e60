"""Trouble with the store, which befalls whole lanes: how long to leave it alone, longer each time."""

from __future__ import annotations

import math
from datetime import timedelta

from byokd.decide.backoff import LONGEST_WITHOUT_STORE, store_again
from byokd.ports import Clock


class Setback:
    """What failed, and will be tried again. Failures that come together count as one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._until_s = -math.inf

    def failed(self) -> timedelta:
        """It failed; returns how long to leave it alone. Counts anew where it worked, or nobody tried, for long."""
        now_s = self._clock.monotonic()
        if now_s >= self._until_s:
            lately = now_s - self._until_s <= LONGEST_WITHOUT_STORE.total_seconds()
            self._failures = self._failures + 1 if lately else 1
            self._until_s = now_s + store_again(self._failures).total_seconds()
        return store_again(self._failures)

    def worked(self) -> None:
        """It was tried and went well."""
        self._failures, self._until_s = 0, -math.inf
