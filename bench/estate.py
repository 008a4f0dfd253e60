"""Finding, making and suspending keys at the quota, against what AWS's quotas allow; and what looking at one key costs.

The quotas are enforced by the local KMS in a process of its own, scaled so that this machine can keep up with them: for
finding, a part of AWS's; for making and importing, a multiple. Figures are ratios, so that the scale falls out.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from bench.figure import Figure
from bench.imports import identity_of
from bench.lanes import counted, quota_kms
from bench.setup import setup_of
from byokd.clock import SortableIds, SystemClock
from byokd.engine.calls import Calls
from byokd.engine.creation import Creation
from byokd.engine.discovery import Discovery
from byokd.engine.engine import Engine
from byokd.engine.pace import Pace
from byokd.facts.change import KeyFilter
from byokd.facts.estate import Managed, NewKey, Wanted
from byokd.facts.key import KeyArn, KeyRef, WrappingKeySpec
from byokd.facts.ledger import HistoryEntry, HistoryEvent, OrderKind
from byokd.facts.policy import Lane, Quota
from byokd.kms.adapter import open_kms
from byokd.kms.estate import open_estate
from byokd.kms.identity import shared_session
from byokd.localkms.aliases import Alias
from byokd.localkms.hostility.quotas import PER_SECOND
from byokd.localkms.keyring import Keyring
from byokd.localkms.keys import Key, Origin
from byokd.localkms.materials import ROTATIONS_MAX, Import, imported, rotated
from byokd.localkms.names import new_key_id
from byokd.localkms.persistence import open_journal as open_state
from byokd.localkms.signatures import Caller
from byokd.material.decode import Encoding
from byokd.material.fingerprint import FingerprintKey
from byokd.ports import Kms, Store
from byokd.sources.file import FileSource
from byokd.store import open_store
from byokd.store.journal import open_journal
from tests.kit.builders import LANE_ID, desired, lane, order, policy

FOUND, EXTERNAL = 100_000, 10_000
"""Keys of the lane that is searched, each with an alias, and those of them with imported material."""
FOUND_FACTOR = 0.1
LOOKS = 5
MADE = 1000
MADE_FACTOR, IMPORT_FACTOR, SUSPEND_FACTOR = 5, 40, 1
IN_FLIGHT = 32
GOAL = 1.1
SUSPEND_GOAL = 1 / 0.95
FINGERPRINTS = os.urandom(32)
THROTTLED = r'localkms_requests_total\{.*error="ThrottlingException".*\} (\S+)'


async def measure() -> list[Figure]:
    """Discovery, creation, first imports, a suspension of them all, and what a look costs."""
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        return [*await _discovery(where), *await _creation(where), await _calls_of_looks(where)]


def _site(url: str, factor: float) -> Lane:
    """A lane that allows itself AWS's quotas, scaled."""
    # Uses of keys have a quota in common at the KMS, and are not asked for here.
    rates = {name: PER_SECOND[name] * factor for name in lane().quotas if name in PER_SECOND}
    quotas = {name: Quota(per_second=rate, burst=max(1.0, rate / 10)) for name, rate in rates.items()}
    return lane(endpoint=url, max_in_flight=IN_FLIGHT, reserve=0.0, quotas=lane().quotas | quotas)


async def _discovery(directory: Path) -> list[Figure]:
    state, clock = directory / "found.db", SystemClock()
    await _fill(state)
    async with quota_kms(state, FOUND_FACTOR) as (url, admin):
        site = _site(url, FOUND_FACTOR)
        identity = identity_of(site)
        async with open_estate(site, clock=clock, session=shared_session(), identity=identity) as estate:
            begin = time.monotonic()
            calls = Calls(Pace(site, clock), clock)
            found = await Discovery(estate, calls, clock, in_flight=IN_FLIGHT).find(Wanted(), Managed())
            seconds = time.monotonic() - begin
        throttled = await counted(admin, THROTTLED)
    assert (found.looked_at, len(found.keys)) == (FOUND, EXTERNAL), "the search did not find what there is"
    rate = site.quotas["DescribeKey"].per_second
    return [
        _ratio(f"finding {EXTERNAL} keys among {FOUND}", seconds, FOUND / rate, f"DescribeKey at {rate:g}/s"),
        Figure(name="throttled calls of it", value=throttled, goal=0, unit="", how="as the KMS counted"),
    ]


