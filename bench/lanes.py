"""A lane at its quota, beside what people write without byokd.

The quota of GetParametersForImport is enforced by the local KMS, in a process of its own, at a hundred times AWS's
documented 0.25 a second. Every key has material that ends, one after the other, a little later than a worker at exactly
that pace gets to it: who wastes the quota loses keys. The naive loops have fewer keys, for the same pace, because most
of them fail at once.

They are told nothing of deadlines, and neither is byokd: nobody has looked at a key yet, and which one ends first is
known when all have been looked at. The quota goes a hundred times as fast as AWS's and looks go as fast as ever, so the
first end is set by the looks, and not by the pace.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from aiobotocore.config import AioConfig
from aiohttp import ClientSession
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bench.figure import Figure
from bench.imports import client_of, identity_of
from bench.setup import setup_of
from byokd.clock import SortableIds, SystemClock
from byokd.config.lanes import LaneSettings
from byokd.decide.admit import IMPORT_PARAMETERS
from byokd.engine.engine import Engine
from byokd.facts.change import KeyFilter
from byokd.facts.key import KeyArn, KeyRef, WrappingAlgorithm, WrappingKeySpec
from byokd.facts.policy import DesiredKey, Lane, Quota
from byokd.kms.adapter import open_kms
from byokd.kms.identity import shared_session
from byokd.material.decode import Encoding
from byokd.material.fingerprint import FingerprintKey
from byokd.material.secret import Secret
from byokd.material.wrap import wrap
from byokd.ports import Kms, Store
from byokd.sources.file import FileSource
from byokd.store import open_store
from tests.kit.builders import OPERATIONS, desired, lane, policy
from tests.kit.process import byokd

KEYS, NAIVE_KEYS = 2000, 400
FACTOR = 100
PER_S = 0.25 * FACTOR
SLACK_S, MARGIN = 2 * KEYS / 100, 1.03
"""A key's material ends so long after a perfect worker has renewed it: seconds, twice the time in which byokd's default
pace of DescribeKey, 100 a second, looks at every key once; and a share of the time until then."""
IN_FLIGHT = 50
ALGORITHM = WrappingAlgorithm.OAEP_SHA_256
AFRESH = timedelta(days=90)


async def measure() -> list[Figure]:
    """The lane at its quota and the naive loops."""
    figures = []
    with tempfile.TemporaryDirectory() as directory:
        ours = await _run(Path(directory), KEYS, _by_byokd)
        ideal = KEYS / PER_S
        figures += [
            Figure(
                name=f"a lane of {KEYS} keys due at once: time / keys ÷ quota",
                value=ours.seconds / ideal,
                goal=1.03,
                unit="x",
                how=f"{ours.seconds:.1f} s, quota {PER_S:g}/s",
            ),
            Figure(name="throttled calls of it", value=ours.throttled, goal=0, unit="", how="as the KMS counted"),
            Figure(
                name="keys of it that lapsed",
                value=ours.lost,
                goal=0,
                unit="",
                how=f"of {KEYS}; all looked at after {ours.looked_s:.0f} s, the first one ends after {SLACK_S:.0f} s",
            ),
        ]
        for name, worker in NAIVE.items():
            theirs = await _run(Path(directory), NAIVE_KEYS, worker)
            ratio = theirs.seconds / (NAIVE_KEYS / PER_S)
            how = (
                f"{theirs.seconds:.1f} s, {theirs.throttled} throttled calls, {theirs.lost} of {NAIVE_KEYS} keys lapsed"
            )
            figures.append(Figure(name=f"{name}: time / keys ÷ quota", value=ratio, goal=None, unit="x", how=how))
    return figures


@dataclass(frozen=True, slots=True)
class _Outcome:
    seconds: float
    throttled: int
    lost: int
    looked_s: float
    """When every key had been looked at; 0 for workers that do not look."""


@dataclass(frozen=True, slots=True)
class _Task:
    """Keys that wait for their renewal."""

    site: Lane
    directory: Path
    keys: tuple[DesiredKey, ...]


Worker = Callable[[_Task], Awaitable[float]]
"""Renews the keys; returns how long it took until each had been looked at."""


async def _run(directory: Path, count: int, worker: Worker) -> _Outcome:
    """Let a worker renew so many keys against the quota, and count what came of it."""
    state = directory / f"{worker.__name__}.db"
    begin_at = time.time() + 8 + 0.03 * count
    async with _kms(state) as (url, _):
        task = await _prepared(_site(url), directory / worker.__name__, count, begin_at)
    async with quota_kms(state, FACTOR) as (url, admin):
        task = replace(task, site=_site(url))
        assert time.time() < begin_at, "the keys were not ready in time"
        await asyncio.sleep(begin_at - time.time())
        begin = time.monotonic()
        looked_s = await worker(task)
        seconds = time.monotonic() - begin
        await asyncio.sleep(max(0.0, _ends_at(begin_at, count) + 2 - time.time()))
        return _Outcome(
            seconds,
            await counted(admin, r'localkms_requests_total\{.*error="ThrottlingException".*\} (\S+)'),
            await counted(admin, r"localkms_expiries_total\{.*\} (\S+)"),
            looked_s,
        )


def _ends_at(begin_at: float, number: int) -> float:
    """When the material of the key ends that a perfect worker renews as this one, epoch seconds."""
    return begin_at + SLACK_S + MARGIN * number / PER_S


@asynccontextmanager
async def _kms(state: Path, *options: str) -> AsyncIterator[tuple[str, str]]:
    """A local KMS in a process of its own: its URL and that of its admin."""
    served = ("--friendly", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", str(state))
    async with byokd("localkms", "serve", *served, *options) as server:
        url, admin = re.findall(r"http://[^\s,]+", await server.line("listening on ", within_s=60))
        yield url, admin
        await server.end()


@asynccontextmanager
async def quota_kms(state: Path, factor: float) -> AsyncIterator[tuple[str, str]]:
    """A local KMS that enforces so many times AWS's quotas, and is friendly otherwise."""
    async with _kms(state, "--hostile", f"quota_factor={factor}") as addresses:
        yield addresses


