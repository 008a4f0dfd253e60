"""GetParametersForImport: a public key and the token that goes with it. Source: API reference.

No RSA key is made for a request; see wrapping.py. The token is sealed, not stored; see tokens.py.
"""

from __future__ import annotations

from typing import Final

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.tokens import LIFETIME_S, ImportToken, sealed
from byokd.localkms.wrapping import WrappingAlgorithm, WrappingSpec, check_wrapping

ALGORITHMS: Final = frozenset(WrappingAlgorithm)
SPECS: Final = frozenset(WrappingSpec)


async def get_parameters_for_import(call: Call) -> Answer:
    """A wrapping key of the wanted spec and a token for one KMS key, both good for 24 hours.

    Raises: Refusal as the key-state table and wrapping.check_wrapping say, or with UnsupportedOperationException for
    RSAES_PKCS1_V1_5 and SM2.
    """
    key = call.key()
    algorithm, spec = call.request["WrappingAlgorithm"], call.request["WrappingKeySpec"]
    if algorithm not in ALGORITHMS:
        raise Refusal(Fault.UNSUPPORTED_OPERATION, f"Wrapping algorithm {algorithm} is not supported.")
    if spec not in SPECS:
        raise Refusal(Fault.UNSUPPORTED_OPERATION, f"Wrapping key spec {spec} is not supported.")
    check_wrapping(WrappingAlgorithm(algorithm), WrappingSpec(spec), key.spec)
    wrapping_key = await call.wrapping.take(WrappingSpec(spec))
    token = ImportToken(
        key_arn=key.arn,
        wrapping_key=wrapping_key.id,
        algorithm=WrappingAlgorithm(algorithm),
        expires_at=round(call.now, 3) + (LIFETIME_S if call.token_s is None else call.token_s),
    )
    return {
        "KeyId": key.arn,
        "ImportToken": sealed(token, call.seal),
        "PublicKey": wrapping_key.public_der,
        "ParametersValidTo": round(call.now, 3) + LIFETIME_S,
    }
