"""What an import costs through the engine, against a bare aiobotocore loop that makes the same calls.

All run in this process against one local KMS in a process of its own, in turns, with 50 in flight. The loop looks,
fetches parameters, wraps, imports and looks again, and keeps nothing. The engine does the same through its durable
queue, with intents, history and conditions on disk. CPU is this process's.

The loop is measured twice: with a client as aiobotocore makes it, which is what somebody would write, and with one that
has byokd's own settings, of which the fixed user agent saves a quarter of each call. The first is the goal's measure;
the second tells what the bookkeeping costs by itself.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig

from bench.figure import Figure
from bench.setup import setup_of
from byokd.clock import SortableIds, SystemClock
from byokd.engine.engine import Engine
from byokd.facts.key import KeyArn, KeyRef, WrappingAlgorithm
from byokd.facts.policy import Lane, Quota
from byokd.kms.adapter import open_kms
from byokd.kms.client import lane_config
from byokd.kms.identity import Identity, lane_session, shared_session
from byokd.material.decode import Encoding
from byokd.material.fingerprint import FingerprintKey
from byokd.material.secret import Secret
from byokd.material.wrap import wrap
from byokd.ports import Kms
from byokd.sources.file import FileSource
from byokd.store import open_store
from tests.kit.builders import OPERATIONS, desired, lane, policy
from tests.kit.process import byokd

KEYS = 200
ROUNDS = 9
IN_FLIGHT = 50
ALGORITHM = WrappingAlgorithm.OAEP_SHA_256


async def measure() -> list[Figure]:
    """CPU per import as a ratio, and durable commits per import."""
    async with byokd("localkms", "serve", "--friendly", "--listen", "127.0.0.1:0", "--state", ":memory:") as server:
        url = (await server.line("listening on ")).rpartition(" ")[2]
        site = lane(
            endpoint=url,
            max_in_flight=IN_FLIGHT,
            reserve=0.0,
            quotas={operation: Quota(per_second=1e6, burst=1e6) for operation in OPERATIONS},
        )
        stock, tuned, commits = [], [], []
        with tempfile.TemporaryDirectory() as directory:
            for number in range(ROUNDS):
                arns = await _keys(site, 3 * KEYS)
                plain = await _bare(site, arns[:KEYS], AioConfig(max_pool_connections=IN_FLIGHT))
                cost, count = await _engine(site, arns[KEYS : 2 * KEYS], Path(directory) / str(number))
                lean = await _bare(site, arns[2 * KEYS :], lane_config(site))
                stock.append(cost / plain)
                tuned.append(cost / lean)
                commits.append(count)
    return [
        Figure(
            name="CPU of an import through the engine / bare aiobotocore loop",
            value=statistics.median(stock),
            goal=1.4,
            unit="x",
            how=_spread(stock),
        ),
        Figure(
            name="the same / the loop with byokd's settings of the client",
            value=statistics.median(tuned),
            goal=None,
            unit="x",
            how=_spread(tuned),
        ),
        Figure(
            name=f"durable commits per import, {IN_FLIGHT} in flight",
            value=max(commits),
            goal=1.5,
            unit="",
            how=f"worst of {ROUNDS} rounds",
        ),
    ]


def _spread(ratios: list[float]) -> str:
    listed = ", ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
    return f"median of {ROUNDS} interleaved rounds of {KEYS} keys: {listed}"


@asynccontextmanager
async def client_of(site: Lane, config: AioConfig) -> AsyncIterator[Any]:
    """A client of aiobotocore for a lane's endpoint."""
    session = lane_session(
        site, clock=SystemClock(), shared=shared_session(), config=config, identity=identity_of(site)
    )
    async with session.create_client(
        "kms", region_name=site.region, endpoint_url=str(site.endpoint), config=config
    ) as client:
        yield client


def identity_of(site: Lane) -> Identity:
    """The credentials that the local KMS takes for the lane's account."""
    return Identity(access_key_id=site.account, secret_access_key="bench")


async def _keys(site: Lane, count: int) -> list[KeyArn]:
    async with client_of(site, lane_config(site)) as client:
        made = [await client.create_key(Origin="EXTERNAL") for _ in range(count)]
        await client.get_parameters_for_import(
            KeyId=made[0]["KeyMetadata"]["KeyId"], WrappingAlgorithm=ALGORITHM.value, WrappingKeySpec="RSA_4096"
        )
    return [KeyArn(each["KeyMetadata"]["Arn"]) for each in made]


async def _bare(site: Lane, arns: list[KeyArn], config: AioConfig) -> float:
    """CPU seconds of importing these keys by hand."""
    slots = asyncio.Semaphore(IN_FLIGHT)
    valid_to = datetime.now(UTC) + timedelta(days=90)
    async with client_of(site, config) as client:

        async def look(arn: str) -> None:
            await client.describe_key(KeyId=arn)
            await client.list_key_rotations(KeyId=arn, IncludeKeyMaterial="ALL_KEY_MATERIAL")

        async def one(arn: str) -> None:
            async with slots:
                await look(arn)
                parameters = await client.get_parameters_for_import(
                    KeyId=arn, WrappingAlgorithm=ALGORITHM.value, WrappingKeySpec="RSA_4096"
                )
                with Secret(bytearray(os.urandom(32))) as secret:
                    blob = wrap(secret, public_key=parameters["PublicKey"], algorithm=ALGORITHM)
                await client.import_key_material(
                    KeyId=arn, ImportToken=parameters["ImportToken"], EncryptedKeyMaterial=blob, ValidTo=valid_to
                )
                await look(arn)

        await look(arns[0])
        begin = time.process_time()
        await asyncio.gather(*(one(arn) for arn in arns))
        return time.process_time() - begin


async def _engine(site: Lane, arns: list[KeyArn], directory: Path) -> tuple[float, float]:
    """CPU seconds of the engine importing these keys, and durable commits per import."""
    directory.mkdir()
    clock = SystemClock()
    source = FileSource(
        "files", directory=directory, encoding=Encoding.RAW, fingerprint_key=FingerprintKey(os.urandom(32))
    )
    base = desired(source="files", policy=policy(look_every=timedelta(hours=6)))
    keys = []
    for arn in arns:
        locator = arn.rpartition("/")[2]
        path = directory / locator
        path.touch(mode=0o600)
        path.write_bytes(os.urandom(32))
        keys.append(replace(base, ref=KeyRef(arn), name=arn, arn=arn, locator=locator))
    session = shared_session()

    async with (
        open_store(directory / "byokd.db") as store,
        open_kms(site, clock=clock, session=session, identity=identity_of(site)) as kms,
    ):
        # The bare loop's client is open before its clock starts, and so is this one.
        await kms.describe(arns[0])

        @asynccontextmanager
        async def opened(_: Lane) -> AsyncIterator[Kms]:
            yield kms

        await store.sync_fleet(keys, now=clock.now())
        engine = Engine(store=store, clock=clock, new_id=SortableIds(), open_kms=opened, node="bench")
        commits, begin = store.commits, time.process_time()
        await engine.apply(setup_of(site, source))
        await asyncio.sleep(0.5)
        while not engine.idle:
            await asyncio.sleep(0.01)
        cost = time.process_time() - begin
        spent = store.commits - commits
        enabled = (await store.counts()).by_state.get("Enabled", 0)
        assert enabled == len(arns), f"only {enabled} of {len(arns)} keys came to life"
        await engine.stop()
    return cost, spent / len(arns)
