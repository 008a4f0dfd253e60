"""Group commit: many callers share a commit, and none pays for another one's fault."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from byokd.errors import StoreBusy, StoreError
from byokd.facts.condition import Severity
from byokd.facts.ledger import ImportState
from byokd.store import Limits, SqlStore, open_store
from tests.kit.builders import LANE_ID, observed, queued
from tests.kit.clock import START
from tests.kit.store_fleet import KEY, REF, Fleet, a_key, condition, notice, with_a_key


async def fifty(store: SqlStore) -> tuple[Fleet, list]:
    keys = [a_key(number) for number in range(50)]
    await store.sync_fleet(keys, now=START)
    return Fleet(store, await store.acquire_lane(LANE_ID, node="one", now=START)), keys


async def test_callers_at_the_same_moment_share_one_commit(store: SqlStore) -> None:
    """Fifty saves that are ready together cost one sync of the disk, not fifty."""
    fleet, keys = await fifty(store)
    before = store.commits
    await asyncio.gather(*(fleet.save(key, view=observed()) for key in keys))
    assert store.commits - before == 1
    assert all(each.view == observed() for each in await store.snapshots([key.ref for key in keys]))


async def test_an_import_costs_few_commits_when_many_are_under_way(store: SqlStore) -> None:
    """Fifty imports, each written as queued, running and done, need far fewer commits than imports."""
    fleet, keys = await fifty(store)
    before = store.commits

    async def one_import(number: int) -> None:
        for state in (ImportState.QUEUED, ImportState.RUNNING, ImportState.DONE):
            ref = keys[number].ref
            await fleet.save(keys[number], imports=(queued(id=f"{number:012}", ref=ref, state=state),))
            for _ in range(number % 5):  # calls to KMS take their time, each another one
                await asyncio.sleep(0)

    await asyncio.gather(*(one_import(number) for number in range(50)))
    assert (store.commits - before) / 50 <= 1.5


async def test_a_group_has_a_limit(path: Path, empty_database: Path) -> None:
    """However many wait, one commit takes no more than the limit says."""
    shutil.copy(empty_database, path)
    async with open_store(path, limits=Limits(units_per_commit=20)) as store:
        fleet, keys = await fifty(store)
        before = store.commits
        await asyncio.gather(*(fleet.save(key) for key in keys))
        assert store.commits - before == 3


async def test_a_wake_after_a_save_in_one_commit_is_not_overtaken(fleet: Fleet) -> None:
    """Units about one key keep their order although statements of one kind are executed together."""
    key = a_key(2)
    await fleet.store.sync_fleet([KEY, key], now=START)
    await asyncio.gather(
        fleet.store.wake([REF, key.ref], at=START),
        fleet.save(),
        fleet.save(key),
        fleet.store.wake([REF], at=START),
    )
    assert await fleet.due(now=START) == (REF,)


async def test_a_condition_changed_in_the_commit_that_decides_about_it_stays_due(store: SqlStore) -> None:
    """What was decided about the old one does not rest the new one, whichever statement runs first."""
    await store.save_conditions([condition()])
    worse = condition(severity=Severity.CRITICAL)
    await asyncio.gather(
        store.save_notices("c1", [notice()], decided_for=condition(), again_at=START.replace(year=2030)),
        store.save_conditions([worse]),
    )
    assert [each for each, _ in await store.conditions_to_tell(now=START, limit=9)] == [worse]


async def test_a_group_with_a_bad_unit_is_written_unit_by_unit(store: SqlStore) -> None:
    """One caller's mistake is that caller's alone."""
    fleet, keys = await fifty(store)
    outcomes = await asyncio.gather(
        *(fleet.save(key, view=observed()) for key in [*keys[:20], a_key(999), *keys[20:]]), return_exceptions=True
    )
    assert [number for number, outcome in enumerate(outcomes) if outcome is not None] == [20]
    assert isinstance(outcomes[20], StoreError)


async def test_a_busy_database_answers_everybody_after_one_wait(path: Path, empty_database: Path) -> None:
    """A fault of the whole database is not tried again for each unit: fifty callers wait as long as one."""
    shutil.copy(empty_database, path)
    async with open_store(path, limits=Limits(busy_timeout_ms=20)) as store:
        fleet, keys = await fifty(store)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            started = asyncio.get_running_loop().time()
            outcomes = await asyncio.gather(*(fleet.save(key) for key in keys), return_exceptions=True)
            assert asyncio.get_running_loop().time() - started < 50 * 0.020
            assert {type(outcome) for outcome in outcomes} == {StoreBusy}
            other.execute("ROLLBACK")
        await fleet.save(view=observed())
        assert (await fleet.read()).view == observed()


async def test_a_caller_cancelled_before_its_turn_writes_nothing(fleet: Fleet) -> None:
    """A question that nobody waits for any more is not taken up."""
    saving = asyncio.ensure_future(fleet.save(view=observed()))
    await asyncio.sleep(0)
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)
    await fleet.store.wake([REF], at=START)
    assert (await fleet.read()).view != observed()


async def test_a_caller_cancelled_in_its_turn_disturbs_nobody(store: SqlStore) -> None:
    """The commit under way goes on for the others, and the connection stays whole."""
    fleet, keys = await fifty(store)
    saving = [asyncio.ensure_future(fleet.save(key, view=observed())) for key in keys]
    reading = [asyncio.ensure_future(store.snapshots([key.ref])) for key in keys]
    for _ in range(3):
        await asyncio.sleep(0)
    for task in (*saving[:10], *reading[:10]):
        task.cancel()
    outcomes = await asyncio.gather(*saving, *reading, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes[10:50]} == {type(None)}
    assert all(isinstance(outcome, tuple) for outcome in outcomes[60:])
    assert all(each.view == observed() for each in await store.snapshots([key.ref for key in keys[10:]]))


async def test_what_was_asked_before_the_end_is_written(path: Path) -> None:
    """Closing the store waits for the writes that are under way; afterwards it says that it is closed."""
    async with open_store(path) as store:
        fleet = await with_a_key(store)
        saving = asyncio.ensure_future(fleet.save(view=observed()))
        await asyncio.sleep(0)
    await saving
    with pytest.raises(StoreError, match="closed"):
        await fleet.read()
    async with open_store(path) as store:
        assert (await store.snapshots([REF]))[0].view == observed()


async def test_a_question_that_fails_spoils_no_other(fleet: Fleet) -> None:
    """Readers share a transaction, not a fate."""

    def broken(_: object) -> None:
        raise LookupError

    assert isinstance(fleet.store, SqlStore)
    reader = fleet.store._reader
    outcomes = await asyncio.gather(reader.read(broken), fleet.due(now=START), return_exceptions=True)
    assert isinstance(outcomes[0], LookupError)
    assert outcomes[1] == (REF,)
