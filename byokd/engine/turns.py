"""Which keys of a lane are being worked on, which are left alone for a while, and how much room there is for more.

A key has at most one turn at a time. A wake that comes during a turn is not lost: the turn read its key before, and
what it writes would put off what woke the key, so the key is woken again when the turn ends.
"""

from __future__ import annotations

from datetime import datetime

from byokd.facts.key import KeyRef


class Turns:
    """The turns of one lane; at most `most` at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._busy: set[KeyRef] = set()
        self._woken: set[KeyRef] = set()
        self._left_alone: dict[KeyRef, datetime] = {}

    @property
    def room(self) -> int:
        """Turns that may begin."""
        return max(0, self._most - len(self._busy))

    @property
    def room_for_looks(self) -> int:
        """Turns that may begin with a look: an eighth of all is left to the imports that wait in the queue."""
        return max(0, self.room - self._most // 8)

    @property
    def worthwhile(self) -> bool:
        """Whether there is so much room that it pays to read from the store: many keys cost no more than one."""
        return not self._busy or self.room >= self._most // 8 + max(1, self._most // 8)

    @property
    def taken(self) -> int:
        """Keys that the store may name and that must not have a turn now."""
        return len(self._busy) + len(self._left_alone)

    def free(self, ref: KeyRef) -> bool:
        """Whether the key may have a turn."""
        return ref not in self._busy and ref not in self._left_alone

    def begin(self, ref: KeyRef) -> None:
        """A key's turn begins."""
        self._busy.add(ref)

    def end(self, ref: KeyRef) -> None:
        """A key's turn has ended, or will not begin."""
        self._busy.discard(ref)
        self._woken.discard(ref)

    def woken(self, ref: KeyRef) -> bool:
        """Whether the key was woken since its turn began."""
        return ref in self._woken

    def clear(self) -> None:
        """No key is worked on any more."""
        self._busy.clear()
        self._woken.clear()

    def wake_all(self) -> None:
        """Something changed while turns were in flight."""
        self._woken |= self._busy

    def leave_alone(self, ref: KeyRef, until: datetime) -> None:
        """Give the key no turn before `until`."""
        self._left_alone[ref] = until

    def forgive(self, now: datetime) -> None:
        """Keys whose time is over may have a turn again."""
        self._left_alone = {ref: until for ref, until in self._left_alone.items() if until > now}

    def first_forgiven_at(self) -> datetime | None:
        """When the first key that is left alone may have a turn again; None if there is none."""
        return min(self._left_alone.values(), default=None)
