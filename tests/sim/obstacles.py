"""What was in whose way, and until when."""

from __future__ import annotations

from collections import defaultdict

from tests.sim.plan import span

SMALL_PACE = "too small a pace"
"""Of a lane: it is in the way of its keys, and of no order among them."""


class Obstacles:
    """When and for whom the world made it impossible, or did not let it be sure, that byokd does its work."""

    def __init__(self) -> None:
        self._spans: dict[str, list[tuple[float, float, str]]] = defaultdict(list)

    def add(self, scope: str, begin_s: float, end_s: float, why: str) -> None:
        """Between these moments something was in the way of `scope`: `*`, a lane, a key's ref, or `voice`."""
        if end_s > begin_s:
            self._spans[scope].append((begin_s, end_s, why))

    def free(
        self, scopes: tuple[str, ...], begin_s: float, end_s: float, *, despite: str | None = None
    ) -> list[tuple[float, float]]:
        """The stretches of a span in which nothing was in the way of any of the scopes, `despite` left aside."""
        if begin_s >= end_s:
            return []
        bad = sorted(
            (a, b)
            for scope in scopes
            for a, b, why in self._spans.get(scope, ())
            if b > begin_s and a < end_s and (despite is None or despite not in why)
        )
        free, cursor = [], begin_s
        for a, b in bad:
            if a > cursor:
                free.append((cursor, a))
            cursor = max(cursor, b)
        if cursor < end_s:
            free.append((cursor, end_s))
        return free

    def calm(self, scopes: tuple[str, ...], begin_s: float, end_s: float, *, despite: str | None = None) -> bool:
        """Whether nothing was in the way of any of the scopes all through a span, `despite` left aside."""
        return self.free(scopes, begin_s, end_s, despite=despite) == [(begin_s, end_s)]

    def last_end(self, scope: str, begin_s: float, end_s: float) -> float | None:
        """When the last of what was in the way of a scope was over, within a span; None where nothing was."""
        return max((b for _, b, _ in self._spans.get(scope, ()) if begin_s < b <= end_s), default=None)

    def why(self, scopes: tuple[str, ...], begin_s: float, end_s: float) -> list[str]:
        """What was in the way during a span, in words."""
        return sorted(
            {
                f"{why} ({scope}) {span(a)} to {span(b)}"
                for scope in scopes
                for a, b, why in self._spans.get(scope, ())
                if b > begin_s and a < end_s
            }
        )
