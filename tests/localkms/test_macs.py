"""GenerateMac and VerifyMac: every HMAC spec, computed a second time with the standard library, and what is refused."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from .kit import Kms
from .rules import rule
from .specimens import imported_key, made_key, material

pytestmark = rule("Signatures, MACs and shared secrets", "API GenerateMac")

SPECS = ["HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512"]
MESSAGE = b"to be authenticated"


def algorithm_of(spec: str) -> str:
    """The one algorithm of a spec."""
    return f"HMAC_SHA_{spec[-3:]}"


@pytest.mark.parametrize("spec", SPECS)
async def test_a_mac_is_the_raw_hmac_of_the_imported_key(spec: str, kms: Kms) -> None:
    """GenerateMac answers what RFC 2104 says of the very bytes that were imported, and VerifyMac agrees."""
    key = await imported_key(kms, spec, "GENERATE_VERIFY_MAC")
    members = {"KeyId": key, "Message": MESSAGE, "MacAlgorithm": algorithm_of(spec)}
    answer = await kms.call("generate_mac", **members)
    assert answer["Mac"] == hmac.digest(material(spec), MESSAGE, f"sha{spec[-3:]}")
    assert (answer["KeyId"], answer["MacAlgorithm"]) == (key, algorithm_of(spec))
    verified = await kms.call("verify_mac", **members, Mac=answer["Mac"])
    assert (verified["KeyId"], verified["MacAlgorithm"], verified["MacValid"]) == (key, algorithm_of(spec), True)


async def test_two_keys_that_the_kms_made_make_different_macs(kms: Kms) -> None:
    """Keys of Origin AWS_KMS have material of their own, and one does not verify the other's MAC."""
    one, two = [await made_key(kms, "HMAC_256", "GENERATE_VERIFY_MAC") for _ in range(2)]
    members: dict[str, Any] = {"Message": MESSAGE, "MacAlgorithm": "HMAC_SHA_256"}
    mac = (await kms.call("generate_mac", KeyId=one, **members))["Mac"]
    assert (await kms.call("verify_mac", KeyId=one, **members, Mac=mac))["MacValid"]
    refused = await kms.refused("verify_mac", KeyId=two, **members, Mac=mac)
    assert (refused.code, refused.message) == ("KMSInvalidMacException", "")


@rule("Signatures, MACs and shared secrets", "API VerifyMac")
async def test_a_mac_that_does_not_verify_is_refused_without_a_message(kms: Kms) -> None:
    """Another message, a flipped bit, a shorter or longer MAC: KMSInvalidMacException, and nothing more."""
    key = await imported_key(kms, "HMAC_384", "GENERATE_VERIFY_MAC")
    members: dict[str, Any] = {"KeyId": key, "Message": MESSAGE, "MacAlgorithm": "HMAC_SHA_384"}
    mac = (await kms.call("generate_mac", **members))["Mac"]
    bad: list[dict[str, Any]] = [
        {"Message": MESSAGE + b"!", "Mac": mac},
        {"Mac": mac[:-1] + bytes((mac[-1] ^ 1,))},
        {"Mac": mac[:-1]},
        {"Mac": mac + b"\0"},
        {"Mac": b"\0"},
        {"Mac": bytes(6144)},
    ]
    for change in bad:
        refused = await kms.refused("verify_mac", **(members | change))
        assert (refused.code, refused.message) == ("KMSInvalidMacException", ""), change


@pytest.mark.parametrize("operation", ["generate_mac", "verify_mac"])
async def test_an_algorithm_of_another_spec_is_refused(operation: str, kms: Kms) -> None:
    """An HMAC key has one algorithm; any other is an InvalidKeyUsageException that names both."""
    key = await imported_key(kms, "HMAC_256", "GENERATE_VERIFY_MAC")
    members = {"Message": MESSAGE, **({"Mac": b"x"} if operation == "verify_mac" else {})}
    for spec in set(SPECS) - {"HMAC_256"}:
        refused = await kms.refused(operation, KeyId=key, MacAlgorithm=algorithm_of(spec), **members)
        assert refused.code == "InvalidKeyUsageException"
        assert refused.message == f"Algorithm {algorithm_of(spec)} is incompatible with key spec HMAC_256."
