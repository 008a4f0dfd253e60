"""The engine on real parts and moved time: SQLite on disk, aiobotocore over HTTP, local KMS, files, real wrapping.

The keys are made, and looked at in the end, on a friendly local KMS over the same state file; the hostile one stands
between. What happened there is read from its trail, which also tells of calls whose answers were lost.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from aiohttp import ClientSession
from botocore.config import Config

from byokd import localkms
from byokd.facts.key import SYMMETRIC, KeyArn, KeyRef, WrappingAlgorithm, WrappingKeySpec
from byokd.facts.policy import DesiredKey, Lane
from byokd.kms.adapter import open_kms
from byokd.kms.identity import Identity
from byokd.localkms.wrapping import WrappingKeys
from byokd.material.decode import Encoding
from byokd.material.fingerprint import FingerprintKey
from byokd.material.secret import Secret
from byokd.material.wrap import wrap
from byokd.ports import Kms, Source
from byokd.sources.file import FileSource
from byokd.store import open_store
from tests.kit.builders import DAY, LANE_ID, desired, lane, policy
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, REGION, lane_in, session
from tests.kit.materials import material, usage
from tests.kit.world import World

Record = dict[str, Any]


class KmsClock:
    """The local KMS on the test's time."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def now(self) -> float:
        """Epoch seconds."""
        return self._clock.now().timestamp()

    async def sleep_until(self, when: float) -> None:
        """Wait for the test to move time there."""
        await self._clock.sleep(max(0.0, when - self.now()))


@dataclass
class Site:
    """Everything real that a world stands on."""

    world: World
    directory: Path
    pool: WrappingKeys = field(repr=False)
    keys: list[KeyArn] = field(default_factory=list)
    server: localkms.Server = field(init=False, repr=False)
    """What the world talks to."""

    @asynccontextmanager
    async def serve(self, hostility: localkms.Hostility, **outlets: Any) -> AsyncIterator[localkms.Server]:
        """The local KMS on this site's state and time."""
        options = localkms.Options(
            account=ACCOUNT,
            clock=KmsClock(self.world.clock),
            state=self.directory / "kms.db",
            pool=self.pool,
            hostility=hostility,
            admin=("127.0.0.1", 0),
            outlets=localkms.Outlets(**outlets),
        )
        async with localkms.serve(options) as server:
            yield server

    async def ask(self, server: localkms.Server, operation: str, *, region: str = REGION, **members: Any) -> Any:
        """What a person does with boto3, in one attempt."""
        client = boto3.client(
            "kms",
            endpoint_url=server.url,
            region_name=region,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="none",
            config=Config(retries={"total_max_attempts": 1}),
        )
        try:
            return await asyncio.to_thread(getattr(client, operation), **members)
        finally:
            client.close()

    async def found(self) -> list[dict[str, Any]]:
        """The metadata of each key, as a friendly KMS tells it."""
        async with self.serve(localkms.FRIENDLY) as server:
            return [(await self.ask(server, "describe_key", KeyId=arn))["KeyMetadata"] for arn in self.keys]

    async def befell(self) -> set[str]:
        """What hostility did to calls so far, by its settings: see `localkms_mishaps_total`."""
        async with ClientSession() as http, http.get(f"{self.server.admin_url}/metrics") as answer:
            return set(re.findall(r'localkms_mishaps_total\{kind="(\w+)"\}', await answer.text()))

    def trail(self) -> list[Record]:
        """What the hostile KMS was asked and what it did, oldest first."""
        return [json.loads(line) for line in (self.directory / "trail.jsonl").read_text().splitlines()]

    def imports(self) -> dict[str, list[datetime]]:
        """When each key's material was imported, answered or not, oldest first."""
        found: dict[str, list[datetime]] = defaultdict(list)
        for record in self.trail():
            if record["eventName"] == "ImportKeyMaterial" and was_applied(record):
                found[record["resources"][0]["ARN"]].append(datetime.fromisoformat(record["eventTime"]).astimezone(UTC))
        return found


@asynccontextmanager
async def alive(it: Site) -> AsyncIterator[World]:
    """The site's engine, running inside the block. Time goes on while it stops: a call may be waiting for its pace."""
    await it.world.start()
    try:
        yield it.world
    finally:
        stopping = asyncio.ensure_future(it.world.stop())
        while not stopping.done():
            await asyncio.wait([stopping], timeout=0.01)
            it.world.clock.advance(1)
        await stopping


def was_applied(record: Record) -> bool:
    """Whether the call changed KMS: it was not refused, or only its answer was."""
    return "errorCode" not in record or record.get("additionalEventData", {}).get("mishap") == "error_after"


