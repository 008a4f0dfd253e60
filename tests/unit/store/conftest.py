"""A store on SQLite with a key in it and its lane owned."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from byokd.store import SqlStore, open_store
from tests.kit.databases import empty_database
from tests.kit.store_fleet import Fleet, with_a_key

__all__ = ["empty_database", "fleet", "path", "store"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "byokd.db"


@pytest.fixture
async def store(path: Path, empty_database: Path) -> AsyncIterator[SqlStore]:
    shutil.copy(empty_database, path)
    async with open_store(path) as opened:
        yield opened


@pytest.fixture
async def fleet(store: SqlStore) -> Fleet:
    return await with_a_key(store)
