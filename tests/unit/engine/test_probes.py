"""After an import: the key used once where its policy asks for it, and its KeyMaterialId held against the record."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from byokd.errors import AccessDenied, KmsUnreachable, Throttled
from byokd.facts.condition import ConditionKind, Severity
from byokd.facts.key import KeyArn, MaterialId
from byokd.facts.ledger import ImportState, OrderKind, Probe
from byokd.facts.policy import Quota
from tests.kit.builders import ARN, DAY, desired, lane, policy
from tests.kit.clock import ManualClock
from tests.kit.fake_kms import FakeKms
from tests.kit.world import World, running

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
USES = ("Encrypt", "Decrypt")


async def a_world(**changes: Any) -> World:
    """One key, whose policy asks for probes."""
    world = World()
    await world.add(desired(policy=policy(**({"probe": True} | changes))))
    return world


def uses(world: World) -> list[str]:
    """The calls that used the key."""
    return [call.operation for call in world.kms.calls if call.operation in USES]


async def told(world: World, kind: ConditionKind) -> Severity | None:
    """How severe the open condition of a kind is."""
    return next(
        (each.condition.severity for each in (await world.know()).conditions if each.condition.kind is kind), None
    )


async def test_a_key_is_used_once_after_each_import() -> None:
    """Not by every look, and not before byokd has imported; the journal has it."""
    async with running(await a_world()) as world:
        await world.pass_time(10 * SECOND, step=SECOND)
        assert uses(world) == [*USES]
        await world.pass_time(DAY)
        assert uses(world) == [*USES]
        assert (await world.history())[-1] == "key_probed"
        await world.pass_time(70 * DAY, step=timedelta(hours=6))
        assert uses(world) == [*USES, *USES]


async def test_nobody_uses_a_key_unasked() -> None:
    """Off by default: byokd needs no permission to use keys."""
    async with running(await a_world(probe=False)) as world:
        await world.pass_time(DAY)
        assert uses(world) == []


@pytest.mark.parametrize("operation", USES)
async def test_a_refusal_for_the_rate_is_no_failure(operation: str) -> None:
    """It says nothing of the key: the probe is tried again, slower, and nobody hears of it."""
    world = await a_world()
    world.kms.fail(operation, *[Throttled(f"{operation}: ThrottlingException")] * 3)
    async with running(world):
        await world.pass_time(2 * MINUTE, step=SECOND)
        assert (await world.know()).ledger.probe.works  # type: ignore[union-attr]  # there is one
        history = await world.history()
        assert (history.count("probe_failed"), history.count("key_probed")) == (0, 1)
        assert uses(world).count(operation) == 4
        assert world.inbox.said == []


async def test_a_key_that_does_not_do_what_it_is_for_is_critical_at_once() -> None:
    """Until it does; it is tried again ever later, and the journal has each outcome once."""
    world = await a_world()
    world.kms.impostors.add(KeyArn(ARN))
    async with running(world):
        await world.pass_time(5 * SECOND, step=SECOND)
        assert await told(world, ConditionKind.PROBE_FAILED) is Severity.CRITICAL
        assert "raised probe_failed" in world.inbox.said
        await world.pass_time(2 * timedelta(hours=1), step=MINUTE)
        tries = uses(world).count("Decrypt")
        assert 5 <= tries <= 15
        world.kms.impostors.clear()
        await world.pass_time(timedelta(hours=1), step=MINUTE)
        assert await told(world, ConditionKind.PROBE_FAILED) is None
        history = await world.history()
        assert (history.count("probe_failed"), history.count("key_probed")) == (1, 1)


@pytest.mark.parametrize(
    ("error", "failures", "severity"),
    [
        (AccessDenied("kms:Encrypt is not allowed"), 1, Severity.WARNING),
        (KmsUnreachable("no route"), 1, None),
        (KmsUnreachable("no route"), 3, Severity.WARNING),
    ],
)
async def test_a_probe_that_cannot_be_made_is_a_warning(error: Any, failures: int, severity: Severity | None) -> None:
    """At once where a person must act, after three times where it may pass; the import stands all the same."""
    world = await a_world()
    world.kms.fail("Encrypt", *[error] * failures)
    async with running(world):
        await world.pass_time(timedelta(seconds=4 if failures == 1 else 25), step=SECOND)
        known = (await world.know()).ledger.probe
        assert isinstance(known, Probe)
        assert (known.failures, known.code) == (failures, error.code)
        assert await told(world, ConditionKind.PROBE_FAILED) is severity
        await world.pass_time(10 * MINUTE, step=10 * SECOND)
        assert await told(world, ConditionKind.PROBE_FAILED) is None
        assert (await world.history()).count("import_done") == 1


async def test_a_probe_keeps_to_the_lanes_pace() -> None:
    """Each of its operations has a quota of its own, which is waited for."""
    slow = lane()
    world = World(lane=replace(slow, quotas=slow.quotas | {"Encrypt": Quota(per_second=0.01, burst=1)}))
    await world.add(desired(policy=policy(probe=True)))
    world.kms.fail("Encrypt", KmsUnreachable("no route"))
    async with running(world):
        world.clock.advance(1)
        await passing(world, MINUTE)
        assert uses(world) == ["Encrypt"]
        await passing(world, MINUTE)
        assert uses(world) == ["Encrypt", *USES]


async def passing(world: World, span: timedelta) -> None:
    """Let time pass while a turn waits for its lane, so that the engine does not come to rest."""
    for _ in range(int(span / SECOND)):
        world.clock.advance(1)
        for _ in range(100):
            await asyncio.sleep(0)


async def test_a_key_that_fails_its_probe_for_weeks_is_not_used_every_hour() -> None:
    """Each try is four calls to KMS, for every key of a fleet that lacks a permission."""
    world = await a_world()
    world.kms.impostors.add(KeyArn(ARN))
    async with running(world):
        await world.pass_time(2 * DAY, step=10 * MINUTE)
        before = uses(world).count("Decrypt")
        await world.pass_time(5 * DAY, step=10 * MINUTE)
        assert 4 <= uses(world).count("Decrypt") - before <= 7
        world.kms.impostors.clear()
        await world.pass_time(DAY, step=10 * MINUTE)
        assert await told(world, ConditionKind.PROBE_FAILED) is None


async def test_renewals_do_not_wait_for_a_probe() -> None:
    """A key that fails its probe for months is kept alive as ever."""
    world = await a_world()
    world.kms.impostors.add(KeyArn(ARN))
    async with running(world):
        await world.pass_time(130 * DAY, step=timedelta(hours=12))
        assert (await world.history()).count("import_done") == 3


async def test_a_held_key_is_not_used() -> None:
    """Left alone means left alone."""
    world = await a_world()
    async with running(world):
        await world.pass_time(MINUTE, step=SECOND)
        await world.order(OrderKind.IMPORT)
        await world.order(OrderKind.HOLD)
        before = uses(world)
        await world.pass_time(DAY)
        assert uses(world) == before


async def test_a_crash_amid_a_probe_costs_nothing() -> None:
    """It is made again by the next life."""
    world = await a_world()
    gate = world.kms.gate("Decrypt")
    await world.start()
    await passing(world, 3 * SECOND)
    assert uses(world) == [*USES]
    await world.kill()
    gate.set()
    async with running(world):
        await world.pass_time(MINUTE, step=SECOND)
        known = (await world.know()).ledger.probe
        assert isinstance(known, Probe)
        assert known.works


# -- the KeyMaterialId ------------------------------------------------------------------------------------------------


class Misnaming(FakeKms):
    """A KMS that calls material by another name than it shows, where `wrong` says so."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.wrong = True

    async def import_material(self, arn: KeyArn, **members: Any) -> Any:
        """See `ports.Kms`."""
        named = await super().import_material(arn, **members)
        return MaterialId("0" * 64) if self.wrong else named


