"""Which schema a database has, and bringing it to the newest by migrations.

A database is *new* (no tables), *current*, *older* (migrated after a backup), *too new* (a later byokd wrote it: hands
off), or *foreign* (another program's). Importing Alembic costs half a second, so a current database never does:
`OURS.head` repeats the newest revision, and a test keeps it true.

A migration is one transaction, the schema's version included: interrupted anywhere, the database is as it was before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from byokd.errors import StoreCorrupt, StoreError, StoreTooNew


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrations:
    """Where the migrations are, and the revision that they lead to."""

    scripts: Path
    head: str


OURS: Final = Migrations(scripts=Path(__file__).parent / "migrations", head="0011")
NEW: Final = ""
"""The revision of a database without tables."""


def revision(connection: Connection, path: Path) -> str:
    """The revision of the schema. Raises: StoreCorrupt where the tables are another program's."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return NEW
    if "alembic_version" not in tables:
        raise StoreCorrupt(f"{path} is another program's database.")
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or NEW


def check_readable(connection: Connection, path: Path, migrations: Migrations) -> None:
    """Raises: StoreTooNew, or a StoreError where the schema is older than this version can read."""
    found = revision(connection, path)
    if found == migrations.head:
        return
    check_known(found, path, migrations)
    raise StoreError(f"{path} was written by an older byokd: start the daemon once, which brings it up to date.")


def check_known(found: str, path: Path, migrations: Migrations) -> None:
    """Raises: StoreTooNew where no migration of this version has that name."""
    if found == NEW:
        return
    from alembic.script import ScriptDirectory

    if found not in {script.revision for script in ScriptDirectory(str(migrations.scripts)).walk_revisions()}:
        raise StoreTooNew(f"{path} has the schema {found}, which this version of byokd does not know.")


def upgrade(connection: Connection, migrations: Migrations) -> None:
    """Run the missing migrations in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations.scripts).replace("%", "%%"))
    command.upgrade(config, "head")
