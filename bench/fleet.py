"""What it costs to know ten thousand keys of which none is due: CPU and memory at rest, and the time to READY."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.figure import Figure
from bench.process import cpu_s
from byokd.config.load import load
from byokd.facts.change import Change
from byokd.facts.key import KeyArn, KeyState, MaterialId, MaterialState, ObservedKey, ObservedMaterial
from byokd.facts.ledger import Fingerprint, Ledger, Proved, Tier
from byokd.facts.policy import DesiredKey
from byokd.facts.snapshot import Snapshot
from byokd.material.fingerprint import FingerprintKey
from byokd.store import open_store
from tests.kit.process import byokd

MANY, FEW = 10_000, 100
IDLE_S = 30.0
STARTS = 3

CONFIG = """
[daemon]
state_dir = "state"
socket = "byokd.sock"
log_format = "json"

[lanes.prod]
account = "111122223333"
region = "eu-central-1"
endpoint = "http://127.0.0.1:9"

[sources.files]
type = "file"
directory = "material"

[fleets.payments]
lane = "prod"
source = "files"
keys_csv = "keys.csv"
"""


async def measure() -> list[Figure]:
    """Idle CPU, memory against a small fleet, cold start."""
    with tempfile.TemporaryDirectory() as directory:
        many, few = Path(directory) / "many", Path(directory) / "few"
        await _prepare(many, MANY)
        await _prepare(few, FEW)
        starts = [(await run_daemon(many, idle_s=0))[0] for _ in range(STARTS)]
        _, few_kib, _ = await run_daemon(few, idle_s=IDLE_S / 3)
        _, many_kib, busy = await run_daemon(many, idle_s=IDLE_S)
    return [
        Figure(
            name=f"{MANY} keys, none due: CPU",
            value=100 * busy,
            goal=1.0,
            unit="% of a core",
            how=f"{IDLE_S:.0f} s at rest",
        ),
        Figure(
            name=f"memory of {MANY} keys / {FEW} keys",
            value=many_kib / few_kib,
            goal=1.2,
            unit="x",
            how=f"resident {many_kib / 1024:.0f} MiB and {few_kib / 1024:.0f} MiB",
        ),
        Figure(
            name=f"cold start of {MANY} known keys to READY",
            value=statistics.median(starts),
            goal=3.0,
            unit="s",
            how=f"median of {STARTS}",
        ),
    ]


async def _prepare(directory: Path, count: int) -> None:
    """A config of so many keys, and a record in which each was looked at just now and is fresh."""
    (directory / "state").mkdir(parents=True, mode=0o700)
    (directory / "byokd.toml").write_text(CONFIG)
    FingerprintKey.load_or_create(directory / "state" / "fingerprint.key")
    rows = [
        f"arn:aws:kms:eu-central-1:111122223333:key/{n:08x}-0000-4000-8000-000000000000,{n}.key" for n in range(count)
    ]
    (directory / "keys.csv").write_text("\n".join(["key,material", *rows]) + "\n")
    now = datetime.now(UTC).replace(microsecond=0)
    config = load(directory / "byokd.toml")
    keys = list(config.keys())
    async with open_store(directory / "state" / "byokd.db") as store:
        await store.sync_fleet(keys, now=now)
        epoch = await store.acquire_lane(keys[0].lane, node="bench", now=now)
        for start in range(0, len(keys), 500):
            await asyncio.gather(*(store.save(known(key, epoch, now)) for key in keys[start : start + 500]))


def _proof(now: datetime) -> Proved:
    return Proved(at=now, fingerprint=Fingerprint("ab" * 32), length=32)


def _seen(arn: str, now: datetime) -> ObservedKey:
    material = MaterialId(os.urandom(32).hex())
    expiry = now + timedelta(days=80)
    return ObservedKey(
        at=now,
        arn=KeyArn(arn),
        state=KeyState.ENABLED,
        origin="EXTERNAL",
        spec="SYMMETRIC_DEFAULT",
        expiry=expiry,
        current_material=material,
        materials=(ObservedMaterial(material_id=material, state=MaterialState.CURRENT, imported=True, expiry=expiry),),
    )


def known(key: DesiredKey, epoch: int, now: datetime) -> Change:
    """A first look at a key, which is fresh for weeks."""
    view = _seen(str(key.arn), now)
    ledger = Ledger(pinned_arn=view.arn, material=view.current_material, last_expiry=view.expiry)
    return Change(
        epoch=epoch,
        snapshot=Snapshot(desired=key, view=view, proof=_proof(now), ledger=ledger),
        tier=Tier.FRESH,
        reason="fresh",
        message="",
        due_at=now + timedelta(hours=6),
    )


async def run_daemon(directory: Path, *, idle_s: float) -> tuple[float, int, float]:
    """Start the daemon; returns seconds to READY, resident KiB, and the share of a core used while idle."""
    begin = time.monotonic()
    async with byokd("--config", str(directory / "byokd.toml"), "run") as daemon:
        await daemon.line('"ready"', within_s=60)
        seconds = time.monotonic() - begin
        await asyncio.sleep(2.0 if idle_s else 0.0)
        before, at = cpu_s(daemon.process.pid), time.monotonic()
        await asyncio.sleep(idle_s)
        busy = (cpu_s(daemon.process.pid) - before) / max(time.monotonic() - at, 1e-9) if idle_s else 0.0
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        await daemon.end()
    return seconds, resident, busy
