"""The stores and KMSs that the contract suites are run over."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from byokd.localkms.wrapping import WrappingKeys
from byokd.ports import Store
from byokd.store import open_store
from tests.contract.kms_worlds import FakeWorld, ModelWorld, World, local_world
from tests.kit.clock import ManualClock
from tests.kit.databases import empty_database
from tests.kit.memory_store import MemoryStore
from tests.kit.store_fleet import Fleet, with_a_key
from tests.localkms.kit import wrapping_keys

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


@pytest.fixture
def pool() -> WrappingKeys:
    """Wrapping keys for local KMSs."""
    return wrapping_keys()


@pytest.fixture
def clock() -> ManualClock:
    """Stands still until it is moved."""
    return ManualClock()


@pytest.fixture(params=["fake", "model", "local"])
async def world(request: pytest.FixtureRequest, clock: ManualClock, pool: WrappingKeys) -> AsyncIterator[World]:
    """Each implementation of `ports.Kms` in turn, and the people around it."""
    if request.param == "fake":
        yield FakeWorld(clock)
    elif request.param == "model":
        yield ModelWorld(clock)
    else:
        async with local_world(clock, pool) as local:
            yield local
