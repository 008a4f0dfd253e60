"""An event loop on virtual time: where a real loop would sleep, its clock jumps, and a year passes in milliseconds.

Nothing is patched. asyncio asks its selector to wait until the next timer; this selector does not wait, it moves the
loop's clock there. Two traps: the clock must not jump while a thread or a socket still works on something (`Inflight`
is asked), and a float of many seconds cannot hold nanoseconds, so that a timer that is due by a rounding error would
never fire and the loop would spin (`_clock_resolution`).
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

RESOLUTION_S = 1e-6
POLL_S = 0.002
"""Real seconds between two looks at work that is in flight outside the loop."""


async def virtual_sleep(seconds: float) -> None:
    """Let virtual time pass."""
    await asyncio.sleep(seconds)


class NothingLeft(Exception):
    """No timer is set and nothing is in flight: whoever waits, waits for ever."""


class JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: moves the clock of its loop instead, unless real work is in flight."""

    def __init__(self, inflight: Callable[[], bool] | None) -> None:
        super().__init__()
        self.now_s = 0.0
        self.jumps = 0
        self._inflight = inflight

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector`."""
        if self._inflight is None:
            if timeout is None:
                raise NothingLeft
            self.now_s += max(0.0, timeout)
            self.jumps += 1
            return []
        ready = super().select(0)
        while not ready and timeout != 0 and self._inflight():
            ready = super().select(POLL_S)
        if not ready and timeout is None:
            raise NothingLeft
        if not ready and timeout:
            self.now_s += timeout
            self.jumps += 1
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at 0 s. With `inflight`, real threads and sockets are waited for before time moves."""

    def __init__(self, inflight: Callable[[], bool] | None = None) -> None:
        self.selector = JumpingSelector(inflight)
        super().__init__(self.selector)
        self._clock_resolution = RESOLUTION_S

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.selector.now_s


def run_virtually(main: Coroutine[Any, Any, Any], *, inflight: Callable[[], bool] | None = None) -> Any:
    """Run a coroutine to its end on virtual time, and return what it returns."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(inflight)) as runner:
        return runner.run(main)
