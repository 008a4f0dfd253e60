"""A measured number beside its goal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the report; `goal` is the most that is allowed, None where the figure is for information."""

    name: str
    value: float
    goal: float | None
    unit: str
    how: str

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.goal is None or self.value <= self.goal

    def __str__(self) -> str:
        told = f"{self.name}: {self.value:.2f} {self.unit}"
        if self.goal is None:
            return f"     {told}  [{self.how}]"
        return f"{'ok  ' if self.met else 'MISS'} {told} (goal: at most {self.goal:g})  [{self.how}]"
