"""What every `ports.Kms` promises: the twins in memory, and the real adapter over HTTP against the local KMS."""

from __future__ import annotations

from datetime import timedelta

import pytest

from byokd.errors import (
    CiphertextRefused,
    KeyNotFound,
    MaterialRefused,
    RequestRefused,
    TokenRefused,
    WrongKeyState,
    WrongOrigin,
)
from byokd.facts.key import (
    ABSENT,
    NEVER,
    SYMMETRIC,
    Expiry,
    KeyArn,
    KeyState,
    MaterialId,
    MaterialState,
    WrappingAlgorithm,
    WrappingKeySpec,
)
from tests.contract.kms_worlds import World
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, REGION

MATERIAL = bytes(range(32))
OTHER_MATERIAL = bytes(range(32, 64))
DAY = timedelta(days=1)
OAEP = WrappingAlgorithm.OAEP_SHA_256


async def bring_in(
    world: World,
    arn: KeyArn,
    expiry: Expiry,
    *,
    material: bytes = MATERIAL,
    algorithm: WrappingAlgorithm = OAEP,
    spec: WrappingKeySpec = WrappingKeySpec.RSA_2048,
    named: MaterialId | None = None,
) -> MaterialId:
    """Import material into a symmetric key with fresh parameters."""
    parameters = await world.kms.get_parameters(arn, algorithm=algorithm, spec=spec)
    answer = await world.kms.import_material(
        arn,
        token=parameters.token,
        ciphertext=world.seal(material, parameters, algorithm),
        expiry=expiry,
        material=named or ABSENT,
    )
    assert isinstance(answer, str)
    return answer


async def test_virgin_key(world: World, clock: ManualClock) -> None:
    """A key that never had material waits for it, and owns none."""
    arn = await world.create()
    seen = await world.kms.describe(arn)
    assert (seen.at, seen.arn, seen.origin, seen.spec) == (clock.now(), arn, "EXTERNAL", SYMMETRIC)
    assert (seen.state, seen.expiry, seen.current_material) == (KeyState.PENDING_IMPORT, ABSENT, ABSENT)
    assert (seen.materials, seen.materials_known) == ((), False)
    assert await world.kms.list_materials(arn) == ()


async def test_import_enables(world: World, clock: ManualClock) -> None:
    """An import enables the key, and its `ValidTo` is read back to the second."""
    arn = await world.create()
    ends_at = clock.now() + DAY
    named = await bring_in(world, arn, ends_at)
    seen = await world.kms.describe(arn)
    (listed,) = await world.kms.list_materials(arn)
    assert (seen.state, seen.expiry, seen.current_material) == (KeyState.ENABLED, ends_at, named)
    assert (listed.material_id, listed.state, listed.imported, listed.expiry) == (
        named,
        MaterialState.CURRENT,
        True,
        ends_at,
    )


async def test_material_is_deleted_by_its_id(world: World, clock: ManualClock) -> None:
    """The key falls to PendingImport, its past ciphertexts with it; to delete what is gone changes nothing."""
    arn = await world.create()
    named = await bring_in(world, arn, clock.now() + DAY)
    for _ in range(2):
        await world.kms.delete_imported_material(arn, material=named)
        seen = await world.kms.describe(arn)
        assert (seen.state, seen.expiry) == (KeyState.PENDING_IMPORT, ABSENT)
    await bring_in(world, arn, clock.now() + DAY, named=named)
    await world.kms.delete_imported_material(arn, material=ABSENT)
    assert (await world.kms.describe(arn)).state is KeyState.PENDING_IMPORT


