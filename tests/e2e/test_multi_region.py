"""A multi-Region key in three lanes: real parts, moved time, and boto3 beside byokd."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from byokd.errors import KmsUnreachable
from byokd.facts.key import Family, KeyArn, ObservedKey, last_seen
from byokd.facts.ledger import Order, OrderKind, OrderState
from tests.kit.builders import DAY
from tests.kit.real_parts import HOME, Site, ask, decrypted, import_by_hand, listed, site
from tests.kit.stop import Stop, until_reached
from tests.kit.world import running

pytestmark = pytest.mark.timeout(120)

AWAY = ("eu-west-1", "us-east-1")
REGIONS = (HOME, *AWAY)


async def everywhere(it: Site, blob: bytes) -> list[bytes]:
    """What becomes of a ciphertext in each Region."""
    return [(await decrypted(it, [blob], region=region))[0] for region in REGIONS]


async def test_a_family_is_kept_alive_in_every_region(tmp_path: Path) -> None:
    """The replicas get their first import and each its own deadline; what one Region encrypts, the others read."""
    async with site(tmp_path, replicas=AWAY) as it, running(it.world):
        blob = (await ask(it, "encrypt", KeyId=it.keys[0].ref, Plaintext=b"0"))["CiphertextBlob"]
        await it.world.pass_time(200 * DAY, step=4 * DAY)
        assert await everywhere(it, blob) == [b"0"] * 3
        assert "material_lapsed" not in await it.world.history()
        assert it.world.inbox.said == []


async def test_what_is_seen_of_a_family(tmp_path: Path) -> None:
    """Who is the primary and who are the replicas, as KMS lists them; and each knows the others of the config."""
    async with site(tmp_path, replicas=AWAY) as it, running(it.world):
        await it.world.pass_time(timedelta(minutes=1), step=timedelta(seconds=30))
        primary, *replicas = it.keys
        for key in it.keys:
            known = await it.world.know(key.ref)
            seen = last_seen(known.view)
            assert isinstance(seen, ObservedKey)
            arns = tuple(sorted(KeyArn(each.ref) for each in replicas))
            assert seen.family == Family(primary=KeyArn(primary.ref), replicas=arns)
            assert {each.ref for each in known.relatives} == {each.ref for each in it.keys} - {key.ref}


async def test_replicas_that_nobody_manages_are_told(tmp_path: Path) -> None:
    """One left the config; then the primary did."""
    async with site(tmp_path, replicas=AWAY) as it, running(it.world):
        world = it.world
        primary, first, second = it.keys
        await world.store.sync_fleet([primary, first], now=world.clock.now())
        await world.pass_time(DAY, step=timedelta(hours=6))
        assert world.inbox.said == ["raised relatives_unmanaged"]

        await world.store.sync_fleet([first, second], now=world.clock.now())
        await world.pass_time(DAY, step=timedelta(hours=6))
        assert world.inbox.said[1:] == [
            "resolved relatives_unmanaged",
            "raised replica_without_primary",
            "raised replica_without_primary",
        ]


# -- rotation ---------------------------------------------------------------------------------------------------------

IMPORT, PARAMETERS, ROTATION = "import_material", "get_parameters", "rotate_on_demand"
SOME_MINUTES, HALF_A_MINUTE = timedelta(minutes=5), timedelta(seconds=30)


async def states(it: Site) -> list[list[str]]:
    """Of the materials that KMS lists, oldest first, in each Region."""
    return [await listed(it, key) for key in it.keys]


async def newest(it: Site) -> Order:
    """The order that was given last."""
    return (await it.world.store.orders(only_open=False, limit=1))[0]


async def secrets(it: Site) -> bytes:
    """Something encrypted under the primary now."""
    blob: bytes = (await ask(it, "encrypt", KeyId=it.keys[0].ref, Plaintext=b"0"))["CiphertextBlob"]
    return blob


ROTATED = [["NON_CURRENT", "CURRENT"]] * 3


async def test_a_rotation_of_the_whole_family(tmp_path: Path) -> None:
    """One order on the primary; the third material stays in stock, and both others live on in every Region."""
    async with site(tmp_path, materials=3, replicas=AWAY) as it, running(it.world):
        before = await secrets(it)
        await it.world.order(OrderKind.ROTATE, ref=it.keys[0].ref)
        await it.world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        assert await states(it) == ROTATED
        order = await newest(it)
        assert (order.state, order.outcome[:10]) == (OrderState.DONE, "rotated to")
        for key in it.keys:  # and each lane has seen it, long before its next regular look
            seen = last_seen((await it.world.know(key.ref)).view)
            assert isinstance(seen, ObservedKey)
            assert order.outcome == f"rotated to {seen.current_material}"

        after = await secrets(it)
        await it.world.pass_time(200 * DAY, step=4 * DAY)
        assert await everywhere(it, before) == await everywhere(it, after) == [b"0"] * 3
        assert await states(it) == ROTATED
        assert it.world.inbox.said == []


STEPS = [
    (region, operation, after)
    for region, operation in (
        (HOME, PARAMETERS),
        (HOME, IMPORT),
        (AWAY[0], PARAMETERS),
        (AWAY[0], IMPORT),
        (AWAY[1], IMPORT),
        (HOME, ROTATION),
    )
    for after in (False, True)
]


@pytest.mark.parametrize(("region", "operation", "after"), STEPS)
async def test_killed_at_any_step_the_next_start_finishes_the_rotation(
    tmp_path: Path, region: str, operation: str, after: bool
) -> None:
    """Whichever Region was at work, and whether KMS had done it: what is listed and on record says how far it is."""
    stop = Stop()
    async with site(tmp_path, materials=3, replicas=AWAY, wrapped=stop.between) as it:
        world = it.world
        await world.start()
        await world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        before = await secrets(it)
        stop.region, stop.operation, stop.after = region, operation, after
        await world.order(OrderKind.ROTATE, ref=it.keys[0].ref, wait=False)
        await until_reached(stop, world)
        await world.kill(servers=False)

        async with running(world):
            await world.pass_time(2 * SOME_MINUTES, step=HALF_A_MINUTE)
            assert await states(it) == ROTATED
            assert (await newest(it)).state is OrderState.DONE
            assert await everywhere(it, before) == [b"0"] * 3


async def test_a_replica_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    """The order says which Region it waits for and why; when that is back, the rotation is finished."""
    stop = Stop()
    async with site(tmp_path, materials=2, replicas=AWAY, wrapped=stop.between) as it, running(it.world):
        world = it.world
        stop.refusals[AWAY[1]] = KmsUnreachable("no route to host")
        await world.pass_time(DAY, step=timedelta(hours=6))
        await world.order(OrderKind.ROTATE, ref=it.keys[0].ref)
        await world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        assert [each[1] for each in (await states(it))[:2]] == [
            "PENDING_MULTI_REGION_IMPORT_AND_ROTATION",
            "PENDING_ROTATION",
        ]
        order = await newest(it)
        waits = "waits until its replicas have the material too: us-east-1 (no route to host)"
        assert (order.state, order.outcome) == (OrderState.OPEN, waits)

        stop.refusals.clear()
        await world.pass_time(timedelta(hours=2), step=timedelta(minutes=1))
        assert await states(it) == ROTATED
        assert (await newest(it)).state is OrderState.DONE


async def test_a_replica_in_no_fleet_is_waited_for(tmp_path: Path) -> None:
    """Nobody here can bring the material there; when somebody else has, KMS says so and the rotation goes on."""
    async with site(tmp_path, materials=2, replicas=AWAY) as it, running(it.world):
        world = it.world
        await world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        stranger = it.keys[2]
        await world.store.sync_fleet(it.keys[:2], now=world.clock.now())
        await world.order(OrderKind.ROTATE, ref=it.keys[0].ref)
        await world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        assert (await newest(it)).outcome.endswith("us-east-1 (in no fleet)")

        await import_by_hand(it, stranger, 1, ImportType="EXISTING_KEY_MATERIAL")
        await world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        assert await states(it) == ROTATED


async def test_a_half_done_rotation_of_somebody_else(tmp_path: Path) -> None:
    """Told and left alone until it is ordered; then it goes on from where it is, in the replicas too."""
    async with site(tmp_path, materials=2, replicas=AWAY) as it, running(it.world):
        world = it.world
        await world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        await import_by_hand(it, it.keys[0], 1, ImportType="NEW_KEY_MATERIAL")
        await world.pass_time(DAY, step=timedelta(hours=6))
        begun = [["CURRENT", "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"], ["CURRENT"], ["CURRENT"]]
        assert await states(it) == begun
        told = [each.condition.kind.value for each in (await world.know(it.keys[0].ref)).conditions]
        assert told == ["rotation_unfinished"]

        await world.order(OrderKind.ROTATE, ref=it.keys[0].ref)
        await world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        assert await states(it) == ROTATED
        assert (await world.know(it.keys[0].ref)).conditions == ()


async def test_a_replica_is_not_rotated_itself(tmp_path: Path) -> None:
    """The order is refused, and names the primary that it has to be given for."""
    async with site(tmp_path, materials=2, replicas=AWAY) as it, running(it.world):
        await it.world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        await it.world.order(OrderKind.ROTATE, ref=it.keys[1].ref)
        order = await newest(it)
        assert order.state is OrderState.REFUSED
        assert order.outcome.endswith(f"order it for {it.keys[0].ref}")
        assert await states(it) == [["CURRENT"]] * 3


async def test_a_replica_without_the_next_material_is_told(tmp_path: Path) -> None:
    """Its own config names one material only: the primary waits, and people hear why."""
    async with site(tmp_path, materials=2, replicas=AWAY) as it, running(it.world):
        world = it.world
        await world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        short = replace(it.keys[1], further=())
        await world.store.sync_fleet([it.keys[0], short, it.keys[2]], now=world.clock.now())
        await world.order(OrderKind.ROTATE, ref=it.keys[0].ref)
        await world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        assert world.inbox.said == ["raised rotation_unfinished"]
        assert "eu-west-1" in (await newest(it)).outcome

        await world.store.sync_fleet(it.keys, now=world.clock.now())
        await world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        assert await states(it) == ROTATED
