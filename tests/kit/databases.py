"""Databases to start from."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from byokd.store import open_store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database just created, to copy: running the migrations takes longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "byokd.db"

    async def create() -> None:
        async with open_store(path):
            pass

    asyncio.run(create())
    return path