async def test_deletion_of_an_unknown_key(world: World) -> None:
    """A key that is not there has nothing to delete."""
    with pytest.raises(KeyNotFound):
        await world.kms.delete_imported_material(KeyArn(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/none"), material=ABSENT)


async def test_never_expires(world: World) -> None:
    """Material without an end reads NEVER, and not as unknown."""
    arn = await world.create()
    await bring_in(world, arn, NEVER)
    (listed,) = await world.kms.list_materials(arn)
    assert (await world.kms.describe(arn)).expiry is NEVER
    assert listed.expiry is NEVER


@pytest.mark.parametrize("algorithm", list(WrappingAlgorithm))
async def test_every_algorithm(world: World, clock: ManualClock, algorithm: WrappingAlgorithm) -> None:
    """What wraps material directly, KMS unwraps; RSA_AES_KEY_WRAP it refuses for a symmetric key."""
    arn = await world.create()
    if algorithm.startswith("RSA_AES"):
        with pytest.raises(RequestRefused):
            await world.kms.get_parameters(arn, algorithm=algorithm, spec=WrappingKeySpec.RSA_3072)
        return
    await bring_in(world, arn, clock.now() + DAY, algorithm=algorithm, spec=WrappingKeySpec.RSA_3072)
    assert (await world.kms.describe(arn)).state is KeyState.ENABLED


async def test_reimport_moves_expiry(world: World, clock: ManualClock) -> None:
    """The same material again, named or not, moves `ValidTo` and stays the same material."""
    arn = await world.create()
    first = await bring_in(world, arn, clock.now() + DAY)
    second = await bring_in(world, arn, clock.now() + 2 * DAY)
    third = await bring_in(world, arn, clock.now() + 3 * DAY, named=first)
    assert first == second == third
    assert (await world.kms.describe(arn)).expiry == clock.now() + 3 * DAY


async def test_lapse_and_heal(world: World, clock: ManualClock) -> None:
    """The key is usable until one second before `ValidTo`, PendingImport at it, and usable again after a reimport."""
    arn = await world.create()
    named = await bring_in(world, arn, clock.now() + DAY)
    clock.advance(DAY.total_seconds() - 1)
    assert (await world.kms.describe(arn)).state is KeyState.ENABLED
    clock.advance(1)
    seen = await world.kms.describe(arn)
    (listed,) = await world.kms.list_materials(arn)
    assert (seen.state, seen.expiry, seen.current_material) == (KeyState.PENDING_IMPORT, ABSENT, named)
    assert (listed.imported, listed.expiry) == (False, ABSENT)
    assert await bring_in(world, arn, clock.now() + DAY, named=named) == named
    assert (await world.kms.describe(arn)).state is KeyState.ENABLED


async def test_deleted_material(world: World) -> None:
    """Material that somebody deleted leaves the key PendingImport, with the material's name still known."""
    arn = await world.create()
    named = await bring_in(world, arn, NEVER)
    await world.delete_material(arn)
    seen = await world.kms.describe(arn)
    assert (seen.state, seen.expiry, seen.current_material) == (KeyState.PENDING_IMPORT, ABSENT, named)


async def test_other_material(world: World, clock: ManualClock) -> None:
    """A key takes no other material than its first, even after that has lapsed."""
    arn = await world.create()
    await bring_in(world, arn, clock.now() + DAY)
    clock.advance(2 * DAY.total_seconds())
    with pytest.raises(MaterialRefused):
        await bring_in(world, arn, clock.now() + DAY, material=OTHER_MATERIAL)


async def test_wrong_material_name(world: World, clock: ManualClock) -> None:
    """KMS checks the KeyMaterialId that it is given against the bytes."""
    arn = await world.create()
    await bring_in(world, arn, clock.now() + DAY)
    with pytest.raises(MaterialRefused):
        await bring_in(world, arn, clock.now() + 2 * DAY, named=MaterialId("0" * 64))


async def test_wrong_length(world: World, clock: ManualClock) -> None:
    """A symmetric key takes 32 bytes and nothing else."""
    arn = await world.create()
    with pytest.raises(MaterialRefused):
        await bring_in(world, arn, clock.now() + DAY, material=MATERIAL[:31])


async def test_token_of_another_key(world: World, clock: ManualClock) -> None:
    """A token serves the key that it was given for, and no other."""
    arn, other = await world.create(), await world.create()
    parameters = await world.kms.get_parameters(other, algorithm=OAEP, spec=WrappingKeySpec.RSA_2048)
    with pytest.raises(TokenRefused):
        await world.kms.import_material(
            arn,
            token=parameters.token,
            ciphertext=world.seal(MATERIAL, parameters, OAEP),
            expiry=clock.now() + DAY,
            material=ABSENT,
        )


async def test_stale_token(world: World, clock: ManualClock) -> None:
    """Parameters say when they end, and a token older than that is refused."""
    arn = await world.create()
    parameters = await world.kms.get_parameters(arn, algorithm=OAEP, spec=WrappingKeySpec.RSA_2048)
    assert parameters.valid_to == clock.now() + DAY
    clock.advance(DAY.total_seconds() + 1)
    with pytest.raises(TokenRefused):
        await world.kms.import_material(
            arn,
            token=parameters.token,
            ciphertext=world.seal(MATERIAL, parameters, OAEP),
            expiry=clock.now() + DAY,
            material=ABSENT,
        )


async def test_wrapped_for_another_token(world: World, clock: ManualClock) -> None:
    """Token and public key belong together: material wrapped under another public key cannot be read."""
    arn = await world.create()
    one = await world.kms.get_parameters(arn, algorithm=OAEP, spec=WrappingKeySpec.RSA_2048)
    two = await world.kms.get_parameters(arn, algorithm=OAEP, spec=WrappingKeySpec.RSA_2048)
    with pytest.raises(CiphertextRefused):
        await world.kms.import_material(
            arn,
            token=one.token,
            ciphertext=world.seal(MATERIAL, two, OAEP),
            expiry=clock.now() + DAY,
            material=ABSENT,
        )


@pytest.mark.parametrize(
    ("life", "taken"),
    [
        pytest.param(timedelta(0), False, id="ends now"),
        pytest.param(timedelta(seconds=1), True, id="ends in a second"),
        pytest.param(365 * DAY, True, id="ends in 365 days"),
        pytest.param(365 * DAY + timedelta(seconds=1), False, id="ends a second later than 365 days"),
    ],
)
async def test_bounds_of_expiry(world: World, clock: ManualClock, life: timedelta, taken: bool) -> None:
    """`ValidTo` lies in the future, and at most 365 days ahead."""
    arn = await world.create()
    if taken:
        await bring_in(world, arn, clock.now() + life)
    else:
        with pytest.raises(RequestRefused):
            await bring_in(world, arn, clock.now() + life)


async def test_unknown_key(world: World) -> None:
    """A key that does not exist, and an alias that does not, are not found."""
    await world.create()
    arn = KeyArn(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/ffffffff-0000-4000-8000-000000000000")
    with pytest.raises(KeyNotFound):
        await world.kms.describe(arn)
    with pytest.raises(KeyNotFound):
        await world.kms.describe("alias/nobody")
    with pytest.raises(KeyNotFound):
        await world.kms.get_parameters(arn, algorithm=OAEP, spec=WrappingKeySpec.RSA_2048)


async def test_alias(world: World) -> None:
    """A key asked for by alias tells its ARN, twice: as itself and as what the alias means now."""
    arn = await world.create(alias="alias/orders")
    seen = await world.kms.describe("alias/orders")
    assert (seen.arn, seen.alias_target) == (arn, arn)
    assert (await world.kms.describe(arn)).alias_target is ABSENT


async def test_aws_own_key(world: World) -> None:
    """A key whose material AWS made takes none."""
    arn = await world.create(origin="AWS_KMS")
    assert (await world.kms.describe(arn)).origin == "AWS_KMS"
    with pytest.raises(WrongOrigin):
        await world.kms.get_parameters(arn, algorithm=OAEP, spec=WrappingKeySpec.RSA_2048)


async def test_disabled(world: World) -> None:
    """A key that somebody disabled says so, and keeps its expiry."""
    arn = await world.create()
    await bring_in(world, arn, NEVER)
    await world.disable(arn)
    seen = await world.kms.describe(arn)
    assert (seen.state, seen.expiry) == (KeyState.DISABLED, NEVER)


async def test_pending_deletion(world: World, clock: ManualClock) -> None:
    """A key that is to be deleted says when, and refuses imports."""
    arn = await world.create()
    await bring_in(world, arn, NEVER)
    await world.schedule_deletion(arn)
    seen = await world.kms.describe(arn)
    assert (seen.state, seen.deletion_at) == (KeyState.PENDING_DELETION, clock.now() + 7 * DAY)
    with pytest.raises(WrongKeyState):
        await world.kms.get_parameters(arn, algorithm=OAEP, spec=WrappingKeySpec.RSA_2048)
