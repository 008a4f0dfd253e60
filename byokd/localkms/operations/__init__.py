"""The operations on offer, by their name on the wire. One small file per operation or tight family.

An operation is a coroutine function from a Call to an answer (see calls.py): rules only, no HTTP. What is not in this
table answers as AWS answers an unknown operation.
"""

from __future__ import annotations

from typing import Final

from byokd.localkms.calls import Operation
from byokd.localkms.operations.aliases import create_alias, delete_alias, list_aliases, update_alias
from byokd.localkms.operations.automatic_rotation import (
    disable_key_rotation,
    enable_key_rotation,
    get_key_rotation_status,
)
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
from byokd.localkms.operations.grants import (
    create_grant,
    list_grants,
    list_retirable_grants,
    retire_grant,
    revoke_grant,
)
from byokd.localkms.operations.import_key_material import import_key_material
from byokd.localkms.operations.key_policies import get_key_policy, list_key_policies, put_key_policy
from byokd.localkms.operations.list_keys import list_keys
from byokd.localkms.operations.macs import generate_mac, verify_mac
from byokd.localkms.operations.multi_region import replicate_key, update_primary_region
from byokd.localkms.operations.re_encrypt import re_encrypt
from byokd.localkms.operations.rotation import list_key_rotations, rotate_key_on_demand
from byokd.localkms.operations.signing import sign, verify
from byokd.localkms.operations.tags import list_resource_tags, tag_resource, untag_resource
from byokd.localkms.operations.update_key_description import update_key_description

OPERATIONS: Final[dict[str, Operation]] = {
    "CancelKeyDeletion": cancel_key_deletion,
    "CreateAlias": create_alias,
    "CreateGrant": create_grant,
    "CreateKey": create_key,
    "Decrypt": decrypt,
    "DeleteAlias": delete_alias,
    "DeleteImportedKeyMaterial": delete_imported_key_material,
    "DeriveSharedSecret": derive_shared_secret,
    "DescribeKey": describe_key,
    "DisableKey": disable_key,
    "DisableKeyRotation": disable_key_rotation,
    "EnableKey": enable_key,
    "EnableKeyRotation": enable_key_rotation,
    "Encrypt": encrypt,
    "GenerateDataKey": generate_data_key,
    "GenerateDataKeyPair": generate_data_key_pair,
    "GenerateDataKeyPairWithoutPlaintext": generate_data_key_pair_without_plaintext,
    "GenerateDataKeyWithoutPlaintext": generate_data_key_without_plaintext,
    "GenerateMac": generate_mac,
    "GenerateRandom": generate_random,
    "GetKeyPolicy": get_key_policy,
    "GetKeyRotationStatus": get_key_rotation_status,
    "GetParametersForImport": get_parameters_for_import,
    "GetPublicKey": get_public_key,
    "ImportKeyMaterial": import_key_material,
    "ListAliases": list_aliases,
    "ListGrants": list_grants,
    "ListKeyPolicies": list_key_policies,
    "ListKeyRotations": list_key_rotations,
    "ListKeys": list_keys,
    "ListResourceTags": list_resource_tags,
    "ListRetirableGrants": list_retirable_grants,
    "PutKeyPolicy": put_key_policy,
    "ReEncrypt": re_encrypt,
    "ReplicateKey": replicate_key,
    "RetireGrant": retire_grant,
    "RevokeGrant": revoke_grant,
    "RotateKeyOnDemand": rotate_key_on_demand,
    "ScheduleKeyDeletion": schedule_key_deletion,
    "Sign": sign,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "UpdateAlias": update_alias,
    "UpdateKeyDescription": update_key_description,
    "UpdatePrimaryRegion": update_primary_region,
    "Verify": verify,
    "VerifyMac": verify_mac,
}
