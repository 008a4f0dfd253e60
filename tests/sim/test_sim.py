"""Simulated worlds, fixed and fresh. A failure prints the command that shows it again."""

from __future__ import annotations

import asyncio
import os
import random
import shlex
import subprocess
import sys
from contextlib import suppress
from hashlib import sha256

import pytest

from tests.sim.__main__ import main
from tests.sim.loop import run_virtually
from tests.sim.plan import draw
from tests.sim.planted import COPIED, ROOT
from tests.sim.run import Enough, Verdict, live, quiet, run
from tests.sim.shrink import shrink
from tests.sim.world import World

pytestmark = pytest.mark.timeout(600)

FIXED = (1, 2, 8, 10, 11, 12, 14, 15, 30)
"""Between them every kind of event, one to three lanes, fleets of 5 to 34 keys, and lives from nine days to a year."""
DRAWN = range(1, 100)
"""Whose worlds have every kind of event that is drawn at all."""
FRESH = 8
BLOCKS = 24
BLOCK_S = 300.0
"""Of CPU: two of them at a time are an hour."""


def _breach(verdict: Verdict) -> str:
    """The first law that is broken and how to see it again; empty where every law held."""
    if verdict.ok:
        return ""
    return f"{verdict.violations[0]}\nTo see it again, with its story: make sim SEED={verdict.plan.seed}"


def _judge(seed: int) -> None:
    """Hold every law in the world of a seed."""
    if breach := _breach(run(seed)):
        pytest.fail(breach, pytrace=False)


@pytest.mark.parametrize("seed", FIXED)
def test_every_law_holds_in_the_worlds_that_are_known(seed: int) -> None:
    """In a fixed set of worlds no law is broken."""
    _judge(seed)


def test_the_worlds_that_are_known_have_every_kind_of_event() -> None:
    """Which kinds there are is read off many plans."""
    kinds = {seed: {event.kind for event in draw(seed).events} for seed in DRAWN}
    assert set().union(*(kinds[seed] for seed in FIXED)) == set().union(*kinds.values())


def _fresh() -> list[int]:
    """Seeds that follow from every line of byokd and of the simulator.

    Who changes one sees worlds that nobody has seen, and who runs the same tree again sees the same worlds: a failure
    is news about the change, and never about the day.
    """
    lines = sha256()
    for package in COPIED:
        for path in sorted((ROOT / package).rglob("*.py")):
            lines.update(path.read_bytes())
    rng = random.Random(lines.digest())
    return [rng.randrange(10**6, 10**9) for _ in range(FRESH)]


@pytest.mark.parametrize("seed", _fresh())
def test_every_law_holds_in_worlds_that_nobody_has_seen(seed: int) -> None:
    """Each change of byokd meets some worlds of its own: where one breaks a law, its seed is told."""
    _judge(seed)


@pytest.mark.soak
@pytest.mark.timeout(10 * BLOCK_S)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_law_holds_for_centuries(block: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Hundreds of worlds, never the same ones twice. Each that breaks a law is told at once, and the others go on."""
    rng, left_s, breaches = random.SystemRandom(), BLOCK_S, []
    while left_s > 0:
        verdict = run(rng.randrange(10**9, 10**12))
        left_s -= verdict.cpu_s
        if breach := _breach(verdict):
            breaches.append(breach)
            with capfd.disabled():
                sys.stderr.write(f"\n{breach}\n")
    if breaches:
        pytest.fail("\n".join(breaches), pytrace=False)


def test_a_seed_repeats_exactly() -> None:
    """The same seed tells the same story to the last line, or no failure could ever be shown again."""
    first, second = run(8), run(8)
    assert first.book.story == second.book.story
    assert first.requests == second.requests


def test_a_process_that_is_killed_is_gone_at_once() -> None:
    """A lane that lost its lease in that moment handled the error alone and lived on, and its world never ended."""

    async def lives_on() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def killed() -> asyncio.Task[None]:
        world = World(draw(1))
        await world.start()
        task = asyncio.create_task(lives_on())
        await asyncio.sleep(0)
        await world.kill()
        return task

    assert run_virtually(killed()).cancelled()


def test_a_world_that_waits_for_ever_is_told() -> None:
    """It ended in an error that named no seed, and nobody saw who waits, or where."""

    class Hangs(World):
        async def sync(self) -> None:
            await asyncio.Event().wait()

    with quiet() as defects, pytest.raises(Enough) as ended:
        run_virtually(live(draw(1), defects, make=Hangs))
    (violation,) = ended.value.world.book.violations
    assert violation.law == "alive"
    assert "live > test_a_world_that_waits_for_ever_is_told.<locals>.Hangs.sync > Event.wait" in violation.text


def test_a_plan_shrinks_to_what_matters() -> None:
    """Out of all events of a plan, those that a breach needs are found."""
    plan = draw(14)
    wanted = {plan.events[3].number, plan.events[-2].number}
    short = shrink(plan, lambda less: wanted <= {event.number for event in less.events}, tries=200)
    assert {event.number for event in short.events} == wanted


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(
            ("5", "--until", "2"),
            "--until (UNTIL) 2 comes before the seed (SEED) 5",
            id="a range that ends before it begins",
        ),
        pytest.param(
            ("5", "--until", "9", "--events", "1"), "--events (EVENTS) are those of one world", id="events of a range"
        ),
        pytest.param(("5", "--events", "a"), "'a' is no list of numbers: EVENTS=4,7", id="events that are no numbers"),
        pytest.param(
            ("5", "--events", "1,9999"), "(EVENTS): world 5 has no event 9999", id="an event that is not there"
        ),
        pytest.param(("5", "--events", ""), "is empty: 'EVENTS=,' is a world without events", id="no word of events"),
        pytest.param(("5", "--until", ""), "'' is no number: SEED=1 UNTIL=50", id="no word of an end"),
        pytest.param(("",), "argument SEED: '' is no number", id="no word of a seed"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A world that is not the one meant says nothing about it: without events, every law holds."""
    with pytest.raises(SystemExit) as refused:
        main(words)
    assert refused.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param((), ["1"], id="nothing"),
        pytest.param(("SEED=5", "EVENTS=4,7", "REAL=1"), ["5", "--events", "4,7", "--real"], id="events"),
        pytest.param(("SEED=5", "EVENTS=,"), ["5", "--events", ","], id="none of them"),
        pytest.param(("SEED=5", "EVENTS="), ["5", "--events", ""], id="no word of events"),
        pytest.param(("UNTIL=9",), ["1", "--until", "9"], id="an end"),
        pytest.param(("SEED=", "UNTIL="), ["", "--until", ""], id="no word of either"),
    ],
)
def test_make_hands_on_what_was_said(said: tuple[str, ...], words: list[str]) -> None:
    """`EVENTS=` with nothing behind it was taken for nothing said, and all events came."""
    asked = ("make", "--dry-run", "--old-file", ".venv/dev.stamp", "sim", *said)
    alone = {"PATH": os.environ["PATH"]}
    done = subprocess.run(asked, cwd=ROOT, env=alone, capture_output=True, text=True, check=True, timeout=30)
    assert shlex.split(done.stdout)[3:] == words
