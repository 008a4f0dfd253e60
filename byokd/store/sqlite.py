"""Opening the store on SQLite: everything that is SQLite's own, and the order in which a store comes up.

    folder there? ─▶ own it (lock) ─▶ 0600 ─▶ connect (WAL, FULL) ─▶ schema (backup, migrate) ─▶ readers

`synchronous=FULL` in WAL mode syncs the log at each commit: a write that returned survives a power cut. Readers cannot
write by mistake (`query_only`), and one that opens the file of a running daemon cannot even open it for writing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, StaticPool, create_engine, event

from byokd.errors import StoreError
from byokd.store import schema
from byokd.store.link import Link, open_link
from byokd.store.owner import make_private, owned
from byokd.store.reader import Reader
from byokd.store.schema import OURS, Migrations
from byokd.store.store import SqlStore
from byokd.store.writer import UNITS_PER_COMMIT, Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a store may take."""

    busy_timeout_ms: int = 1000
    """How long to wait for another process that writes, before saying that the store is busy."""
    max_pages: int | None = None
    """Of 4096 bytes: the size at which the database counts as full. None leaves it to the file system."""
    log_bytes: int = 64 * 1024 * 1024
    """To which the write-ahead log is cut back after a burst."""
    units_per_commit: int = UNITS_PER_COMMIT


DEFAULTS: Final = Limits()


@asynccontextmanager
async def open_store(
    path: Path, *, limits: Limits = DEFAULTS, migrations: Migrations = OURS
) -> AsyncIterator[SqlStore]:
    """Own the store at `path`, created or migrated as needed; its folder must be there.

    Raises: StoreBusy when another daemon owns it; StoreTooNew, StoreCorrupt, StoreFull, or another StoreError.
    """
    if not path.parent.is_dir():
        raise StoreError(f"The folder {path.parent} for the state database does not exist.")
    async with AsyncExitStack() as stack:
        stack.enter_context(owned(path))
        make_private(path)
        link = await stack.enter_async_context(_open(path, "rw", limits))
        await link.run(partial(_bring_up_to_date, path=path, migrations=migrations))
        reader = await stack.enter_async_context(_open(path, "rw", limits, read_only=True))
        people = await stack.enter_async_context(_open(path, "rw", limits, read_only=True))
        writer = Writer(link, limit=limits.units_per_commit)
        store = SqlStore(writer=writer, reader=Reader(reader), people=Reader(people))
        try:
            yield store
        finally:
            await store.settle()


@asynccontextmanager
async def open_reader(
    path: Path, *, limits: Limits = DEFAULTS, migrations: Migrations = OURS
) -> AsyncIterator[SqlStore]:
    """Read the store at `path`, whether or not a daemon owns it. Never migrates, and every write raises StoreError.

    Raises: StoreTooNew, StoreCorrupt, or a StoreError where there is no store, or one of an older version.
    """
    async with _open(path, "ro", limits, read_only=True) as link:
        reader = Reader(link)
        await reader.read(partial(schema.check_readable, path=path, migrations=migrations))
        store = SqlStore(writer=None, reader=reader, people=reader)
        try:
            yield store
        finally:
            await store.settle()


def _open(path: Path, mode: str, limits: Limits, *, read_only: bool = False) -> AbstractAsyncContextManager[Link]:
    """A connection with its settings made; `mode` is that of SQLite's URI: `rw`, or `ro`."""
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        # Without an isolation level, the driver leaves BEGIN and COMMIT to us.
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=limits.busy_timeout_ms / 1000)
        try:
            for pragma in _pragmas(limits, read_only=read_only):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool)
    # IMMEDIATE takes the write lock at once: a transaction that read first could be refused it later on.
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return open_link(path, engine)


def _pragmas(limits: Limits, *, read_only: bool) -> Iterator[str]:
    if read_only:
        yield "query_only = ON"
        return
    yield "journal_mode = WAL"
    yield "synchronous = FULL"
    yield "foreign_keys = ON"
    yield f"journal_size_limit = {limits.log_bytes}"
    if limits.max_pages is not None:
        yield f"max_page_count = {limits.max_pages}"


def _bring_up_to_date(connection: Connection, path: Path, migrations: Migrations) -> None:
    with connection.begin():
        found = schema.revision(connection, path)
    if found == migrations.head:
        return
    schema.check_known(found, path, migrations)
    if found != schema.NEW:
        _back_up(connection, path.with_name(f"{path.name}.before-{migrations.head}"))
    with connection.begin():
        schema.upgrade(connection, migrations)


def _back_up(connection: Connection, copy: Path) -> None:
    """Write a compact copy, whole or not at all: an earlier copy gives way only to a finished one."""
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    driver: Any = connection.connection.driver_connection
    try:
        unfinished.unlink(missing_ok=True)
        make_private(unfinished)
        # Outside a transaction, which VACUUM asks for.
        driver.execute("VACUUM INTO ?", (str(unfinished),))
        unfinished.replace(copy)
    except OSError as error:
        raise StoreError(f"{copy} cannot be written: {error.strerror}.") from error
