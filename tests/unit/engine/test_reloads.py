"""What a reload opens and closes: each client once, whatever is in flight, and nothing is left open at the end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from byokd.errors import AccessDenied
from byokd.facts.condition import ConditionKind
from byokd.facts.key import ABSENT, Absent, KeyArn, LaneId
from byokd.facts.policy import Lane
from byokd.ports import Kms
from byokd.ports.estate import Estate
from tests.kit.builders import ARN, DAY, lane
from tests.kit.fake_estate import FakeEstate
from tests.kit.world import World

ELSEWHERE = lane(id=LaneId("111122223333/eu-west-1"), name="elsewhere", region="eu-west-1")
HOW_OFTEN: tuple[timedelta | Absent, ...] = (ABSENT, DAY)


class Client:
    """A client of a lane, that must be open when it is called, and is closed once."""

    def __init__(self, lane_: Lane, fake: Any) -> None:
        self.lane = lane_
        self.closed = 0
        self._fake = fake

    def __getattr__(self, name: str) -> Any:
        assert not self.closed, f"{name} of a client that is closed"
        return getattr(self._fake, name)


class Counted(World):
    """A world whose engine's clients are counted, by the factories that it is given."""

    def __init__(self) -> None:
        super().__init__(open_kms=self._counted_kms, open_estate=self._counted_estate)
        self.kinds: dict[str, list[Client]] = {"kms": [], "estate": []}

    async def reload(self, *lanes: Lane) -> None:
        """A config with these lanes comes into force."""
        assert self.engine is not None
        await self.engine.apply(self.setup(lanes=lanes))

    async def survey(self) -> None:
        """What the calendar does every minute, waiting for its end."""
        assert self.engine is not None
        assert self.engine.survey is not None
        await self.engine.survey.look()
        await self.engine.survey.finished()

    def let_go(self) -> None:
        """Calls that hang get on."""
        for gate in self.kms._gates.values():
            gate.set()
        self.kms._gates.clear()

    def open(self, kind: str = "kms") -> list[Lane]:
        """The lanes whose clients are open."""
        return [each.lane for each in self.kinds[kind] if not each.closed]

    def closed_otherwise(self) -> list[Client]:
        """Clients that are open, or that were closed more than once."""
        return [each for clients in self.kinds.values() for each in clients if each.closed != 1]

    @asynccontextmanager
    async def _counted_kms(self, lane_: Lane) -> AsyncIterator[Kms]:
        async with self._counted("kms", lane_, self.kms) as client:
            yield client

    @asynccontextmanager
    async def _counted_estate(self, lane_: Lane) -> AsyncIterator[Estate]:
        async with self._counted("estate", lane_, FakeEstate(self.kms)) as client:
            yield client

    @asynccontextmanager
    async def _counted(self, kind: str, lane_: Lane, fake: Any) -> AsyncIterator[Any]:
        client = Client(lane_, fake)
        self.kinds[kind].append(client)
        try:
            yield client
        finally:
            client.closed += 1


@asynccontextmanager
async def counted() -> AsyncIterator[Counted]:
    """A world with a key; at the end it is stopped, and all that was opened has been closed once."""
    world = Counted()
    await world.add()
    await world.start()
    try:
        yield world
    finally:
        world.let_go()
        await world.stop()
    await run_on()
    assert world.closed_otherwise() == []


async def run_on() -> None:
    """Let everything go on that waits for nothing."""
    for _ in range(300):
        await asyncio.sleep(0)


async def test_a_lane_that_stays_keeps_its_client() -> None:
    """A reload opens what is new, closes what is gone, and opens anew what is changed."""
    async with counted() as world:
        await world.reload(world.lane, ELSEWHERE)
        await world.settle()
        assert [each.lane for each in world.kinds["kms"]] == [world.lane, ELSEWHERE]
        changed = replace(ELSEWHERE, max_in_flight=3)
        await world.reload(world.lane, changed)
        await world.settle()
        assert world.open() == [world.lane, changed]
        await world.reload(changed)
        await world.settle()
        assert world.open() == [changed]
        assert len(world.kinds["kms"]) == 3


async def test_a_call_in_flight_keeps_its_client_open() -> None:
    """The client of before is closed when its last call has ended, and the next is opened then: never two of a lane."""
    async with counted() as world:
        gate = world.kms.gate("DescribeKey")
        world.clock.advance(2 * DAY.total_seconds())
        await run_on()
        changed = replace(world.lane, max_in_flight=3)
        for _ in range(3):
            await world.reload(changed, ELSEWHERE)
        await run_on()
        assert world.open() == [world.lane, ELSEWHERE]
        gate.set()
        await world.settle()
        assert Counter(each.id for each in world.open()) == Counter([changed.id, ELSEWHERE.id])
        assert changed in world.open()


@pytest.mark.parametrize("answer", [None, AccessDenied("ListKeys: not for you")], ids=["answered", "refused"])
async def test_a_survey_of_a_lane_that_left_the_config(answer: AccessDenied | None) -> None:
    """It ends with its call, its client is closed, and nothing is said of a lane that nobody can act on.

    Where the lane comes back, it is searched at once.
    """
    async with counted() as world:
        surveyed = replace(world.lane, discover_every=DAY)
        world.kms.create(KeyArn(f"{ARN[:-2]}aa"))
        world.kms.gate("ListKeys")
        await world.reload(surveyed)
        await run_on()
        assert world.open("estate") == [surveyed]
        await world.reload(ELSEWHERE)
        if answer is not None:
            world.kms.fail("ListKeys", answer)
        world.let_go()
        await world.survey()
        await world.settle()
        assert world.open("estate") == []
        assert not await world.store.open_conditions(f"lane:{surveyed.id}")
        await world.reload(surveyed)
        await world.survey()
        (found,) = await world.store.open_conditions(f"lane:{surveyed.id}")
        assert found.condition.kind is ConditionKind.UNMANAGED_KEYS


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_is_reloaded_when(seed: int) -> None:
    """Lanes come, go and change while calls hang: none has two clients, and at rest those of the wanted are open."""
    chance = random.Random(seed)
    async with counted() as world:
        wanted: list[Lane] = [world.lane]
        for _ in range(8):
            if chance.random() < 0.5:
                world.kms.gate(chance.choice(["DescribeKey", "ListRotations", "ListKeys"]))
                world.clock.advance(DAY.total_seconds())
            for _ in range(chance.randint(1, 3)):
                wanted = [
                    replace(each, max_in_flight=chance.randint(4, 6), discover_every=chance.choice(HOW_OFTEN))
                    for each in (world.lane, ELSEWHERE)
                    if chance.random() < 0.7
                ]
                await world.reload(*wanted)
                for _ in range(chance.randint(0, 30)):
                    await asyncio.sleep(0)
                assert max(Counter(each.id for each in world.open()).values(), default=0) <= 1
            if chance.random() < 0.5:
                world.let_go()
                await world.survey()
                await world.settle()
                assert sorted(world.open(), key=repr) == sorted(wanted, key=repr)
                assert world.open("estate") == []
