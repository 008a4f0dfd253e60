"""When a lane's requests are sent, and what its pace makes of refusals."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from byokd.engine.pace import OF_AN_IMPORT, Pace
from byokd.errors import Throttled
from byokd.facts.key import KeyRef
from byokd.facts.ledger import Tier
from byokd.facts.policy import LearnedPace, Quota
from tests.kit.builders import OPERATIONS, lane
from tests.kit.clock import ManualClock


async def _refused(pace: Pace, *, together: int) -> None:
    """So many requests are under way at once, and KMS refuses them all."""
    stacks = [AsyncExitStack() for _ in range(together)]
    for stack in stacks:
        await stack.enter_async_context(pace.request("DescribeKey"))
    for stack in stacks:
        with pytest.raises(Throttled):
            async with stack:
                raise Throttled("Rate exceeded")


async def test_requests_refused_together_slow_the_lane_down_once() -> None:
    """Each of eight looks that were throttled at the same moment halved the pace, to a 256th of it."""
    clock = ManualClock()
    pace = Pace(lane(), clock)
    await _refused(pace, together=1)
    once = pace.known()["DescribeKey"].share
    pace = Pace(lane(), clock)
    await _refused(pace, together=8)
    assert pace.known()["DescribeKey"].share == once < 1.0


async def test_requests_refused_one_after_the_other_slow_it_down_each_time() -> None:
    """What was sent at the new pace and refused was still too much."""
    clock = ManualClock()
    pace = Pace(lane(), clock)
    await _refused(pace, together=1)
    once = pace.known()["DescribeKey"].share
    clock.advance(1)
    await _refused(pace, together=1)
    assert pace.known()["DescribeKey"].share < once


def _slow_lane(clock: ManualClock) -> Pace:
    """The pace of a lane at AWS's documented quota: one import in four seconds."""
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=0.25, burst=1)
    return Pace(lane(quotas=quotas), clock)


async def _run_on() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _came(pace: Pace, clock: ManualClock, name: str, took_s: float, sent: dict[str, float]) -> None:
    """An import sets out, is on its way for so long, and sends its request when it may."""
    pace.set_out(KeyRef(name))
    await clock.sleep(took_s)
    await pace.arrived(KeyRef(name), Tier.DUE)
    sent[name] = clock.monotonic()


async def _sent_in(clock: ManualClock, pace: Pace, taking_s: dict[str, float]) -> dict[str, float]:
    """When each of these imports sends its request, which is so long on its way; they set out as they may."""
    sent: dict[str, float] = {}
    left = list(taking_s)
    async with asyncio.TaskGroup() as group:
        while len(sent) < len(taking_s):
            while left and not pace.wait(Tier.DUE):
                name = left.pop(0)
                group.create_task(_came(pace, clock, name, taking_s[name], sent))
                await _run_on()
            clock.advance(0.25)
            await _run_on()
    return sent


async def test_a_slow_look_brings_no_two_requests_nearer_to_each_other() -> None:
    """A token was taken before the look: what looked for three seconds sent late, and the next came a second later.

    Now the quick one goes first, as the token is there and the slow one is not.
    """
    clock = ManualClock()
    sent = await _sent_in(clock, _slow_lane(clock), {"slow": 3.0, "quick": 0.0, "last": 0.0})
    times = sorted(sent.values())
    assert all(later - earlier >= 4.0 for earlier, later in pairwise(times))
    assert sent["quick"] < sent["slow"]


async def test_looks_that_take_longer_than_a_token_cost_none() -> None:
    """Ten imports that are looked at for six seconds each, at a token in four: all but the first are in time."""
    clock = ManualClock()
    sent = await _sent_in(clock, _slow_lane(clock), {f"{number}": 6.0 for number in range(10)})
    times = sorted(sent.values())
    assert times[-1] - times[0] <= 9 * 4.25


async def test_an_import_that_turns_back_keeps_nobody_waiting() -> None:
    """No token was used, and another sets out at once."""
    clock = ManualClock()
    pace = _slow_lane(clock)
    pace.set_out(KeyRef("one"))
    assert pace.wait(Tier.DUE) > 0
    assert pace.turned_back(KeyRef("one"))
    assert not pace.turned_back(KeyRef("one"))
    assert pace.wait(Tier.DUE) == 0


