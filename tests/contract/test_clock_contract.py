"""What every `ports.Clock` promises: the machine's, the engine's over it, the manual one and the simulated host's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, timedelta

import pytest

from tests.contract.clocks import HOUR, Timepiece, timepiece

SOON_S = 0.02
"""Seconds, of which some are real."""
SOON = timedelta(seconds=SOON_S)
ROUNDING_S = 1e-6
AT_ONCE_S = 10.0
"""Even on a machine that is busy with other things."""


@pytest.fixture(params=["system", "engine", "manual", "host", "host that hears nothing"])
async def piece(request: pytest.FixtureRequest) -> AsyncIterator[Timepiece]:
    """Each implementation in turn."""
    with timepiece(request.param) as made:
        yield made


def waiting(
    piece: Timepiece, event: asyncio.Event, *, until: timedelta = HOUR, cap_s: float = 3600.0
) -> asyncio.Task[None]:
    """Somebody who waits."""
    return asyncio.create_task(piece.clock.wait(event, until=piece.reads() + until, cap_s=cap_s))


async def turns(count: int = 5) -> None:
    """Let the others begin to wait, or to leave."""
    for _ in range(count):
        await asyncio.sleep(0)


def nothing_left(piece: Timepiece, event: asyncio.Event) -> bool:
    """Whether nobody waits any more, as the clock, the event and the loop know it."""
    return piece.sleepers() == 0 and not event._waiters and asyncio.all_tasks() == {asyncio.current_task()}


async def test_now_is_utc_in_whole_seconds(piece: Timepiece):
    """What the wall clock reads, its fraction cut off and not rounded."""
    before, now, after = piece.reads(), piece.clock.now(), piece.reads()
    assert (now.tzinfo, now.microsecond) == (UTC, 0)
    assert before - timedelta(seconds=1) < now <= after


async def test_monotonic_time_goes_on_while_the_clock_is_set_back(piece: Timepiece):
    """It measures how long something took, whatever somebody does to the wall clock."""
    began = piece.clock.monotonic()
    sleeping = asyncio.create_task(piece.clock.sleep(SOON_S))
    await turns()
    piece.set_back()
    assert piece.clock.monotonic() >= began
    await piece.end(sleeping)
    assert piece.clock.monotonic() - began >= SOON_S - ROUNDING_S


async def test_a_sleep_of_nothing_gives_others_a_turn(piece: Timepiece):
    """Whoever works on and on lets the others in."""
    turn = asyncio.create_task(asyncio.sleep(0))
    await piece.clock.sleep(0)
    await piece.clock.sleep(0)
    assert turn.done()


async def test_a_wait_ends_at_once_where_there_is_nothing_to_wait_for(piece: Timepiece):
    """The event is set, its time has come, or no wait is allowed; an event that is set stays set."""
    event = asyncio.Event()
    began = piece.clock.monotonic()
    await piece.end(waiting(piece, event, until=-HOUR))
    await piece.end(waiting(piece, event, until=timedelta()))
    await piece.end(waiting(piece, event, cap_s=0.0))
    event.set()
    await piece.end(waiting(piece, event))
    assert piece.clock.monotonic() - began < AT_ONCE_S
    assert event.is_set()
    assert nothing_left(piece, event)


async def test_a_wait_ends_when_its_time_has_come_and_no_sooner(piece: Timepiece):
    """Whoever is woken a moment too soon finds nothing to do, and waits anew for that moment."""
    event, until = asyncio.Event(), piece.reads() + SOON
    await piece.end(asyncio.create_task(piece.clock.wait(event, until=until)))
    assert until <= piece.reads() < until + timedelta(seconds=AT_ONCE_S)
    assert not event.is_set()
    assert nothing_left(piece, event)


async def test_a_wait_ends_after_its_cap(piece: Timepiece):
    """However far away its time is."""
    event, began = asyncio.Event(), piece.clock.monotonic()
    await piece.end(waiting(piece, event, cap_s=SOON_S))
    assert SOON_S - ROUNDING_S <= piece.clock.monotonic() - began < AT_ONCE_S
    assert nothing_left(piece, event)


async def test_all_who_wait_for_an_event_are_woken_by_it(piece: Timepiece):
    """One who gave up before takes nobody along, and the event stays set for who comes next."""
    event = asyncio.Event()
    first, hasty, last = waiting(piece, event), waiting(piece, event, cap_s=SOON_S), waiting(piece, event)
    await piece.end(hasty)
    await turns()
    assert not first.done()
    assert not last.done()
    began = piece.clock.monotonic()
    event.set()
    await piece.end(asyncio.gather(first, last))
    assert piece.clock.monotonic() - began < AT_ONCE_S
    assert event.is_set()
    assert nothing_left(piece, event)


@pytest.mark.parametrize("also", ["nothing else", "the event is set", "the clock is set"])
async def test_a_wait_that_is_cancelled_leaves_nothing_behind(piece: Timepiece, also: str):
    """Not even where it would have ended in that very moment; another one for the same event goes on."""
    event = asyncio.Event()
    cancelled, other = waiting(piece, event), waiting(piece, event)
    await turns()
    if also == "the event is set":
        event.set()
    elif also == "the clock is set":
        piece.set_back()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await turns()
    event.set()
    await piece.end(other)
    await turns()
    assert nothing_left(piece, event)


async def test_a_wait_ends_when_the_clock_is_set(piece: Timepiece):
    """At once where that is noticed, and after its cap where it is not: an hour back is not waited for again."""
    event, began = asyncio.Event(), piece.clock.monotonic()
    waits = [waiting(piece, event, cap_s=3600.0 if piece.hears else SOON_S) for _ in range(2)]
    await turns()
    piece.set_back()
    await piece.end(asyncio.gather(*waits))
    assert piece.clock.monotonic() - began < AT_ONCE_S
    assert not event.is_set()
    assert nothing_left(piece, event)
