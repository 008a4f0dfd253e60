"""Trouble with the store, which befalls whole lanes: how long to leave it alone, longer each time."""

from __future__ import annotations

from datetime import datetime, timedelta

from byokd.decide.backoff import LONGEST_WITHOUT_STORE, store_again
from byokd.ports import Clock


class Setback:
    """What failed, and will be tried again. Failures that come together count as one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._until: datetime | None = None

    def failed(self) -> timedelta:
        """It failed; returns how long to leave it alone. Counts anew where it worked, or nobody tried, for long."""
        now = self._clock.now()
        # Not where the clock was set back: what lies far ahead tells nothing.
        again = self._until is not None and timedelta(0) < self._until - now <= LONGEST_WITHOUT_STORE
        if not again:
            lately = self._until is not None and timedelta(0) <= now - self._until <= LONGEST_WITHOUT_STORE
            self._failures = self._failures + 1 if lately else 1
            self._until = now + store_again(self._failures)
        return store_again(self._failures)

    def worked(self) -> None:
        """It was tried and went well."""
        self._failures, self._until = 0, None
