"""The stores that the contract suite is run over."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from byokd.ports import Store
from byokd.store import open_store
from tests.kit.databases import empty_database
from tests.kit.memory_store import MemoryStore
from tests.kit.store_fleet import Fleet, with_a_key

__all__ = ["empty_database", "fleet", "store"]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, empty_database: Path, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    path = tmp_path / "byokd.db"
    shutil.copy(empty_database, path)
    async with open_store(path) as opened:
        yield opened


@pytest.fixture
async def fleet(store: Store) -> Fleet:
    return await with_a_key(store)
