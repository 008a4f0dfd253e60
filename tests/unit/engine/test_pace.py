"""What a lane's pace makes of refusals."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from byokd.engine.pace import Pace
from byokd.errors import Throttled
from tests.kit.builders import lane
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
