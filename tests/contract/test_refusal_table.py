"""byokd's table of kinds and the local KMS's, held against each other over HTTP: every pair for every key spec.

The two were written apart, from the same documents, and share no code. What AWS itself answers, neither can tell.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from byokd.errors import MaterialRefused, RequestRefused
from byokd.facts.key import ABSENT, NEVER, KeyArn, KeyState
from byokd.facts.kinds import KINDS, PREFERENCE, MaterialKind, Wrapping, ways
from byokd.localkms.specs import KeySpec
from byokd.localkms.wrapping import WrappingKeys
from tests.contract.kms_worlds import LocalWorld, local_world
from tests.kit.clock import ManualClock
from tests.kit.materials import material, usage


@pytest.fixture
async def world(pool: WrappingKeys) -> AsyncIterator[LocalWorld]:
    """A local KMS, the adapter, and people."""
    async with local_world(ManualClock(), pool) as world:
        yield world


async def create(world: LocalWorld, spec: str) -> KeyArn:
    """A key of a spec, without material."""
    answer = await world.people.create_key(Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage(spec))
    return KeyArn(answer["KeyMetadata"]["Arn"])


async def bring_in(world: LocalWorld, arn: KeyArn, content: bytes, way: Wrapping) -> None:
    """Import material, wrapped as byokd wraps it."""
    parameters = await world.kms.get_parameters(arn, algorithm=way.algorithm, spec=way.key_spec)
    ciphertext = world.seal(content, parameters, way.algorithm)
    await world.kms.import_material(arn, token=parameters.token, ciphertext=ciphertext, expiry=NEVER, material=ABSENT)


def test_both_know_the_same_specs() -> None:
    """A spec that one of the two learns, the other is to learn as well."""
    assert set(KINDS) == set(KeySpec)


@pytest.mark.parametrize("spec", KINDS)
async def test_every_pair(world: LocalWorld, spec: str) -> None:
    """What byokd allows comes in and enables the key; what it refuses, GetParametersForImport refuses as well."""
    arn, allowed = await create(world, spec), ways(KINDS[spec])
    for way in PREFERENCE:
        if way in allowed:
            await bring_in(world, arn, material(spec), way)
            assert (await world.kms.describe(arn)).state is KeyState.ENABLED
            continue
        with pytest.raises(RequestRefused, match="ValidationException"):
            await world.kms.get_parameters(arn, algorithm=way.algorithm, spec=way.key_spec)


@pytest.mark.parametrize("spec", KINDS)
async def test_every_kind_of_material(world: LocalWorld, spec: str) -> None:
    """What byokd's table does not take for a key, its KMS does not take either: each spec's material in each key."""
    kind = KINDS[spec]
    for other in KINDS:
        if (spec, other) == ("HMAC_384", "ECC_NIST_EDWARDS25519"):
            continue  # see below
        content = material(other)
        # What is too long to be wrapped directly goes the other way, where the key has one.
        way = next((each for each in ways(kind) if len(content) < 400 or each.algorithm.startswith("RSA_AES")), None)
        if way is None:
            continue
        arn = await create(world, spec)
        if kind.takes(KINDS[other].material, len(content)):
            await bring_in(world, arn, content, way)
            continue
        with pytest.raises(MaterialRefused):
            await bring_in(world, arn, content, way)


async def test_the_one_kind_that_looks_like_another(world: LocalWorld) -> None:
    """An Ed25519 key in PKCS #8 has the 48 bytes of an HMAC_384 key: KMS would take it, and byokd sees the mistake."""
    content = material("ECC_NIST_EDWARDS25519")
    assert len(content) == KINDS["HMAC_384"].length
    assert not KINDS["HMAC_384"].takes(MaterialKind.ECC_NIST_EDWARDS25519, len(content))
    arn = await create(world, "HMAC_384")
    await bring_in(world, arn, content, PREFERENCE[0])
    assert (await world.kms.describe(arn)).state is KeyState.ENABLED
