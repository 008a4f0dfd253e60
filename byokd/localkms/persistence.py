"""The journal: what the local KMS knows, on disk, before anyone is told.

The live state is in memory (keyring, wrapping keys); this file writes it through to SQLite and reads it back at start.
Changes are noted at once and written by one thread, which takes all that have gathered into one transaction: while a
commit waits for the disk, the changes of other requests collect for the next one::

    note ─▶ [ changes ] ─▶ one writer thread ─▶ BEGIN … COMMIT (WAL, synchronous=FULL) ─▶ flush() returns

An answer may leave only when `settled`, or after `flush`: then it, and everything it has seen, survives a crash. If the
disk refuses, the changes stay noted, in order, and the next flush tries again. In memory (no path) the same code runs
on an in-memory database.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from byokd.localkms import documents
from byokd.localkms.aliases import Alias
from byokd.localkms.errors import StateError
from byokd.localkms.keys import Key
from byokd.localkms.seal import KEY_BYTES, BrokenSealError, KeyFile, Seal

APPLICATION_ID: Final = 0x4C4B4D53  # "LKMS" in the file's header: another program's database is not taken for ours
SCHEMA_VERSION: Final = 1

SCHEMA: Final = (
    "CREATE TABLE keys (arn TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE aliases (arn TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE wrapping_keys (id TEXT PRIMARY KEY, spec TEXT NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE seal (proof BLOB NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
PROOF: Final = "proof of the key file"

Change = tuple[str, tuple[str | bytes, ...]]


class Journal:
    """The durable side of one local KMS. Opened by `open_journal`; used from one event loop."""

    def __init__(self, connection: sqlite3.Connection, seal: Seal, key_file: KeyFile | None) -> None:
        self._connection = connection
        self.seal = seal
        self._key_file = key_file
        # The loop fills it while the writer empties it: a deque's append and popleft are atomic.
        self._changes: deque[Change] = deque()
        self._noted = 0
        self._written = 0
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="localkms-journal")

    def save_key(self, key: Key) -> None:
        """Note a new or changed key."""
        self._note("INSERT OR REPLACE INTO keys VALUES (?, ?)", key.arn, documents.write_key(key, self.seal))

    def forget_key(self, arn: str) -> None:
        """Note that a key is deleted."""
        self._note("DELETE FROM keys WHERE arn = ?", arn)

    def save_alias(self, alias: Alias) -> None:
        """Note a new or changed alias."""
        self._note("INSERT OR REPLACE INTO aliases VALUES (?, ?)", alias.arn, documents.write_alias(alias))

    def forget_alias(self, arn: str) -> None:
        """Note that an alias is deleted."""
        self._note("DELETE FROM aliases WHERE arn = ?", arn)

    def save_wrapping_key(self, identity: str, spec: str, private_der: bytes) -> None:
        """Note a wrapping key, so that the tokens issued for it outlive a restart."""
        sealed = self.seal.close(f"wrapping key {identity}", private_der)
        self._note("INSERT OR REPLACE INTO wrapping_keys VALUES (?, ?, ?)", identity, spec, sealed)

    def all_keys(self) -> Iterator[Key]:
        """Every key written. Raises: StateError for a damaged document."""
        for arn, document in self._rows("SELECT arn, document FROM keys"):
            try:
                yield documents.read_key(document, self.seal)
            except (BrokenSealError, ValueError, KeyError, TypeError) as error:
                raise StateError(f"The state of {arn} is damaged ({type(error).__name__}).") from None

    def all_aliases(self) -> Iterator[Alias]:
        """Every alias written. Raises: StateError for a damaged document."""
        for arn, document in self._rows("SELECT arn, document FROM aliases"):
            try:
                yield documents.read_alias(document)
            except (ValueError, KeyError, TypeError) as error:
                raise StateError(f"The state of {arn} is damaged ({type(error).__name__}).") from None

    def all_wrapping_keys(self) -> Iterator[tuple[str, str, bytes]]:
        """Id, spec and PKCS #8 DER of every wrapping key written. Raises: StateError for a damaged one."""
        for identity, spec, sealed in self._rows("SELECT id, spec, sealed FROM wrapping_keys"):
            try:
                yield identity, spec, self.seal.open(f"wrapping key {identity}", sealed)
            except BrokenSealError:
                raise StateError(f"The wrapping key {identity} in the state is damaged.") from None

    @property
    def settled(self) -> bool:
        """Whether everything noted so far is on disk."""
        return self._written == self._noted

    async def flush(self) -> None:
        """Return when everything noted before the call is on disk.

        Raises: sqlite3.Error when the disk refuses. Nothing is lost then: the changes stay noted for the next flush.
        """
        await asyncio.get_running_loop().run_in_executor(self._writer, self._write)

    async def close(self) -> None:
        """Write what is left, then let go of the file and its lock."""
        try:
            await self.flush()
        finally:
            self._writer.shutdown()
            self._connection.close()
            if self._key_file is not None:
                self._key_file.close()

    def _rows(self, query: str) -> Iterator[Any]:
        try:
            yield from self._connection.execute(query)
        except sqlite3.Error as error:
            raise StateError(f"The state is damaged: {error}.") from error

    def _note(self, statement: str, *values: str | bytes) -> None:
        self._noted += 1
        self._changes.append((statement, values))

    def _write(self) -> None:
        batch: list[Change] = []
        while self._changes:
            batch.append(self._changes.popleft())
        if not batch:
            return  # an earlier flush in the same queue took them along
        try:
            with self._connection:
                self._connection.execute("BEGIN")
                for statement, values in batch:
                    self._connection.execute(statement, values)
        except BaseException:
            self._changes.extendleft(reversed(batch))
            raise
        self._written += len(batch)


