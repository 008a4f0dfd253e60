"""Where slow arithmetic runs (imports, RSA keys at work): off the event loop, on every core, behind no key generation.

An RSA-4096 decryption takes two milliseconds of a core and runs without the GIL. It has threads of its own, one for
each core: in the loop's default executor it would queue behind the making of RSA keys, which takes seconds, and more
threads than cores would only take turns from the event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

CORES: Final = len(os.sched_getaffinity(0))

# Threads start when there is work, and end with the process; servers in one process share them.
_pool = ThreadPoolExecutor(max_workers=CORES, thread_name_prefix="localkms-arithmetic")


async def off_the_loop(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`, done in a thread. It must touch nothing that the event loop changes. Raises: as `work`."""
    return await asyncio.get_running_loop().run_in_executor(_pool, lambda: work(*args, **kwargs))
