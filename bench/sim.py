"""How many key-years the simulator lives through in a second of one core, on twins in memory and on real parts.

A figure is that of all its worlds together, storms included: short lives cost as much as long ones, and count little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figure import Figure
from tests.sim.plan import DAY_S, LIVES_PER_WORLD
from tests.sim.real import run_over_real_parts
from tests.sim.run import Verdict, run

SEEDS = tuple(range(1, 17))
SLOW_SEEDS = SEEDS[:10]
"""The slower ring lives through as many of the same worlds as take it some minutes."""
GOAL = 200.0
SLOW_GOAL = 10.0
LONG_S = 180 * DAY_S
"""Worlds of material that lives so long or longer are told apart."""


async def measure() -> Iterator[Figure]:
    """The figures; a law that is broken is no figure, and raises `AssertionError`."""
    quick = [await asyncio.to_thread(run, seed) for seed in SEEDS]
    slow = [await asyncio.to_thread(_over_real_parts, seed) for seed in SLOW_SEEDS]
    for verdict in (*quick, *slow):
        assert verdict.ok, f"make sim SEED={verdict.plan.seed}: {verdict.violations[0]}"
    return _figures(quick, slow)


def _over_real_parts(seed: int) -> Verdict:
    with TemporaryDirectory() as directory:
        return run_over_real_parts(seed, Path(directory) / "byokd.db")


def _figures(quick: Sequence[Verdict], slow: Sequence[Verdict]) -> Iterator[Figure]:
    long = [each for each in quick if each.plan.stormy_s >= LIVES_PER_WORLD * LONG_S]
    for where, verdicts, goal in (
        ("twins in memory", quick, GOAL),
        ("twins in memory, material of half a year or more", long, None),
        ("real parts", slow, SLOW_GOAL),
    ):
        cpu_s, turns = sum(each.cpu_s for each in verdicts), sum(each.book.turns for each in verdicts)
        key_years, imports = sum(each.key_years for each in verdicts), sum(each.imports for each in verdicts)
        seeds = ", ".join(str(each.plan.seed) for each in verdicts)
        yield Figure(
            name=f"simulator on {where}",
            value=key_years / cpu_s,
            goal=goal,
            unit="key-years/s",
            how=f"seeds {seeds}: {key_years:.0f} key-years, {imports} imports, {turns} turns, {cpu_s:.1f} s of CPU",
            at_least=True,
        )
        yield Figure(
            name=f"one turn of a key on {where}",
            value=1e6 * cpu_s / turns,
            goal=None,
            unit="µs of CPU",
            how=f"{turns / key_years:.0f} turns in a key-year",
        )
