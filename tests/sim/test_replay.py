"""What was decided in a storm can be replayed from the record: `byokd why --at`, held against what was decided."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from byokd.decide.decide import decide
from byokd.decide.replay import Replayed, replay
from byokd.facts.change import Change
from byokd.facts.key import Blind, KeyRef
from byokd.facts.snapshot import Reason
from tests.kit.memory_store import MemoryStore
from tests.sim.loop import run_virtually
from tests.sim.plan import Plan, draw
from tests.sim.run import live, quiet
from tests.sim.world import World

pytestmark = pytest.mark.timeout(300)

AT_PEACE = (Reason.FRESH, Reason.NEVER_EXPIRES, Reason.IN_STOCK)
"""That a drill was due leaves no trace."""
PATIENCE = 3
"""Looks that fail before a condition is raised; before that they leave none either."""


class Witness(MemoryStore):
    """A store that notes each decision, with the time at which it came in; of one second, the last."""

    def __init__(self) -> None:
        super().__init__()
        self.now: Callable[[], datetime] | None = None
        self.noted: dict[tuple[KeyRef, datetime], Change] = {}

    async def save(self, change: Change) -> None:
        await super().save(change)
        assert self.now is not None, "set when the world is there"
        self.noted[change.snapshot.ref, self.now()] = change


def _told(reason: str, tier: str) -> tuple[str, str]:
    return ("at peace" if reason in AT_PEACE else reason, tier)


def _lived(plan: Plan) -> Witness:
    witness = Witness()

    def make(what: Plan) -> World:
        world = World(what, store=witness)
        witness.now = world.host.now
        return world

    with quiet() as defects:
        run_virtually(live(plan, defects, make=make))
    return witness


@pytest.mark.parametrize("seed", [1, 8])
def test_a_storm_is_replayed_as_it_was_decided(seed: int) -> None:
    """In worlds whose clocks are not stepped: every decision, for the same reason, in the same tier.

    A clock that was stepped forward is set back in the end, and the record then has the same times twice:
    the world of seed 3 is replayed as it was decided without its step forward, and not with it.
    Not of keys with several materials yet: what one of them waited for is told of another, here and there.
    """
    drawn = draw(seed)
    single = tuple(replace(key, stock=0) for key in drawn.keys)
    events = tuple(event for event in drawn.events if event.kind not in ("rotate", "step"))
    witness, wrong, held = _lived(replace(drawn, keys=single, events=events)), [], 0
    with asyncio.Runner() as runner:
        for (ref, at), change in witness.noted.items():
            snapshot = change.snapshot
            if isinstance(snapshot.view, Blind) and snapshot.view.failures < PATIENCE:
                continue
            past = runner.run(witness.past(ref, at=at))
            assert past is not None
            if len(past.snapshot.others) != len(snapshot.others):
                continue  # the config names other materials since
            policy = replace(past.snapshot.turned_to(0), desired=snapshot.desired)  # that of today is not kept
            found = replay(replace(past, snapshot=policy), at)
            assert isinstance(found, Replayed)
            again = decide(found.snapshot, at)
            held += 1
            if _told(again.reason, again.tier) != _told(change.reason, change.tier):
                wrong.append((ref, at, change.message, again.message))
    assert wrong == []
    assert held > 100