@asynccontextmanager
async def site(
    directory: Path,
    pool: WrappingKeys,
    *,
    keys: int = 1,
    specs: Sequence[str] = (),
    source: Source | None = None,
    hostility: localkms.Hostility = localkms.FRIENDLY,
    lane_changes: dict[str, Any] | None = None,
    new: bool = False,
    replicas: tuple[str, ...] = (),
    **policy_changes: Any,
) -> AsyncIterator[Site]:
    """A world on real parts, with so many keys in the KMS, their material on disk and their names in the config.

    The keys are symmetric, or one of each of the `specs`. Their source is `source`, or the files of `directory`.
    Its engine is not running yet. What it talks to is `hostility`'s, and so is who makes the keys if they are `new`.
    With `replicas`, Regions with a lane each, there is one key instead: a primary with its material and one in stock,
    and a replica without in each of them.
    """
    clock = ManualClock()
    async with AsyncExitStack() as stack:

        @asynccontextmanager
        async def opened(which: Lane) -> AsyncIterator[Kms]:
            identity = Identity(access_key_id=ACCOUNT, secret_access_key="none")
            async with open_kms(which, clock=clock, session=session(), identity=identity) as kms:
                yield kms

        source = source or FileSource(
            "files", directory=directory, encoding=Encoding.RAW, fingerprint_key=FingerprintKey(os.urandom(32))
        )
        wanted = list(enumerate(specs or [SYMMETRIC] * keys))
        store = await stack.enter_async_context(open_store(directory / "byokd.db"))
        world = World(store=store, clock=clock, open_kms=opened, source=source)
        it = Site(world=world, directory=directory, pool=pool)
        fleet: list[DesiredKey] = []
        if not new:
            async with it.serve(localkms.FRIENDLY) as server:
                if replicas:
                    fleet = await _family(it, server, replicas, policy_changes)
                else:
                    fleet = [await _key(it, server, number, spec, policy_changes) for number, spec in wanted]
        server = await stack.enter_async_context(it.serve(hostility, trail=directory / "trail.jsonl"))
        if new:
            fleet = [await _key(it, server, number, spec, policy_changes) for number, spec in wanted]
        await store.sync_fleet(fleet, now=clock.now())
        it.server = server
        world.lane = lane(endpoint=server.url, **(lane_changes or {}))
        world.other_lanes = tuple(
            lane(endpoint=server.url, id=lane_in(each), name=each, region=each, **(lane_changes or {}))
            for each in replicas
        )
        yield it


async def _family(
    it: Site, server: localkms.Server, regions: tuple[str, ...], changes: dict[str, Any]
) -> list[DesiredKey]:
    """A primary with the first of two materials, and its replicas."""
    made = await _key(it, server, 0, SYMMETRIC, changes, MultiRegion=True)
    file = it.directory / "0-2.key"
    file.touch(mode=0o600)
    file.write_bytes(os.urandom(32))
    algorithm = WrappingAlgorithm.OAEP_SHA_256
    terms = {"WrappingAlgorithm": algorithm.value, "WrappingKeySpec": "RSA_2048"}
    given = await it.ask(server, "get_parameters_for_import", KeyId=made.ref, **terms)
    with Secret(bytearray((it.directory / made.locator).read_bytes())) as secret:
        wrapped = wrap(secret, public_key=given["PublicKey"], algorithm=algorithm)
    await it.ask(
        server,
        "import_key_material",
        KeyId=made.ref,
        ImportToken=given["ImportToken"],
        EncryptedKeyMaterial=wrapped,
        ValidTo=it.world.clock.now() + 60 * DAY,
    )
    family = [replace(made, further=(file.name,))]
    for region in regions:
        answer = await it.ask(server, "replicate_key", KeyId=made.ref, ReplicaRegion=region)
        arn = KeyArn(answer["ReplicaKeyMetadata"]["Arn"])
        it.keys.append(arn)
        family.append(replace(family[0], ref=KeyRef(arn), arn=arn, name=arn, lane=lane_in(region)))
    return family


async def _key(
    it: Site, server: localkms.Server, number: int, spec: str, changes: dict[str, Any], **members: Any
) -> DesiredKey:
    answer = await it.ask(server, "create_key", Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage(spec), **members)
    arn = KeyArn(answer["KeyMetadata"]["Arn"])
    it.keys.append(arn)
    file = it.directory / f"{number}.key"
    file.touch(mode=0o600)
    file.write_bytes(os.urandom(32) if spec == SYMMETRIC else material(spec))
    base = desired(arn=arn, ref=KeyRef(arn), name=arn, lane=LANE_ID, locator=file.name)
    return replace(base, policy=policy(wrapping_key_spec=WrappingKeySpec.RSA_2048, **changes))
