"""DeleteImportedKeyMaterial. Source: API reference of DeleteImportedKeyMaterial; key-state table.

Deleting what is not there succeeds without effect. What is pending in a multi-Region primary is deleted in its replicas
too; anything else is deleted in this key alone.
"""

from __future__ import annotations

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.families import drop_material
from byokd.localkms.specs import SPECS


async def delete_imported_key_material(call: Call) -> Answer:
    """Delete the bytes of one material, the current one if none is named; the key falls to PendingImport.

    A key that is pending deletion stays so, and the loss of a material pending rotation leaves the key as it is.

    Raises: Refusal as the key-state table says, or with NotFoundException for a material that the key does not own.
    """
    key = call.key()
    material = key.current
    if (wanted := call.request.get("KeyMaterialId")) is not None:
        material = key.material(wanted)
        if material is None:
            raise Refusal(Fault.NOT_FOUND, f"Key material '{wanted}' does not exist in key '{key.arn}'")
    if material is None:
        return {"KeyId": key.arn}
    call.keyring.put(*drop_material(key, call.keyring.relatives(key), material.id))
    answer = {"KeyId": key.arn}
    return answer | {"KeyMaterialId": material.id} if SPECS[key.spec].rotates else answer
