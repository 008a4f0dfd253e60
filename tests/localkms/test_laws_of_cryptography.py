"""Laws that hold for any plaintext, message, context and damage; the operations are called without HTTP, for speed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.localkms.calls import Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keyring import Keyring
from byokd.localkms.keys import Key, MultiRegion, Origin
from byokd.localkms.materials import generated
from byokd.localkms.operations import OPERATIONS
from byokd.localkms.persistence import open_journal
from byokd.localkms.signatures import Caller
from byokd.localkms.specs import KeySpec, KeyUsage, fresh_secret
from byokd.localkms.wrapping import WrappingKeys

from .kit import ACCOUNT, REGION, START

HERE, THERE = Caller(ACCOUNT, REGION), Caller(ACCOUNT, "us-east-1")
FAMILY = MultiRegion(primary=REGION, replicas=(THERE.region,))

plaintexts = st.one_of(st.binary(min_size=1, max_size=64), st.integers(65, 4096).map(os.urandom))
contexts = st.dictionaries(st.text(st.characters(), max_size=8), st.text(st.characters(), max_size=8), max_size=3)
quickly = settings(max_examples=150, deadline=None)


def _key(number: int, spec: KeySpec, usage: KeyUsage) -> Key:
    key = Key(
        id=f"mrk-{number:032x}",
        owner=HERE,
        origin=Origin.AWS_KMS,
        created_at=START,
        spec=spec,
        usage=usage,
        multi_region=FAMILY,
    )
    return generated(key, fresh_secret(spec))


class World:
    """A keyring with a key of each use, each with a relative in another Region, and operations called on it."""

    def __init__(self) -> None:
        self._journal = open_journal(None)
        self._keyring = Keyring(self._journal)
        self.symmetric = _key(1, KeySpec.SYMMETRIC_DEFAULT, KeyUsage.ENCRYPT_DECRYPT)
        self.other = _key(2, KeySpec.SYMMETRIC_DEFAULT, KeyUsage.ENCRYPT_DECRYPT)
        self.rsa = _key(3, KeySpec.RSA_2048, KeyUsage.ENCRYPT_DECRYPT)
        self.hmac = _key(4, KeySpec.HMAC_256, KeyUsage.GENERATE_VERIFY_MAC)
        self.signers = [
            (_key(5, KeySpec.RSA_2048, KeyUsage.SIGN_VERIFY), "RSASSA_PSS_SHA_256"),
            (_key(6, KeySpec.ECC_NIST_P256, KeyUsage.SIGN_VERIFY), "ECDSA_SHA_256"),
            (_key(7, KeySpec.ECC_NIST_EDWARDS25519, KeyUsage.SIGN_VERIFY), "ED25519_SHA_512"),
        ]
        for key in (self.symmetric, self.other, self.rsa, self.hmac, *(key for key, _ in self.signers)):
            self._keyring.put(key)
            self._keyring.put(replace(key, owner=THERE))

    def close(self) -> None:
        """Close the state."""
        asyncio.run(self._journal.close())

    def call(self, operation: str, caller: Caller = HERE, **request: Any) -> dict[str, Any]:
        """The answer of an operation. Raises: Refusal."""
        call = Call(
            operation=operation,
            caller=caller,
            now=START,
            request=request,
            keyring=self._keyring,
            wrapping=WrappingKeys(),
            seal=self._journal.seal,
        )
        answer = asyncio.run(_awaited(call))
        assert answer is not None
        return answer

    def fault(self, operation: str, **request: Any) -> Fault:
        """How an operation refuses."""
        with pytest.raises(Refusal) as refused:
            self.call(operation, **request)
        return refused.value.fault


async def _awaited(call: Call) -> dict[str, Any] | None:
    return await OPERATIONS[call.operation](call)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Keys for all examples."""
    world = World()
    yield world
    world.close()


def flipped(data: bytes, bit: int) -> bytes:
    """The data with one bit changed; any number names a bit."""
    place, mask = bit // 8 % len(data), 1 << bit % 8
    return data[:place] + bytes((data[place] ^ mask,)) + data[place + 1 :]


bits = st.integers(min_value=0, max_value=8 * 4096)


@quickly
@given(plaintext=plaintexts, context=contexts)
def test_whatever_was_encrypted_decrypts_here_and_under_a_relative(
    world: World, plaintext: bytes, context: dict[str, str]
) -> None:
    """Any plaintext in any context round-trips, also to the related multi-Region key in another Region."""
    blob = world.call("Encrypt", KeyId=world.symmetric.id, Plaintext=plaintext, EncryptionContext=context)[
        "CiphertextBlob"
    ]
    for caller in (HERE, THERE):
        answer = world.call("Decrypt", caller, CiphertextBlob=blob, EncryptionContext=context)
        assert answer["Plaintext"] == plaintext
        assert answer["KeyId"] == replace(world.symmetric, owner=caller).arn


