"""Simulated worlds, fixed and fresh. A failure prints the command that shows it again."""

from __future__ import annotations

import random

import pytest

from tests.sim.__main__ import story
from tests.sim.plan import draw
from tests.sim.run import run
from tests.sim.shrink import shrink

pytestmark = pytest.mark.timeout(300)

FIXED = (1, 2, 5, 7, 10, 11, 14, 15)
"""Between them every kind of event, one to three lanes, fleets of 5 to 34 keys, and lives from two weeks to a year."""
FRESH = random.SystemRandom().sample(range(10**6, 10**9), 3)


def _judge(seed: int, *, tries: int = 25) -> None:
    verdict = run(seed)
    if not verdict.ok:
        laws = verdict.laws
        short = shrink(verdict.plan, lambda less: bool(laws & run(less).laws), tries=tries)
        pytest.fail(f"make sim SEED={seed}\n{verdict.violations[0]}\n{story(run(short))}", pytrace=False)


@pytest.mark.parametrize("seed", FIXED)
def test_every_law_holds_in_the_worlds_that_are_known(seed: int) -> None:
    """In a fixed set of worlds no law is broken."""
    _judge(seed)


# Behind `make soak`: a law that a new world breaks is news about byokd, and no verdict on the change at hand.
@pytest.mark.soak
@pytest.mark.parametrize("number", range(len(FRESH)))
def test_every_law_holds_in_worlds_that_nobody_has_seen(number: int) -> None:
    """Each run draws some worlds of its own; a failure names the seed."""
    _judge(FRESH[number])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(60))
def test_every_law_holds_for_centuries(block: int) -> None:
    """Hundreds of worlds, never the same ones twice."""
    rng = random.SystemRandom()
    for _ in range(20):
        _judge(rng.randrange(10**9, 10**12), tries=80)


def test_a_seed_repeats_exactly() -> None:
    """The same seed tells the same story to the last line, or no failure could ever be shown again."""
    first, second = run(11), run(11)
    assert first.book.story == second.book.story
    assert first.requests == second.requests


def test_a_plan_shrinks_to_what_matters() -> None:
    """Out of all events of a plan, those that a breach needs are found."""
    plan = draw(14)
    wanted = {plan.events[3].number, plan.events[-2].number}
    short = shrink(plan, lambda less: wanted <= {event.number for event in less.events}, tries=200)
    assert {event.number for event in short.events} == wanted
