"""What each kind of event does to the world, how it ends, and for how long it counts as an excuse.

Every excuse is an entry among the book's obstacles. It lasts as long as the event, and a little longer where byokd
rightly needs a moment to see that things are well again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from byokd.facts.key import ABSENT
from byokd.facts.ledger import OrderKind
from tests.sim.happening import Undo
from tests.sim.people import People
from tests.sim.plan import Event
from tests.sim.troubles import Troubles
from tests.sim.world import World

SEEN_S: Final = 5.0
"""An order is enough for byokd to look within so long."""


class Events(Troubles, People):
    """Lets the events of a plan happen, and undoes what is still in force when the storm is over."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._undo: dict[int, Undo] = {}

    def schedule(self) -> None:
        """Put every event of the plan on the world's agenda, and let people read what byokd tells them."""
        self.world.channel.reader = self.reads
        for event in self.world.plan.events:
            self.world.at(event.at_s, self._happens(event))

    def _happens(self, event: Event) -> Callable[[], Coroutine[Any, Any, None]]:
        async def happen() -> None:
            self.world.book.tell("*", str(event))
            undo = await getattr(self, f"_{event.kind}")(event)
            if undo is not None:
                self._undo[event.number] = undo
                self.world.at(event.at_s + event.span_s, self._over(event.number))

        return happen

    def _over(self, number: int) -> Callable[[], Coroutine[Any, Any, None]]:
        async def over() -> None:
            if (undo := self._undo.pop(number, None)) is not None:
                await undo()

        return over

    async def calm(self) -> None:
        """Undo whatever is still in force."""
        for number in sorted(self._undo):
            await self._over(number)()

    async def _hurry(self, event: Event) -> Undo | None:
        """Somebody imports material that ends within hours and asks byokd to look, and what byokd does then fails."""
        key, of = self.world.keys[event.who], event.how["of"]
        if key.lane.key(key.arn).deletion_at is not ABSENT or not key.tracked:
            return None
        self.world.import_by_hand(key, float(event.how["life_s"]))
        await self.world.order(key, OrderKind.RELEASE)
        if of == "hold":
            return await self._hold(replace(event, kind="hold", how={"until": False}))
        if of == "source":
            return await self._source(replace(event, kind="source", how={"mode": "missing", "all": False}))
        # Not before byokd has seen what is left.
        how = {"mode": event.how.get("mode", "5xx"), "share": 1.0, "of": of}
        outage = replace(event, who=key.plan.lane, how=how)
        undo: list[Undo] = []
        over = False

        async def begin() -> None:
            if not over:  # a machine that sleeps has its whole agenda when it wakes
                undo.append(await self._outage(outage))

        self.world.at(self.world.now_s + SEEN_S, begin)

        async def end() -> None:
            nonlocal over
            over = True
            for each in undo:
                await each()

        return end
