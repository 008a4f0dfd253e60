"""The journal: what the local KMS knows, on disk, before anyone is told.

The live state is in memory (keyring, wrapping keys); this file writes it through to SQLite and reads it back at start.
Changes are noted at once and written by one thread, which takes all that have gathered into one transaction: while a
commit waits for the disk, the changes of other requests collect for the next one::

    note ─▶ [ changes ] ─▶ one writer thread ─▶ BEGIN … COMMIT (WAL, synchronous=FULL) ─▶ flush() returns

An answer may leave only when `settled`, or after `flush`: then it, and everything it has seen, survives a crash. If the
disk refuses, the changes stay noted, in order, and the next flush tries again. In memory (no path) the same code runs
on an in-memory database.

Beside keys, aliases and wrapping keys the file holds facts: small documents by name, such as how far the clock is
ahead. All of it can be copied out and replaced as a whole; snapshots.py gives that a form.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, Final

from byokd.localkms import documents
from byokd.localkms.aliases import Alias
from byokd.localkms.errors import StateError
from byokd.localkms.grants import Grant
from byokd.localkms.keys import Key
from byokd.localkms.seal import KEY_BYTES, BrokenSealError, KeyFile, Seal

APPLICATION_ID: Final = 0x4C4B4D53  # "LKMS" in the file's header: another program's database is not taken for ours
SCHEMA_VERSION: Final = 3

GRANTS: Final = (
    "CREATE TABLE grants (id TEXT PRIMARY KEY, key TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX grants_of_key ON grants (key)",
)
SCHEMA: Final = (
    "CREATE TABLE keys (arn TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE aliases (arn TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE wrapping_keys (id TEXT PRIMARY KEY, spec TEXT NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE facts (name TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
    *GRANTS,
    "CREATE TABLE seal (proof BLOB NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
UPGRADES: Final = {
    1: ("CREATE TABLE facts (name TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",),
    2: GRANTS,
}
"""What brings a state of a version to the next one."""
TABLES: Final = {"keys": 2, "aliases": 2, "grants": 3, "wrapping_keys": 3, "facts": 2}
"""The tables that make up a state, and how many columns each has."""
PROOF: Final = "proof of the key file"
LEAD: Final = "clock"

SAVE_KEY: Final = "INSERT OR REPLACE INTO keys VALUES (?, ?)"
FORGET_KEY: Final = ("DELETE FROM keys WHERE arn = ?", "DELETE FROM grants WHERE key = ?")

Row = tuple[str | bytes, ...]
Change = tuple[str, Row]


class Journal:
    """The durable side of one local KMS. Opened by `open_journal`; used from one event loop."""

    def __init__(self, connection: sqlite3.Connection, seal: Seal, key_file: KeyFile | None) -> None:
        self._connection = connection
        self.seal = seal
        self._key_file = key_file
        # The loop fills it while the writer empties it: a deque's append and popleft are atomic. What is one entry here
        # is in one transaction on disk.
        self._changes: deque[tuple[Change, ...]] = deque()
        self._noted = 0
        self._written = 0
        self._writing: asyncio.Future[None] | None = None
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="localkms-journal")
        facts = dict(self._rows("SELECT name, document FROM facts"))
        self.lead_s = float(facts.get(LEAD, 0.0))
        """How far the clock was ahead of real time when that was last noted, seconds."""

    def save_keys(self, keys: Iterable[Key], *, forgotten: str | None = None) -> None:
        """Note new and changed keys and, by its ARN, one that is deleted. All of it reaches the disk, or none."""
        saved = [(SAVE_KEY, (key.arn, documents.write_key(key, self.seal))) for key in keys]
        gone = [(statement, (forgotten,)) for statement in FORGET_KEY] if forgotten is not None else []
        self._note(*saved, *gone)

    def save_alias(self, alias: Alias) -> None:
        """Note a new or changed alias."""
        self._note(("INSERT OR REPLACE INTO aliases VALUES (?, ?)", (alias.arn, documents.write_alias(alias))))

    def forget_alias(self, arn: str) -> None:
        """Note that an alias is deleted."""
        self._note(("DELETE FROM aliases WHERE arn = ?", (arn,)))

    def save_grant(self, grant: Grant) -> None:
        """Note a new grant."""
        values = (grant.id, grant.key, documents.write_grant(grant))
        self._note(("INSERT OR REPLACE INTO grants VALUES (?, ?, ?)", values))

    def forget_grant(self, identity: str) -> None:
        """Note that a grant is deleted."""
        self._note(("DELETE FROM grants WHERE id = ?", (identity,)))

    def save_wrapping_key(self, identity: str, spec: str, private_der: bytes) -> None:
        """Note a wrapping key, so that the tokens issued for it outlive a restart."""
        sealed = self.seal.close(f"wrapping key {identity}", private_der)
        self._note(("INSERT OR REPLACE INTO wrapping_keys VALUES (?, ?, ?)", (identity, spec, sealed)))

    def save_lead(self, seconds: float) -> None:
        """Note how far the clock is ahead of real time, so that a restart does not turn it back."""
        self.lead_s = seconds
        self._note(("INSERT OR REPLACE INTO facts VALUES (?, ?)", (LEAD, repr(seconds))))

    async def copied(self) -> dict[str, list[Row]]:
        """Every row of the state by table, as it was at one moment after the call; secrets in it are sealed.

        Raises: sqlite3.Error when what is still noted cannot be written.
        """
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._copy)

    def replace(self, tables: Mapping[str, Iterable[Row]]) -> None:
        """Note that these tables hold these rows from now on, and nothing else; all of it or none reaches the disk."""
        changes: list[Change] = []
        for table, rows in tables.items():
            places = ", ".join("?" * TABLES[table])
            changes.append((f"DELETE FROM {table}", ()))  # noqa: S608 -- a name from TABLES
            changes += ((f"INSERT INTO {table} VALUES ({places})", row) for row in rows)  # noqa: S608 -- as above
        self._note(*changes)

    def all_keys(self) -> Iterator[Key]:
        """Every key written. Raises: StateError for a damaged document."""
        return keys_of(self._rows("SELECT arn, document FROM keys ORDER BY arn"), self.seal)

    def all_aliases(self) -> Iterator[Alias]:
        """Every alias written. Raises: StateError for a damaged document."""
        return aliases_of(self._rows("SELECT arn, document FROM aliases"))

    def all_grants(self) -> Iterator[Grant]:
        """Every grant written. Raises: StateError for a damaged document."""
        return grants_of(self._rows("SELECT id, key, document FROM grants"))

    def all_wrapping_keys(self) -> Iterator[tuple[str, str, bytes]]:
        """Id, spec and PKCS #8 DER of every wrapping key written. Raises: StateError for a damaged one."""
        return wrapping_keys_of(self._rows("SELECT id, spec, sealed FROM wrapping_keys"), self.seal)

    @property
    def settled(self) -> bool:
        """Whether everything noted so far is on disk."""
        return self._written == self._noted

    async def flush(self) -> None:
        """Return when everything noted before the call is on disk.

        Raises: sqlite3.Error when the disk refuses. Nothing is lost then: the changes stay noted for the next flush.
        """
        wanted = self._noted
        while self._written < wanted:
            if self._writing is None or self._writing.done():
                self._writing = asyncio.get_running_loop().run_in_executor(self._writer, self._write)
            # Many may wait for one way to the thread and back. It may take along what was noted since, or may not.
            await asyncio.shield(self._writing)

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
            # Not `yield from`, which closes the cursor of a generator left unfinished: after the connection, when it is
            # collected late.
            for row in self._connection.execute(query):  # noqa: UP028
                yield row
        except sqlite3.Error as error:
            raise StateError(f"The state is damaged: {error}.") from error

    def _note(self, *changes: Change) -> None:
        self._noted += 1
        self._changes.append(changes)

    def _copy(self) -> dict[str, list[Row]]:
        self._write()
        return {table: self._connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}  # noqa: S608 -- as above

    def _write(self) -> None:
        batch: list[tuple[Change, ...]] = []
        while self._changes:
            batch.append(self._changes.popleft())
        if not batch:
            return  # a copy took them along
        try:
            with self._connection:
                self._connection.execute("BEGIN")
                for statement, values in chain.from_iterable(batch):
                    self._connection.execute(statement, values)
        except BaseException:
            self._changes.extendleft(reversed(batch))
            raise
        self._written += len(batch)


