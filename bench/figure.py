"""A measured number beside its goal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the report; `goal` is the most that is allowed, or the least with `at_least`."""

    name: str
    value: float
    goal: float
    unit: str
    how: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        bound = "at least" if self.at_least else "at most"
        verdict = "ok  " if self.met else "MISS"
        return f"{verdict} {self.name}: {self.value:.2f} {self.unit} (goal: {bound} {self.goal:g})  [{self.how}]"
