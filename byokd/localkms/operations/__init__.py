"""The operations on offer, by their name on the wire. One small file per operation or tight family.

An operation is a coroutine function from a Call to an answer (see calls.py): rules only, no HTTP. What is not in this
table answers as AWS answers an unknown operation.
"""

from __future__ import annotations

from typing import Final

from byokd.localkms.calls import Operation
from byokd.localkms.operations.aliases import create_alias, delete_alias, list_aliases, update_alias
from byokd.localkms.operations.create_key import create_key
from byokd.localkms.operations.decrypt import decrypt
from byokd.localkms.operations.delete_imported_key_material import delete_imported_key_material
from byokd.localkms.operations.deletion import cancel_key_deletion, schedule_key_deletion
from byokd.localkms.operations.derive_shared_secret import derive_shared_secret
from byokd.localkms.operations.describe_key import describe_key
from byokd.localkms.operations.enabling import disable_key, enable_key
from byokd.localkms.operations.encrypt import encrypt
from byokd.localkms.operations.generate_data_key import generate_data_key, generate_data_key_without_plaintext
from byokd.localkms.operations.generate_data_key_pair import (
    generate_data_key_pair,
    generate_data_key_pair_without_plaintext,
)
from byokd.localkms.operations.generate_random import generate_random
from byokd.localkms.operations.get_parameters_for_import import get_parameters_for_import
from byokd.localkms.operations.get_public_key import get_public_key
from byokd.localkms.operations.import_key_material import import_key_material
from byokd.localkms.operations.list_keys import list_keys
from byokd.localkms.operations.macs import generate_mac, verify_mac
from byokd.localkms.operations.re_encrypt import re_encrypt
from byokd.localkms.operations.rotation import get_key_rotation_status, list_key_rotations, rotate_key_on_demand
from byokd.localkms.operations.signing import sign, verify
from byokd.localkms.operations.tags import list_resource_tags, tag_resource, untag_resource

OPERATIONS: Final[dict[str, Operation]] = {
    "CancelKeyDeletion": cancel_key_deletion,
    "CreateAlias": create_alias,
    "CreateKey": create_key,
    "Decrypt": decrypt,
    "DeleteAlias": delete_alias,
    "DeleteImportedKeyMaterial": delete_imported_key_material,
    "DeriveSharedSecret": derive_shared_secret,
    "DescribeKey": describe_key,
    "DisableKey": disable_key,
    "EnableKey": enable_key,
    "Encrypt": encrypt,
    "GenerateDataKey": generate_data_key,
    "GenerateDataKeyPair": generate_data_key_pair,
    "GenerateDataKeyPairWithoutPlaintext": generate_data_key_pair_without_plaintext,
    "GenerateDataKeyWithoutPlaintext": generate_data_key_without_plaintext,
    "GenerateMac": generate_mac,
    "GenerateRandom": generate_random,
    "GetKeyRotationStatus": get_key_rotation_status,
    "GetParametersForImport": get_parameters_for_import,
    "GetPublicKey": get_public_key,
    "ImportKeyMaterial": import_key_material,
    "ListAliases": list_aliases,
    "ListKeyRotations": list_key_rotations,
    "ListKeys": list_keys,
    "ListResourceTags": list_resource_tags,
    "ReEncrypt": re_encrypt,
    "RotateKeyOnDemand": rotate_key_on_demand,
    "ScheduleKeyDeletion": schedule_key_deletion,
    "Sign": sign,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "UpdateAlias": update_alias,
    "Verify": verify,
    "VerifyMac": verify_mac,
}
