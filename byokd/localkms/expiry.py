"""Time passes also when nobody asks: the task that lets material expire and keys be deleted on the dot.

Every request makes what is due happen before it looks at anything, so no client can catch material after its `ValidTo`.
This task does the same when there are no requests. It sleeps until the nearest deadline; a clock may wake it sooner,
when it was stepped or to have its lead written down.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import Final, NoReturn

from byokd.localkms.clock import Clock, MovableClock
from byokd.localkms.keyring import Keyring
from byokd.localkms.persistence import Journal

MAX_SLEEP_S: Final = 366 * 86_400.0
"""By the clock: nobody sleeps until infinity."""

log = logging.getLogger(__name__)


async def keep_time(keyring: Keyring, journal: Journal, clock: Clock) -> NoReturn:
    """Make due things happen, for ever. A disk that refuses is logged; the next deadline or request tries again."""
    while True:
        now = clock.now()
        keyring.expire(now)
        note_time(clock, journal)
        if not journal.settled:
            try:
                await journal.flush()
            except sqlite3.Error:
                log.exception("an expiry could not be written to disk; it holds in memory and will be written later")
        await _sleep(keyring, clock, min(keyring.deadlines.next_at, now + MAX_SLEEP_S))


def note_time(clock: Clock, journal: Journal) -> None:
    """Note how far the clock is ahead of real time, if that has changed by a second or more of its own."""
    if isinstance(clock, MovableClock) and abs(clock.lead_s - journal.lead_s) >= 1.0:
        journal.save_lead(clock.lead_s)


async def _sleep(keyring: Keyring, clock: Clock, until: float) -> None:
    """Sleep until the moment, or until a nearer deadline turns up."""
    keyring.deadlines.nearer.clear()
    waits = [asyncio.ensure_future(clock.sleep_until(until)), asyncio.ensure_future(keyring.deadlines.nearer.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
