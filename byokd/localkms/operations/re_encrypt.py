"""ReEncrypt: Decrypt and Encrypt in one, without the plaintext leaving. Source: API reference of ReEncrypt.

Either key may be symmetric or RSA. The source is looked at first, then the destination.
"""

from __future__ import annotations

from typing import Any

from byokd.localkms.calls import Answer, Call
from byokd.localkms.encryption import SYMMETRIC, check_plaintext, check_terms, encrypt
from byokd.localkms.operations.decrypt import opened
from byokd.localkms.uses import material_of, usable


async def re_encrypt(call: Call) -> Answer:
    """Encrypt under the destination key what was encrypted under the source key.

    Raises: Refusal as decrypt.opened for the source, and as Encrypt for the destination.
    """
    source = await opened(call, "Source")
    key = usable(call, "DestinationKeyId")
    algorithm = call.request.get("DestinationEncryptionAlgorithm", SYMMETRIC)
    context = call.request.get("DestinationEncryptionContext", {})
    check_terms(key, algorithm, context)
    check_plaintext(key, algorithm, source.plaintext)
    call.finish_dry_run()
    answer: dict[str, Any] = {
        "CiphertextBlob": encrypt(key, algorithm, source.plaintext, context),
        "SourceKeyId": source.key.arn,
        "KeyId": key.arn,
        "SourceEncryptionAlgorithm": source.algorithm,
        "DestinationEncryptionAlgorithm": algorithm,
    }
    if source.material is not None:
        answer["SourceKeyMaterialId"] = source.material
    if algorithm == SYMMETRIC:
        answer["DestinationKeyMaterialId"] = material_of(key).id
    return answer
