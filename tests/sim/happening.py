"""What all events have in common: they happen, they excuse, and they may be undone.

Every excuse is an entry among the book's obstacles. It lasts as long as the event, and a little longer where byokd
rightly needs a moment to see that things are well again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from tests.sim.fleet import SimKey
from tests.sim.plan import Event
from tests.sim.world import World

PACE_BACK_S: Final = 600.0
"""A lane that was throttled needs this long to reach its whole pace again."""
Undo = Callable[[], Awaitable[None]]


class Happening:
    """Lets events happen in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._owner: dict[tuple[str, object], int] = {}

    def _excuse(self, scope: str, event: Event, why: str, *, after_s: float = 0.0) -> None:
        now_s = self.world.now_s
        self.world.book.obstacles.add(scope, now_s, now_s + event.span_s + after_s, f"#{event.number} {why}")

    def _mine(self, event: Event, what: object) -> Callable[[], bool]:
        """Whether the event is still the last one of its kind to have changed `what`."""
        self._owner[event.kind, what] = event.number
        return lambda: self._owner[event.kind, what] == event.number

    def _targets(self, event: Event) -> list[SimKey]:
        return list(self.world.keys) if event.how.get("all") else [self.world.keys[event.who]]
