"""The only reader of real time. Everybody else is given a `Clock`."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from datetime import UTC, datetime


class SystemClock:
    """Wall time and monotonic time of this machine; implements `byokd.ports.Clock`."""

    def now(self) -> datetime:
        """Wall time: aware UTC, cut to whole seconds."""
        return datetime.now(UTC).replace(microsecond=0)

    def monotonic(self) -> float:
        """Seconds since the machine started, roughly; never steps back."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, *, until: datetime, cap_s: float = 60.0) -> None:
        """Return when `event` is set, at `until`, or after `cap_s` seconds, whichever is first."""
        left = (until - datetime.now(UTC)).total_seconds()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(left, cap_s))):
                await event.wait()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)


class SortableIds:
    """Makes ids that sort by the millisecond of their making and are unique over all nodes; implements `NewId`."""

    def __call__(self) -> str:
        """A new id: 12 hex digits of Unix milliseconds and 16 of chance."""
        return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"
