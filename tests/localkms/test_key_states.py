"""The key-state table, asked over the wire in every state and compared with the guide's table, written again here.

Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html. D is DisabledException;
I, P and N are KMSInvalidStateException: pending import, pending deletion, not pending deletion.
"""

from __future__ import annotations

from typing import Any

import pytest

from byokd.localkms.states import CRYPTOGRAPHY, ROWS

from .kit import Kms
from .rules import rule

STATES = ("Enabled", "Disabled", "PendingImport", "PendingDeletion")
EXPECTED = {
    "encrypt": "-DIP",
    "decrypt": "-DIP",
    "generate_data_key": "-DIP",
    "rotate_key_on_demand": "-DIP",
    "enable_key": "--IP",
    "disable_key": "--IP",
    "get_parameters_for_import": "---P",
    "import_key_material": "---P",
    "delete_imported_key_material": "----",
    "schedule_key_deletion": "---P",
    "cancel_key_deletion": "NNN-",
    "tag_resource": "---P",
    "untag_resource": "---P",
    "create_alias": "---P",
    "update_alias": "---P",
    "describe_key": "----",
    "list_key_rotations": "----",
    "list_resource_tags": "----",
    "delete_alias": "----",
}
TOLD = {
    "D": ("DisabledException", "<arn> is disabled."),
    "I": ("KMSInvalidStateException", "<arn> is pending import."),
    "P": ("KMSInvalidStateException", "<arn> is pending deletion."),
    "N": ("KMSInvalidStateException", "<arn> is not pending deletion."),
}


async def members_of(operation: str, key: str, kms: Kms) -> dict[str, Any]:
    """What each operation needs to succeed, collected while the key is still Enabled."""
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
    terms = await kms.import_terms(key)
    return {
        "encrypt": {"KeyId": key, "Plaintext": b"x"},
        "decrypt": {"CiphertextBlob": blob},
        "generate_data_key": {"KeyId": key, "KeySpec": "AES_256"},
        "get_parameters_for_import": {
            "KeyId": key,
            "WrappingAlgorithm": "RSAES_OAEP_SHA_1",
            "WrappingKeySpec": "RSA_2048",
        },
        "import_key_material": {**terms, "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"},
        "tag_resource": {"KeyId": key, "Tags": [{"TagKey": "a", "TagValue": "b"}]},
        "untag_resource": {"KeyId": key, "TagKeys": ["a"]},
        "create_alias": {"AliasName": "alias/new", "TargetKeyId": key},
        "update_alias": {"AliasName": "alias/old", "TargetKeyId": key},
        "delete_alias": {"AliasName": "alias/old"},
    }.get(operation, {"KeyId": key})


async def bring_into(state: str, key: str, kms: Kms) -> None:
    """Take an Enabled key to another state."""
    match state:
        case "Disabled":
            await kms.call("disable_key", KeyId=key)
        case "PendingImport":
            await kms.call("delete_imported_key_material", KeyId=key)
        case "PendingDeletion":
            await kms.call("schedule_key_deletion", KeyId=key)
        case _:
            assert state == "Enabled"
    assert await kms.state(key) == state


@rule("Keys and their states", "guide key-state")
@pytest.mark.parametrize("operation", EXPECTED)
async def test_an_operation_admits_the_states_of_the_table(operation: str, kms: Kms) -> None:
    """Each operation succeeds or is refused in each key state as the developer guide's table says."""
    for state, expected in zip(STATES, EXPECTED[operation], strict=True):
        key = await kms.create_key()
        await kms.import_material(key)
        if operation == "rotate_key_on_demand":
            await kms.import_material(key, bytes(32), ImportType="NEW_KEY_MATERIAL")
        await kms.call("create_alias", AliasName="alias/old", TargetKeyId=key)
        members = await members_of(operation, key, kms)
        await bring_into(state, key, kms)
        if expected == "-":
            await kms.call(operation, **members)
        else:
            refused = await kms.refused(operation, **members)
            code, message = TOLD[expected]
            assert (refused.code, refused.message) == (code, message.replace("<arn>", key)), state
        for alias in (await kms.call("list_aliases"))["Aliases"]:
            await kms.call("delete_alias", AliasName=alias["AliasName"])


def test_every_row_of_the_table_is_tried() -> None:
    """No operation is added to the table without its row in this test, or in test_uses.py if it uses material."""
    tried = {name.lower() for name in ROWS.keys() - set(CRYPTOGRAPHY) - {"GetPublicKey"}}
    assert tried <= {name.replace("_", "") for name in EXPECTED}
