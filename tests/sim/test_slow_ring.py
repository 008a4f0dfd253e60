"""The same worlds over byokd's real parts: SQLite on disk with its threads and group commits, AWS's client, RSA."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from byokd.store import open_store
from tests.kit.databases import empty_database
from tests.kit.store_fleet import condition
from tests.sim.__main__ import main, story
from tests.sim.loop import run_virtually
from tests.sim.plan import draw
from tests.sim.real import Counted, run_over_real_parts
from tests.sim.run import run
from tests.sim.wire import WiredWorld

__all__ = ["empty_database"]

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("seed", [3, pytest.param(7, marks=pytest.mark.soak), pytest.param(14, marks=pytest.mark.soak)])
def test_every_law_holds_over_real_parts(seed: int, tmp_path: Path, empty_database: Path) -> None:
    """What holds over twins in memory holds over SQLite, aiobotocore and real wrapping."""
    path = tmp_path / "byokd.db"
    shutil.copy(empty_database, path)
    verdict = run_over_real_parts(seed, path)

    assert verdict.ok, f"make sim SEED={seed} REAL=1: {verdict.violations[0]}"
    assert verdict.imports > 0


def test_a_world_over_real_parts_is_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    """What this ring printed of a failing seed ran it on twins, where every law may hold."""
    assert main(("1", "--real", "--events", ",")) == 0
    assert "every law held" in capsys.readouterr().out
    assert story(run(draw(1).only(frozenset())), real=True).startswith("make sim SEED=1 EVENTS=, REAL=1\n")


def test_what_a_killed_process_wrote_is_in_the_book(tmp_path: Path, empty_database: Path) -> None:
    """A write went on in its thread after the process was killed that had asked for it, and the book never heard of it.

    So a notice came out of the outbox that nobody had seen written: the channel stumbled over it for the rest of the
    world, every quarter of an hour for two years.
    """
    path, counted = tmp_path / "byokd.db", Counted()
    shutil.copy(empty_database, path)

    async def killed_while_it_writes() -> None:
        async with open_store(path) as store:
            counted.store, counted.calls = store, 0
            world = WiredWorld(draw(1), store=counted)
            write = asyncio.ensure_future(world.door.of(world.store).save_conditions([condition()]))
            while not counted.busy():
                await asyncio.sleep(0)
            await world.kill()
            written = {each.id for each in await counted.open_conditions()}
            counted.calls = 1

            assert write.cancelled()
            assert written == world.book.told.keys() == {condition().id}

    run_virtually(killed_while_it_writes(), inflight=counted.busy)
