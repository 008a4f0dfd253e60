"""The threads of slow arithmetic: who waits for whom."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from byokd.localkms.arithmetic import CORES, DECRYPTING, GENERATING, in_the_background, off_the_loop


async def test_no_decryption_waits_for_the_making_of_keys() -> None:
    """With more keys being made than there are cores, work with a private key is done at once."""
    made = threading.Event()
    making = [asyncio.create_task(in_the_background(made.wait)) for _ in range(2 * CORES)]
    await asyncio.sleep(0)
    assert await off_the_loop(len, b"material") == 8
    assert not any(each.done() for each in making)
    made.set()
    await asyncio.gather(*making)


async def test_the_event_loop_goes_first_and_the_making_of_keys_last() -> None:
    """Threads that make keys are nicer to the machine than those that decrypt, and the event loop is neither."""

    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    usual = niceness()
    assert await off_the_loop(niceness) == min(usual + DECRYPTING, 19)
    assert await in_the_background(niceness) == min(usual + GENERATING, 19)
    assert niceness() == usual


async def test_whoever_waits_has_the_error() -> None:
    """And the thread goes on."""
    for _ in range(2 * CORES):
        with pytest.raises(ZeroDivisionError):
            await off_the_loop(lambda: 1 // 0)
    assert await off_the_loop(len, b"material") == 8


async def test_work_that_nobody_waits_for_any_more_disturbs_nobody() -> None:
    """A request was cancelled while a thread worked for it, or its whole loop has ended."""

    async def cancelled() -> threading.Event:
        begun, go_on = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            go_on.wait()

        task = asyncio.create_task(off_the_loop(work))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        return go_on

    for leave in (cancelled, lambda: asyncio.to_thread(asyncio.run, cancelled())):
        (await leave()).set()
    assert [await off_the_loop(len, b"material") for _ in range(2 * CORES)] == [8] * 2 * CORES