async def counted(admin: str, sample: str) -> int:
    """The sum of a metric's samples."""
    async with ClientSession() as session, session.get(f"{admin}/metrics") as page:
        return round(sum(float(value) for value in re.findall(sample, await page.text())))


def _site(url: str) -> Lane:
    quotas = {operation: Quota(per_second=1e4, burst=1e4) for operation in OPERATIONS}
    # As a lane has it by default, a hundred times as fast.
    usual = LaneSettings(account="111122223333", region="eu-central-1").lane("usual")
    asked = usual.quotas[IMPORT_PARAMETERS]
    quotas[IMPORT_PARAMETERS] = replace(asked, per_second=asked.per_second * FACTOR, ceiling=asked.ceiling * FACTOR)
    return lane(endpoint=url, max_in_flight=IN_FLIGHT, reserve=usual.reserve, quotas=quotas)


async def _prepared(site: Lane, directory: Path, count: int, begin_at: float) -> _Task:
    """Keys with material in files and in the KMS, where it ends as the ladder says, in no order."""
    directory.mkdir()
    base = desired(source="files", policy=policy(wrapping_key_spec=WrappingKeySpec.RSA_2048))
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with client_of(site, AioConfig(max_pool_connections=IN_FLIGHT)) as client:

        async def one(number: int) -> DesiredKey:
            async with slots:
                arn = KeyArn((await client.create_key(Origin="EXTERNAL"))["KeyMetadata"]["Arn"])
                path = directory / arn.rpartition("/")[2]
                path.touch(mode=0o600)
                path.write_bytes(os.urandom(32))
                key = replace(base, ref=KeyRef(arn), name=arn, arn=arn, locator=path.name)
                parameters = await client.get_parameters_for_import(**_wanted(arn))
                ends_at = datetime.fromtimestamp(_ends_at(begin_at, number), UTC)
                await client.import_key_material(**_import(path, parameters, arn, ends_at))
                return key

        return _Task(site, directory, tuple(await asyncio.gather(*(one(number) for number in range(count)))))


def _wanted(arn: str) -> dict[str, str]:
    return {"KeyId": arn, "WrappingAlgorithm": ALGORITHM.value, "WrappingKeySpec": WrappingKeySpec.RSA_2048.value}


