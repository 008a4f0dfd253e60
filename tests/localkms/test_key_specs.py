"""Every key spec: what CreateKey takes and refuses, and what DescribeKey tells of each."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from byokd.localkms.specs import SPECS, KeySpec, KeyUsage, fresh_secret

from .kit import Kms
from .rules import rule

RSA_SIGNING = [f"RSASSA_{scheme}_SHA_{bits}" for scheme in ("PKCS1_V1_5", "PSS") for bits in (256, 384, 512)]
RSA_ENCRYPTION = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]
EDDSA = ["ED25519_SHA_512", "ED25519_PH_SHA_512"]

KINDS: list[tuple[str, str, str, list[str]]] = [
    ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "EncryptionAlgorithms", ["SYMMETRIC_DEFAULT"]),
    *[(f"HMAC_{n}", "GENERATE_VERIFY_MAC", "MacAlgorithms", [f"HMAC_SHA_{n}"]) for n in (224, 256, 384, 512)],
    *[(f"RSA_{bits}", "ENCRYPT_DECRYPT", "EncryptionAlgorithms", RSA_ENCRYPTION) for bits in (2048, 3072, 4096)],
    *[(f"RSA_{bits}", "SIGN_VERIFY", "SigningAlgorithms", RSA_SIGNING) for bits in (2048, 3072, 4096)],
    ("ECC_NIST_P256", "SIGN_VERIFY", "SigningAlgorithms", ["ECDSA_SHA_256"]),
    ("ECC_NIST_P384", "SIGN_VERIFY", "SigningAlgorithms", ["ECDSA_SHA_384"]),
    ("ECC_NIST_P521", "SIGN_VERIFY", "SigningAlgorithms", ["ECDSA_SHA_512"]),
    *[(f"ECC_NIST_P{n}", "KEY_AGREEMENT", "KeyAgreementAlgorithms", ["ECDH"]) for n in (256, 384, 521)],
    ("ECC_SECG_P256K1", "SIGN_VERIFY", "SigningAlgorithms", ["ECDSA_SHA_256"]),
    ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", "SigningAlgorithms", EDDSA),
]
LISTS = {"EncryptionAlgorithms", "SigningAlgorithms", "MacAlgorithms", "KeyAgreementAlgorithms"}


@rule("Keys and their states", "API KeyMetadata")
@pytest.mark.parametrize(("spec", "usage", "member", "algorithms"), KINDS, ids=[f"{k[0]}-{k[1]}" for k in KINDS])
async def test_a_key_tells_its_spec_usage_and_algorithms(
    spec: str, usage: str, member: str, algorithms: list[str], kms: Kms
) -> None:
    """CreateKey and DescribeKey tell the algorithms of the spec and usage under the member of the usage alone."""
    answer = await kms.call("create_key", Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage)
    created = answer["KeyMetadata"]
    assert created == await kms.describe(created["Arn"])
    assert (created["KeySpec"], created["CustomerMasterKeySpec"], created["KeyUsage"]) == (spec, spec, usage)
    assert created[member] == algorithms
    assert created.keys() & LISTS == {member}
    assert (created["KeyState"], created["Enabled"], created["MultiRegion"]) == ("PendingImport", False, False)
    assert not created.keys() & {"CurrentKeyMaterialId", "ExpirationModel", "ValidTo", "MultiRegionConfiguration"}


@rule("Keys and their states", "API CreateKey")
@pytest.mark.parametrize("spec", [spec for spec in KeySpec if "3072" not in spec and "4096" not in spec])
async def test_a_key_of_origin_aws_kms_is_born_with_material(spec: KeySpec, kms: Kms) -> None:
    """Such a key is Enabled at once, and only a symmetric encryption key tells the id of its material."""
    usage = next(iter(SPECS[spec].algorithms))
    created = (await kms.call("create_key", KeySpec=spec, KeyUsage=usage))["KeyMetadata"]
    assert (created["KeyState"], created["Enabled"], created["Origin"]) == ("Enabled", True, "AWS_KMS")
    assert ("CurrentKeyMaterialId" in created) == (spec == "SYMMETRIC_DEFAULT")


@pytest.mark.parametrize("spec", [spec for spec in KeySpec if "3072" not in spec and "4096" not in spec])
def test_fresh_material_has_the_form_of_its_spec(spec: KeySpec) -> None:
    """Raw bytes have the spec's length; anything else is a private key in PKCS #8 DER of its size or curve."""
    row, secret = SPECS[spec], fresh_secret(spec)
    if row.raw:
        assert len(secret) == row.size
        return
    private: Any = load_der_private_key(secret, password=None)
    if row.size:
        assert private.key_size == row.size
    if row.curve is not None:
        assert private.curve.name == row.curve.name


@rule("Multi-Region keys", "API CreateKey")
async def test_a_multi_region_primary_names_itself(kms: Kms) -> None:
    """A multi-Region key has an mrk- id and tells itself as the primary, with no replicas yet."""
    created = (await kms.call("create_key", MultiRegion=True))["KeyMetadata"]
    assert created["KeyId"].startswith("mrk-")
    assert len(created["KeyId"]) == len("mrk-") + 32
    assert created["MultiRegion"]
    assert created["MultiRegionConfiguration"] == {
        "MultiRegionKeyType": "PRIMARY",
        "PrimaryKey": {"Arn": created["Arn"], "Region": kms.region},
        "ReplicaKeys": [],
    }


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a spec of lattices": ({"KeySpec": "ML_DSA_44", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException"),
    "a spec of China": ({"KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException"),
    "an origin in CloudHSM": ({"Origin": "AWS_CLOUDHSM"}, "UnsupportedOperationException"),
    "a key store": ({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "cks-1"}, "CustomKeyStoreNotFoundException"),
    "two specs": ({"KeySpec": "RSA_2048", "CustomerMasterKeySpec": "RSA_2048"}, "ValidationException"),
    "a missing usage": ({"KeySpec": "ECC_NIST_P256"}, "ValidationException"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_not_on_offer_is_refused_at_creation(case: str, kms: Kms) -> None:
    """Kinds of keys that this server does not have are refused, not silently made into something else."""
    members, code = REFUSED[case]
    assert (await kms.refused("create_key", **members)).code == code


@rule("Keys and their states", "API CreateKey")
async def test_a_key_is_made_only_for_a_use_of_its_spec(kms: Kms) -> None:
    """Every KeyUsage that a spec does not have is a ValidationException."""
    for spec, row in SPECS.items():
        for usage in KeyUsage:
            if usage not in row.algorithms:
                refused = await kms.refused("create_key", Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage)
                assert refused.code == "ValidationException"
                assert refused.message == f"KeyUsage {usage} is not compatible with KeySpec {spec}"