async def _fill(state: Path) -> None:
    """A state of so many keys with aliases, some of them with imported material that ends."""
    journal = open_state(state)
    keyring = Keyring(journal)
    owner, now = Caller(lane().account, lane().region), time.time()
    for number in range(FOUND):
        external = number % (FOUND // EXTERNAL) == 0
        origin = Origin.EXTERNAL if external else Origin.AWS_KMS
        key = Key(id=new_key_id(multi_region=False), owner=owner, origin=origin, created_at=now)
        expires_at = now + 90 * 86400 if external else None
        keyring.put(imported(key, Import(secret=os.urandom(32), expires_at=expires_at, new=None))[0])
        name = f"alias/k{number:06}"
        keyring.put_alias(Alias(name=name, owner=owner, target=key.id, created_at=now, updated_at=now))
    await journal.flush()
    await journal.close()


async def _creation(directory: Path) -> list[Figure]:
    """A thousand keys from nothing to their first material."""
    state, clock = directory / "made.db", SystemClock()
    keys = [NewKey(alias=f"alias/k{number}", tags={"team": "bench"}) for number in range(MADE)]
    async with quota_kms(state, MADE_FACTOR) as (url, admin):
        site = _site(url, MADE_FACTOR)
        begin = time.monotonic()
        async with open_estate(site, clock=clock, session=shared_session(), identity=identity_of(site)) as estate:
            with open_journal(directory / "journal", LANE_ID) as journal:
                calls = Calls(Pace(site, clock), clock)
                creation = Creation(estate, calls, journal, clock, in_flight=IN_FLIGHT)
                assert await creation.taken(keys) == {}
                created = await creation.make(keys)
        made_s = time.monotonic() - begin
        throttled = await counted(admin, THROTTLED)
    assert len(created.arns) == MADE, "not every key was made"
    async with quota_kms(state, IMPORT_FACTOR) as (url, admin):
        site = _site(url, IMPORT_FACTOR)
        imported_s = await _first_imports(site, directory, list(created.arns.values()))
        throttled += await counted(admin, THROTTLED)
    async with quota_kms(state, SUSPEND_FACTOR) as (url, admin):
        suspended_s = await _suspension(_site(url, SUSPEND_FACTOR), directory)
        throttled += await counted(admin, THROTTLED)
    rate = PER_SECOND["CreateKey"] * MADE_FACTOR
    imports = PER_SECOND["GetParametersForImport"] * IMPORT_FACTOR
    deletions = PER_SECOND["DeleteImportedKeyMaterial"] * SUSPEND_FACTOR
    return [
        _ratio(f"making {MADE} keys", made_s, MADE / rate, f"CreateKey and CreateAlias at {rate:g}/s"),
        _ratio("their first imports", imported_s, MADE / imports, f"GetParametersForImport at {imports:g}/s"),
        _ratio(
            "suspending them all",
            suspended_s,
            MADE / deletions,
            f"DeleteImportedKeyMaterial at {deletions:g}/s",
            goal=SUSPEND_GOAL,
        ),
        Figure(name="throttled calls of all three", value=throttled, goal=0, unit="", how="as the KMS counted"),
    ]


async def _calls_of_looks(directory: Path) -> Figure:
    """The requests of looks at a key that was rotated as often as KMS allows, beside those at one rotated once."""
    many, few = [await _calls_of_a_look(directory, materials) for materials in (ROTATIONS_MAX + 1, 2)]
    return Figure(
        name=f"requests of a look at a key with {ROTATIONS_MAX + 1} materials / with 2",
        value=many / few,
        goal=1.0,
        unit="x",
        how=f"{many:g} and {few:g} a look, as the KMS counted",
    )


async def _calls_of_a_look(directory: Path, materials: int) -> float:
    """Requests until a key with so many materials was looked at some times, by the times that it was described."""
    state, clock = directory / f"{materials} materials.db", SystemClock()
    journal = open_state(state)
    owner, now = Caller(lane().account, lane().region), time.time()
    key = Key(id=new_key_id(multi_region=False), owner=owner, origin=Origin.EXTERNAL, created_at=now)
    secrets = [os.urandom(32) for _ in range(materials)]
    for number, secret in enumerate(secrets):
        key, _ = imported(key, Import(secret=secret, expires_at=now + 90 * 86400, new=True))
        if number:
            key = rotated(key, to=next(each for each in key.materials if not each.permanent), now=now)
        path = directory / f"{materials}-{number}.key"
        path.touch(mode=0o600)
        path.write_bytes(secret)
    Keyring(journal).put(key)
    await journal.flush()
    await journal.close()
    arn, (first, *further) = KeyArn(key.arn), [f"{materials}-{number}.key" for number in range(materials)]
    known = desired(arn=arn, ref=KeyRef(arn), name=arn, source="files", locator=first, further=tuple(further))
    async with quota_kms(state, IMPORT_FACTOR) as (url, admin), open_store(directory / f"{materials}.db") as store:
        await store.sync_fleet([known], now=clock.now())
        async with _running(_site(url, IMPORT_FACTOR), directory, store) as engine:
            for _ in range(LOOKS):
                await _until(store, "Enabled", 1)
                await store.wake([known.ref], at=clock.now())
                engine.wake()
                await asyncio.sleep(1.0)
        described = await counted(admin, r'localkms_requests_total\{.*operation="DescribeKey".*\} (\S+)')
        return await counted(admin, r"localkms_requests_total\{.*\} (\S+)") / described


async def _first_imports(site: Lane, directory: Path, arns: list[KeyArn]) -> float:
    """Seconds until the engine has seen every key with its first material."""
    base = desired(source="files", policy=policy(wrapping_key_spec=WrappingKeySpec.RSA_2048))
    keys = []
    for arn in arns:
        path = directory / arn.rpartition("/")[2]
        path.touch(mode=0o600)
        path.write_bytes(os.urandom(32))
        keys.append(replace(base, ref=KeyRef(arn), name=arn, arn=arn, locator=path.name))
    async with open_store(directory / "byokd.db") as store:
        await store.sync_fleet(keys, now=SystemClock().now())
        begin = time.monotonic()
        async with _running(site, directory, store):
            await _until(store, "Enabled", len(arns))
            return time.monotonic() - begin


async def _suspension(site: Lane, directory: Path) -> float:
    """Seconds from the order until the engine has seen every key without its material."""
    now = SystemClock().now()
    async with open_store(directory / "byokd.db") as store, _running(site, directory, store) as engine:
        keys = await store.list_keys(KeyFilter(), limit=MADE)
        entries = [
            (
                replace(order(OrderKind.SUSPEND, id=f"suspend {number:04}", ref=key.ref), created_at=now),
                HistoryEntry(at=now, ref=key.ref, event=HistoryEvent.ORDER_GIVEN, detail="suspend"),
            )
            for number, key in enumerate(keys)
        ]
        begin = time.monotonic()
        await store.add_orders(entries)
        engine.wake()
        await _until(store, "PendingImport", len(keys))
        return time.monotonic() - begin


@asynccontextmanager
async def _running(site: Lane, directory: Path, store: Store) -> AsyncIterator[Engine]:
    """The engine at work on a lane, with the material in a directory."""
    clock, session = SystemClock(), shared_session()
    source = FileSource(
        "files", directory=directory, encoding=Encoding.RAW, fingerprint_key=FingerprintKey(FINGERPRINTS)
    )

    @asynccontextmanager
    async def opened(_: Lane) -> AsyncIterator[Kms]:
        async with open_kms(site, clock=clock, session=session, identity=identity_of(site)) as kms:
            yield kms

    engine = Engine(store=store, clock=clock, new_id=SortableIds(), open_kms=opened, node="bench")
    await engine.apply(setup_of(site, source))
    try:
        yield engine
    finally:
        await engine.stop()


async def _until(store: Store, state: str, count: int) -> None:
    """Wait until so many keys were seen in a state."""
    while (await store.counts()).by_state.get(state, 0) < count:
        await asyncio.sleep(0.05)


def _ratio(name: str, seconds: float, ideal: float, quota: str, *, goal: float = GOAL) -> Figure:
    how = f"{seconds:.1f} s; {quota} allows {ideal:.1f} s"
    return Figure(name=f"{name}: time / what the quotas allow", value=seconds / ideal, goal=goal, unit="x", how=how)