async def test_those_who_wait_slow_down_too() -> None:
    """Many waited for their ImportKeyMaterial when one was refused; all that waited were sent at the old pace."""
    clock = ManualClock()
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["ImportKeyMaterial"] = Quota(per_second=1.0, burst=1)
    pace, sent = Pace(lane(quotas=quotas), clock), list[float]()

    async def one(number: int) -> None:
        async with pace.request("ImportKeyMaterial"):
            sent.append(clock.monotonic())
            if number == 4:
                raise Throttled("Rate exceeded")

    line = asyncio.gather(*(one(number) for number in range(20)), return_exceptions=True)
    while not line.done():
        await _run_on()
        clock.advance(0.25)
    apart = [later - earlier for earlier, later in pairwise(sent)]
    assert len(sent) == 20
    assert max(apart[:4]) <= 1.25
    assert min(apart[4:9]) >= 1.75


async def test_what_is_learned_in_a_long_wait_is_known_before_it_ends() -> None:
    """It was known at the next request alone: a lane of one import in an hour kept nothing of what it had learned."""
    clock = ManualClock()
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=1 / 3600, burst=1, ceiling=3 / 3600)
    pace = Pace(lane(quotas=quotas), clock)
    await pace.admit("GetParametersForImport")

    assert pace.wait(Tier.DUE) > 1800
    assert not pace.known()
    clock.advance(900)
    assert pace.known()["GetParametersForImport"].share == pytest.approx(1.5)


async def _line(pace: Pace, clock: ManualClock, operation: str, sent: list[float]) -> None:
    """Ask for a token, and note when the request is sent."""
    await pace.admit(operation)
    sent.append(clock.monotonic())


async def test_those_who_waited_while_the_process_stood_still_send_one_by_one() -> None:
    """A process that was stopped for 45 s let all who had waited send within a millisecond, and KMS refused them.

    Their waits of 4, 8 and 12 s had ended meanwhile, but KMS keeps no more than the burst for who does not come.
    """
    clock = ManualClock()
    pace, sent, began = _slow_lane(clock), list[float](), clock.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(_line(pace, clock, "GetParametersForImport", sent))
        await _run_on()
        clock.advance(45)
        await _run_on()
        while len(sent) < 4:
            clock.advance(0.25)
            await _run_on()
    assert sent[:2] == [began, began + 45]
    assert all(later - earlier >= 4.0 for earlier, later in pairwise(sent))


async def test_who_gives_up_leaves_its_place_to_the_next() -> None:
    """Those before it took its place for one that was sent: after a stop of the process, three went out together.

    Its token was lost besides, and whoever stood behind it waited for as long as before.
    """
    clock = ManualClock()
    pace, sent, began = _slow_lane(clock), list[float](), clock.monotonic()
    async with asyncio.TaskGroup() as group:
        line = [group.create_task(_line(pace, clock, "GetParametersForImport", sent)) for _ in range(7)]
        await _run_on()
        for each in line[3:6]:
            each.cancel()
        clock.advance(45)
        await _run_on()
        while len(sent) < 4:
            clock.advance(0.25)
            await _run_on()
    assert sent == [began, began + 45, began + 49, began + 53.25]


async def test_a_larger_quota_is_that_of_those_who_wait_already() -> None:
    """Who had been told to wait for an hour slept for an hour, though Service Quotas told of a thousand times more."""
    clock = ManualClock()
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=1 / 3600, burst=1)
    pace, sent, began = Pace(lane(quotas=quotas), clock), list[float](), clock.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(_line(pace, clock, "GetParametersForImport", sent))
        await _run_on()
        assert pace.allow({"GetParametersForImport": 0.25})
        await _run_on()
        clock.advance(4.25)
        await _run_on()
        assert sent == [began, began + 4.25]


