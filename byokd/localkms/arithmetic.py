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
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

CORES: Final = len(os.sched_getaffinity(0))

DECRYPTING: Final = 5
GENERATING: Final = 15
"""Niceness, beside the loop's own."""


def _give_way(niceness: int) -> None:
    thread = threading.get_native_id()  # on Linux, a thread has a priority of its own
    os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + niceness, 19))


# Threads start when there is work, and end with the process; servers in one process share them.
_decrypting = ThreadPoolExecutor(CORES, "localkms-decrypts", initializer=_give_way, initargs=(DECRYPTING,))
_generating = ThreadPoolExecutor(CORES, "localkms-generates", initializer=_give_way, initargs=(GENERATING,))


async def off_the_loop(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of milliseconds of work with a private key. Raises: as `work`, which must touch no live state."""
    return await asyncio.get_running_loop().run_in_executor(_decrypting, lambda: work(*args, **kwargs))


async def in_the_background(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of work that may be late: the making of a key. Raises: as `work`, which must touch no live state."""
    return await asyncio.get_running_loop().run_in_executor(_generating, lambda: work(*args, **kwargs))