@quickly
@given(plaintext=plaintexts, context=contexts, bit=bits)
def test_no_bit_of_a_ciphertext_is_free(world: World, plaintext: bytes, context: dict[str, str], bit: int) -> None:
    """A flip anywhere is refused: as another key's where it names one, as invalid everywhere else."""
    members: dict[str, Any] = {"KeyId": world.symmetric.id, "EncryptionContext": context}
    blob = world.call("Encrypt", Plaintext=plaintext, **members)["CiphertextBlob"]
    fault = world.fault("Decrypt", CiphertextBlob=flipped(blob, bit), **members)
    assert fault in (Fault.INVALID_CIPHERTEXT, Fault.INCORRECT_KEY)
    if bit // 8 % len(blob) >= 2 + blob[1]:
        assert fault is Fault.INVALID_CIPHERTEXT


@quickly
@given(context=contexts, other=contexts)
def test_only_the_same_context_decrypts(world: World, context: dict[str, str], other: dict[str, str]) -> None:
    """The encryption context must be an exact match, in whatever order it is written."""
    blob = world.call("Encrypt", KeyId=world.symmetric.id, Plaintext=b"x", EncryptionContext=context)["CiphertextBlob"]
    if other == context:
        return
    assert world.fault("Decrypt", CiphertextBlob=blob, EncryptionContext=other) is Fault.INVALID_CIPHERTEXT
    backwards = dict(reversed(context.items()))
    assert world.call("Decrypt", CiphertextBlob=blob, EncryptionContext=backwards)["Plaintext"] == b"x"


@quickly
@given(garbage=st.binary(min_size=1, max_size=300))
def test_garbage_never_decrypts(world: World, garbage: bytes) -> None:
    """Bytes that no key here has made are refused, with or without a key named, and raise nothing else."""
    assert world.fault("Decrypt", CiphertextBlob=garbage) in (Fault.INVALID_CIPHERTEXT, Fault.ACCESS_DENIED)
    oaep = {"KeyId": world.rsa.id, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    assert world.fault("Decrypt", CiphertextBlob=garbage, **oaep) is Fault.INVALID_CIPHERTEXT


@quickly
@given(plaintext=plaintexts)
def test_the_header_may_not_be_moved_to_another_key(world: World, plaintext: bytes) -> None:
    """A ciphertext whose key id is exchanged for another's is refused by that one: the header is authenticated."""
    blob = world.call("Encrypt", KeyId=world.symmetric.id, Plaintext=plaintext)["CiphertextBlob"]
    moved = blob.replace(world.symmetric.id.encode(), world.other.id.encode(), 1)
    assert world.fault("Decrypt", CiphertextBlob=moved) is Fault.INVALID_CIPHERTEXT


@quickly
@given(message=plaintexts, bit=bits, index=st.integers(0, 2))
def test_no_bit_of_a_message_or_signature_is_free(world: World, message: bytes, bit: int, index: int) -> None:
    """Any message signs and verifies; with one bit flipped in it, or in its signature, it does not."""
    key, algorithm = world.signers[index]
    members: dict[str, Any] = {"KeyId": key.id, "SigningAlgorithm": algorithm}
    signature = world.call("Sign", Message=message, **members)["Signature"]
    assert world.call("Verify", THERE, Message=message, Signature=signature, **members)["SignatureValid"]
    for spoilt in ((flipped(message, bit), signature), (message, flipped(signature, bit))):
        fault = world.fault("Verify", Message=spoilt[0], Signature=spoilt[1], **members)
        assert fault is Fault.KMS_INVALID_SIGNATURE


@quickly
@given(message=plaintexts, bit=bits)
def test_no_bit_of_a_message_or_mac_is_free(world: World, message: bytes, bit: int) -> None:
    """Any message gets a MAC that verifies; with one bit flipped in either, it does not."""
    members: dict[str, Any] = {"KeyId": world.hmac.id, "MacAlgorithm": "HMAC_SHA_256"}
    mac = world.call("GenerateMac", Message=message, **members)["Mac"]
    assert world.call("VerifyMac", THERE, Message=message, Mac=mac, **members)["MacValid"]
    for spoilt in ((flipped(message, bit), mac), (message, flipped(mac, bit))):
        assert world.fault("VerifyMac", Message=spoilt[0], Mac=spoilt[1], **members) is Fault.KMS_INVALID_MAC
