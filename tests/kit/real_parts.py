"""The engine on real parts, friendly ones: SQLite on disk, aiobotocore over HTTP, local KMS, files, real wrapping."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from byokd import localkms
from byokd.facts.key import KeyArn, KeyRef, WrappingKeySpec
from byokd.facts.policy import DesiredKey, Lane
from byokd.kms.adapter import open_kms
from byokd.kms.identity import Identity, shared_session
from byokd.material.decode import Encoding
from byokd.material.fingerprint import FingerprintKey
from byokd.ports import Kms
from byokd.sources.file import FileSource
from byokd.store import open_store
from tests.kit.builders import DAY, LANE_ID, desired, lane, policy
from tests.kit.clock import ManualClock
from tests.kit.site import KmsClock
from tests.kit.world import World


@dataclass
class Site:
    """Everything real that a world stands on."""

    world: World
    client: Any
    directory: Path
    url: str
    keys: list[DesiredKey]


@asynccontextmanager
async def site(tmp_path: Path, keys: int = 1, materials: int = 1, **changes: Any) -> AsyncIterator[Site]:
    """A world on real parts, with so many keys in the KMS, their material on disk and their names in the config.

    Each key has so many materials in the config; `changes` are its policy's.
    """
    clock, session = ManualClock(), shared_session()
    async with AsyncExitStack() as stack:
        options = localkms.Options(
            account="111122223333", clock=KmsClock(clock), hostility=localkms.FRIENDLY, pace=localkms.AT_ONCE
        )
        server = await stack.enter_async_context(localkms.serve(options))
        store = await stack.enter_async_context(open_store(tmp_path / "byokd.db"))

        @asynccontextmanager
        async def opened(which: Lane) -> AsyncIterator[Kms]:
            identity = Identity(access_key_id="111122223333", secret_access_key="none")
            async with open_kms(which, clock=clock, session=session, identity=identity) as kms:
                yield kms

        source = FileSource(
            "files",
            directory=tmp_path,
            encoding=Encoding.RAW,
            fingerprint_key=FingerprintKey(os.urandom(32)),
        )
        world = World(store=store, lane=lane(endpoint=server.url), clock=clock, open_kms=opened, source=source)
        client = boto3.client(
            "kms",
            endpoint_url=server.url,
            region_name="eu-central-1",
            aws_access_key_id="111122223333",
            aws_secret_access_key="none",
            config=Config(retries={"total_max_attempts": 1}),
        )
        fleet = [await _furnish(client, tmp_path, number, materials, changes) for number in range(keys)]
        await world.store.sync_fleet(fleet, now=clock.now())
        yield Site(world=world, client=client, directory=tmp_path, url=server.url, keys=fleet)
        client.close()


async def _furnish(client: Any, directory: Path, number: int, materials: int, changes: dict[str, Any]) -> DesiredKey:
    answer = await asyncio.to_thread(client.create_key, Origin="EXTERNAL")
    arn = KeyArn(answer["KeyMetadata"]["Arn"])
    names = [f"{number}.key"] + [f"{number}-{generation}.key" for generation in range(2, materials + 1)]
    for name in names:
        file = directory / name
        file.touch(mode=0o600)
        file.write_bytes(os.urandom(32))
    base = desired(arn=arn, ref=KeyRef(arn), name=arn, lane=LANE_ID, locator=names[0], further=tuple(names[1:]))
    return replace(base, policy=policy(wrapping_key_spec=WrappingKeySpec.RSA_2048, **changes))


async def ask(it: Site, operation: str, **members: Any) -> Any:
    return await asyncio.to_thread(getattr(it.client, operation), **members)


async def import_by_hand(it: Site, key: DesiredKey, place: int, **members: Any) -> str:
    """Import a material of a key as people do, with boto3; returns the id that KMS gave it."""
    wanted = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    given = await ask(it, "get_parameters_for_import", KeyId=key.ref, **wanted)
    public_key = load_der_public_key(given["PublicKey"])
    assert isinstance(public_key, rsa.RSAPublicKey)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    wrapped = public_key.encrypt((it.directory / key.locators[place]).read_bytes(), oaep)
    answer = await ask(
        it,
        "import_key_material",
        KeyId=key.ref,
        ImportToken=given["ImportToken"],
        EncryptedKeyMaterial=wrapped,
        **({"ValidTo": it.world.clock.now() + 90 * DAY} | members),
    )
    return str(answer["KeyMaterialId"])
