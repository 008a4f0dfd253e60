"""How many key-years the simulator lives through in a second of one core, on its twins in memory.

The figure is that of all the worlds together, storms included: short lives cost as much as long ones, and count little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from bench.figure import Figure
from tests.sim.run import Verdict, run

SEEDS = range(1, 17)
GOAL = 200.0


async def measure() -> Iterator[Figure]:
    """The figures; a law that is broken is no figure, and raises `AssertionError`."""
    verdicts = [await asyncio.to_thread(run, seed) for seed in SEEDS]
    for verdict in verdicts:
        assert verdict.ok, f"make sim SEED={verdict.plan.seed}: {verdict.violations[0]}"
    return _figures(verdicts)


def _figures(verdicts: list[Verdict]) -> Iterator[Figure]:
    cpu_s = sum(each.cpu_s for each in verdicts)
    key_years, turns = sum(each.key_years for each in verdicts), sum(each.book.turns for each in verdicts)
    imports = sum(each.imports for each in verdicts)
    what = f"seeds {SEEDS[0]} to {SEEDS[-1]}: {key_years:.0f} key-years, {imports} imports, {turns} turns"
    yield Figure(
        name="simulator on twins in memory",
        value=key_years / cpu_s,
        goal=GOAL,
        unit="key-years/s",
        how=f"{what}, {cpu_s:.1f} s of CPU",
        at_least=True,
    )
    yield Figure(
        name="one turn of a key in it",
        value=1e6 * cpu_s / turns,
        goal=None,
        unit="µs of CPU",
        how=f"{turns / key_years:.0f} turns in a key-year",
    )
