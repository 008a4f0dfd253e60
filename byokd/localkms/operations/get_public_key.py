"""GetPublicKey. Source: API reference of GetPublicKey.

The key-state table refuses a Disabled key, yet the service was seen to answer; here it answers.
"""

from __future__ import annotations

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.operations.describe_key import ALGORITHMS
from byokd.localkms.parsed_keys import public_der
from byokd.localkms.specs import SPECS


async def get_public_key(call: Call) -> Answer:
    """The public key of an asymmetric key, as DER SubjectPublicKeyInfo, and what it may be used for.

    Raises: Refusal as the key-state table says, or with UnsupportedOperationException (without a message) for a key
    that has none.
    """
    key = call.key(aliases=True)
    spec = SPECS[key.spec]
    if spec.raw:
        raise Refusal(Fault.UNSUPPORTED_OPERATION)
    return {
        "KeyId": key.arn,
        "PublicKey": public_der(key),
        "CustomerMasterKeySpec": key.spec,
        "KeySpec": key.spec,
        "KeyUsage": key.usage,
        ALGORITHMS[key.usage]: spec.algorithms[key.usage],
    }
