"""An event loop on virtual time: where a real loop would sleep, its clock jumps, and a year passes in milliseconds.

Nothing is patched. Two loops do it. `VirtualLoop` has neither threads nor sockets, and so neither selector nor system
calls: what is ready runs, and where nothing is, the clock is moved to the next timer. `WaitingLoop` is asyncio's own
with a selector that moves the clock in place of waiting, but never while a thread still works on something (`inflight`
is asked).

A trap: a float of many seconds cannot hold nanoseconds, so that a timer that is due by a rounding error would never
fire and the loop would spin (`RESOLUTION_S`).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
RESOLUTION_S = 1e-6
POLL_S = 0.002
"""Real seconds between two looks at work that is in flight outside the loop."""
MOST_ROUNDS = 100_000
"""Of the loop at one moment: what takes more turns in a circle."""


async def virtual_sleep(seconds: float) -> None:
    """Let virtual time pass."""
    await asyncio.sleep(seconds)


def stand_still(seconds: float) -> None:
    """Let virtual time pass in which nothing on the running loop is done, as in a process that is stopped."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop | WaitingLoop)
    loop.pass_over(seconds)


class NothingLeft(Exception):
    """No timer is set and nothing is in flight: whoever waits, waits for ever."""


class Standstill(Exception):
    """The loop goes round and round, and no time passes."""


class Handle:
    """A callback that was asked for, as asyncio's `Handle` and `TimerHandle`, at a quarter of their price.

    It has no context: nothing that lives on this loop has variables of its own context.
    """

    __slots__ = ("_args", "_callback", "_over", "_when")

    def __init__(self, callback: Any, args: tuple[Any, ...], when: float = 0.0) -> None:
        self._callback = callback
        self._args = args
        self._when = when
        self._over = False

    def cancel(self) -> None:
        """See `asyncio.Handle`."""
        self._over = True
        self._callback, self._args = None, ()

    def cancelled(self) -> bool:
        """See `asyncio.Handle`."""
        return self._over

    def when(self) -> float:
        """See `asyncio.TimerHandle`."""
        return self._when


def _give_up() -> None:
    raise Standstill


def _wait_for_ever() -> None:
    raise NothingLeft


def whereabouts(loop: asyncio.AbstractEventLoop) -> list[str]:
    """What each task of a loop waits for: the coroutines from the outermost to the one that awaits no other."""
    chains = []
    for task in asyncio.all_tasks(loop):
        coroutine: Any = task.get_coro()
        chain = []
        while hasattr(coroutine, "cr_await"):
            chain.append(coroutine.__qualname__)
            coroutine = coroutine.cr_await
        chains.append(" > ".join(chain))
    return sorted(chains)


class VirtualLoop(asyncio.BaseEventLoop):
    """Begins at 0 s. Whatever is scheduled for the same moment runs in the order in which it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.at_standstill = _give_up
        """Called after `MOST_ROUNDS` at one moment."""
        self.with_nothing_left = _wait_for_ever
        """Called where nothing is ready and no timer is set."""
        self._rounds = 0
        self._soon: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.now_s

    def pass_over(self, seconds: float) -> None:
        """See `stand_still`."""
        self.now_s += seconds

    def call_soon(  # type: ignore[override]  # of any arguments
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """See `asyncio.AbstractEventLoop`."""
        handle = Handle(callback, args)
        self._soon.append(handle)
        return handle

    def call_at(  # type: ignore[override]  # of any arguments
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """See `asyncio.AbstractEventLoop`."""
        handle = Handle(callback, args, when)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def call_later(  # type: ignore[override]  # of any arguments
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """See `asyncio.AbstractEventLoop`."""
        return self.call_at(self.now_s + delay, callback, *args)

    def _run_once(self) -> None:
        """Round after round until the loop is stopped: a world has hundreds of thousands, most of a callback or two."""
        soon, timers = self._soon, self._timers
        while True:
            if not soon and not self._stopping:  # type: ignore[attr-defined]  # of BaseEventLoop
                while timers and timers[0][2]._over:
                    heapq.heappop(timers)
                if not timers:
                    self.with_nothing_left()
                if timers[0][0] > self.now_s:
                    self.now_s = timers[0][0]
                    self._rounds = 0
            self._rounds += 1
            if self._rounds > MOST_ROUNDS:
                self._rounds = 0
                self.at_standstill()
            due_s = self.now_s + RESOLUTION_S
            while timers and timers[0][0] < due_s:
                soon.append(heapq.heappop(timers)[2])
            for _ in range(len(soon)):
                handle = soon.popleft()
                if handle._over:
                    continue
                try:
                    handle._callback(*handle._args)
                except Exception as error:  # noqa: BLE001  # asyncio's loop does the same
                    self.call_exception_handler({"message": "a callback failed", "exception": error})
            if self._stopping:  # type: ignore[attr-defined]  # of BaseEventLoop
                return

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """What others do in a thread is done at once."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # a thread's goes the same way
            done.set_exception(error)
        return done

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody else is there who could have to be woken."""


class JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: moves the clock of its loop instead, unless real work is in flight."""

    def __init__(self, inflight: Callable[[], bool]) -> None:
        super().__init__()
        self.now_s = 0.0
        self.threads: set[asyncio.Future[Any]] = set()
        self._inflight = inflight

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector`."""
        ready = super().select(0)
        while not ready and timeout != 0 and (self.threads or self._inflight()):
            ready = super().select(POLL_S)
        if not ready and timeout is None:
            raise NothingLeft
        if not ready and timeout:
            self.now_s += timeout
        return ready


class WaitingLoop(asyncio.SelectorEventLoop):
    """Begins at 0 s. Real threads and sockets are waited for before time moves."""

    def __init__(self, inflight: Callable[[], bool]) -> None:
        self.selector = JumpingSelector(inflight)
        super().__init__(self.selector)
        self._clock_resolution = RESOLUTION_S

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.selector.now_s

    def pass_over(self, seconds: float) -> None:
        """See `stand_still`."""
        self.selector.now_s += seconds

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """In a thread, for which time waits."""
        done = super().run_in_executor(executor, func, *args)
        self.selector.threads.add(done)
        done.add_done_callback(self.selector.threads.discard)
        return done


def run_virtually(main: Coroutine[Any, Any, Any], *, inflight: Callable[[], bool] | None = None) -> Any:
    """Run a coroutine to its end on virtual time, and return what it returns."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop() if inflight is None else WaitingLoop(inflight)) as runner:
        return runner.run(main)