def _import(path: Path, parameters: dict[str, Any], arn: str, ends_at: datetime) -> dict[str, Any]:
    with Secret(bytearray(path.read_bytes())) as secret:
        blob = wrap(secret, public_key=parameters["PublicKey"], algorithm=ALGORITHM)
    return {"KeyId": arn, "ImportToken": parameters["ImportToken"], "EncryptedKeyMaterial": blob, "ValidTo": ends_at}


# -- workers ----------------------------------------------------------------------------------------------------------


async def _by_byokd(task: _Task) -> float:
    """The engine on real parts, until each key was renewed."""
    clock, session, site = SystemClock(), shared_session(), task.site
    source = FileSource(
        "files", directory=task.directory, encoding=Encoding.RAW, fingerprint_key=FingerprintKey(os.urandom(32))
    )

    @asynccontextmanager
    async def opened(_: Lane) -> AsyncIterator[Kms]:
        async with open_kms(site, clock=clock, session=session, identity=identity_of(site)) as kms:
            yield kms

    async with open_store(task.directory / "byokd.db") as store:
        await store.sync_fleet(task.keys, now=clock.now())
        engine = Engine(store=store, clock=clock, new_id=SortableIds(), open_kms=opened, node="bench")
        await engine.apply(setup_of(site, source))
        began = clock.monotonic()
        while "NeverLooked" in (await store.counts()).by_state:
            await asyncio.sleep(0.05)
        looked_s = clock.monotonic() - began
        while await _next_end(store) < clock.now() + AFRESH / 2:
            await asyncio.sleep(0.05)
        await engine.stop()
        return looked_s


async def _next_end(store: Store) -> datetime:
    """The earliest end of any material on record; now, while there is none."""
    (line,) = await store.list_keys(KeyFilter(), limit=1)
    return line.expiry if isinstance(line.expiry, datetime) else datetime.now(UTC)


def _gathered(mode: str) -> Worker:
    """`asyncio.gather` over all keys, with one of botocore's ways to retry."""

    async def work(task: _Task) -> float:
        config = AioConfig(max_pool_connections=IN_FLIGHT, retries={"mode": mode})
        async with client_of(task.site, config) as client:

            async def one(key: DesiredKey) -> None:
                arn, path = str(key.arn), task.directory / key.locator
                parameters = await client.get_parameters_for_import(**_wanted(arn))
                await client.import_key_material(**_import(path, parameters, arn, datetime.now(UTC) + AFRESH))

            results = await asyncio.gather(*(one(key) for key in task.keys), return_exceptions=True)
        _only_aws(results)
        return 0.0

    work.__name__ = f"gather-{mode}"
    return work


async def _threads(task: _Task) -> float:
    """boto3 in sixteen threads, as it comes."""
    client = boto3.client(
        "kms",
        endpoint_url=str(task.site.endpoint),
        region_name=task.site.region,
        aws_access_key_id=task.site.account,
        aws_secret_access_key="bench",
        config=Config(max_pool_connections=16),
    )

    def one(key: DesiredKey) -> Exception | None:
        arn, path = str(key.arn), task.directory / key.locator
        try:
            parameters = client.get_parameters_for_import(**_wanted(arn))
            client.import_key_material(**_import(path, parameters, arn, datetime.now(UTC) + AFRESH))
        except (ClientError, BotoCoreError) as error:
            refused: Exception = error
            return refused
        return None

    def all_of_them() -> list[Exception | None]:
        with ThreadPoolExecutor(16) as threads:
            return list(threads.map(one, task.keys))

    _only_aws(await asyncio.to_thread(all_of_them))
    return 0.0


def _only_aws(results: Sequence[object]) -> None:
    """Whatever AWS's libraries gave up is a key that was not renewed; anything else is a mistake of this file."""
    for each in results:
        if isinstance(each, BaseException) and not isinstance(each, ClientError | BotoCoreError):
            raise each


NAIVE: dict[str, Worker] = {
    "asyncio.gather, retries legacy": _gathered("legacy"),
    "asyncio.gather, retries standard": _gathered("standard"),
    "asyncio.gather, retries adaptive": _gathered("adaptive"),
    "boto3 in 16 threads": _threads,
}
