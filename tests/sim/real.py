"""Runs a plan over byokd's real parts: SQLite on disk with its threads and group commits, AWS's client, RSA."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from byokd.store import open_store
from tests.sim.loop import run_virtually
from tests.sim.plan import Plan, draw
from tests.sim.run import Verdict, live, quiet, verdict_on
from tests.sim.wire import WiredWorld
from tests.sim.world import World


def run_over_real_parts(plan: Plan | int, database: Path) -> Verdict:
    """Simulate a plan, or the plan of a seed, on a database that is empty or not there yet."""
    what = draw(plan) if isinstance(plan, int) else plan
    began_s, counted = time.process_time(), Counted()
    with quiet() as defects:
        world: World = run_virtually(_over(database, what, counted, defects), inflight=counted.busy)
    return verdict_on(world, cpu_s=time.process_time() - began_s)


def run_for_once(plan: Plan | int) -> Verdict:
    """The same on a new database, which nobody wants to see afterwards."""
    with TemporaryDirectory() as directory:
        return run_over_real_parts(plan, Path(directory) / "byokd.db")


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
