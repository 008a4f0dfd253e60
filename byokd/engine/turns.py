"""Which keys of a lane are being worked on, which are left alone for a while, and how much room there is for more.

A key has at most one turn at a time. A wake that comes during a turn is not lost: the turn read its key before, and
what it writes would put off what woke the key, so the key is woken again when the turn ends.

Turns that began with a look and turns of the queue share the room, and neither kind may take all of it: looks that hang
leave room for imports, and a long queue leaves room for looks.
"""

from __future__ import annotations

import asyncio

from byokd.facts.key import KeyRef


class Doorway:
    """Where the turns of all lanes begin: one at each round of the event loop.

    So no more of them are under way than the machine keeps up with: the more there is to do in a round, the longer it
    lasts, and the fewer begin. A thousand lanes that start at once would otherwise have 16,000 calls under way, many of
    which time out while they wait for the processor. A turn that waits for KMS or its source holds nothing here, so a
    lane that hangs slows no other.
    """

    def __init__(self) -> None:
        self._passing = asyncio.Lock()

    async def enter(self) -> None:
        """Return when it is this turn's round; first come, first served."""
        async with self._passing:
            await asyncio.sleep(0)


class Turns:
    """The turns of one lane; at most `most` at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = max(most // 8, most >= 4)
        """The room that either kind leaves to the other; none where there is hardly any."""
        self.looks_wait = False
        """Whether more keys are due than there is room to look at."""
        self._looks: set[KeyRef] = set()
        self._imports: set[KeyRef] = set()
        self._woken: set[KeyRef] = set()
        self._left_alone: dict[KeyRef, float] = {}
        """Until when, monotonic seconds: the wall clock may be set meanwhile."""

    def room_for_looks(self, *, beside: int) -> int:
        """Turns that may begin with a look, `beside` so many imports that are to find room: each token counts.

        They leave three eighths to looks in any case: one that nobody has looked at yet may be the most urgent.
        """
        return self._room(self._looks, max(self._kept, min(beside, self._most * 5 // 8)) if self._kept else 0)

    @property
    def room_for_imports(self) -> int:
        """Turns of the queue that may begin."""
        return self._room(self._imports, self._kept or int(self.looks_want_room and self._most > 1))

    @property
    def looks_want_room(self) -> bool:
        """Whether keys wait to be looked at in a lane so small that it keeps no room for looks unless they do."""
        return self.looks_wait and not self._kept

    def pays(self, room: int) -> bool:
        """Whether it pays to read what is due for so many looks: many keys cost no more than one."""
        return room > 0 and (room >= self._most // 8 or not self._looks)

    @property
    def taken(self) -> int:
        """Keys that the store may name and that must not have a turn now."""
        return len(self._looks) + len(self._imports) + len(self._left_alone)

    def free(self, ref: KeyRef) -> bool:
        """Whether the key may have a turn."""
        return not (ref in self._looks or ref in self._imports or ref in self._left_alone)

    def begin(self, ref: KeyRef, *, look: bool) -> None:
        """A key's turn begins, with a look or as its import's time has come."""
        (self._looks if look else self._imports).add(ref)

    def end(self, ref: KeyRef) -> None:
        """A key's turn has ended, or will not begin."""
        self._looks.discard(ref)
        self._imports.discard(ref)
        self._woken.discard(ref)

    def woken(self, ref: KeyRef) -> bool:
        """Whether the key was woken since its turn began."""
        return ref in self._woken

    def clear(self) -> None:
        """No key is worked on any more."""
        self._looks.clear()
        self._imports.clear()
        self._woken.clear()

    def wake_all(self) -> None:
        """Something changed while turns were in flight."""
        self._woken |= self._looks | self._imports

    def leave_alone(self, ref: KeyRef, until_s: float) -> None:
        """Give the key no turn before `until_s`, monotonic seconds."""
        self._left_alone[ref] = until_s

    def forgive(self, now_s: float) -> None:
        """Keys whose time is over may have a turn again."""
        self._left_alone = {ref: until_s for ref, until_s in self._left_alone.items() if until_s > now_s}

    @property
    def first_forgiven_s(self) -> float | None:
        """When the first key that is left alone may have a turn again, monotonic seconds; None if there is none."""
        return min(self._left_alone.values(), default=None)

    def _room(self, kind: set[KeyRef], kept: int) -> int:
        free = self._most - len(self._looks) - len(self._imports)
        return max(0, min(free, self._most - kept - len(kind)))
