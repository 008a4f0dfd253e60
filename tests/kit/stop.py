"""A call to KMS that never comes back: where a process is to be killed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from byokd.facts.policy import Lane
from byokd.ports import Kms
from tests.kit.world import World


@dataclass
class Stop:
    """One call of one lane that never comes back, before or after KMS has carried it out."""

    region: str = ""
    operation: str = ""
    """A method of the port."""
    nth: int = 1
    """Which of the lane's calls of that operation, from 1."""
    after: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: dict[str, Exception] = field(default_factory=dict)
    """By Region: what every call there raises instead."""

    def between(self, lane: Lane, kms: Kms) -> Any:
        """A lane's KMS with this in its way."""
        return _Stopped(self, lane, kms)

    def here(self, region: str, operation: str) -> bool:
        """Whether a call is the one, which it is once."""
        if (region, operation) == (self.region, self.operation) and not self.reached.is_set():
            self.nth -= 1
            return self.nth == 0
        return False


class _Stopped:
    def __init__(self, stop: Stop, lane: Lane, kms: Kms) -> None:
        self._stop, self._lane, self._kms = stop, lane, kms

    def __getattr__(self, operation: str) -> Any:
        call, stop = getattr(self._kms, operation), self._stop
        if not asyncio.iscoroutinefunction(call):
            return call

        async def called(*args: Any, **members: Any) -> Any:
            if self._lane.region in stop.refusals:
                raise stop.refusals[self._lane.region]
            meant = stop.here(self._lane.region, operation)
            answer = await call(*args, **members) if not meant or stop.after else None
            if meant:
                stop.reached.set()
                await asyncio.Event().wait()
            return answer

        return called


async def until_reached(stop: Stop, world: World, *, step_s: float = 5) -> None:
    """Let time go by, in steps of so many seconds, until the call is made."""
    for _ in range(1000):
        world.clock.advance(step_s)
        await world.settle(unless=stop.reached)
        if stop.reached.is_set():
            return
    raise AssertionError(f"{stop.operation} was not called in {stop.region}")
