"""What blocks, such as a name that DNS does not answer, has threads enough not to keep others waiting."""

from __future__ import annotations

import asyncio
import threading

from byokd.daemon.run import THREADS, provide_threads


async def test_lookups_that_hang_leave_threads_to_others() -> None:
    """As many lanes as there are threads but one hang in their lookups: the next one has its thread at once."""
    provide_threads()
    over = threading.Event()
    hanging = [asyncio.create_task(asyncio.to_thread(over.wait, 60.0)) for _ in range(THREADS - 1)]
    try:
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(lambda: "connected") == "connected"
        assert not any(task.done() for task in hanging)
    finally:
        over.set()
        await asyncio.gather(*hanging)
