"""What all tables share: the metadata, partial indexes, and the upsert of the database in use.

TRAP: a partial index serves only a query that repeats its WHERE word for word, and with literals: a bound parameter
could be anything, so the planner ignores the index and reads a million rows. Hence the predicates are constants of SQL
text, written once and used in the index and in every query, and a test reads the query plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, text
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement, TextClause

Excluded = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]
"""The row that an upsert brings, by column."""

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Seconds: Final = BigInteger()
"""Seconds since 1970 outgrow 32 bits in 2038."""

Serial: Final = BigInteger().with_variant(Integer(), "sqlite")
"""A number that the database counts up; SQLite does so only for a column of exactly this type."""


def one_of(column: str, members: Iterable[StrEnum]) -> TextClause:
    """The predicate that a column holds one of these members, as literal SQL."""
    values = ", ".join(f"'{member.value}'" for member in members)
    return text(f"{column} IN ({values})")


def partial_index(name: str, *columns: Column[Any], where: TextClause, unique: bool = False) -> Index:
    """An index over the rows that `where` picks."""
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


def upsert(
    table: Table,
    *,
    fixed: tuple[str, ...] = (),
    but: Callable[[Excluded], dict[str, Any]] = lambda _: {},
    where: Callable[[Excluded], Any] | None = None,
) -> Insert:
    """Insert a row, or replace all but the `fixed` columns of the one with the same primary key.

    Given the row that comes, `but` has other values than its own, by column, and `where` limits the replacing.
    PostgreSQL has the same statement under the same names: the import of `insert` above is the one place to choose in.
    """
    new = insert(table)
    key = [column.name for column in table.primary_key]
    values = {c.name: new.excluded[c.name] for c in table.c if c.name not in fixed and c.name not in key}
    values |= but(new.excluded)
    return new.on_conflict_do_update(
        index_elements=key, set_=values, where=None if where is None else where(new.excluded)
    )


def insert_new(table: Table) -> Insert:
    """Insert a row unless there is one with the same primary key."""
    return insert(table).on_conflict_do_nothing(index_elements=[column.name for column in table.primary_key])
