"""A measured number beside its goal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the report. `goal` is the most allowed, or the least with `at_least`; None: for information."""

    name: str
    value: float
    goal: float | None
    unit: str
    how: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        if self.goal is None:
            return True
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        told = f"{self.name}: {self.value:.2f} {self.unit}"
        if self.goal is None:
            return f"     {told}  [{self.how}]"
        bound = "at least" if self.at_least else "at most"
        return f"{'ok  ' if self.met else 'MISS'} {told} (goal: {bound} {self.goal:g})  [{self.how}]"
