"""The only reader of real time. Everybody else is given a `Clock`.

A sleep until a wall-clock time goes wrong when the clock is set meanwhile, or the machine suspended. Linux has a timer
that is cancelled when that happens (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET): `SystemClock` holds one, armed for a
time that never comes, and ends every `wait` when it is cancelled. Where there is no such timer, a wait ends after a
minute at the latest.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

_TFD_TIMER_ABSTIME: Final = 1
_TFD_TIMER_CANCEL_ON_SET: Final = 2
UNWATCHED_CAP_S: Final = 60.0
"""No wait lasts longer where nobody tells that the clock was set, whatever its own cap."""
_NEVER_S: Final = 253_402_300_799
"""The last second of the year 9999."""


class _TimerSpec(ctypes.Structure):
    """`struct itimerspec` of timerfd_settime(2): an interval of none, and the time at which the timer expires."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class SystemClock:
    """Wall time and monotonic time of this machine; implements `byokd.ports.Clock`."""

    def __init__(self) -> None:
        self._waits: set[asyncio.Timeout] = set()
        self._watched = False

    def now(self) -> datetime:
        """Wall time: aware UTC, cut to whole seconds."""
        return datetime.now(UTC).replace(microsecond=0)

    def monotonic(self) -> float:
        """Seconds since the machine started, roughly; never steps back."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, *, until: datetime, cap_s: float = 60.0) -> None:
        """Return when `event` is set, at `until`, after `cap_s` seconds, or when the clock is set; the first counts.

        After a minute at the latest where it would not be noticed that the clock is set.
        """
        left = (until - datetime.now(UTC)).total_seconds()
        cap_s = cap_s if self._watched else min(cap_s, UNWATCHED_CAP_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(left, cap_s))) as limit:
                self._waits.add(limit)
                try:
                    await event.wait()
                finally:
                    self._waits.discard(limit)

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)

    def was_set(self) -> None:
        """End every wait: the clock was set, so that nobody's time to wake is what it was."""
        now = asyncio.get_running_loop().time()
        for limit in self._waits:
            if not limit.expired():  # it ends in this very round of the loop
                limit.reschedule(now)

    @contextmanager
    def watching(self) -> Iterator[bool]:
        """Notice at once when the clock is set or the machine resumes, for as long as the block runs.

        Gives whether this machine can; where it cannot, the minute of `wait` has to do. Needs a running event loop.
        """
        descriptor = _armed_timer()
        if descriptor is None:
            yield False
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, self._ring, descriptor)
        self._watched = True
        try:
            yield True
        finally:
            self._watched = False
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def _ring(self, descriptor: int) -> None:
        try:
            os.read(descriptor, 8)
        except OSError as error:
            if error.errno not in (errno.ECANCELED, errno.EAGAIN):
                raise
        _arm(descriptor)
        self.was_set()


def _armed_timer() -> int | None:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor: int = libc.timerfd_create(time.CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
    except AttributeError:
        return None  # not Linux
    if descriptor < 0:
        return None
    try:
        _arm(descriptor)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _arm(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET
    while libc.timerfd_settime(descriptor, flags, ctypes.byref(_TimerSpec(value_s=_NEVER_S)), None):
        # A clock that is set between two calls cancels the arming itself.
        if (number := ctypes.get_errno()) != errno.ECANCELED:
            raise OSError(number, os.strerror(number))


class SortableIds:
    """Makes ids that sort in the order of their making and are unique over all nodes; implements `NewId`.

    The order holds within one process while its clock is not set back.
    """

    def __init__(self) -> None:
        self._milliseconds, self._chance = 0, 0

    def __call__(self) -> str:
        """A new id: 12 hex digits of Unix milliseconds, and 16 of chance that count on within a millisecond."""
        now = time.time_ns() // 1_000_000
        # The first bit is no chance: there is room to count.
        self._chance = self._chance + 1 if now == self._milliseconds else secrets.randbits(63)
        self._milliseconds = now
        return f"{now:012x}{self._chance:016x}"
