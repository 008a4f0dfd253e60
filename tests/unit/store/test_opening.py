"""Coming up, owning, reading beside the owner, and migrating."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from byokd.errors import OperatorError, StoreBusy, StoreError
from byokd.facts.change import KeyFilter
from byokd.facts.ledger import Tier
from byokd.store import SqlStore, open_reader, open_store
from byokd.store.schema import OURS, Migrations
from byokd.store.tables import METADATA
from byokd.store.tables.imports import import_values
from tests.kit.builders import observed
from tests.kit.clock import START
from tests.kit.store_fleet import KEY, REF, row, with_a_key


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_store_remembers(path: Path) -> None:
    """What was saved is there after closing and opening again."""
    async with open_store(path) as store:
        await (await with_a_key(store)).save(view=observed())
    async with open_store(path) as store:
        assert (await store.snapshots([REF]))[0].view == observed()
        assert await store.acquire_lane(KEY.lane, node="one", now=START) == 2


async def test_only_the_owner_may_read_the_files(path: Path) -> None:
    """Database, log, index and lock; a database that was open to others is closed to them."""
    path.touch(0o644)
    path.chmod(0o644)
    async with open_store(path) as store:
        await with_a_key(store)
        files = {each.name: mode(each) for each in path.parent.iterdir()}
    assert files == dict.fromkeys(("byokd.db", "byokd.db-wal", "byokd.db-shm", "byokd.db.lock"), 0o600)


async def test_commits_are_synced_to_the_disk(store: SqlStore) -> None:
    """WAL with FULL: the log is synced at each commit, and rows need the rows that they refer to."""

    def settings(connection) -> tuple:
        return tuple(
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        )

    assert await store._writer.do(settings) == ("wal", 2, 1)


async def test_a_second_daemon_is_refused_and_told_who_has_the_store(path: Path) -> None:
    """The message names the process; when that one ends, the store is free."""
    async with open_store(path):
        with pytest.raises(StoreBusy, match=f"process {os.getpid()}"):
            async with open_store(path):
                pass
    async with open_store(path):
        pass


async def test_the_lock_of_a_process_that_died_does_not_hold(path: Path) -> None:
    """A pid left in the file is only a name: the kernel let go of the lock."""
    path.with_name("byokd.db.lock").write_text("1\n")
    async with open_store(path):
        pass


async def test_a_folder_that_is_missing_is_not_made_up(path: Path) -> None:
    """A mistyped path would otherwise start a second, empty life."""
    with pytest.raises(StoreError, match="does not exist"):
        async with open_store(path.parent / "typo" / "byokd.db"):
            pass


async def test_strange_characters_in_the_path_are_part_of_it(tmp_path: Path) -> None:
    """A question mark does not begin options."""
    path = tmp_path / "a?mode=memory&b#c%20 d.db"
    async with open_store(path):
        pass
    assert path.stat().st_size > 0


async def test_a_reader_sees_what_the_daemon_writes_and_cannot_write(path: Path) -> None:
    """The command line may look beside the daemon, and only look."""
    async with open_store(path) as store, open_reader(path) as reader:
        await with_a_key(store)
        assert await reader.find(REF) == (REF,)
        assert len(await reader.list_keys(KeyFilter(), limit=9)) == 1
        for write in (reader.wake([REF], at=START), reader.sync_fleet([], now=START)):
            with pytest.raises(StoreError, match="read only"):
                await write
        with pytest.raises(OperatorError):
            await reader.list_keys(KeyFilter(), limit=9, after="the middle")


async def test_a_reader_works_after_the_daemon_ended(path: Path) -> None:
    """When the log was folded into the database and is gone."""
    async with open_store(path) as store:
        await with_a_key(store)
    async with open_reader(path) as reader:
        assert (await reader.counts()).keys == 1


async def test_a_reader_creates_nothing(path: Path) -> None:
    """Where there is no store, it says so and leaves no file."""
    with pytest.raises(StoreError, match="cannot be opened"):
        async with open_reader(path):
            pass
    assert list(path.parent.iterdir()) == []


# -- migrations -------------------------------------------------------------------------------------------------------


def later(tmp_path: Path, upgrade: str) -> Migrations:
    """The migrations of a later version: ours, and one more."""
    scripts = Path(shutil.copytree(OURS.scripts, tmp_path / "later"))
    (scripts / "versions" / "9999_later.py").write_text(
        f"from alembic import op\nrevision = '9999'\ndown_revision = '{OURS.head}'\ndef upgrade():\n{upgrade}"
    )
    return Migrations(scripts=scripts, head="9999")


ONE_MORE_TABLE = "    op.execute('CREATE TABLE more (x TEXT)')\n"


def test_the_head_is_the_newest_migration() -> None:
    """The constant that spares the import of Alembic is true."""
    assert ScriptDirectory(str(OURS.scripts)).get_current_head() == OURS.head


def test_the_migrations_make_the_tables_that_the_code_uses(empty_database: Path) -> None:
    """Column by column and index by index, predicates included."""
    made = create_engine(f"sqlite:///{empty_database}")
    wanted = create_engine("sqlite://")
    METADATA.create_all(wanted)
    with made.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        indexes = connection.exec_driver_sql("SELECT sql FROM sqlite_schema WHERE type = 'index'").scalars().all()
    with wanted.connect() as connection:
        expected = connection.exec_driver_sql("SELECT sql FROM sqlite_schema WHERE type = 'index'").scalars().all()
    assert {each for each in indexes if each and "alembic" not in each} == {each for each in expected if each}
    made.dispose()
    wanted.dispose()


async def test_an_older_database_is_backed_up_and_migrated(path: Path, tmp_path: Path) -> None:
    """The copy is private and opens with the version that wrote it."""
    async with open_store(path) as store:
        await with_a_key(store)
    migrations = later(tmp_path, ONE_MORE_TABLE)
    with pytest.raises(StoreError, match="older"):
        async with open_reader(path, migrations=migrations):
            pass

    async with open_store(path, migrations=migrations) as store:
        assert await store.find(REF) == (REF,)

    with closing(sqlite3.connect(path)) as migrated:
        assert migrated.execute("SELECT count(*) FROM more").fetchone() == (0,)
    backup = path.with_name("byokd.db.before-9999")
    assert mode(backup) == 0o600
    async with open_reader(backup) as reader:
        assert await reader.find(REF) == (REF,)


async def test_rows_of_the_first_schema_are_ranked_by_their_tier(path: Path) -> None:
    """Rows that waited while byokd was brought up to date are served in the order of today."""
    known = [tier for tier in Tier if tier is not Tier.SUSPENDED]
    old = create_engine(f"sqlite:///{path}")
    with old.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(OURS.scripts))
        command.upgrade(config, "0001")
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        # A suspended key is in no queue, and was none of the tiers of that time.
        for number, tier in enumerate(known):
            values = {
                name: value for name, value in import_values(row(number, tier=tier)).items() if "rank" not in name
            }
            del values["priority"]
            values |= {"ref": f"key {number}"}
            names = ", ".join(values)
            connection.exec_driver_sql(
                f"INSERT INTO imports ({names}) VALUES ({', '.join('?' * len(values))})", tuple(values.values())
            )
    old.dispose()
    async with open_store(path) as store:
        rows = await store.ready_imports(KEY.lane, now=START, limit=9)
    assert [each.tier for each in rows] == [Tier.LAPSED, Tier.URGENT, Tier.EMERGENCY, Tier.FRESH, Tier.DUE]
    with closing(sqlite3.connect(path)) as migrated:
        ranks = dict(migrated.execute("SELECT tier, rank FROM imports"))
    assert ranks == {tier.value: row(tier=tier).rank for tier in known}


async def test_a_migration_that_fails_leaves_the_database_as_it_was(path: Path, tmp_path: Path) -> None:
    """Half a migration is no migration, and trying again starts from the same place."""
    async with open_store(path) as store:
        await with_a_key(store)
    broken = later(tmp_path, ONE_MORE_TABLE + "    op.execute('DROP TABLE history')\n    op.execute('NONSENSE')\n")
    for _ in range(2):
        with pytest.raises(StoreError):
            async with open_store(path, migrations=broken):
                pass
    async with open_store(path) as store:
        assert len(await store.history(REF, limit=9)) == 1


async def test_a_current_database_opens_without_alembic(path: Path) -> None:
    """Its import takes half a second, which every start but the first can spare."""
    async with open_store(path):
        pass
    program = (
        "import asyncio, sys, pathlib\n"
        "from byokd.store import open_store\n"
        "async def main():\n"
        f"    async with open_store(pathlib.Path({str(path)!r})): pass\n"
        "asyncio.run(main())\n"
        "print('alembic' in sys.modules)\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0] == b"False\n"
