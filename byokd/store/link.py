"""A database connection in a thread of its own, which does a whole piece of work per visit.

Theory of operation. SQLAlchemy's asyncio layer over aiosqlite hops to the thread and back for each cursor, execute,
fetch and close: eight hops for one SELECT in a transaction, where a hop costs as much as thirty of the statements it
carries. So the hop is made around the work instead: aiosqlite owns the connection and its thread, and a function over
a plain SQLAlchemy `Connection` runs there from BEGIN to COMMIT::

    await link.run(work)  ──one hop──▶  work(connection): execute, execute, …, commit  ──one hop──▶  result

On PostgreSQL the same functions run under `AsyncConnection.run_sync`, where asyncpg needs no thread: only this class
and `sqlite` change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import aiosqlite
from sqlalchemy import Connection, Engine

from byokd.errors import StoreError
from byokd.store.faults import mapped

T = TypeVar("T")


class Link:
    """One connection; its works run one after the other, in the order in which they came."""

    def __init__(self, path: Path, driver: aiosqlite.Connection, connection: Connection) -> None:
        self.path = path
        self.dialect = connection.dialect
        self._driver = driver
        self._connection = connection
        self._closed = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in the connection's thread. Raises: StoreError for what the database refuses, and what it raises.

        A cancelled caller does not stop the work.
        """
        if self._closed:
            raise StoreError(f"{self.path} is closed.")
        return await _in_thread(self._driver, partial(_mapped_work, self.path, work, self._connection))

    async def close(self) -> None:
        """Close the connection in the thread that made it, then end the thread, which would outlive the event loop."""
        self._closed = True
        await _in_thread(self._driver, partial(_close, self._connection))
        await self._driver.close()


@asynccontextmanager
async def open_link(path: Path, engine: Engine) -> AsyncIterator[Link]:
    """Open the engine's one connection in a thread of its own, and close it at the end.

    Raises: StoreError when the database cannot be opened.
    """
    opened: list[Connection] = []
    refused: list[Exception] = []

    def connect() -> sqlite3.Connection:
        try:
            opened.append(engine.connect())
        except Exception as error:  # noqa: BLE001 - raised below, once the thread has ended
            # aiosqlite does not wait for its thread where connecting failed; with any connection it does.
            refused.append(error)
            return sqlite3.connect(":memory:")
        return cast("sqlite3.Connection", opened[0].connection.driver_connection)

    driver = aiosqlite.Connection(connect, iter_chunk_size=64)
    await driver
    if refused:
        await driver.close()
        with mapped(path):
            raise refused[0]
    link = Link(path, driver, opened[0])
    try:
        yield link
    finally:
        await link.close()


async def _in_thread(driver: aiosqlite.Connection, function: Callable[[], T]) -> T:
    # aiosqlite has no public name for running something in its thread. It is pinned to one minor version, and all of
    # byokd's SQL would fail at once if the name went.
    result: T = await driver._execute(function)  # type: ignore[no-untyped-call]  # untyped upstream  # noqa: SLF001
    return result


def _close(connection: Connection) -> None:
    connection.close()
    connection.engine.dispose()


def _mapped_work(path: Path, work: Callable[[Connection], T], connection: Connection) -> T:
    with mapped(path):
        return work(connection)
