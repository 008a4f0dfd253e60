"""What the real service was recorded to answer (docs/kms.md) to cryptographic requests that break one rule each.

Built like test_recorded_answers.py: a case breaks its rule on a fresh server and names the code and the message, with
`<arn>` for the key's ARN.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from .kit import Kms, Refused
from .rules import RECORDED, rule
from .specimens import imported_key, made_key

Told = tuple[Refused, str]
"""How a call was refused, and the key's ARN."""
Case = Callable[[Kms], Awaitable[Told]]

ENCRYPTION, SIGNATURES = "Encryption", "Signatures, MACs and shared secrets"
SIGNED = {"Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
AUTHENTICATED = {"Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}


async def an_rsa_key_for_agreement(kms: Kms) -> Told:
    """A key is made for a use that its spec has."""
    return await kms.refused("create_key", KeySpec="RSA_2048", KeyUsage="KEY_AGREEMENT"), ""


async def encrypt_with_a_signing_key(kms: Kms) -> Told:
    """A key has one use for life."""
    key = await made_key(kms, "ECC_NIST_P256", "SIGN_VERIFY")
    return await kms.refused("encrypt", KeyId=key, Plaintext=b"x"), key


async def encrypt_more_than_rsa_takes(kms: Kms) -> Told:
    """RSAES-OAEP takes as much as modulus and hash leave room for."""
    key = await imported_key(kms, "RSA_2048", "ENCRYPT_DECRYPT")
    members = {"Plaintext": bytes(191), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    return await kms.refused("encrypt", KeyId=key, **members), key


async def re_encrypt_from_another_key(kms: Kms) -> Told:
    """The key that is named must be the one that made the ciphertext."""
    key, other = await made_key(kms, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"), await kms.create_key(Origin="AWS_KMS")
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
    members = {"CiphertextBlob": blob, "SourceKeyId": other, "DestinationKeyId": key}
    return await kms.refused("re_encrypt", **members), key


async def random_bytes_of_no_length(kms: Kms) -> Told:
    """GenerateRandom has no default length."""
    return await kms.refused("generate_random"), ""


async def dry_run_of_a_data_key_pair(kms: Kms) -> Told:
    """A dry run ends where the answer would be made."""
    key = await kms.create_key(Origin="AWS_KMS")
    return await kms.refused("generate_data_key_pair", KeyId=key, KeyPairSpec="RSA_2048", DryRun=True), key


async def sign_a_digest_that_is_none(kms: Kms) -> Told:
    """A digest has the length that the algorithm's hash gives."""
    key = await made_key(kms, "ECC_NIST_P256", "SIGN_VERIFY")
    return await kms.refused("sign", KeyId=key, **SIGNED, MessageType="DIGEST"), key


async def verify_a_bad_signature(kms: Kms) -> Told:
    """A signature that does not verify gets no explanation."""
    key = await made_key(kms, "ECC_NIST_P256", "SIGN_VERIFY")
    return await kms.refused("verify", KeyId=key, **SIGNED, Signature=b"bad"), key


async def mac_by_another_algorithm(kms: Kms) -> Told:
    """An HMAC key has one algorithm."""
    key = await made_key(kms, "HMAC_224", "GENERATE_VERIFY_MAC")
    return await kms.refused("generate_mac", KeyId=key, **AUTHENTICATED), key


async def verify_a_bad_mac(kms: Kms) -> Told:
    """A MAC that does not verify gets no explanation."""
    key = await made_key(kms, "HMAC_256", "GENERATE_VERIFY_MAC")
    return await kms.refused("verify_mac", KeyId=key, **AUTHENTICATED, Mac=b"bad"), key


async def agree_with_garbage(kms: Kms) -> Told:
    """What is no public key gets no explanation."""
    key = await made_key(kms, "ECC_NIST_P256", "KEY_AGREEMENT")
    members = {"KeyAgreementAlgorithm": "ECDH", "PublicKey": b"InvalidPublicKey"}
    return await kms.refused("derive_shared_secret", KeyId=key, **members), key


def _case(case: Case, situation: str, code: str, message: str, group: str = SIGNATURES) -> object:
    return pytest.param(case, code, message, id=case.__name__, marks=rule(group, RECORDED, recorded=situation))


CASES = [
    _case(
        an_rsa_key_for_agreement,
        "a KeyUsage that the key spec does not have",
        "ValidationException",
        "KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048",
        "Keys and their states",
    ),
    _case(
        encrypt_with_a_signing_key,
        "wrong use of a key",
        "InvalidKeyUsageException",
        "<arn> key usage is SIGN_VERIFY which is not valid for Encrypt.",
        "Keys and their states",
    ),
    _case(
        encrypt_more_than_rsa_takes,
        "more plaintext than RSAES-OAEP takes",
        "ValidationException",
        "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes.",
        ENCRYPTION,
    ),
    _case(
        re_encrypt_from_another_key,
        "a ciphertext of another key than the one named",
        "IncorrectKeyException",
        "The key ID in the request does not identify a CMK that can perform this operation.",
        ENCRYPTION,
    ),
    _case(
        random_bytes_of_no_length,
        "GenerateRandom without NumberOfBytes",
        "ValidationException",
        "NumberOfBytes is required.",
        ENCRYPTION,
    ),
    _case(
        dry_run_of_a_data_key_pair,
        "DryRun of a request that would succeed",
        "DryRunOperationException",
        "The request would have succeeded, but the DryRun option is set.",
        "Requests",
    ),
    _case(
        sign_a_digest_that_is_none,
        "a digest of the wrong length",
        "ValidationException",
        "Digest is invalid length for algorithm ECDSA_SHA_256.",
    ),
    _case(verify_a_bad_signature, "a signature that does not verify", "KMSInvalidSignatureException", ""),
    _case(
        mac_by_another_algorithm,
        "an algorithm of another key spec",
        "InvalidKeyUsageException",
        "Algorithm HMAC_SHA_256 is incompatible with key spec HMAC_224.",
    ),
    _case(verify_a_bad_mac, "a MAC that does not verify", "KMSInvalidMacException", ""),
    _case(agree_with_garbage, "DeriveSharedSecret with what is no public key", "ValidationException", ""),
]


@pytest.mark.parametrize(("case", "code", "message"), CASES)
async def test_a_broken_rule_of_cryptography_is_answered_as_recorded(
    case: Case, code: str, message: str, kms: Kms
) -> None:
    """Each broken rule gets the code and the message that the service gave."""
    refused, arn = await case(kms)
    assert (refused.code, refused.message) == (code, message.replace("<arn>", arn))
