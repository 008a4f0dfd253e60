"""What a condition on record says is true now, and nobody is told again because its words are others."""

from __future__ import annotations

from datetime import timedelta

from byokd.decide.decide import decide
from byokd.engine.standing import Standing
from byokd.errors import KmsUnreachable, SourceUnreadable
from byokd.facts.change import Change
from byokd.facts.condition import Condition, ConditionKind, OpenCondition, Severity
from byokd.facts.ledger import OrderKind
from tests.kit.builders import DAY, desired
from tests.kit.clock import ManualClock
from tests.kit.memory_store import MemoryStore
from tests.kit.world import World, running

HOUR = timedelta(hours=1)


async def _open(world: World, kind: ConditionKind) -> OpenCondition:
    (found,) = (each for each in (await world.know()).conditions if each.condition.kind is kind)
    return found


async def test_a_hold_that_ended_is_named_no_more() -> None:
    """Years after it, `lapsed` still said "held by operator until ..."; what the key really waited for stood nowhere.

    Nobody is told anew, reminders tell what is true, and the condition is as old as it was.
    """
    world = World()
    await world.add()
    async with running(world):
        await world.order(OrderKind.HOLD, until=world.clock.now() + 100 * DAY)
        await world.pass_time(95 * DAY, step=DAY)
        held = await _open(world, ConditionKind.LAPSED)
        assert "held by operator until" in held.condition.detail

        world.source.failing[desired().locator] = SourceUnreadable("No such file or directory")
        lines = len([each for each in await world.history() if each == "material_lapsed"])
        await world.pass_time(10 * DAY, step=DAY)
        now = await _open(world, ConditionKind.LAPSED)
        assert now.condition.detail.endswith("the key is unusable: No such file or directory")
        assert (now.id, now.since) == (held.id, held.since)
        assert world.inbox.said.count("raised lapsed") == 1
        reminders = [each for each in world.inbox.notices if each.condition.kind is ConditionKind.LAPSED]
        assert reminders[-1].condition == now.condition
        assert len([each for each in await world.history() if each == "material_lapsed"]) == lines

        del world.source.failing[desired().locator]
        await world.pass_time(DAY)
        assert world.inbox.said.count("resolved lapsed") == 1


async def test_every_sentence_on_record_is_what_is_decided_now() -> None:
    """Of a key that nobody can look at as well: what could not be done changes, and the record with it."""
    world = World()
    await world.add()
    async with running(world):
        for trouble in ("no answer in time", "connection refused"):
            world.kms.heal("DescribeKey")
            world.kms.fail("DescribeKey", *[KmsUnreachable(trouble)] * 9999)
            await world.pass_time(80 * DAY, step=DAY)
            known = await world.know()
            said = decide(known, world.clock.now()).conditions
            assert {each.condition for each in known.conditions} == set(said)
            assert all(trouble in each.detail for each in said)


class _Counted(MemoryStore):
    """A store that counts the conditions which it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.saves = self.conditions = 0

    async def save(self, change: Change) -> None:
        """See `ports.Store`."""
        self.saves += 1
        self.conditions += len(change.conditions) + len(change.reworded)
        await super().save(change)


async def test_an_outage_writes_no_condition_at_each_look() -> None:
    """A lapsed key that cannot be looked at said when it is looked at again: a row for nothing, at every look."""
    world = World(store=(store := _Counted()))
    await world.add()
    async with running(world):
        world.kms.fail("DescribeKey", *[KmsUnreachable("no answer in time")] * 9999)
        await world.pass_time(95 * DAY, step=DAY)
        assert (await _open(world, ConditionKind.COULD_NOT_LOOK)).condition.severity is Severity.CRITICAL
        saves, conditions = store.saves, store.conditions
        await world.pass_time(2 * DAY, step=HOUR)
        assert store.saves > saves + 40
        assert store.conditions == conditions


async def test_what_a_lane_says_of_itself_is_true_too() -> None:
    """`slack_low` went on naming the first key that was missed, a month after it; people are woken by news only."""
    store, told = MemoryStore(), []
    ids = iter("abc")
    standing = Standing(
        "lane:x", store=store, clock=ManualClock(), new_id=lambda: next(ids), told=lambda: told.append(1)
    )
    for detail, stage in (("first is missed", "missed"), ("second is missed", "missed"), ("third is late", "late")):
        what = Condition(kind=ConditionKind.SLACK_LOW, severity=Severity.WARNING, detail=detail, stage=stage)
        for _ in range(2):
            await standing.state(what)
        (known,) = await store.open_conditions("lane:x")
        assert (known.id, known.condition) == ("a", what)
    assert len(told) == 2
