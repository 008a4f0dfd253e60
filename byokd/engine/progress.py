"""Whether the engine is getting somewhere: the truth behind the watchdog, and the signal that tests wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from byokd.ports import Clock


class Progress:
    """Counts turns in flight and knows which loops rest, and since when each was last seen alive."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._alive: dict[str, float] = {}
        self._resting: set[str] = set()
        self._turns = 0

    def expect(self, loop: str) -> None:
        """A loop of this name exists from now on."""
        self._alive[loop] = self._clock.monotonic()

    def forget(self, loop: str) -> None:
        """The loop ended on purpose."""
        self._alive.pop(loop, None)
        self._resting.discard(loop)

    def begin(self) -> None:
        """A turn began."""
        self._turns += 1

    def moved(self, loop: str) -> None:
        """The loop is in the middle of much work, and gets somewhere."""
        self._alive[loop] = self._clock.monotonic()

    def end(self) -> None:
        """A turn ended."""
        self._turns -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A turn waits until its time has come, and does nothing meanwhile."""
        self._turns -= 1
        try:
            yield
        finally:
            self._turns += 1

    def resting(self, loop: str, for_s: float = 0.0) -> Rest:
        """Around a wait: the loop is alive, has nothing to do, and waits, for `for_s` seconds at most."""
        return Rest(self, loop, for_s)

    def rests(self, loop: str, for_s: float) -> None:
        """The loop waits from now on, for `for_s` seconds at most."""
        self._alive[loop] = self._clock.monotonic() + for_s
        self._resting.add(loop)

    def goes_on(self, loop: str) -> None:
        """The loop's wait is over."""
        self._alive[loop] = self._clock.monotonic()
        self._resting.discard(loop)

    @property
    def idle(self) -> bool:
        """Whether every loop rests and no turn gets on: only time or a wake brings something new."""
        return self._turns == 0 and self._resting >= set(self._alive)

    def stalled(self, longer_than_s: float) -> tuple[str, ...]:
        """Loops that showed no life for so long."""
        now = self._clock.monotonic()
        return tuple(sorted(loop for loop, at in self._alive.items() if now - at > longer_than_s))


class Rest:
    """See `Progress.resting`; a daemon does little else, and as a generator it would cost twice as much."""

    __slots__ = ("_for_s", "_loop", "_progress")

    def __init__(self, progress: Progress, loop: str, for_s: float) -> None:
        self._progress = progress
        self._loop = loop
        self._for_s = for_s

    def __enter__(self) -> None:
        """The wait begins."""
        self._progress.rests(self._loop, self._for_s)

    def __exit__(self, *error: object) -> None:
        """The wait is over."""
        self._progress.goes_on(self._loop)
