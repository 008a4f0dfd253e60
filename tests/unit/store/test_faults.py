"""What the disk and other people do to a database, each for real: a clear error, and no loss."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from byokd.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreTooNew
from byokd.facts.ledger import ImportState
from byokd.store import Limits, open_reader, open_store
from tests.kit.builders import observed, queued
from tests.kit.clock import START
from tests.kit.store_fleet import KEY, REF, entry, with_a_key


async def test_a_full_disk_stops_writing_and_loses_nothing(path: Path) -> None:
    """A write that does not fit leaves nothing behind; reading goes on; with space, so does writing."""
    async with open_store(path) as store:
        await with_a_key(store)
    pages = path.stat().st_size // 4096
    async with open_store(path, limits=Limits(max_pages=pages + 2)) as store:
        fleet = await with_a_key(store)
        large = tuple(entry(detail="x" * 4000) for _ in range(20))
        with pytest.raises(StoreFull, match="no space left"):
            await fleet.save(view=observed(), imports=(queued(ref=REF),), history=large)
        assert await store.ready_imports(KEY.lane, now=START, limit=9) == ()
        assert (await fleet.read()).view != observed()
        assert len(await fleet.events()) == 1
    async with open_store(path) as store:
        fleet = await with_a_key(store)
        await fleet.save(view=observed(), imports=(queued(ref=REF),), history=large)
        assert (await fleet.read()).ledger.open_import == queued(ref=REF)


async def test_a_full_disk_answers_every_caller_of_the_commit(path: Path) -> None:
    """Nobody believes to be on disk who is not."""
    async with open_store(path) as store:
        await with_a_key(store)
    async with open_store(path, limits=Limits(max_pages=path.stat().st_size // 4096)) as store:
        fleet = await with_a_key(store)
        large = tuple(entry(detail="x" * 4000) for _ in range(20))
        outcomes = await asyncio.gather(*(fleet.save(history=large) for _ in range(5)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreFull}


async def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    """And left as it is."""
    path.write_bytes(b"This is a letter to my aunt. " * 99)
    with pytest.raises(StoreCorrupt, match=r"byokd\.db is not a database"):
        async with open_store(path):
            pass
    assert path.read_bytes().startswith(b"This is a letter")


async def test_another_programs_database_is_left_alone(path: Path) -> None:
    """A path mistyped into somebody else's state does no harm."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (title TEXT)")
    with pytest.raises(StoreCorrupt, match="another program"):
        async with open_store(path):
            pass


async def test_a_damaged_database_says_so(path: Path) -> None:
    """Pages overwritten in the middle of the file are found when they are read."""
    async with open_store(path) as store:
        await with_a_key(store)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(StoreCorrupt, match="damaged"):
        async with open_store(path) as store:
            await with_a_key(store)


async def test_a_database_of_a_later_version_is_not_touched(path: Path) -> None:
    """Neither by a daemon nor by a reader."""
    async with open_store(path):
        pass
    with closing(sqlite3.connect(path)) as later, later:
        later.execute("UPDATE alembic_version SET version_num = '9999'")
    for opening in (open_store(path), open_reader(path)):
        with pytest.raises(StoreTooNew, match="9999"):
            async with opening:
                pass


async def test_another_process_that_writes_makes_the_store_busy_for_a_moment(path: Path, empty_database: Path) -> None:
    """Somebody's open transaction is waited for, then named; reading goes on meanwhile."""
    shutil.copy(empty_database, path)
    async with open_store(path, limits=Limits(busy_timeout_ms=20)) as store:
        fleet = await with_a_key(store)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreBusy, match="Another process"):
                await fleet.save(imports=(queued(ref=REF),))
            with pytest.raises(StoreBusy):
                await store.sync_fleet([], now=START)
            assert await fleet.due(now=START) == (REF,)
            other.execute("ROLLBACK")
        await fleet.save(imports=(queued(ref=REF, state=ImportState.RUNNING),))


async def test_an_error_never_quotes_what_was_written(path: Path, empty_database: Path) -> None:
    """Parameters stay out of messages: they end in logs and pagers."""
    shutil.copy(empty_database, path)
    async with open_store(path) as store:
        fleet = await with_a_key(store)
        stranger = entry(ref="nobody", detail="only between us")
        with pytest.raises(StoreError) as caught:
            await fleet.save(history=(stranger,))
    assert "between us" not in str(caught.value)
    assert "FOREIGN KEY" in str(caught.value)
