"""Every way to wrap symmetric material, and the pool of wrapping keys."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from byokd.localkms.wrapping import WrappingKeys, WrappingSpec

from .kit import DAY, START, Kms
from .rules import rule
from .specimens import material

DIRECT = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")
ALGORITHMS = (*DIRECT, "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256")
SPECS = ("RSA_2048", "RSA_3072", "RSA_4096")


@rule("Wrapping", "guide importing-keys-encrypt-key-material")
@pytest.mark.parametrize(("algorithm", "spec"), [*product(DIRECT, SPECS)])
async def test_symmetric_material_comes_in_under_every_wrapping(algorithm: str, spec: str, kms: Kms) -> None:
    """Both algorithms that wrap directly work with all three key specs."""
    key = await kms.create_key()
    terms = await kms.import_terms(key, algorithm=algorithm, spec=spec)
    await kms.call("import_key_material", **terms, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
    assert await kms.state(key) == "Enabled"


@rule("Wrapping", "API ImportKeyMaterial")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("cut", [0, 1, 100], ids=["one bit", "one byte short", "much too short"])
async def test_a_damaged_wrapping_is_refused(algorithm: str, cut: int, kms: Kms) -> None:
    """Damage in a wrapping is an InvalidCiphertextException, but for a direct one of the wrong size."""
    key = await kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    terms = await kms.import_terms(key, material("ECC_NIST_P256"), algorithm)
    wrapped = terms["EncryptedKeyMaterial"]
    terms["EncryptedKeyMaterial"] = wrapped[:-cut] if cut else wrapped[:-1] + bytes((wrapped[-1] ^ 1,))
    refused = await kms.refused("import_key_material", **terms, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
    assert refused.code == ("ValidationException" if cut and algorithm in DIRECT else "InvalidCiphertextException")


@rule("Parameters for an import", "API GetParametersForImport")
async def test_parameters_tell_the_key_the_size_and_the_end(kms: Kms) -> None:
    """GetParametersForImport answers the ARN, a public key of the wanted size, and an end in 24 hours."""
    key = await kms.create_key()
    wanted = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_3072"}
    answer = await kms.call("get_parameters_for_import", KeyId=key.rpartition("/")[2], **wanted)
    public_key = load_der_public_key(answer["PublicKey"])
    assert isinstance(public_key, rsa.RSAPublicKey)
    assert (answer["KeyId"], public_key.key_size) == (key, 3072)
    assert answer["ParametersValidTo"].timestamp() == START + DAY
    assert 1 <= len(answer["ImportToken"]) <= 6144


@rule("Parameters for an import", "API GetParametersForImport")
async def test_several_sets_are_good_at_once(kms: Kms) -> None:
    """Sets can be fetched at any time; an older one stays good beside a younger."""
    key = await kms.create_key()
    older, younger = await kms.import_terms(key), await kms.import_terms(key)
    for terms in (younger, older):
        await kms.call("import_key_material", **terms, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")


async def test_a_request_waits_for_the_first_key_of_its_spec_only(wrapping_keys: WrappingKeys) -> None:
    """Taking from an empty shelf waits until a key of that spec arrives, and not for any other."""
    pool = WrappingKeys()
    waiting = asyncio.create_task(pool.take(WrappingSpec.RSA_2048))
    for key in wrapping_keys:
        if key.spec is WrappingSpec.RSA_4096:
            pool.add(key)
    assert (await pool.take(WrappingSpec.RSA_4096)).spec is WrappingSpec.RSA_4096
    assert not waiting.done()
    pool.add(await wrapping_keys.take(WrappingSpec.RSA_2048))
    assert (await waiting).spec is WrappingSpec.RSA_2048


async def test_keys_are_handed_out_in_turns(wrapping_keys: WrappingKeys) -> None:
    """Two requests in a row get different keys, so that mixing up their sets is noticed."""
    first, second, third = [(await wrapping_keys.take(WrappingSpec.RSA_2048)).id for _ in range(3)]
    assert first == third != second
