"""The one reader of real time: its waits end when the machine's clock is set."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from byokd.clock import SortableIds, SystemClock
from tests.kit.timers import ring, watched_timers

FAR = timedelta(hours=1)


async def _waiting(clock: SystemClock) -> asyncio.Task[None]:
    task = asyncio.create_task(clock.wait(asyncio.Event(), until=datetime.now(UTC) + FAR, cap_s=FAR.total_seconds()))
    await asyncio.sleep(0)
    return task


async def test_a_wait_ends_when_the_clock_is_set() -> None:
    """Nobody sleeps on towards a time that is not what it was."""
    clock = SystemClock()
    waits = [await _waiting(clock) for _ in range(3)]
    clock.was_set()
    await asyncio.gather(*waits)


@pytest.mark.parametrize("rounds", range(5))
async def test_a_wait_that_ends_by_itself_keeps_no_other_asleep(rounds: int) -> None:
    """Its limit had expired in the same round of the loop and refused to be moved: the waits after it slept on."""
    clock = SystemClock()
    waits = [await _waiting(clock) for _ in range(5)]
    due = asyncio.create_task(clock.wait(asyncio.Event(), until=datetime.now(UTC)))
    for _ in range(rounds):
        await asyncio.sleep(0)
    clock.was_set()
    await asyncio.gather(due, *waits)


async def test_linux_tells_when_the_clock_is_set() -> None:
    """The kernel's timer is there, is looked after by the loop, and is armed anew after each ring, also an idle one."""
    clock = SystemClock()
    with clock.watching() as watched:
        assert watched
        (timer,) = watched_timers()
        for rings in (ring, clock._ring, ring):
            wait = await _waiting(clock)
            rings(timer)
            await wait
            assert watched_timers() == [timer]
    assert not clock._waits
    assert watched_timers() == []


async def test_nobody_sleeps_for_an_hour_where_the_clock_is_not_watched() -> None:
    """`safety_wake` may be an hour, and a clock that was set or a machine that slept would have cost as much."""
    clock, now = SystemClock(), asyncio.get_running_loop().time()
    unwatched = await _waiting(clock)
    assert max(limit.when() or 0.0 for limit in clock._waits) <= now + 61
    with clock.watching():
        watched = await _waiting(clock)
        assert max(limit.when() or 0.0 for limit in clock._waits) > now + 3000
        clock.was_set()
    await asyncio.gather(unwatched, watched)


async def test_a_wait_ends_by_its_event_and_by_its_time() -> None:
    """As the port promises."""
    clock = SystemClock()
    event = asyncio.Event()
    event.set()
    await clock.wait(event, until=datetime.now(UTC) + FAR)
    await clock.wait(asyncio.Event(), until=datetime.now(UTC) - FAR)
    await clock.wait(asyncio.Event(), until=datetime.now(UTC) + FAR, cap_s=0.0)


def test_ids_sort_in_the_order_of_their_making() -> None:
    """Thousands are made within a millisecond; a beginning and an end told at once keep their order by them."""
    new_id = SortableIds()
    made = [new_id() for _ in range(5_000)]
    assert made == sorted(set(made))
    assert {len(each) for each in made} == {28}
