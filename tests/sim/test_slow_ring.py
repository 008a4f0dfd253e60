"""The same worlds over byokd's real parts: SQLite on disk with its threads and group commits, AWS's client, RSA."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from byokd.store import open_store
from tests.kit.databases import empty_database
from tests.sim.loop import run_virtually
from tests.sim.plan import Plan, draw
from tests.sim.run import live, quiet
from tests.sim.wire import WiredWorld
from tests.sim.world import World

__all__ = ["empty_database"]

pytestmark = pytest.mark.timeout(300)


class Counted:
    """A store whose calls in flight are counted: virtual time stands still while a thread works."""

    def __init__(self) -> None:
        self.store: Any = None
        self.calls = 1
        """One for the opening."""

    def busy(self) -> bool:
        """Whether a call is in flight."""
        return self.calls > 0

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.store, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            try:
                return await member(*arguments, **named)
            finally:
                self.calls -= 1

        return call


async def _over(path: Path, plan: Plan, counted: Counted, defects: list[str]) -> World:
    async with open_store(path) as store:
        counted.store, counted.calls = store, 0
        world = await live(plan, defects, make=lambda what: WiredWorld(what, store=counted))
        counted.calls = 1
    return world


@pytest.mark.parametrize("seed", [3, pytest.param(7, marks=pytest.mark.soak), pytest.param(14, marks=pytest.mark.soak)])
def test_every_law_holds_over_real_parts(seed: int, tmp_path: Path, empty_database: Path) -> None:
    """What holds over twins in memory holds over SQLite, aiobotocore and real wrapping."""
    path = tmp_path / "byokd.db"
    shutil.copy(empty_database, path)
    counted = Counted()
    with quiet() as defects:
        world: World = run_virtually(_over(path, draw(seed), counted, defects), inflight=counted.busy)

    assert not world.book.violations, f"make sim SEED={seed}: {world.book.violations[0]}"
    assert world.book.imports > 0
