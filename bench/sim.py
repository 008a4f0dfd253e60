"""How many key-years the simulator lives through in a second of one core, on twins in memory and on real parts.

A figure is that of all its worlds together, storms included. A life costs about the same however long it is, and counts
by its length: so worlds whose material lives about a year, as most rules have it, are told beside lives of all lengths.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import count, islice

from bench.figure import Figure
from tests.sim.plan import DAY_S, LIVES_PER_WORLD, draw
from tests.sim.real import run_for_once
from tests.sim.run import Verdict, run

SEEDS = tuple(range(1, 17))
SLOW_SEEDS = SEEDS[:10]
"""The slower ring lives through as many of the same worlds as take it some minutes."""
GOAL = 200.0
SLOW_GOAL = 10.0
YEARLY = 10
"""So many worlds of material that lives about a year: the first there are."""
ABOUT_A_YEAR_S = 300 * DAY_S


async def measure() -> Iterator[Figure]:
    """The figures; a law that is broken is no figure, and raises `AssertionError`."""
    quick = [await asyncio.to_thread(run, seed) for seed in SEEDS]
    yearly = [await asyncio.to_thread(run, seed) for seed in islice(filter(_lives_a_year, count(1)), YEARLY)]
    slow = [await asyncio.to_thread(run_for_once, seed) for seed in SLOW_SEEDS]
    for verdicts, real in (((*quick, *yearly), ""), (slow, " REAL=1")):
        for verdict in verdicts:
            assert verdict.ok, f"make sim SEED={verdict.plan.seed}{real}: {verdict.violations[0]}"
    return _figures(quick, yearly, slow)


def _lives_a_year(seed: int) -> bool:
    return draw(seed).stormy_s >= LIVES_PER_WORLD * ABOUT_A_YEAR_S


def _figures(quick: Sequence[Verdict], yearly: Sequence[Verdict], slow: Sequence[Verdict]) -> Iterator[Figure]:
    for where, verdicts, goal in (
        ("twins in memory, material of about a year", yearly, GOAL),
        ("twins in memory, lives of all lengths", quick, GOAL),
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
