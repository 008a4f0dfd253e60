"""boto3 with nothing added: one key's material through import, use, expiry, reimport and rotation."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from .site import Site

pytestmark = pytest.mark.timeout(60)

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
FOREVER = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}


def import_material(client: Any, key: str, material: bytes, spec: str = "RSA_4096", **terms: Any) -> str:
    """Import material as anyone does with boto3 and cryptography; returns its id."""
    parameters = client.get_parameters_for_import(
        KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec=spec
    )
    public_key: Any = load_der_public_key(parameters["PublicKey"])
    answer = client.import_key_material(
        KeyId=key,
        ImportToken=parameters["ImportToken"],
        EncryptedKeyMaterial=public_key.encrypt(material, OAEP),
        **terms,
    )
    return str(answer["KeyMaterialId"])


def decrypt(client: Any, blob: bytes) -> bytes:
    """What a ciphertext says."""
    plaintext: bytes = client.decrypt(CiphertextBlob=blob)["Plaintext"]
    return plaintext


def until_expiry(client: Any, site: Site) -> tuple[str, bytes, str, bytes]:
    """A key whose material will expire: its ARN, its material, that material's id and a ciphertext."""
    metadata = client.create_key(Origin="EXTERNAL")["KeyMetadata"]
    assert metadata["KeyState"] == "PendingImport"
    key, material = metadata["Arn"], os.urandom(32)
    first = import_material(client, key, material, **FOREVER)
    blob = client.encrypt(KeyId=key, Plaintext=b"the books")["CiphertextBlob"]
    assert decrypt(client, blob) == b"the books"
    valid_to = site.soon()
    assert import_material(client, key, material, ValidTo=valid_to) == first
    told = client.describe_key(KeyId=key)["KeyMetadata"]
    assert told["ExpirationModel"] == "KEY_MATERIAL_EXPIRES"
    assert abs(told["ValidTo"] - valid_to) <= timedelta(seconds=1)  # boto3 sends whole seconds
    return key, material, first, blob


def from_expiry(client: Any, key: str, material: bytes, first: str, blob: bytes) -> None:
    """The lapsed key is refused, comes back by the same material, and is rotated."""
    with pytest.raises(ClientError) as refused:
        decrypt(client, blob)
    assert refused.value.response["Error"] == {
        "Code": "KMSInvalidStateException",
        "Message": f"{key} is pending import.",
    }
    assert import_material(client, key, material, "RSA_2048", **FOREVER) == first
    assert decrypt(client, blob) == b"the books"

    second = import_material(client, key, os.urandom(32), **FOREVER, ImportType="NEW_KEY_MATERIAL")
    client.rotate_key_on_demand(KeyId=key)
    new = client.encrypt(KeyId=key, Plaintext=b"the new books")["CiphertextBlob"]
    assert [decrypt(client, each) for each in (blob, new)] == [b"the books", b"the new books"]
    assert client.describe_key(KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"] == second


async def test_boto3_from_import_to_rotation(site: Site) -> None:
    """A plain boto3 client imports, uses, loses, reimports and rotates a key's material."""
    client = site.boto3()
    so_far = await asyncio.to_thread(until_expiry, client, site)
    await site.lapse(so_far[0])
    await asyncio.to_thread(from_expiry, client, *so_far)
