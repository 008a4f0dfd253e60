"""A million keys of which none is due: memory against a thousand, the time to READY, and to what is due.

Memory is read after the first forecast, a minute from the start: it walks over every key.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.figure import Figure
from bench.fleet import CONFIG, known, run_daemon
from byokd.config.load import load
from byokd.facts.key import LaneId
from byokd.material.fingerprint import FingerprintKey
from byokd.store import open_store

SIZES = (1000, 100_000, 1_000_000)
AFTER_FORECAST_S = 90.0
STARTS, ASKED, LIMIT = 3, 300, 16
LANE = LaneId("111122223333/eu-central-1")
COPIED = (
    "seen, proof, fingerprint, material, last_expiry, last_success_at, lost_at, state, expiry, tier, reason, message,"
    " due_at"
)


async def measure() -> list[Figure]:
    """Memory, cold start, and the timer queue."""
    with tempfile.TemporaryDirectory() as directory:
        folders = {count: Path(directory) / str(count) for count in SIZES}
        for count, folder in folders.items():
            await prepare(folder, count)
        return await measure_in(folders)


async def measure_in(folders: dict[int, Path]) -> list[Figure]:
    """The figures of fleets that are prepared, by size, the smallest first."""
    starts: dict[int, list[float]] = {count: [] for count in folders}
    for _ in range(STARTS):
        for count, folder in folders.items():
            starts[count].append((await run_daemon(folder, idle_s=0))[0])
    kib = {count: (await run_daemon(folder, idle_s=AFTER_FORECAST_S))[1] for count, folder in folders.items()}
    small, large = min(folders), max(folders)
    figures = [
        Figure(
            name=f"memory of {count} keys / {small} keys",
            value=kib[count] / kib[small],
            goal=1.25,
            unit="x",
            how=f"resident {kib[count] / 1024:.0f} MiB and {kib[small] / 1024:.0f} MiB",
        )
        for count in folders
        if count != small
    ]
    told = ", ".join(f"{seconds:.2f}" for seconds in sorted(starts[large]))
    few = statistics.median(starts[small])
    figures.append(
        Figure(
            name=f"cold start of {large} known keys to READY",
            value=statistics.median(starts[large]),
            goal=10.0,
            unit="s",
            how=f"{told}; {small} keys: {few:.2f} s",
        )
    )
    return figures + await _due(folders[large], large)


async def prepare(directory: Path, count: int) -> None:
    """A config of so many keys, taken over, and a record that is the same of each: looked at just now, and fresh."""
    (directory / "state").mkdir(parents=True, mode=0o700)
    (directory / "byokd.toml").write_text(CONFIG)
    FingerprintKey.load_or_create(directory / "state" / "fingerprint.key")
    with (directory / "keys.csv").open("w") as keys:
        keys.write("key,material\n")
        for n in range(count):
            keys.write(f"arn:aws:kms:eu-central-1:111122223333:key/{n:08x}-0000-4000-8000-000000000000,{n}.key\n")
    config, now = load(directory / "byokd.toml"), datetime.now(UTC).replace(microsecond=0)
    first = next(config.keys())
    async with open_store(directory / "state" / "byokd.db") as store:
        await store.sync_fleet(config.keys(), now=now, digest=config.digest())
        epoch = await store.acquire_lane(first.lane, node="bench", now=now)
        await store.save(known(first, epoch, now))
    # A change for each would take a quarter of an hour. What makes a difference to the indexes is when each is due.
    with closing(sqlite3.connect(directory / "state" / "byokd.db")) as database, database:
        database.execute(
            f"UPDATE keys SET ({COPIED}) = (SELECT {COPIED} FROM keys WHERE ref = :first), pinned_arn = arn",
            {"first": first.ref},
        )
        database.execute("UPDATE keys SET due_at = due_at + rowid % 20000")
        database.execute(
            "INSERT INTO materials SELECT keys.ref, material_id, materials.state, imported, materials.expiry"
            " FROM keys, materials WHERE materials.ref = :first AND keys.ref <> :first",
            {"first": first.ref},
        )


async def _due(directory: Path, count: int) -> list[Figure]:
    """What the lane asks its timer queue, now that nothing is due, and when everything is."""
    now = datetime.now(UTC).replace(microsecond=0)
    async with open_store(directory / "state" / "byokd.db") as store:

        def ask(at: datetime) -> Callable[[], Awaitable[object]]:
            async def both() -> None:
                await store.due(LANE, now=at, limit=LIMIT)
                await store.next_due_at(LANE, after=at)

            return both

        waits = {
            "none of them due": await _timed(ask(now)),
            "all of them due": await _timed(ask(now + timedelta(days=2))),
        }
    return [
        Figure(
            name=f"finding what is due among {count} keys, {how}",
            value=statistics.median(times),
            goal=5.0,
            unit="ms",
            how=f"due and next due time, median of {ASKED};"
            f" p99 {statistics.quantiles(times, n=100)[-1]:.1f} ms, the slowest {max(times):.1f} ms",
        )
        for how, times in waits.items()
    ]


async def _timed(question: Callable[[], Awaitable[object]]) -> list[float]:
    """How long each time took, in milliseconds."""
    times = []
    for _ in range(ASKED):
        begin = time.perf_counter()
        await question()
        times.append(1000 * (time.perf_counter() - begin))
    return times
