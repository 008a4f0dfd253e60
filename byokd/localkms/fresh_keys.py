"""Private keys that a request asks for, made where no other request waits for them.

An RSA key takes 0.04 s (RSA_2048) to 2 s (RSA_4096) of a core to make. Whoever asks for one has to wait for it, for it
must be new: GenerateDataKeyPair, and CreateKey of Origin AWS_KMS. They are made one after the other by a thread kept
for that, so that a burst of such requests leaves the other cores and the threads of arithmetic.py to everybody else.
Keys of other kinds are made at once.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from byokd.localkms.specs import SPECS, KeySpec, Kind, PrivateKey, fresh_private_key, fresh_secret, pkcs8

MAKER: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="localkms makes RSA keys")


async def fresh_pair(spec: KeySpec) -> PrivateKey:
    """A new private key of an asymmetric spec. Other requests run meanwhile if it is an RSA key."""
    row = SPECS[spec]
    if row.kind is not Kind.RSA:
        return fresh_private_key(row)
    return await asyncio.get_running_loop().run_in_executor(MAKER, fresh_private_key, row)


async def fresh_material(spec: KeySpec) -> bytes:
    """New material for a key of Origin AWS_KMS, in the form of `Material.secret`. Waits as `fresh_pair` does."""
    return fresh_secret(spec) if SPECS[spec].raw else pkcs8(await fresh_pair(spec))
