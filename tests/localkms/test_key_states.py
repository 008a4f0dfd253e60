"""The key-state table, asked over the wire in every state and compared with the guide's table, written again here.

Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html. D is DisabledException; all others are
KMSInvalidStateException: I pending import, P pending deletion, N not pending deletion, C creating, U updating, A
unavailable. PendingDeletion and PendingReplicaDeletion share a column of the guide. X stands for
UnsupportedOperationException, which the kind of key has in every state.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from byokd.localkms import FRIENDLY, Options, Pace, serve
from byokd.localkms.errors import Refusal
from byokd.localkms.keys import Key, KeyState, Origin
from byokd.localkms.signatures import Caller
from byokd.localkms.specs import SPECS, KeySpec
from byokd.localkms.states import CRYPTOGRAPHY, ROWS, TABLE, admit
from byokd.localkms.wrapping import WrappingKeys

from .kit import ACCOUNT, MATERIAL, OTHER_MATERIAL, REGION, START, Kms, ManualClock
from .rules import rule

HOME, AWAY, THIRD = "eu-central-1", "us-east-1", "us-west-2"
STATES = (
    "Enabled",
    "Disabled",
    "PendingImport",
    "PendingDeletion",
    "PendingReplicaDeletion",
    "Creating",
    "Updating",
)
EXPECTED = {
    #                             EDIPRCU
    "encrypt":                   "-DIPPC-",
    "decrypt":                   "-DIPPC-",
    "generate_data_key":         "-DIPPC-",
    "create_grant":              "-DIPPC-",
    "rotate_key_on_demand":      "-DIPPCU",
    "enable_key":                "--IPPCU",
    "disable_key":               "--IPPCU",
    "replicate_key":             "-DIPPXU",
    "update_primary_region":     "-DIPPXU",
    "get_parameters_for_import": "---PPCU",
    "import_key_material":       "---PPCU",
    "delete_imported_key_material": "-----CU",
    "schedule_key_deletion":     "---PP-U",
    "cancel_key_deletion":       "NNN--NN",
    "tag_resource":              "---PP--",
    "untag_resource":            "---PP--",
    "update_key_description":    "---PP--",
    "create_alias":              "---PP--",
    "update_alias":              "---PP--",
    "enable_key_rotation":       "XXXXXXX",
    "disable_key_rotation":      "XXXXXXX",
    "get_key_rotation_status":   "-------",
    "describe_key":              "-------",
    "list_key_rotations":        "-------",
    "list_resource_tags":        "-------",
    "list_grants":               "-------",
    "revoke_grant":              "-----.-",  # no grant can be made while a replica is Creating
    "retire_grant":              "-----.-",
    "get_key_policy":            "-------",
    "put_key_policy":            "-------",
    "list_key_policies":         "-------",
    "delete_alias":              "-------",
}  # fmt: skip
TOLD = {
    "D": ("DisabledException", "<arn> is disabled."),
    "I": ("KMSInvalidStateException", "<arn> is pending import."),
    "P": ("KMSInvalidStateException", "<arn> is pending deletion."),
    "N": ("KMSInvalidStateException", "<arn> is not pending deletion."),
    "C": ("KMSInvalidStateException", "<arn> is creating."),
    "U": ("KMSInvalidStateException", "<arn> is updating."),
    "A": ("KMSInvalidStateException", "<arn> is unavailable."),
}
POLICY = '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}]}'


@dataclass(frozen=True)
class World:
    """One server, seen from two Regions, in which transitions last until the clock is moved."""

    home: Kms
    away: Kms

    async def key_in(self, state: str) -> tuple[Kms, str, dict[str, dict[str, Any]]]:
        """A key in a state, the client of its Region, and what each operation needs there to succeed."""
        key = await self.home.create_key(MultiRegion=True)
        await self.home.import_material(key)
        grant = await self.home.call("create_grant", KeyId=key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:root", **ALL)
        blob = (await self.home.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
        members = {"decrypt": {"CiphertextBlob": blob}, "revoke_grant": {"KeyId": key, "GrantId": grant["GrantId"]}}
        members["retire_grant"] = {"GrantToken": grant["GrantToken"]}
        members["import_key_material"] = {**await self.home.import_terms(key), **FOREVER}
        await self.home.call("create_alias", AliasName="alias/old", TargetKeyId=key)
        if state in ("PendingReplicaDeletion", "Creating", "Updating"):
            await self.home.call("replicate_key", KeyId=key, ReplicaRegion=AWAY)
        if state == "Creating":
            return self.away, key.replace(HOME, AWAY), await self.members_away(key.replace(HOME, AWAY), blob)
        if state == "Updating":
            self.home.clock.advance(60)
            await self.away.import_material(key.replace(HOME, AWAY))
        return self.home, key, members

    async def members_away(self, key: str, blob: bytes) -> dict[str, dict[str, Any]]:
        """What operations on a replica that is Creating need: it cannot be used, so nothing of it can be prepared."""
        await self.away.call("create_alias", AliasName="alias/old", TargetKeyId=key)
        nothing = {"KeyId": key, "ImportToken": b"x", "EncryptedKeyMaterial": b"x"} | FOREVER
        return {"decrypt": {"CiphertextBlob": blob}, "import_key_material": nothing}

    async def bring(self, kms: Kms, key: str, state: str) -> None:
        """Take an Enabled key to another state."""
        match state:
            case "Disabled":
                await kms.call("disable_key", KeyId=key)
            case "PendingImport":
                await kms.call("delete_imported_key_material", KeyId=key)
            case "PendingDeletion" | "PendingReplicaDeletion":
                await kms.call("schedule_key_deletion", KeyId=key)
            case "Updating":
                await kms.call("update_primary_region", KeyId=key, PrimaryRegion=AWAY)
            case _:
                pass  # it is in it already
        assert await kms.state(key) == state


ALL: dict[str, Any] = {"Operations": ["Encrypt", "Decrypt", "DescribeKey"]}
FOREVER: dict[str, Any] = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}


@pytest.fixture
async def world(clock: ManualClock, wrapping_keys: WrappingKeys) -> AsyncIterator[World]:
    """A fresh world."""
    pace = Pace(creating_s=30, updating_s=30, rotating_s=0)
    async with serve(Options(clock=clock, pool=wrapping_keys, hostility=FRIENDLY, pace=pace)) as server:
        yield World(Kms(server.url, clock, region=HOME), Kms(server.url, clock, region=AWAY))


def members_of(operation: str, key: str) -> dict[str, Any]:
    """What each operation needs, but for what the key itself must provide."""
    wrapping = {"WrappingAlgorithm": "RSAES_OAEP_SHA_1", "WrappingKeySpec": "RSA_2048"}
    members: dict[str, dict[str, Any]] = {
        "encrypt": {"KeyId": key, "Plaintext": b"x"},
        "generate_data_key": {"KeyId": key, "KeySpec": "AES_256"},
        "create_grant": {"KeyId": key, "GranteePrincipal": f"arn:aws:iam::{ACCOUNT}:root", **ALL},
        "get_parameters_for_import": {"KeyId": key, **wrapping},
        "replicate_key": {"KeyId": key, "ReplicaRegion": THIRD},
        "update_primary_region": {"KeyId": key, "PrimaryRegion": AWAY},
        "tag_resource": {"KeyId": key, "Tags": [{"TagKey": "a", "TagValue": "b"}]},
        "untag_resource": {"KeyId": key, "TagKeys": ["a"]},
        "update_key_description": {"KeyId": key, "Description": "new"},
        "put_key_policy": {"KeyId": key, "Policy": POLICY},
        "create_alias": {"AliasName": "alias/new", "TargetKeyId": key},
        "update_alias": {"AliasName": "alias/old", "TargetKeyId": key},
        "delete_alias": {"AliasName": "alias/old"},
    }
    return members.get(operation, {"KeyId": key})


@rule("Keys and their states", "guide key-state")
@pytest.mark.parametrize("state", STATES)
async def test_a_state_admits_the_operations_of_the_table(state: str, world: World) -> None:
    """Each operation succeeds or is refused in each key state as the developer guide's table says."""
    for operation, row in EXPECTED.items():
        expected = row[STATES.index(state)]
        if expected == ".":
            continue
        kms, key, own = await world.key_in(state)
        if operation == "rotate_key_on_demand" and state == "Enabled":
            await kms.import_material(key, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
        if operation == "update_primary_region" and state == "Enabled":
            await kms.call("replicate_key", KeyId=key, ReplicaRegion=AWAY)
            kms.clock.advance(60)
            await world.away.import_material(key.replace(HOME, AWAY), MATERIAL)
        await world.bring(kms, key, state)
        if state == "Updating" and operation in ("replicate_key", "update_primary_region"):
            kms, key = world.away, key.replace(HOME, AWAY)  # it is the primary now, and Updating too
        members = own.get(operation) or members_of(operation, key)
        if expected == "-":
            await kms.call(operation, **members)
        else:
            refused = await kms.refused(operation, **members)
            if expected == "X":
                assert refused.code == "UnsupportedOperationException", operation
            else:
                code, message = TOLD[expected]
                assert (refused.code, refused.message) == (code, message.replace("<arn>", key)), operation
        for client in (world.home, world.away):
            for alias in (await client.call("list_aliases"))["Aliases"]:
                await client.call("delete_alias", AliasName=alias["AliasName"])
        kms.clock.advance(60)


def test_every_row_of_the_table_is_tried() -> None:
    """No operation is added to the table without its row in this test, or in test_uses.py if it uses material."""
    tried = {name.lower() for name in ROWS.keys() - set(CRYPTOGRAPHY) - {"GetPublicKey"}}
    assert tried <= {name.replace("_", "") for name in EXPECTED}


@pytest.mark.parametrize("operation", CRYPTOGRAPHY)
def test_every_use_of_a_key_has_the_row_of_encrypt(operation: str) -> None:
    """What uses a key is refused unless it is Enabled, or Updating with all its material."""
    told = {
        state: None if answer is None else answer[1].replace("{arn}", "<arn>")
        for state, answer in TABLE[operation].items()
    }
    assert told == {
        KeyState.ENABLED: None,
        KeyState.DISABLED: TOLD["D"][1],
        KeyState.PENDING_IMPORT: TOLD["I"][1],
        KeyState.PENDING_DELETION: TOLD["P"][1],
        KeyState.PENDING_REPLICA_DELETION: TOLD["P"][1],
        KeyState.UNAVAILABLE: TOLD["A"][1],
        KeyState.CREATING: TOLD["C"][1],
        KeyState.UPDATING: None,
    }


@rule("Several materials and rotation", "API RotateKeyOnDemand, EnableKeyRotation and GetKeyRotationStatus")
@pytest.mark.parametrize("spec", [spec for spec in KeySpec if spec != "SYMMETRIC_DEFAULT"])
def test_only_symmetric_encryption_keys_rotate(spec: KeySpec) -> None:
    """The operations of rotation are unsupported, without a message, on any other spec, whatever its state."""
    for operation in ("RotateKeyOnDemand", "EnableKeyRotation", "DisableKeyRotation", "GetKeyRotationStatus"):
        usage = next(iter(SPECS[spec].algorithms))
        key = Key(
            id="k", owner=Caller(ACCOUNT, REGION), origin=Origin.AWS_KMS, created_at=START, spec=spec, usage=usage
        )
        with pytest.raises(Refusal) as refused:
            admit(operation, key)
        assert (refused.value.fault, refused.value.message) == ("UnsupportedOperationException", "")
