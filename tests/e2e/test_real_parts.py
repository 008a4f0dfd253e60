"""The engine on real parts and moved time: SQLite on disk, aiobotocore over HTTP, local KMS, files, real wrapping."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from byokd import localkms
from byokd.facts.key import KeyArn, KeyRef, WrappingAlgorithm, WrappingKeySpec
from byokd.facts.ledger import OrderKind
from byokd.facts.policy import Lane
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
from tests.kit.world import World, running

pytestmark = pytest.mark.timeout(120)


@dataclass
class Site:
    """Everything real that a world stands on."""

    world: World
    client: Any
    directory: Path
    url: str


@asynccontextmanager
async def site(tmp_path: Path, keys: int = 1, **changes: Any) -> AsyncIterator[Site]:
    """A world on real parts, with so many keys in the KMS, their material on disk and their names in the config."""
    clock, session = ManualClock(), shared_session()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            localkms.serve(localkms.Options(account="111122223333", clock=KmsClock(clock), hostility=localkms.FRIENDLY))
        )
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
        await _furnish(world, client, tmp_path, keys, changes)
        yield Site(world=world, client=client, directory=tmp_path, url=server.url)
        client.close()


async def _furnish(world: World, client: Any, directory: Path, count: int, changes: dict[str, Any]) -> None:
    fleet = []
    for number in range(count):
        answer = await asyncio.to_thread(client.create_key, Origin="EXTERNAL")
        arn = KeyArn(answer["KeyMetadata"]["Arn"])
        file = directory / f"{number}.key"
        file.touch(mode=0o600)
        file.write_bytes(os.urandom(32))
        base = desired(arn=arn, ref=KeyRef(arn), name=arn, lane=LANE_ID, locator=file.name)
        fleet.append(replace(base, policy=policy(wrapping_key_spec=WrappingKeySpec.RSA_2048, **changes)))
    await world.store.sync_fleet(fleet, now=world.clock.now())


async def _ask(it: Site, operation: str, **members: Any) -> Any:
    return await asyncio.to_thread(getattr(it.client, operation), **members)


@pytest.mark.parametrize("algorithm", list(WrappingAlgorithm))
async def test_material_outlives_its_validity_under_every_wrapping(
    tmp_path: Path, algorithm: WrappingAlgorithm
) -> None:
    """What boto3 encrypted under the first import still decrypts after three renewals, months later."""
    async with site(tmp_path, wrapping_algorithm=algorithm) as it, running(it.world):
        (ref,) = await it.world.store.due(LANE_ID, now=it.world.clock.now() + 400 * DAY, limit=10)
        blob = (await _ask(it, "encrypt", KeyId=ref, Plaintext=b"the books"))["CiphertextBlob"]
        await it.world.pass_time(200 * DAY, step=DAY)

        assert (await _ask(it, "decrypt", CiphertextBlob=blob))["Plaintext"] == b"the books"
        done = [row for row in await it.world.imports() if row.state.value == "done"]
        assert len(done) >= 4


async def test_a_lapse_is_healed_and_old_ciphertext_decrypts_again(tmp_path: Path) -> None:
    """Down past a ValidTo: KMS deletes the material; the next start heals the key, and nothing is lost."""
    async with site(tmp_path) as it:
        async with running(it.world):
            ref = (await it.world.imports())[0].ref
            blob = (await _ask(it, "encrypt", KeyId=ref, Plaintext=b"the books"))["CiphertextBlob"]
        it.world.clock.advance(100 * 86400)
        state = (await _ask(it, "describe_key", KeyId=ref))["KeyMetadata"]["KeyState"]
        assert state == "PendingImport"

        async with running(it.world):
            assert (await _ask(it, "decrypt", CiphertextBlob=blob))["Plaintext"] == b"the books"
            assert "material_lapsed" in await it.world.history()
            assert "raised lapsed" in it.world.inbox.said
            assert "resolved lapsed" in it.world.inbox.said


async def test_a_fleet_on_the_default_quota_takes_its_time(tmp_path: Path) -> None:
    """Twelve virgin keys come to life together, each once, and the next look finds nothing to do."""
    async with site(tmp_path, keys=12) as it, running(it.world):
        rows = await it.world.imports()
        assert [row.state.value for row in rows] == ["done"] * 12
        await it.world.pass_time(timedelta(hours=7), step=timedelta(hours=1))
        assert len(await it.world.imports()) == 12


async def test_a_suspended_key_decrypts_nothing_until_it_is_resumed(tmp_path: Path) -> None:
    """The kill switch end to end: what the key encrypted is cut off for months, and comes back."""
    async with site(tmp_path) as it, running(it.world):
        ref = (await it.world.imports())[0].ref
        blob = (await _ask(it, "encrypt", KeyId=ref, Plaintext=b"the books"))["CiphertextBlob"]
        await it.world.order(OrderKind.SUSPEND, ref=ref)
        with pytest.raises(it.client.exceptions.KMSInvalidStateException, match="pending import"):
            await _ask(it, "decrypt", CiphertextBlob=blob)
        await it.world.pass_time(100 * DAY, step=DAY)
        assert (await _ask(it, "describe_key", KeyId=ref))["KeyMetadata"]["KeyState"] == "PendingImport"

        await it.world.order(OrderKind.RESUME, ref=ref)
        assert (await _ask(it, "decrypt", CiphertextBlob=blob))["Plaintext"] == b"the books"
        assert (await it.world.know(ref)).conditions == ()


async def test_an_order_gives_material_an_earlier_end(tmp_path: Path) -> None:
    """ImportKeyMaterial with a shorter ValidTo needs no deletion before (API model)."""
    async with site(tmp_path) as it, running(it.world):
        ref = (await it.world.imports())[0].ref
        soon = it.world.clock.now() + 40 * DAY
        await it.world.order(OrderKind.IMPORT, ref=ref, valid_to=soon)
        assert (await _ask(it, "describe_key", KeyId=ref))["KeyMetadata"]["ValidTo"] == soon
