"""Where the slow arithmetic of RSA runs: off the event loop, on every core, and nobody waits for the making of a key.

An RSA-4096 decryption or signature takes some milliseconds of a core, the making of a pair up to two seconds; both run
without the GIL. They have threads of their own, one of each kind for each core. Decryptions would queue behind key
generation in the loop's default executor. The system gives these threads what the loop leaves: a loop that waits for a
core behind a decryption makes everybody wait, the next decryption too. Key generation may be late, and comes last: a
server that fills its pool of wrapping keys answers as fast as one that has.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

CORES: Final = len(os.sched_getaffinity(0))

DECRYPTING: Final = 5
GENERATING: Final = 15
"""Niceness, beside the loop's own."""


class _Crew:
    """Threads that work for event loops: one for each core, from the first work to the end of the process.

    The way from a loop to a `ThreadPoolExecutor` and back takes 20 us of CPU, for its two futures, locks and semaphore.
    This one takes 5, which shows in every import.
    """

    def __init__(self, name: str, niceness: int) -> None:
        self._name = name
        self._niceness = niceness
        self._jobs: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._threads: tuple[threading.Thread, ...] = ()

    async def do(self, work: Callable[[], T]) -> T:
        """The result of work. Raises: as it does."""
        if not self._threads:
            names = (f"localkms-{self._name}-{number}" for number in range(CORES))
            self._threads = tuple(threading.Thread(target=self._run, name=name, daemon=True) for name in names)
            for thread in self._threads:
                thread.start()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((future, work))
        return await future

    def _run(self) -> None:
        thread = threading.get_native_id()  # on Linux, a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + self._niceness, 19))
        while True:
            self._work()

    def _work(self) -> None:
        future, work = self._jobs.get()
        tell: Callable[[], None]
        try:
            tell = partial(future.set_result, work())
        except Exception as error:  # noqa: BLE001 -- whoever waits has it
            tell = partial(future.set_exception, error)
        with suppress(RuntimeError):  # its loop has ended meanwhile
            future.get_loop().call_soon_threadsafe(_unless_cancelled, future, tell)


def _unless_cancelled(future: asyncio.Future[Any], tell: Callable[[], None]) -> None:
    if not future.cancelled():
        tell()


# Servers in one process share them.
_decrypting = _Crew("decrypts", DECRYPTING)
_generating = _Crew("generates", GENERATING)


async def off_the_loop(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of milliseconds of work with a private key. Raises: as `work`, which must touch no live state."""
    return await _decrypting.do(lambda: work(*args, **kwargs))


async def in_the_background(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of work that may be late: the making of a key. Raises: as `work`, which must touch no live state."""
    return await _generating.do(lambda: work(*args, **kwargs))
