"""DeriveSharedSecret: elliptic curve Diffie-Hellman. Source: API reference of DeriveSharedSecret; recorded answers.

The answer is the raw shared secret: the x-coordinate of the shared point, as long as the curve's field.
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDH, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.parsed_keys import private_key
from byokd.localkms.uses import check_algorithm, refuse_recipient, usable


async def derive_shared_secret(call: Call) -> Answer:
    """The secret that a key shares with the owner of a public key on the same curve.

    Raises: Refusal as uses.usable and uses.check_algorithm say, UnsupportedOperationException for a Recipient, or
    ValidationException (without a message) for anything but the DER SubjectPublicKeyInfo of a point on that curve.
    """
    key = usable(call)
    algorithm = call.request["KeyAgreementAlgorithm"]
    check_algorithm(key, algorithm)
    refuse_recipient(call)
    private = private_key(key)
    assert isinstance(private, EllipticCurvePrivateKey), "only keys on NIST curves agree on secrets"
    secret = private.exchange(ECDH(), _peer(call.request["PublicKey"], private))
    call.finish_dry_run()
    return {
        "KeyId": key.arn,
        "SharedSecret": secret,
        "KeyAgreementAlgorithm": algorithm,
        "KeyOrigin": key.origin,
    }


def _peer(der: bytes, private: EllipticCurvePrivateKey) -> EllipticCurvePublicKey:
    try:
        public = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise Refusal(Fault.VALIDATION) from None
    if not isinstance(public, EllipticCurvePublicKey) or public.curve.name != private.curve.name:
        raise Refusal(Fault.VALIDATION)
    return public
