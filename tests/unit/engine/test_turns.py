"""How a lane's turns share its room and its pace: none waits for another, and no token is spent on nothing."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from byokd.engine.pace import Pace
from byokd.engine.turns import Turns
from byokd.errors import KmsUnreachable, SourceUnreadable
from byokd.facts.change import Change
from byokd.facts.key import ABSENT, Absent, KeyRef, KeyState, LaneId
from byokd.facts.ledger import ImportState, OrderKind
from byokd.facts.policy import Quota
from byokd.facts.snapshot import Snapshot
from byokd.ports import MaterialProof
from tests.kit.builders import ARN, DAY, OPERATIONS, desired, lane
from tests.kit.clock import ManualClock
from tests.kit.fake_source import FakeSource
from tests.kit.memory_store import MemoryStore
from tests.kit.world import World, running


def _numbered(number: int) -> Any:
    arn = f"{ARN[:-2]}{number:02d}"
    return desired(arn=arn, ref=KeyRef(arn), name=arn, locator=f"{number}.key")  # type: ignore[arg-type]  # plain text


async def _fleet(world: World, count: int) -> list[str]:
    fleet = [_numbered(number) for number in range(count)]
    for number, each in enumerate(fleet):
        world.kms.create(str(each.arn))
        world.source.materials[each.locator] = number.to_bytes(32, "big")
    await world.store.sync_fleet(fleet, now=world.clock.now())
    return [str(each.arn) for each in fleet]


async def _run_on() -> None:
    for _ in range(300):
        await asyncio.sleep(0)


async def test_a_source_that_hangs_delays_no_other_key() -> None:
    """Looks went in batches that waited for their slowest turn, so one command that hung held up the whole lane."""
    world = World(lane=lane(max_in_flight=2))
    arns = await _fleet(world, 8)
    world.source.gates["0.key"] = gate = asyncio.Event()
    await world.start(rest=False)
    await _run_on()
    assert [world.kms.state(arn) for arn in arns[1:]] == [KeyState.ENABLED] * 7
    gate.set()
    await world.settle()
    assert world.kms.state(arns[0]) is KeyState.ENABLED
    await world.stop()


async def test_imports_keep_their_pace_beside_looks_that_take_all_the_room_they_may() -> None:
    """Imports waited for as much room as pays for looks: beside 14 looks that hung, in a lane of 16, none began."""
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=0.25, burst=1)
    world = World(lane=lane(quotas=quotas, reserve=0.0, max_in_flight=16))
    arns = await _fleet(world, 18)
    gate = asyncio.Event()
    world.source.gates |= {f"{number}.key": gate for number in range(4, 18)}
    await world.start(rest=False)
    for _ in range(16):
        await _run_on()
        world.clock.advance(1)
    await _run_on()
    assert [world.kms.state(arn) for arn in arns[:4]] == [KeyState.ENABLED] * 4
    gate.set()
    await world.pass_time(timedelta(minutes=2), step=timedelta(seconds=1))
    await world.stop()


async def test_imports_that_wait_leave_a_small_lane_room_to_look() -> None:
    """Both turns of a lane waited for ImportKeyMaterial, and keys were looked at only as imports ended."""
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["ImportKeyMaterial"] = Quota(per_second=1 / 20, burst=1)
    world = World(lane=lane(quotas=quotas, reserve=0.0, max_in_flight=2))
    arns = await _fleet(world, 12)
    await world.start(rest=False)
    for _ in range(20):
        await _run_on()
        world.clock.advance(1)
    assert {call.key for call in world.kms.calls if call.operation == "DescribeKey"} == set(arns)
    for _ in range(240):
        await _run_on()
        world.clock.advance(1)
    assert [world.kms.state(arn) for arn in arns] == [KeyState.ENABLED] * 12
    await world.stop()


async def test_imports_have_the_room_that_no_look_waits_for_any_more() -> None:
    """Room was left to looks in a small lane; when none waited any more, imports slept on beside one that hung."""
    world = World(lane=lane(reserve=0.0, max_in_flight=2))
    await _fleet(world, 4)
    gate = world.kms.gate("ImportKeyMaterial")
    await world.start(rest=False)
    await _run_on()
    assert world.kms.count("DescribeKey") >= 4
    assert world.kms.count("ImportKeyMaterial") == 2
    gate.set()
    await world.settle()
    await world.stop()


class _Queues(MemoryStore):
    """Knows which imports were written down to wait for their turn."""

    def __init__(self) -> None:
        super().__init__()
        self.queued: set[KeyRef] = set()

    async def save(self, change: Change) -> None:
        """See `ports.Store`."""
        self.queued |= {row.ref for row in change.imports if row.state is ImportState.QUEUED}
        await super().save(change)


async def test_in_a_lane_that_keeps_room_for_looks_imports_go_straight_on() -> None:
    """All waited in the queue while others were due; in a process of many lanes each key was then looked at again."""
    store = _Queues()
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    world = World(store=store, lane=lane(quotas=quotas, max_in_flight=16))
    arns = await _fleet(world, 40)
    await world.start()
    assert [world.kms.state(arn) for arn in arns] == [KeyState.ENABLED] * 40
    assert store.queued == set()
    await world.stop()


async def test_a_renewal_is_on_time_while_another_key_hangs() -> None:
    """The key in work was overdue by its own due time, and the lane slept past that of its neighbour."""
    world = World()
    arns = await _fleet(world, 2)
    async with running(world):
        world.source.gates["0.key"] = gate = asyncio.Event()
        world.clock.advance(59 * DAY.total_seconds())
        await _run_on()
        for _ in range(48):
            world.clock.advance(1800)
            await _run_on()
        imported = [call.key for call in world.kms.calls if call.operation == "ImportKeyMaterial"]
        assert imported.count(arns[1]) == 2
        assert imported.count(arns[0]) == 1
        gate.set()


async def test_an_import_that_its_source_prevents_uses_no_token() -> None:
    """At one token in four seconds, a thousand keys of a dead source made the others wait for an hour."""
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=0.25, burst=1)
    world = World(lane=lane(quotas=quotas, reserve=0.0, max_in_flight=1))
    arns = await _fleet(world, 6)
    async with running(world):
        await world.pass_time(timedelta(minutes=1), step=timedelta(seconds=1))
        for number in range(5):
            world.source.failing[f"{number}.key"] = SourceUnreadable("unplugged")
        world.kms.calls.clear()
        world.clock.advance(70 * DAY.total_seconds())
        await world.settle()
        imported = [call.key for call in world.kms.calls if call.operation == "ImportKeyMaterial"]
        assert imported == arns[5:]


async def test_two_aliases_of_one_key_seen_at_the_same_time_are_one_key() -> None:
    """Both were looked at before either was on record, and both were pinned and renewed."""
    world = World()
    world.kms.create(ARN)
    fleet = []
    for name in ("alias/one", "alias/two"):
        world.kms.aliases[name] = desired().arn  # type: ignore[assignment]  # an ARN
        ref = KeyRef(f"111122223333/eu-central-1/{name}")
        fleet.append(replace(desired(ref=ref, name=name, locator="same.key"), arn=ABSENT))
    world.source.materials["same.key"] = bytes(32)
    world.source.gates["same.key"] = gate = asyncio.Event()
    await world.store.sync_fleet(fleet, now=world.clock.now())
    await world.start(rest=False)
    await _run_on()
    gate.set()
    await world.settle()
    pins = [(await world.know(each.ref)).ledger.pinned_arn for each in fleet]
    assert sorted(map(str, pins)) == sorted([str(ABSENT), ARN])
    assert world.kms.count("ImportKeyMaterial") == 1
    await world.stop()


async def test_a_lane_that_left_the_config_is_not_complained_about_any_more() -> None:
    """Its clock skew stayed open for ever: nobody was left to find out that it was over."""
    world = World()
    world.kms.clock_skew = timedelta(hours=1)
    await world.add()
    async with running(world):
        assert "raised clock_skew" in world.inbox.said
        assert world.engine is not None
        await world.engine.apply(world.setup(lanes=()))
        await world.engine.foresight.look()
        await world.settle()
        assert "resolved clock_skew" in world.inbox.said


@pytest.mark.parametrize(
    ("beside", "room"),
    [(0, 42), (2, 42), (20, 28), (1000, 18)],
    ids=["nobody waits", "a slow lane", "a quick lane", "more than there is room for"],
)
def test_looks_leave_imports_what_they_fill_at_the_lanes_pace(beside: int, room: int) -> None:
    """Half was left whenever any import waited: far too much at one in four seconds."""
    assert Turns(48).room_for_looks(beside=beside) == room


def _full(most: int, *, look: bool, looks_wait: bool) -> Turns:
    """Turns of which one kind has all the room that it may have."""
    turns = Turns(most)
    if looks_wait:
        turns.looks_wait = True
    for number in range(turns.room_for_looks(beside=0) if look else turns.room_for_imports):
        turns.begin(KeyRef(f"{number}"), look=look)
    return turns


@pytest.mark.parametrize("looks_wait", [False, True])
@pytest.mark.parametrize(("most", "kept"), {1: 0, 2: 0, 3: 0, 4: 1, 15: 1, 16: 2, 48: 6}.items())
def test_neither_kind_of_turn_takes_all_the_room(most: int, kept: int, looks_wait: bool) -> None:
    """An eighth is left to the other, one turn in a small lane, and none in a lane that is hardly one.

    There imports leave a turn to looks that wait, and looks leave none to imports.
    """
    imports, looks = (_full(most, look=look, looks_wait=looks_wait) for look in (False, True))
    assert imports.room_for_imports == 0
    assert imports.room_for_looks(beside=0) == (kept or int(looks_wait and most > 1))
    assert looks.room_for_looks(beside=0) == 0
    assert looks.room_for_imports == kept
    assert imports.taken + imports.room_for_looks(beside=0) == looks.taken + looks.room_for_imports == most


@pytest.mark.parametrize(
    ("looks", "room", "pays"), [(0, 0, False), (0, 1, True), (1, 1, False), (1, 2, True), (14, 0, False)]
)
def test_it_pays_to_look_at_many_or_when_nobody_is(looks: int, room: int, pays: bool) -> None:
    """Of a lane of sixteen, two are many; without room there is nothing to pay for."""
    turns = Turns(16)
    for number in range(looks):
        turns.begin(KeyRef(f"{number}"), look=True)
    assert turns.pays(room) is pays


def test_a_key_that_is_left_alone_is_free_again_to_the_second() -> None:
    """And each in its own time; the first of them is what a lane sleeps for."""
    turns, keys = Turns(4), [KeyRef("first"), KeyRef("second")]
    for key, until_s in zip(keys, (5.0, 7.0), strict=True):
        turns.leave_alone(key, until_s)
    seen = []
    for now_s in (4.9, 5.0, 7.0):
        turns.forgive(now_s)
        seen.append(([turns.free(key) for key in keys], turns.taken, turns.first_forgiven_s))
    assert seen == [([False, False], 2, 5.0), ([True, False], 1, 7.0), ([True, True], 0, None)]


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("look", [False, True])
def test_a_key_is_woken_once_while_its_turn_lasts(look: bool, alone: bool) -> None:
    """Nobody is woken who has no turn, and the next turn of a key knows nothing of it, whether it ends alone or not."""
    turns, key = Turns(4), KeyRef("k")
    turns.wake_all()
    turns.begin(key, look=look)
    assert (turns.free(key), turns.woken(key)) == (False, False)
    turns.wake_all()
    assert turns.woken(key)
    turns.end(key) if alone else turns.clear()
    assert (turns.free(key), turns.woken(key), turns.taken) == (True, False, 0)


def test_how_many_imports_are_abreast_follows_the_pace() -> None:
    """At one in four seconds a single one is under way, at 25 a second dozens."""
    clock = ManualClock()
    assert [_pace(clock, rate).abreast for rate in (0.25, 25.0)] == [1, 50]


def _pace(clock: ManualClock, rate: float) -> Pace:
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=rate, burst=1)
    return Pace(lane(quotas=quotas), clock)


@pytest.mark.parametrize("what", ["disabled", "held"])
async def test_what_people_did_while_a_source_took_its_time_counts(what: str) -> None:
    """A renewal went on with what had been seen ten minutes before: the key was Disabled since, or held."""
    world = World()
    await world.add(desired())
    async with running(world):
        await world.pass_time(59 * DAY, step=DAY)
        imports = world.kms.count("ImportKeyMaterial")
        world.source.gates[desired().locator] = gate = asyncio.Event()
        world.clock.advance((2 * DAY).total_seconds())
        await _run_on()
        if what == "disabled":
            world.kms.put(ARN, enabled=False)
        else:
            await world.order(OrderKind.HOLD, wait=False)
        world.clock.advance(600)
        gate.set()
        await world.settle()
        assert world.kms.count("ImportKeyMaterial") == imports
        assert what in {each.condition.kind.value for each in (await world.know()).conditions}


async def test_a_source_that_always_takes_its_time_is_no_reason_not_to_import() -> None:
    """The turn begins again once, and no more, however long each answer takes."""

    class Slow(FakeSource):
        async def prove(self, locator: str) -> MaterialProof:
            world.clock.advance(300)
            return await super().prove(locator)

    world = World(source=(source := Slow()))
    world.source = source
    await world.add(desired())
    async with running(world):
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert world.kms.count("DescribeKey") == 3, "at first, again after the proof, and after the import"


async def test_a_turn_that_ends_before_its_lane_rests_is_heard() -> None:
    """It was quicker than the question when more is due, and its next look waited for the safety wake of an hour."""

    class Slow(MemoryStore):
        async def next_due_at(self, lane: LaneId, *, after: datetime) -> datetime | Absent:
            known = await super().next_due_at(lane, after=after)
            await _run_on()
            return known

    world = World(store=Slow())
    await world.add()
    async with running(world):
        world.kms.fail("DescribeKey", *[KmsUnreachable("no route")] * 3)
        looks = world.kms.count("DescribeKey")
        await world.order(OrderKind.HOLD)
        await world.pass_time(timedelta(minutes=2), step=timedelta(seconds=1))
        assert world.kms.count("DescribeKey") > looks + 3


async def test_a_turn_that_is_cancelled_before_it_begins_leaves_nothing_behind() -> None:
    """Its work had been made for it already, and Python complained of a coroutine that was never awaited."""
    cancelled: set[asyncio.Task[Any]] = set()

    class Fatal(MemoryStore):
        """Reads keys in the round of the event loop in which the turns that are begun for them are cancelled."""

        async def snapshots(self, refs: Sequence[KeyRef]) -> tuple[Snapshot, ...]:
            asyncio.get_running_loop().call_soon(cancel_all_but, asyncio.all_tasks())
            return await super().snapshots(refs)

    def cancel_all_but(older: set[asyncio.Task[Any]]) -> None:
        turns = asyncio.all_tasks() - older
        cancelled.update(task for task in turns if task.cancel())

    world = World(store=Fatal())
    await _fleet(world, 1)
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        await world.start(rest=False)
        await _run_on()
        await world.kill()
    assert cancelled
    assert [str(each.message) for each in complaints] == []
