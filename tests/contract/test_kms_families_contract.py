"""What every `ports.Kms` promises of multi-Region keys: the twins in memory, and the adapter against the local KMS."""

from __future__ import annotations

from datetime import timedelta

import pytest

from byokd.errors import MaterialRefused, TokenRefused, WrongKeyState, WrongOrigin
from byokd.facts.key import (
    ABSENT,
    NEVER,
    Expiry,
    Family,
    KeyArn,
    KeyState,
    MaterialId,
    MaterialState,
    WrappingAlgorithm,
    WrappingKeySpec,
    region_of,
)
from tests.contract.kms_worlds import AWAY, REGIONS, THIRD, World
from tests.kit.clock import ManualClock
from tests.kit.lanes import REGION

OLD, NEW, OTHER = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
DAY = timedelta(days=1)
OAEP = WrappingAlgorithm.OAEP_SHA_256
CURRENT, NON_CURRENT = MaterialState.CURRENT, MaterialState.NON_CURRENT
AWAITED, WAITS = MaterialState.PENDING_MULTI_REGION, MaterialState.PENDING_ROTATION


async def bring_in(
    world: World, arn: KeyArn, material: bytes, expiry: Expiry = NEVER, *, new: bool = False, existing: bool = False
) -> MaterialId:
    """Import material into a key in its own Region."""
    kms = world.regions[region_of(arn)]
    parameters = await kms.get_parameters(arn, algorithm=OAEP, spec=WrappingKeySpec.RSA_2048)
    answer = await kms.import_material(
        arn,
        token=parameters.token,
        ciphertext=world.seal(material, parameters, OAEP),
        expiry=expiry,
        material=ABSENT,
        new=new,
        existing=existing,
    )
    assert isinstance(answer, str)
    return answer


async def a_family(world: World, *regions: str) -> list[KeyArn]:
    """A primary and its replicas in these Regions, with its material in each."""
    primary = await world.create(multi_region=True)
    await bring_in(world, primary, OLD)
    replicas = [await world.replicate(primary, region) for region in regions]
    for each in replicas:
        await bring_in(world, each, OLD, existing=True)
    return [primary, *replicas]


async def listed(world: World, arn: KeyArn) -> dict[MaterialId, tuple[MaterialState, bool]]:
    """The state of each material of a key, and whether it is in."""
    found = await world.regions[region_of(arn)].list_materials(arn)
    return {each.material_id: (each.state, each.imported) for each in found}


async def state(world: World, arn: KeyArn) -> KeyState:
    return (await world.regions[region_of(arn)].describe(arn)).state


async def test_each_tells_the_whole_family(world: World) -> None:
    """A primary alone is a family of one; then each member names the primary, and the replicas in order."""
    primary = await world.create(multi_region=True)
    assert (await world.kms.describe(primary)).family == Family(primary=primary)
    assert (await world.kms.describe(await world.create())).family is ABSENT
    await bring_in(world, primary, OLD)
    replicas = [await world.replicate(primary, region) for region in (AWAY, THIRD)]
    family = Family(primary=primary, replicas=tuple(sorted(replicas)))
    for arn, role in ((primary, "primary"), (replicas[0], "replica"), (replicas[1], "replica")):
        seen = await world.regions[region_of(arn)].describe(arn)
        assert (seen.family, seen.role) == (family, role)


async def test_a_replica_is_born_without_the_bytes(world: World) -> None:
    """It waits for its import, and lists what its primary has as not imported; the primary stays as it is."""
    primary = await world.create(multi_region=True)
    named = await bring_in(world, primary, OLD)
    replica = await world.replicate(primary, AWAY)
    assert (await state(world, replica), await state(world, primary)) == (KeyState.PENDING_IMPORT, KeyState.ENABLED)
    assert await listed(world, replica) == {named: (CURRENT, False)}
    assert await bring_in(world, replica, OLD, existing=True) == named
    assert await listed(world, replica) == {named: (CURRENT, True)}
    assert await state(world, replica) is KeyState.ENABLED


async def test_a_replica_takes_nothing_else(world: World) -> None:
    """Neither bytes that its primary does not have, nor new ones, which go to the primary."""
    primary, replica = await a_family(world, AWAY)
    with pytest.raises(MaterialRefused):
        await bring_in(world, replica, OTHER, existing=True)
    with pytest.raises(WrongOrigin):
        await bring_in(world, replica, NEW, new=True)
    assert len(await listed(world, primary)) == len(await listed(world, replica)) == 1


async def test_a_token_of_one_region_is_none_of_anothers(world: World) -> None:
    """Keys of a family share their id, and not their import parameters."""
    primary, replica = await a_family(world, AWAY)
    parameters = await world.kms.get_parameters(primary, algorithm=OAEP, spec=WrappingKeySpec.RSA_2048)
    with pytest.raises(TokenRefused):
        await world.regions[AWAY].import_material(
            replica,
            token=parameters.token,
            ciphertext=world.seal(OLD, parameters, OAEP),
            expiry=NEVER,
            material=ABSENT,
            existing=True,
        )