def open_journal(path: Path | None) -> Journal:
    """Open or create the state at a path, or one in memory.

    Raises: StateError when the state is in use, damaged, of a newer version, no local KMS state, or without its key
    file.
    """
    if path is None:
        return _opened(":memory:", Seal(os.urandom(KEY_BYTES)), None)
    key_file = KeyFile(path)
    try:
        path.touch(mode=0o600)  # before SQLite does, which would let others read it
        return _opened(str(path), Seal(key_file.key), key_file)
    except sqlite3.Error as error:
        key_file.close()
        raise StateError(f"{path} cannot be read as a local KMS state: {error}.") from error
    except BaseException:
        key_file.close()
        raise


def _opened(database: str, seal: Seal, key_file: KeyFile | None) -> Journal:
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    try:
        new = _is_new(connection, database)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # deleted material leaves no sealed copy in free pages
        if new:
            _create(connection, seal)
        _prove(connection, database, seal)
    except BaseException:
        connection.close()
        raise
    return Journal(connection, seal, key_file)


def _is_new(connection: sqlite3.Connection, database: str) -> bool:
    """Whether the database is empty; if not, it must be one of ours, and of a version that this code knows."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        return True
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StateError(f"{database} is a database of another program.")
    if version > SCHEMA_VERSION:
        known = f"schema {version}; this one knows {SCHEMA_VERSION}"
        raise StateError(f"{database} was written by a newer version ({known}).")
    return False


def _create(connection: sqlite3.Connection, seal: Seal) -> None:
    with connection:  # the tables and the proof appear together, or a crash leaves an empty file
        connection.execute("BEGIN")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO seal VALUES (?)", (seal.close(PROOF, b""),))


def _prove(connection: sqlite3.Connection, database: str, seal: Seal) -> None:
    (proof,) = connection.execute("SELECT proof FROM seal").fetchone()
    try:
        seal.open(PROOF, proof)
    except BrokenSealError:
        raise StateError(f"{database} was sealed under another key than the one in {database}.key.") from None
