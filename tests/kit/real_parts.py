"""The engine on real parts, friendly ones: SQLite on disk, aiobotocore over HTTP, local KMS, files, real wrapping."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
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
from byokd.kms.identity import Identity
from byokd.material.decode import Encoding
from byokd.material.fingerprint import FingerprintKey
from byokd.ports import Kms
from byokd.sources.file import FileSource
from byokd.store import open_store
from tests.kit.builders import DAY, LANE_ID, desired, lane, policy
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, REGION, lane_in, session
from tests.kit.site import KmsClock
from tests.kit.world import World
from tests.localkms.kit import wrapping_keys

HOME = REGION


@dataclass
class Site:
    """Everything real that a world stands on."""

    world: World
    client: Any
    directory: Path
    url: str
    keys: list[DesiredKey]
    """In the config. With replicas, the one key's primary first, then a replica for each Region."""
    clients: dict[str, Any] = field(default_factory=dict)
    """By Region, where there are others."""


Wrapper = Callable[[Lane, Kms], Kms]
"""What stands between a lane and its KMS in a test."""


@asynccontextmanager
async def site(
    tmp_path: Path,
    keys: int = 1,
    materials: int = 1,
    replicas: tuple[str, ...] = (),
    wrapped: Wrapper = lambda _, kms: kms,
    **changes: Any,
) -> AsyncIterator[Site]:
    """A world on real parts, with so many keys in the KMS, their material on disk and their names in the config.

    Each key has so many materials in the config; `changes` are its policy's. With `replicas`, Regions with a lane each,
    there is one key, a primary with its first material, and has its replicas, which have none.
    """
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        options = localkms.Options(
            account=ACCOUNT,
            clock=KmsClock(clock),
            pool=wrapping_keys(),
            hostility=localkms.FRIENDLY,
            pace=localkms.AT_ONCE,
        )
        server = await stack.enter_async_context(localkms.serve(options))
        store = await stack.enter_async_context(open_store(tmp_path / "byokd.db"))

        @asynccontextmanager
        async def opened(which: Lane) -> AsyncIterator[Kms]:
            identity = Identity(access_key_id=ACCOUNT, secret_access_key="none")
            async with open_kms(which, clock=clock, session=session(), identity=identity) as kms:
                yield wrapped(which, kms)

        source = FileSource(
            "files",
            directory=tmp_path,
            encoding=Encoding.RAW,
            fingerprint_key=FingerprintKey(os.urandom(32)),
        )
        away = tuple(
            lane(endpoint=server.url, id=lane_in(region), name=region, region=region, max_in_flight=16)
            for region in replicas
        )
        world = World(
            store=store,
            lane=lane(endpoint=server.url),
            clock=clock,
            open_kms=opened,
            source=source,
            other_lanes=away,
        )
        clients = {region: _client(server.url, region) for region in (HOME, *replicas)}
        it = Site(world=world, client=clients[HOME], directory=tmp_path, url=server.url, keys=[], clients=clients)
        family = {"MultiRegion": True} if replicas else {}
        it.keys = [await _furnish(it.client, tmp_path, number, materials, changes, family) for number in range(keys)]
        if replicas:
            it.keys += await _replicate(it, replicas)
        await world.store.sync_fleet(it.keys, now=clock.now())
        yield it
        for each in clients.values():
            each.close()


def _client(url: str, region: str) -> Any:
    return boto3.client(
        "kms",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": 1}),
    )


async def _replicate(it: Site, regions: tuple[str, ...]) -> list[DesiredKey]:
    """Give the first key its material, by hand, and a replica in each Region; returns what a config says of them."""
    primary = it.keys[0]
    await import_by_hand(it, primary, 0)
    made = []
    for region in regions:
        answer = await ask(it, "replicate_key", KeyId=primary.ref, ReplicaRegion=region)
        arn = KeyArn(answer["ReplicaKeyMetadata"]["Arn"])
        made.append(replace(primary, ref=KeyRef(arn), arn=arn, name=arn, lane=lane_in(region)))
    return made


async def _furnish(
    client: Any, directory: Path, number: int, materials: int, changes: dict[str, Any], members: dict[str, Any]
) -> DesiredKey:
    answer = await asyncio.to_thread(client.create_key, Origin="EXTERNAL", **members)
    arn = KeyArn(answer["KeyMetadata"]["Arn"])
    names = [f"{number}.key"] + [f"{number}-{generation}.key" for generation in range(2, materials + 1)]
    for name in names:
        file = directory / name
        file.touch(mode=0o600)
        file.write_bytes(os.urandom(32))
    base = desired(arn=arn, ref=KeyRef(arn), name=arn, lane=LANE_ID, locator=names[0], further=tuple(names[1:]))
    return replace(base, policy=policy(wrapping_key_spec=WrappingKeySpec.RSA_2048, **changes))


async def ask(it: Site, operation: str, *, region: str = HOME, **members: Any) -> Any:
    return await asyncio.to_thread(getattr(it.clients[region], operation), **members)


async def import_by_hand(it: Site, key: DesiredKey, place: int, **members: Any) -> str:
    """Import a material of a key as people do, with boto3; returns the id that KMS gave it."""
    wanted = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    region = key.lane.partition("/")[2]
    given = await ask(it, "get_parameters_for_import", region=region, KeyId=key.ref, **wanted)
    public_key = load_der_public_key(given["PublicKey"])
    assert isinstance(public_key, rsa.RSAPublicKey)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    wrapped = public_key.encrypt((it.directory / key.locators[place]).read_bytes(), oaep)
    answer = await ask(
        it,
        "import_key_material",
        region=region,
        KeyId=key.ref,
        ImportToken=given["ImportToken"],
        EncryptedKeyMaterial=wrapped,
        **({"ValidTo": it.world.clock.now() + 90 * DAY} | members),
    )
    return str(answer["KeyMaterialId"])


async def rotated_by_hand(it: Site, times: int) -> list[bytes]:
    """Import the first key's materials and rotate to each, so many times; returns what was encrypted under each."""
    key, blobs = it.keys[0], []
    for place in range(times + 1):
        await import_by_hand(it, key, place, **({"ImportType": "NEW_KEY_MATERIAL"} if place else {}))
        if place:
            await ask(it, "rotate_key_on_demand", KeyId=key.ref)
        blobs.append((await ask(it, "encrypt", KeyId=key.ref, Plaintext=b"%d" % place))["CiphertextBlob"])
    return blobs


async def decrypted(it: Site, blobs: list[bytes], *, region: str = HOME) -> list[bytes]:
    """What becomes of the ciphertexts in a Region."""
    return [(await ask(it, "decrypt", region=region, CiphertextBlob=blob))["Plaintext"] for blob in blobs]


async def listed(it: Site, key: DesiredKey | None = None, *, told: str = "KeyMaterialState") -> list[str]:
    """What ListKeyRotations tells of each material of a key, the first one if none is named; oldest first."""
    key = key or it.keys[0]
    region = key.lane.partition("/")[2]
    answer = await ask(it, "list_key_rotations", region=region, KeyId=key.ref, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    return [each[told] for each in answer["Rotations"]]
