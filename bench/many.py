"""What an import costs in a process that has a thousand lanes, against one that has a single lane.

Both go through the whole of byokd: engine, store, aiobotocore, real wrapping, against local KMSs in processes of their
own, in turns. Each lane is an account of its own with its own client, epoch, pace and loops, and has everything due at
once. CPU is this process's; whatever a lane costs is in it, the opening of its client included.

A hundred keys for each lane make this the longest part of all, half an hour. With fewer, a lane's own costs weigh more.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from bench.figure import Figure
from bench.imports import identity_of
from bench.setup import setup_of
from byokd.clock import SortableIds, SystemClock
from byokd.daemon.run import collect_seldom
from byokd.engine.engine import Engine
from byokd.facts.key import KeyArn, KeyRef, LaneId, WrappingKeySpec
from byokd.facts.ledger import ImportState
from byokd.facts.policy import DesiredKey, Lane, Quota
from byokd.kms.adapter import open_kms
from byokd.kms.identity import shared_session
from byokd.localkms.keyring import Keyring
from byokd.localkms.keys import Key, Origin
from byokd.localkms.names import new_key_id
from byokd.localkms.persistence import open_journal
from byokd.localkms.signatures import Caller
from byokd.material.decode import Encoding
from byokd.material.fingerprint import FingerprintKey
from byokd.ports import Kms
from byokd.sources.file import FileSource
from byokd.store import open_store
from tests.kit.builders import OPERATIONS, desired, lane, policy
from tests.kit.process import byokd

LANES, PER_LANE = 1000, 100
ALONE = 1000
"""Keys of the single lane."""
REGION = "eu-central-1"
MATERIAL = "one.key"
ASKED_EVERY_S = 1e-4
"""For each key: how often it is asked whether all are done, which reads every key, and is in the figure."""
QUOTAS = {operation: Quota(per_second=1e6, burst=1e6) for operation in OPERATIONS}


@dataclass(frozen=True, slots=True)
class _Cost:
    """Of one run."""

    cpu_ms: float
    """For each import."""
    resident_mib: float
    failed: int
    """Attempts that came to nothing."""


async def measure(lanes: int = LANES, per_lane: int = PER_LANE, alone: int = ALONE) -> list[Figure]:
    """CPU per import in many lanes against one, measured before and after. Collects garbage as the daemon does."""
    collect_seldom()
    with tempfile.TemporaryDirectory() as directory:
        before = await _run(Path(directory) / "before", 1, alone)
        many = await _run(Path(directory) / "many", lanes, per_lane)
        after = await _run(Path(directory) / "after", 1, alone)
    one = (before.cpu_ms + after.cpu_ms) / 2
    each_kib = 1024 * (many.resident_mib - before.resident_mib) / lanes
    return [
        Figure(
            name=f"CPU of an import in {lanes} lanes of {per_lane} keys / in one lane of {alone}",
            value=many.cpu_ms / one,
            goal=1.2,
            unit="x",
            how=f"{many.cpu_ms:.1f} ms; one lane {before.cpu_ms:.1f} ms before and {after.cpu_ms:.1f} ms after it",
        ),
        Figure(name="memory of a lane at work", value=each_kib, goal=None, unit="KiB", how=f"of {lanes}"),
        Figure(name="attempts of them that failed", value=many.failed, goal=0, unit="", how="all keys due at once"),
    ]


async def _run(directory: Path, lanes: int, per_lane: int) -> _Cost:
    """Import the first material of every key."""
    directory.mkdir()
    source = FileSource(
        "files", directory=directory, encoding=Encoding.RAW, fingerprint_key=FingerprintKey(os.urandom(32))
    )
    (directory / MATERIAL).touch(mode=0o600)
    (directory / MATERIAL).write_bytes(os.urandom(32))
    keys = await _fill(directory / "kms.db", lanes, per_lane)
    serve = ("localkms", "serve", "--friendly", "--listen", "127.0.0.1:0", "--state", str(directory / "kms.db"))
    async with byokd(*serve) as server:
        url = (await server.line("listening on ", within_s=60)).rpartition(" ")[2]
        cost = await _imported(directory / "byokd.db", [_site(n, url) for n in range(1, lanes + 1)], source, keys)
        await server.end()
    return cost


async def _imported(database: Path, sites: list[Lane], source: FileSource, keys: list[DesiredKey]) -> _Cost:
    clock, session = SystemClock(), shared_session()

    @asynccontextmanager
    async def opened(site: Lane) -> AsyncIterator[Kms]:
        async with open_kms(site, clock=clock, session=session, identity=identity_of(site)) as kms:
            yield kms

    async with open_store(database) as store:
        await store.sync_fleet(keys, now=clock.now())
        engine = Engine(store=store, clock=clock, new_id=SortableIds(), open_kms=opened, node="bench")
        begin = time.process_time()
        await engine.apply(replace(setup_of(sites[0], source), lanes=tuple(sites)))
        while (await store.counts()).by_state.get("Enabled", 0) < len(keys):
            await asyncio.sleep(len(keys) * ASKED_EVERY_S)
        cpu_s, resident = time.process_time() - begin, _resident_mib()
        rows = await store.imports(only_open=False, limit=10 * len(keys))
        await engine.stop()
    failed = sum(row.attempts - (row.state is ImportState.DONE) for row in rows)
    return _Cost(1000 * cpu_s / len(keys), resident, failed)


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _site(number: int, url: str) -> Lane:
    account = f"{number:012}"
    return lane(
        id=LaneId(f"{account}/{REGION}"),
        name=f"lane{number}",
        account=account,
        endpoint=url,
        quotas=QUOTAS,
        reserve=0.0,
        connect_timeout=timedelta(seconds=5),  # as the config has both by default
        call_timeout=timedelta(seconds=20),
    )


async def _fill(state: Path, lanes: int, per_lane: int) -> list[DesiredKey]:
    """A state of the local KMS with so many keys without material in so many accounts, and the keys as wanted."""
    base = desired(source="files", locator=MATERIAL, policy=policy(wrapping_key_spec=WrappingKeySpec.RSA_2048))
    journal = open_journal(state)
    keyring = Keyring(journal)
    keys = []
    for number in range(1, lanes + 1):
        owner = Caller(f"{number:012}", REGION)
        for _ in range(per_lane):
            key_id = new_key_id(multi_region=False)
            keyring.put(Key(id=key_id, owner=owner, origin=Origin.EXTERNAL, created_at=time.time()))
            arn = KeyArn(f"arn:aws:kms:{REGION}:{owner.account}:key/{key_id}")
            site = LaneId(f"{owner.account}/{REGION}")
            keys.append(replace(base, ref=KeyRef(arn), name=arn, arn=arn, lane=site))
    await journal.flush()
    await journal.close()
    return keys
