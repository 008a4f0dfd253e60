"""The private keys in use are parsed once, and forgotten with their material."""

from __future__ import annotations

import gc
from dataclasses import replace
from weakref import ref

from byokd.localkms.keys import Key, KeyState, Origin
from byokd.localkms.materials import generated, without
from byokd.localkms.parsed_keys import PARSED_MAX, private_key
from byokd.localkms.signatures import Caller
from byokd.localkms.specs import KeySpec, KeyUsage, fresh_secret

from .kit import ACCOUNT, REGION, START


def made_key(number: int = 0) -> Key:
    """A signing key with material."""
    key = Key(
        id=f"mrk-{number:032x}",
        owner=Caller(ACCOUNT, REGION),
        origin=Origin.EXTERNAL,
        created_at=START,
        spec=KeySpec.ECC_NIST_P256,
        usage=KeyUsage.SIGN_VERIFY,
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
