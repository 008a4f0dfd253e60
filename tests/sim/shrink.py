"""From a plan that breaks a law to the shortest list of its events that still does.

Delta debugging (Zeller and Hildebrandt, 2002) over a list that is data: halves first, then smaller and smaller pieces.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.plan import Plan


def shrink(plan: Plan, breaks: Callable[[Plan], bool], *, tries: int = 80) -> Plan:
    """A plan with as few events as `tries` runs can show to be enough."""
    numbers = [event.number for event in plan.events]
    pieces = 2
    while numbers and tries > 0:
        size = max(1, len(numbers) // pieces)
        for start in range(0, len(numbers), size):
            rest = numbers[:start] + numbers[start + size :]
            tries -= 1
            if breaks(plan.only(frozenset(rest))):
                numbers, pieces = rest, max(2, pieces - 1)
                break
            if tries <= 0:
                break
        else:
            if size == 1:
                break
            pieces = min(len(numbers), pieces * 2)
    return plan.only(frozenset(numbers))