async def test_what_is_recalled_brings_nobody_the_burst_again() -> None:
    """A survey that began before its lane had read the record used the burst, and found it there again after that."""
    clock = ManualClock()
    quotas = {operation: Quota(per_second=1.0, burst=2) for operation in OPERATIONS}
    pace, sent, began = Pace(lane(quotas=quotas), clock), list[float](), clock.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(_line(pace, clock, "DescribeKey", sent))
        await _run_on()
        pace.recall({})
        group.create_task(_line(pace, clock, "DescribeKey", sent))
        for _ in range(12):
            await _run_on()
            clock.advance(0.25)
        await _run_on()
    assert sent == [began, began, began + 1.25, began + 2.25]


def _rare_lane(clock: ManualClock) -> Pace:
    """The pace of a lane of one import in twenty seconds."""
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=0.05, burst=1)
    return Pace(lane(quotas=quotas), clock)


LEADS = {
    "as at the beginning": ([1.0], 1.0),
    "longer at once": ([1.0, 6.0], 6.0),
    "no longer than is reckoned with": ([60.0], 10.0),
    "shorter little by little": ([6.0, 0.0, 0.0], 6.0 * 0.9 * 0.9),
    "never none": ([6.0] + [0.0] * 50, 0.25),
}


@pytest.mark.parametrize(("took_s", "lead_s"), LEADS.values(), ids=LEADS)
async def test_how_early_an_import_sets_out_follows_how_long_they_take(took_s: list[float], lead_s: float) -> None:
    """One look that took its time makes the next set out early, and not all that come after it."""
    clock = ManualClock()
    pace = _rare_lane(clock)
    for each in took_s:
        clock.advance(30)
        pace.set_out(KeyRef("k"))
        clock.advance(each)
        await pace.arrived(KeyRef("k"), Tier.DUE)
    assert pace.wait(Tier.DUE) == pytest.approx(20 / 0.985 - lead_s)


TOLD = {
    "one of the two": ({"GetParametersForImport": 0.25}, (0.25, 1000.0)),
    "the other": ({"ImportKeyMaterial": 0.5}, (1000.0, 0.5)),
    "none of them": ({"DescribeKey": 5.0}, (1000.0, 1000.0)),
    "the least and the most": ({"GetParametersForImport": 0.001, "ImportKeyMaterial": 10_000.0}, (0.001, 10_000.0)),
    "less and more than that": ({"GetParametersForImport": 0.0009, "ImportKeyMaterial": 10_001.0}, (1000.0, 1000.0)),
}


@pytest.mark.parametrize(("told", "gone_by"), TOLD.values(), ids=TOLD)
def test_a_lane_goes_by_what_service_quotas_tells_and_by_nothing_that_it_does_not(
    told: dict[str, float], gone_by: tuple[float, float]
) -> None:
    """Each operation of an import by its own; what is not told stays as it is written, and told again is no news."""
    pace = Pace(lane(quotas={name: Quota(per_second=1000.0, burst=1000.0) for name in OPERATIONS}), ManualClock())
    assert pace.allow(told) is (gone_by != (1000.0, 1000.0))
    assert tuple(pace.quotas[name].per_second for name in OF_AN_IMPORT) == gone_by
    assert not pace.allow(told)
    assert pace.quotas["DescribeKey"].per_second == 1000.0


@pytest.mark.parametrize(("hours", "left_h"), [(0, 24), (23, 1), (-5, 24)], ids=["now", "yesterday", "a wrong clock"])
def test_what_was_too_much_is_not_remembered_for_longer_by_a_restart(hours: int, left_h: int) -> None:
    """A process that is restarted each day would never have tried again."""
    clock = ManualClock()
    quotas = {name: Quota(per_second=0.25, burst=1, ceiling=1.0) for name in OPERATIONS}
    then = clock.now() - timedelta(hours=hours)
    record = {"DescribeKey": LearnedPace(share=1.8, limit=1.9, limited_at=then, per_second=0.25)}
    pace = Pace(lane(quotas=quotas), clock)
    pace.recall(record)
    assert pace.known() == {"DescribeKey": replace(record["DescribeKey"], limited_at=min(then, clock.now()))}
    clock.advance(left_h * 3600 - 1)
    assert pace.known()["DescribeKey"].limit == 1.9
    clock.advance(1)
    assert pace.known()["DescribeKey"].limit == 4.0