@pytest.mark.parametrize("first", [True, False], ids=["first import", "renewal"])
async def test_material_by_another_name_is_told(first: bool) -> None:
    """The answer to an import is held against what is shown, and against what is on record; until it is right again."""
    world = World()
    world.kms = kms = Misnaming(world.clock)
    kms.wrong = first
    await world.add()
    async with running(world):
        if not first:
            kms.wrong = True
            await world.order(OrderKind.IMPORT)
        assert await told(world, ConditionKind.MATERIAL_DIFFERS) is Severity.CRITICAL
        assert "raised material_differs" in world.inbox.said
        assert await told(world, ConditionKind.IMPORT_REFUSED) is None
        row = (await world.imports())[0]
        assert (row.state, row.outcome) == (ImportState.REFUSED, "material_differs")
        kms.wrong = False
        await world.order(OrderKind.IMPORT)
        assert await told(world, ConditionKind.MATERIAL_DIFFERS) is None
        assert (await world.imports())[0].state is ImportState.DONE


async def test_material_that_is_not_the_recorded_one_is_told() -> None:
    """A look shows another id than the one on record: what is there was not imported by byokd."""
    world = World()
    await world.add()
    async with running(world):
        (mine,) = world.kms.key(ARN).materials
        world.kms.put(ARN, materials=(replace(mine, id=MaterialId("1" * 64)),))
        await world.pass_time(timedelta(hours=7))
        assert await told(world, ConditionKind.MATERIAL_DIFFERS) is Severity.CRITICAL
        world.kms.put(ARN, materials=(mine,))
        await world.pass_time(timedelta(hours=7))
        assert await told(world, ConditionKind.MATERIAL_DIFFERS) is None
