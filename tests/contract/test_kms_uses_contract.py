"""What every `ports.Kms` promises of using a key: the fake in memory, and the real adapter against the local KMS."""

from __future__ import annotations

import pytest

from byokd.errors import KeyNotFound, RequestRefused, WrongKeyState
from byokd.facts.key import ABSENT, NEVER, SYMMETRIC, KeyArn
from byokd.facts.kinds import KINDS, ways
from byokd.facts.uses import KeyUsage, Use, use_of
from byokd.localkms.wrapping import WrappingKeys
from tests.contract.kms_worlds import LocalWorld, World, local_world
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, REGION
from tests.kit.materials import material, usage

MESSAGE = b"byokd tries a key"


def the_use(spec: str) -> Use:
    """How a key of the spec is tried."""
    use = use_of(spec, usage(spec))
    assert use is not None
    return use


async def bring_in(world: World, arn: KeyArn, spec: str) -> None:
    """Import material of the spec, for good."""
    way = ways(KINDS[spec])[0]
    parameters = await world.kms.get_parameters(arn, algorithm=way.algorithm, spec=way.key_spec)
    ciphertext = world.seal(material(spec), parameters, way.algorithm)
    await world.kms.import_material(arn, token=parameters.token, ciphertext=ciphertext, expiry=NEVER, material=ABSENT)


async def a_key(world: World, spec: str) -> KeyArn:
    """A key with material."""
    arn = await world.create(spec=spec)
    await bring_in(world, arn, spec)
    return arn


@pytest.mark.parametrize("spec", KINDS)
async def test_a_key_checks_what_it_made(world: World, spec: str) -> None:
    """Its usage is told by a look; what it makes of a message is of that message and of no other."""
    arn, use = await a_key(world, spec), the_use(spec)
    assert (await world.kms.describe(arn)).usage == usage(spec)
    made = await world.kms.make(arn, use=use, message=MESSAGE)
    assert made
    assert await world.kms.check(arn, use=use, message=MESSAGE, made=made)
    assert not await world.kms.check(arn, use=use, message=b"another", made=made)


@pytest.mark.parametrize("spec", [SYMMETRIC, "HMAC_256", "ECC_NIST_P256"])
async def test_what_is_not_its_own_is_no_error(world: World, spec: str) -> None:
    """Something that the key never made is answered with no, however KMS says so."""
    arn, use = await a_key(world, spec), the_use(spec)
    made = await world.kms.make(arn, use=use, message=MESSAGE)
    assert not await world.kms.check(arn, use=use, message=MESSAGE, made=made[:-1] + bytes([made[-1] ^ 1]))


@pytest.mark.parametrize("spec", [SYMMETRIC, "HMAC_256"])
async def test_what_was_made_outlives_a_loss(world: World, spec: str) -> None:
    """Without material a key makes and checks nothing; with it again it knows what it made before."""
    arn, use = await a_key(world, spec), the_use(spec)
    made = await world.kms.make(arn, use=use, message=MESSAGE)
    await world.delete_material(arn)
    with pytest.raises(WrongKeyState):
        await world.kms.make(arn, use=use, message=MESSAGE)
    with pytest.raises(WrongKeyState):
        await world.kms.check(arn, use=use, message=MESSAGE, made=made)
    await bring_in(world, arn, spec)
    assert await world.kms.check(arn, use=use, message=MESSAGE, made=made)


async def test_a_key_is_not_used_for_what_it_is_not_for(world: World) -> None:
    """A key that encrypts does not sign, and one that is not there does nothing."""
    arn = await a_key(world, SYMMETRIC)
    with pytest.raises(RequestRefused):
        await world.kms.make(arn, use=the_use("ECC_NIST_P256"), message=MESSAGE)
    nobody = KeyArn(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/99999999-0000-4000-8000-000000000000")
    with pytest.raises(KeyNotFound):
        await world.kms.make(nobody, use=the_use(SYMMETRIC), message=MESSAGE)


async def test_an_rsa_key_may_be_for_either(pool: WrappingKeys) -> None:
    """Those that encrypt are tried by that: the message fits the smallest of them."""
    async with local_world(ManualClock(), pool) as world:
        arn = await _for_encryption(world)
        use = use_of("RSA_2048", (await world.kms.describe(arn)).usage)
        assert use == Use(spec="RSA_2048", usage=KeyUsage.ENCRYPT_DECRYPT, algorithm="RSAES_OAEP_SHA_256")
        message = bytes(190)
        made = await world.kms.make(arn, use=use, message=message)
        assert await world.kms.check(arn, use=use, message=message, made=made)


@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"])
async def test_a_key_agrees_with_its_peer(pool: WrappingKeys, spec: str) -> None:
    """Both sides derive the same secret, of this message and with this key alone."""
    async with local_world(ManualClock(), pool) as world:
        arn, other = [await _made_for(world, spec, "KEY_AGREEMENT") for _ in range(2)]
        use = use_of(spec, (await world.kms.describe(arn)).usage)
        assert use == Use(spec=spec, usage=KeyUsage.KEY_AGREEMENT, algorithm="ECDH")
        made = await world.kms.make(arn, use=use, message=MESSAGE)
        assert await world.kms.check(arn, use=use, message=MESSAGE, made=made)
        assert not await world.kms.check(arn, use=use, message=b"another", made=made)
        assert await world.kms.make(other, use=use, message=MESSAGE) == made, "the same private key is in both"
        signs = await a_key(world, spec)
        with pytest.raises(RequestRefused):
            await world.kms.make(signs, use=use, message=MESSAGE)


async def _for_encryption(world: LocalWorld) -> KeyArn:
    return await _made_for(world, "RSA_2048", "ENCRYPT_DECRYPT")


async def _made_for(world: LocalWorld, spec: str, usage: str) -> KeyArn:
    answer = await world.people.create_key(Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage)
    arn = KeyArn(answer["KeyMetadata"]["Arn"])
    await bring_in(world, arn, spec)
    return arn