def keys_of(rows: Iterable[Any], seal: Seal) -> Iterator[Key]:
    """The keys of their rows. Raises: StateError for a damaged document."""
    for arn, document in rows:
        try:
            yield documents.read_key(document, seal)
        except (BrokenSealError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(f"The state of {arn} is damaged ({type(error).__name__}).") from None


def aliases_of(rows: Iterable[Any]) -> Iterator[Alias]:
    """The aliases of their rows. Raises: StateError for a damaged document."""
    for arn, document in rows:
        try:
            yield documents.read_alias(document)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(f"The state of {arn} is damaged ({type(error).__name__}).") from None


def grants_of(rows: Iterable[Any]) -> Iterator[Grant]:
    """The grants of rows. Raises: StateError for a damaged document."""
    for identity, _, document in rows:
        try:
            yield documents.read_grant(document)
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"The state of grant {identity} is damaged ({type(error).__name__}).") from None


def wrapping_keys_of(rows: Iterable[Any], seal: Seal) -> Iterator[tuple[str, str, bytes]]:
    """Id, spec and PKCS #8 DER of the wrapping keys of their rows. Raises: StateError for a damaged one."""
    for identity, spec, sealed in rows:
        try:
            yield identity, spec, seal.open(f"wrapping key {identity}", sealed)
        except (BrokenSealError, TypeError):
            raise StateError(f"The wrapping key {identity} in the state is damaged.") from None


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
        else:
            _upgrade(connection)
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


def _upgrade(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    while version < SCHEMA_VERSION:
        with connection:
            connection.execute("BEGIN")
            for statement in UPGRADES[version]:
                connection.execute(statement)
            version += 1
            connection.execute(f"PRAGMA user_version = {version}")


def _prove(connection: sqlite3.Connection, database: str, seal: Seal) -> None:
    (proof,) = connection.execute("SELECT proof FROM seal").fetchone()
    try:
        seal.open(PROOF, proof)
    except BrokenSealError:
        raise StateError(f"{database} was sealed under another key than the one in {database}.key.") from None
