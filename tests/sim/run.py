"""Runs a plan from its beginning to its verdict."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog

from byokd.facts.key import KeyState
from byokd.facts.ledger import OrderKind
from tests.sim.book import Book, Violation
from tests.sim.clocks import seconds
from tests.sim.events import Events
from tests.sim.foreseen import foresee, look_ahead
from tests.sim.journal import Journal
from tests.sim.laws import Laws
from tests.sim.loop import VirtualLoop, run_virtually, whereabouts
from tests.sim.peace import all_is_well
from tests.sim.people import People
from tests.sim.plan import DAY_S, HOUR_S, Plan, draw
from tests.sim.promises import Promises
from tests.sim.queues import Queues
from tests.sim.relations import families_agree, rotations_say_why
from tests.sim.tidings import Tidings
from tests.sim.wishes import Wishes, orders_are_answered
from tests.sim.world import World

YEAR_S: Final = 365.25 * DAY_S
DEFECTS: Final = ("turn_defect", "channel_defect")
COLLECT_AFTER: Final = (10_000, 10, 10)
"""As the daemon has it: what a world remembers grows all the time, and is no garbage before its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a world."""

    plan: Plan
    violations: tuple[Violation, ...]
    key_years: float
    imports: int
    requests: int
    cpu_s: float
    book: Book

    @property
    def ok(self) -> bool:
        """Whether every law held."""
        return not self.violations

    @property
    def laws(self) -> frozenset[str]:
        """The laws that were broken."""
        return frozenset(each.law for each in self.violations)


class Enough(SystemExit):
    """A law was broken, and no more is asked. Of the kind that leaves a loop at once, whose task ever raises it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world


def run(plan: Plan | int, *, to_its_end: bool = True) -> Verdict:
    """Simulate a plan, or the plan of a seed; if not `to_its_end`, up to the moment when a law is seen broken."""
    what = draw(plan) if isinstance(plan, int) else plan
    began_s = time.process_time()
    with quiet() as defects, collected_seldom():
        try:
            world: World = run_virtually(live(what, defects, make=World if to_its_end else _impatient))
        except Enough as enough:
            world = enough.world
    return verdict_on(world, cpu_s=time.process_time() - began_s)


def verdict_on(world: World, *, cpu_s: float) -> Verdict:
    """What became of a world that was lived for so many seconds of CPU."""
    book = world.book
    return Verdict(
        plan=world.plan,
        violations=tuple(sorted(book.violations, key=lambda each: each.at_s)),
        key_years=len(world.plan.keys) * world.now_s / YEAR_S,
        imports=book.imports,
        requests=book.requests,
        cpu_s=cpu_s,
        book=book,
    )


def _impatient(plan: Plan) -> World:
    world = World(plan)

    def enough() -> None:
        world.book.at_once = None
        raise Enough(world)

    world.book.at_once = enough
    return world


async def live(plan: Plan, defects: list[str], *, make: Callable[[Plan], World] = World) -> World:
    """The life of a world: the storm, the calm, and the judgement."""
    world = make(plan)
    if isinstance(loop := asyncio.get_running_loop(), VirtualLoop):
        loop.at_standstill = partial(_turns_in_a_circle, world)
        loop.with_nothing_left = partial(_waits_for_ever, world, loop)
    events = Events(world)
    await world.sync()
    await world.start()
    events.schedule()
    await world.run_until(plan.stormy_s)
    await rotations_say_why(world)
    await events.calm()
    await put_right(world, events)
    await world.run_until(world.now_s + convergence_s(plan))
    await look_ahead(world)
    await all_is_well(world)
    foreseen = await foresee(world)
    await world.run_until(world.now_s + max(key.life_s for key in plan.keys) * 1.05)
    await all_is_well(world)
    await orders_are_answered(world)
    families_agree(world)
    for what in defects:
        world.book.broken("no defect", "*", what)
    foreseen.hold()
    Laws(world).hold()
    Journal(world).hold()
    Wishes(world).hold()
    Promises(world).hold()
    Queues(world).hold()
    Tidings(world).hold()
    before_s = world.now_s
    await world.stop()
    if world.now_s - before_s > 60:
        world.book.broken("stops", "*", "byokd did not stop by itself")
    return world


def _turns_in_a_circle(world: World) -> None:
    world.book.broken("alive", "*", "byokd turns in a circle, and no time passes")
    raise Enough(world)


def _waits_for_ever(world: World, loop: VirtualLoop) -> None:
    world.book.broken("alive", "*", f"whoever waits, waits for ever: {'; '.join(whereabouts(loop))}")
    raise Enough(world)


async def put_right(world: World, people: People) -> None:
    """Nothing is broken any more, and people order what policies and byokd leave to them."""
    world.book.tell("*", "the storm is over")
    await world.run_until(world.now_s + HOUR_S)
    await world.make_peace()
    for key in world.keys:
        ends = key.lane.managed_expiry(key.arn)
        # Or will be, by what somebody imported, before byokd looks again.
        lost = key.lane.state(key.arn) is KeyState.PENDING_IMPORT or (
            isinstance(ends, datetime) and seconds(ends) < world.now_s + key.plan.look_s
        )
        if lost and not (key.plan.heals_lapse and key.plan.heals_delete):
            await world.order(key, OrderKind.IMPORT)
        else:
            await people.do_as_asked(key)
        if key.lane.key(key.arn).pending is not None and not key.plan.is_replica:
            await world.order(key, OrderKind.ROTATE)  # what people or a cancelled order began


def convergence_s(plan: Plan) -> float:
    """How long it may take until all is well: some looks and drills, and the waits of an hour between tries."""
    return 2.0 * max(key.look_s + key.drill_s for key in plan.keys) + 6 * HOUR_S


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Let Python look for cyclic garbage as `COLLECT_AFTER` says."""
    before = gc.get_threshold()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Silence the log, and collect what it calls a defect."""
    defects: list[str] = []

    def collect(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event["event"] in DEFECTS:
            defects.append(structlog.processors.format_exc_info(_, __, event).get("exception", event["event"]))
        raise structlog.DropEvent

    structlog.configure(processors=[collect], wrapper_class=structlog.make_filtering_bound_logger(40))
    try:
        yield defects
    finally:
        structlog.reset_defaults()
