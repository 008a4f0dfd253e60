"""GenerateMac and VerifyMac: HMACs as RFC 2104 has them. Source: API reference of both; recorded answers."""

from __future__ import annotations

import hmac
from typing import Final

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key
from byokd.localkms.uses import check_algorithm, material_of, usable

DIGESTS: Final = {
    "HMAC_SHA_224": "sha224",
    "HMAC_SHA_256": "sha256",
    "HMAC_SHA_384": "sha384",
    "HMAC_SHA_512": "sha512",
}


async def generate_mac(call: Call) -> Answer:
    """The HMAC of a message of 1 to 4096 bytes. Raises: Refusal as uses.usable and uses.check_algorithm say."""
    key, mac = _mac(call)
    call.finish_dry_run()
    return {"KeyId": key.arn, "Mac": mac, "MacAlgorithm": call.request["MacAlgorithm"]}


async def verify_mac(call: Call) -> Answer:
    """Verify an HMAC. A dry run verifies it too: it asks whether the request would succeed.

    Raises: Refusal as `generate_mac`, or with KMSInvalidMacException (without a message).
    """
    key, mac = _mac(call)
    if not hmac.compare_digest(mac, call.request["Mac"]):
        raise Refusal(Fault.KMS_INVALID_MAC)
    call.finish_dry_run()
    return {"KeyId": key.arn, "MacValid": True, "MacAlgorithm": call.request["MacAlgorithm"]}


def _mac(call: Call) -> tuple[Key, bytes]:
    key = usable(call)
    algorithm = call.request["MacAlgorithm"]
    check_algorithm(key, algorithm)
    secret = material_of(key).secret
    assert secret is not None, "an Enabled key has its material"
    return key, hmac.digest(secret, call.request["Message"], DIGESTS[algorithm])
