"""The private keys in use: parsed once, forgotten with their material, and never at work on the event loop for long."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from weakref import ref

import pytest

from byokd.localkms.encryption import decrypt_rsa, encrypt
from byokd.localkms.fresh_keys import fresh_material
from byokd.localkms.keys import Key, KeyState, Origin
from byokd.localkms.materials import generated, without
from byokd.localkms.parsed_keys import PARSED_MAX, private_key
from byokd.localkms.signatures import Caller
from byokd.localkms.signing import signature
from byokd.localkms.specs import KeySpec, KeyUsage, fresh_secret

from .kit import ACCOUNT, REGION, START


def made_key(number: int = 0, spec: KeySpec = KeySpec.ECC_NIST_P256, usage: KeyUsage = KeyUsage.SIGN_VERIFY) -> Key:
    """A key with material."""
    key = Key(
        id=f"mrk-{number:032x}",
        owner=Caller(ACCOUNT, REGION),
        origin=Origin.EXTERNAL,
        created_at=START,
        spec=spec,
        usage=usage,
    )
    return generated(key, fresh_secret(key.spec))


def test_a_private_key_is_parsed_once() -> None:
    """Two uses of a key, and of a later version of it with the same material, share one parsed key."""
    key = made_key()
    assert private_key(key) is private_key(key) is private_key(replace(key, description="changed"))
    assert private_key(made_key()) is not private_key(key)


def test_a_parsed_key_goes_with_its_material() -> None:
    """When a material is deleted or expires, nothing in the process keeps its private key."""
    key = made_key()
    kept = ref(key.materials[0])
    private_key(key)
    key = without(key, key.materials[0].id)
    gc.collect()
    assert key.state is KeyState.PENDING_IMPORT
    assert kept() is None


def test_only_so_many_parsed_keys_are_kept() -> None:
    """A fleet that is used once does not stay parsed: the one parsed first goes, and can be parsed again."""
    first = made_key()
    parsed = private_key(first)
    others = [made_key(number) for number in range(PARSED_MAX)]
    for key in others:
        private_key(key)
    assert private_key(first) is not parsed


def signed(spec: KeySpec, algorithm: str, message_type: str = "RAW") -> Awaitable[object]:
    """A signature in the making."""
    return signature(private_key(made_key(spec=spec)), algorithm, bytes(64), message_type)


def decrypted() -> Awaitable[object]:
    """An RSA decryption in the making."""
    key = made_key(spec=KeySpec.RSA_2048, usage=KeyUsage.ENCRYPT_DECRYPT)
    return decrypt_rsa(key, "RSAES_OAEP_SHA_256", encrypt(key, "RSAES_OAEP_SHA_256", b"x", {}))


SLOW: dict[str, Callable[[], Awaitable[object]]] = {
    "an RSA signature": lambda: signed(KeySpec.RSA_2048, "RSASSA_PSS_SHA_256"),
    "an Ed25519ph signature": lambda: signed(KeySpec.ECC_NIST_EDWARDS25519, "ED25519_PH_SHA_512", "DIGEST"),
    "an RSA decryption": decrypted,
    "a new RSA key": lambda: fresh_material(KeySpec.RSA_2048),
}


@pytest.mark.parametrize("case", SLOW)
async def test_what_takes_long_leaves_the_event_loop_to_others(case: str) -> None:
    """While a thread works for one request, the loop serves the next: what was waiting has run before the result."""
    waiting = SLOW[case]()
    served = asyncio.Event()
    asyncio.get_running_loop().call_soon(served.set)
    await waiting
    assert served.is_set()
