"""ImportKeyMaterial: wrapped material comes in, under terms. Source: API reference; recorded answers.

The order of the checks: key, origin, state ▸ terms ▸ token ▸ wrapping ▸ material. AWS does not publish its own;
recorded is only that a ValidationException leaves the token usable, which here every failure does.
"""

from __future__ import annotations

from typing import Final

from byokd.localkms import tokens
from byokd.localkms.arithmetic import off_the_loop
from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.families import take_import
from byokd.localkms.keys import ExpirationModel, Key, partition_of
from byokd.localkms.materials import Import, material_within
from byokd.localkms.specs import SPECS
from byokd.localkms.wrapping import WrappingKey, unwrap

VALIDITY_MAX_S: Final = 365 * 24 * 3600
"""ValidTo is at most 365 days from the request, bound inclusive."""


async def import_key_material(call: Call) -> Answer:
    """Put material into a key; the key is Enabled once all its permanent materials are in.

    Raises: Refusal as the key-state table, tokens.opened, wrapping.unwrap, materials.material_within and
    materials.imported say, or with ValidationException for terms that contradict each other.
    """
    key = call.key()
    expires_at = _expires_at(call)
    token = tokens.opened(call.request["ImportToken"], call.seal, key=key, now=call.now)
    wrapping_key = call.wrapping.find(token.wrapping_key)
    if wrapping_key is None:
        raise Refusal(Fault.INVALID_IMPORT_TOKEN)
    secret = await off_the_loop(_secret, wrapping_key, token, call.request["EncryptedKeyMaterial"], key)
    key = call.key()  # other requests ran while the thread worked: the key may have changed, or be gone
    import_type = call.request.get("ImportType")
    given = Import(
        secret=secret,
        expires_at=expires_at,
        new=None if import_type is None else import_type == "NEW_KEY_MATERIAL",
        id=call.request.get("KeyMaterialId"),
        description=call.request.get("KeyMaterialDescription"),
    )
    changed, material_id = take_import(key, call.keyring.relatives(key), given)
    call.keyring.put(*changed)
    answer = {"KeyId": key.arn}
    return answer | {"KeyMaterialId": material_id} if SPECS[key.spec].rotates else answer


def _secret(wrapping_key: WrappingKey, token: tokens.ImportToken, wrapped: bytes, key: Key) -> bytes:
    """The material as it is kept. Milliseconds of arithmetic: for a thread."""
    plaintext = unwrap(wrapping_key, token.algorithm, wrapped)
    return material_within(plaintext, key.spec, partition_of(key.owner.region))


def _expires_at(call: Call) -> float | None:
    """The moment from which the material will be gone, epoch seconds; None: it stays."""
    valid_to: float | None = call.request.get("ValidTo")
    match ExpirationModel(call.request.get("ExpirationModel", ExpirationModel.EXPIRES)):
        case ExpirationModel.DOES_NOT_EXPIRE if valid_to is not None:
            message = "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE"
            raise Refusal(Fault.VALIDATION, message)
        case ExpirationModel.EXPIRES if valid_to is None:
            message = "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"
            raise Refusal(Fault.VALIDATION, message)
    if valid_to is not None and not call.now < valid_to <= call.now + VALIDITY_MAX_S:
        raise Refusal(Fault.VALIDATION, "The validTo date must be in the future and at most 365 days from the request.")
    return valid_to
