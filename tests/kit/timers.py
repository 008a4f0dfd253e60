"""The kernel's timers that tell when the machine's clock is set, as a test sees them: no test sets that clock.

A timer that expires is read like one that is cancelled, so whoever watches for the one notices the other.
"""

from __future__ import annotations

import asyncio
import ctypes
from pathlib import Path
from typing import Any

from byokd.clock import _TFD_TIMER_ABSTIME, _TimerSpec

CANCELLED_ON_SET = "settime flags: 03"
"""TFD_TIMER_ABSTIME and TFD_TIMER_CANCEL_ON_SET, as the kernel has them (proc(5), /proc/pid/fdinfo)."""


def watched_timers() -> list[int]:
    """Descriptors that the running loop reads and that become readable when the clock is set."""
    loop: Any = asyncio.get_running_loop()
    descriptors = [key.fd for key in loop._selector.get_map().values()]
    return [each for each in descriptors if CANCELLED_ON_SET in Path(f"/proc/self/fdinfo/{each}").read_text()]


def ring(timer: int) -> None:
    """Let a timer expire, at the first moment of 1970."""
    spec = _TimerSpec(value_ns=1)
    assert ctypes.CDLL(None).timerfd_settime(timer, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None) == 0
