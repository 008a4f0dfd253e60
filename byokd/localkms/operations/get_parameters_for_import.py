"""GetParametersForImport: a public key and the token that goes with it. Source: API reference.

No RSA key is made for a request; see wrapping.py. The token is sealed, not stored; see tokens.py.
"""

from __future__ import annotations

from typing import Final

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import CHINA, partition_of
from byokd.localkms.tokens import LIFETIME_S, ImportToken, sealed
from byokd.localkms.wrapping import WrappingAlgorithm, WrappingSpec, check_wrapping

ALGORITHMS: Final = {each.value: each for each in WrappingAlgorithm}
SPECS: Final = {each.value: each for each in WrappingSpec}


async def get_parameters_for_import(call: Call) -> Answer:
    """A wrapping key of the wanted spec and a token for one KMS key, both good for 24 hours.

    Raises: Refusal as the key-state table and wrapping.check_wrapping say, or with UnsupportedOperationException for
    RSAES_PKCS1_V1_5, SM2 and, in China Regions, RSA_AES_KEY_WRAP.
    """
    key = call.key()
    algorithm = ALGORITHMS.get(asked := call.request["WrappingAlgorithm"])
    if algorithm is None or (algorithm.hybrid and partition_of(call.caller.region) == CHINA):
        raise Refusal(Fault.UNSUPPORTED_OPERATION, f"Wrapping algorithm {asked} is not supported.")
    spec = SPECS.get(asked := call.request["WrappingKeySpec"])
    if spec is None:
        raise Refusal(Fault.UNSUPPORTED_OPERATION, f"Wrapping key spec {asked} is not supported.")
    check_wrapping(algorithm, spec, key.spec)
    wrapping_key = await call.wrapping.take(spec)
    now = round(call.now, 3)
    token = ImportToken(
        key_arn=key.arn,
        wrapping_key=wrapping_key.id,
        algorithm=algorithm,
        expires_at=now + (LIFETIME_S if call.token_s is None else call.token_s),
    )
    return {
        "KeyId": key.arn,
        "ImportToken": sealed(token, call.seal),
        "PublicKey": wrapping_key.public_base64,
        "ParametersValidTo": now + LIFETIME_S,
    }