async def test_each_lapses_by_itself(world: World, clock: ManualClock) -> None:
    """A replica that ends takes no other with it, and is healed by itself."""
    primary, replica, other = await a_family(world, AWAY, THIRD)
    await bring_in(world, replica, OLD, clock.now() + DAY, existing=True)
    clock.advance(DAY.total_seconds())
    states = [await state(world, arn) for arn in (primary, replica, other)]
    assert states == [KeyState.ENABLED, KeyState.PENDING_IMPORT, KeyState.ENABLED]
    await bring_in(world, replica, OLD, existing=True)
    assert await state(world, replica) is KeyState.ENABLED


async def test_a_rotation_goes_the_way_that_aws_wants(world: World) -> None:
    """New into the primary, existing into every replica, then the rotation of the primary; each is refused earlier."""
    arns = primary, first, second = await a_family(world, AWAY, THIRD)
    (old,) = await listed(world, primary)
    new = await bring_in(world, primary, NEW, new=True)
    assert await listed(world, primary) == {old: (CURRENT, True), new: (AWAITED, True)}
    assert await listed(world, first) == {old: (CURRENT, True)}
    with pytest.raises(WrongKeyState):
        await world.kms.rotate_on_demand(primary)

    assert await bring_in(world, first, NEW, existing=True) == new
    assert await listed(world, first) == {old: (CURRENT, True), new: (WAITS, True)}
    assert (await listed(world, primary))[new] == (AWAITED, True)
    with pytest.raises(WrongKeyState):
        await world.kms.rotate_on_demand(primary)

    await bring_in(world, second, NEW, existing=True)
    assert (await listed(world, primary))[new] == (WAITS, True)
    with pytest.raises(WrongOrigin):
        await world.regions[AWAY].rotate_on_demand(first)
    await world.kms.rotate_on_demand(primary)
    for arn in arns:
        assert await listed(world, arn) == {old: (NON_CURRENT, True), new: (CURRENT, True)}
        assert (await world.regions[region_of(arn)].describe(arn)).current_material == new
    with pytest.raises(WrongKeyState):
        await world.kms.rotate_on_demand(primary)


async def test_what_waits_in_the_primary_ends_in_every_replica(world: World, clock: ManualClock) -> None:
    """Material that lapses in the primary before its rotation is forgotten everywhere; another may take its place."""
    primary, replica = await a_family(world, AWAY)
    (old,) = await listed(world, primary)
    new = await bring_in(world, primary, NEW, clock.now() + DAY, new=True)
    await bring_in(world, replica, NEW, existing=True)
    clock.advance(DAY.total_seconds())
    assert await listed(world, primary) == await listed(world, replica) == {old: (CURRENT, True)}
    assert await state(world, replica) is KeyState.ENABLED
    with pytest.raises(WrongKeyState):
        await world.kms.rotate_on_demand(primary)
    with pytest.raises(MaterialRefused):
        await bring_in(world, replica, NEW, existing=True)
    other = await bring_in(world, primary, OTHER, new=True)
    assert other != new
    assert (await listed(world, primary))[other] == (AWAITED, True)


async def test_what_waits_in_the_primary_is_deleted_in_every_replica(world: World) -> None:
    """So it is where somebody deletes it."""
    primary, replica = await a_family(world, AWAY)
    new = await bring_in(world, primary, NEW, new=True)
    await bring_in(world, replica, NEW, existing=True)
    await world.kms.delete_imported_material(primary, material=new)
    assert new not in {**await listed(world, primary), **await listed(world, replica)}


async def test_a_replica_that_loses_what_waits_holds_up_the_rotation(world: World, clock: ManualClock) -> None:
    """It is gone there alone, by deletion or at its end, and once it is back the rotation goes on."""
    primary, replica, other = await a_family(world, AWAY, THIRD)
    new = await bring_in(world, primary, NEW, new=True)
    for arn in (replica, other):
        await bring_in(world, arn, NEW, clock.now() + DAY, existing=True)
    await world.regions[AWAY].delete_imported_material(replica, material=new)
    assert new not in await listed(world, replica)
    assert (await listed(world, other))[new] == (WAITS, True)
    with pytest.raises(WrongKeyState):
        await world.kms.rotate_on_demand(primary)
    await bring_in(world, replica, NEW, existing=True)
    clock.advance(DAY.total_seconds())
    with pytest.raises(WrongKeyState):
        await world.kms.rotate_on_demand(primary)
    await bring_in(world, other, NEW, existing=True)
    await world.kms.rotate_on_demand(primary)
    for arn in (primary, replica, other):
        assert (await listed(world, arn))[new] == (CURRENT, True)


async def test_a_replica_made_in_the_middle_of_a_rotation(world: World) -> None:
    """It is waited for too, and needs what the primary needs."""
    primary, replica = await a_family(world, AWAY)
    new = await bring_in(world, primary, NEW, new=True)
    await bring_in(world, replica, NEW, existing=True)
    late = await world.replicate(primary, THIRD)
    assert new not in await listed(world, late)
    assert (await listed(world, primary))[new] == (AWAITED, True)
    with pytest.raises(WrongKeyState):
        await world.kms.rotate_on_demand(primary)
    for material in (OLD, NEW):
        await bring_in(world, late, material, existing=True)
    await world.kms.rotate_on_demand(primary)
    assert (await listed(world, late))[new] == (CURRENT, True)


async def test_the_worlds_have_three_regions(world: World) -> None:
    """Of one account, `kms` being that of the first."""
    assert tuple(world.regions) == REGIONS
    assert world.regions[REGION] is world.kms
