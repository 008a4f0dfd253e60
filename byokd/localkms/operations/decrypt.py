"""Decrypt, and the half of ReEncrypt that is the same.

    symmetric   the ciphertext names its key: parse ▸ KeyId, if given, names that key ▸ usage, state ▸ decrypt
    RSA         the ciphertext names nothing: KeyId is needed ▸ usage, state ▸ algorithm, context ▸ decrypt

Which of the two it is follows from EncryptionAlgorithm alone, SYMMETRIC_DEFAULT if not said. So an RSA ciphertext sent
without its algorithm is a bad symmetric one, whatever key is named, as was seen of AWS.

Source: API reference of Decrypt; recorded answers. Grant tokens are accepted and not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from byokd.localkms import ciphertexts
from byokd.localkms.calls import Answer, Call
from byokd.localkms.encryption import SYMMETRIC, check_terms, decrypt_rsa
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key, arn_of
from byokd.localkms.model import invalid
from byokd.localkms.uses import admit, refuse_recipient, usable


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A ciphertext that was decrypted."""

    key: Key
    algorithm: str
    plaintext: bytes = field(repr=False)
    material: str | None
    """The id of the material that made it. None: an RSA ciphertext, or nothing was decrypted."""


async def decrypt(call: Call) -> Answer:
    """Decrypt under whichever of the key's materials made the ciphertext.

    Raises: Refusal as `opened`, or with UnsupportedOperationException for a Recipient.
    """
    source = await opened(call)
    refuse_recipient(call)
    call.finish_dry_run()
    answer: dict[str, Any] = {
        "KeyId": source.key.arn,
        "Plaintext": source.plaintext,
        "EncryptionAlgorithm": source.algorithm,
    }
    return answer if source.material is None else answer | {"KeyMaterialId": source.material}


async def opened(call: Call, prefix: str = "") -> Opened:
    """The plaintext of the request's ciphertext; `prefix` opens the names of the members that go with it.

    A dry run that says IGNORE_CIPHERTEXT needs none: it asks for the key alone, and finds an empty plaintext.

    Raises: Refusal with ValidationException for a missing ciphertext or key, or a context with an RSA key,
    InvalidCiphertextException (without a message), IncorrectKeyException for another key's ciphertext,
    AccessDeniedException when its key is not there, InvalidKeyUsageException, or as the key-state table says.
    """
    key_member, request = f"{prefix}KeyId", call.request
    algorithm = request.get(f"{prefix}EncryptionAlgorithm", SYMMETRIC)
    context = request.get(f"{prefix}EncryptionContext", {})
    ignored = bool(request.get("DryRun")) and "IGNORE_CIPHERTEXT" in request.get("DryRunModifiers", ())
    blob = request.get("CiphertextBlob")
    if blob is None and not ignored:
        raise invalid("Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null")
    if algorithm == SYMMETRIC and blob is not None and not ignored:
        return _opened_symmetric(call, key_member, blob, context)
    if key_member not in request:
        raise Refusal(Fault.VALIDATION, f"{key_member} must not be null")
    key = usable(call, key_member)
    check_terms(key, algorithm, context)
    plaintext = b"" if blob is None or ignored else await decrypt_rsa(key, algorithm, blob)
    return Opened(key=key, algorithm=algorithm, plaintext=plaintext, material=None)


def _opened_symmetric(call: Call, key_member: str, blob: bytes, context: dict[str, str]) -> Opened:
    ciphertext = ciphertexts.parse(blob)
    if key_member in call.request:
        key = call.any_key(call.request[key_member], aliases=True)
        if ciphertext.key_id != key.id:
            message = "The key ID in the request does not identify a CMK that can perform this operation."
            raise Refusal(Fault.INCORRECT_KEY, message)
    else:
        key = _named_by(ciphertext, call)
    admit(call.operation, key)
    plaintext = ciphertexts.decrypt(key, ciphertext, context)
    return Opened(key=key, algorithm=SYMMETRIC, plaintext=plaintext, material=ciphertext.material_id)


def _named_by(ciphertext: ciphertexts.Ciphertext, call: Call) -> Key:
    """The key that made a ciphertext: the caller's own in this Region, or its relative there if it is multi-Region."""
    key = call.keyring.key(arn_of(call.caller, f"key/{ciphertext.key_id}"))
    if key is None:
        raise Refusal(
            Fault.ACCESS_DENIED,
            "The ciphertext refers to a customer master key that does not exist, does not exist in this region, "
            "or you are not allowed to access.",
        )
    return key
