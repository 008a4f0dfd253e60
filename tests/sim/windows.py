"""Change windows of simulated keys: how the config writes them, and when they are open, reckoned apart from byokd."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from byokd.facts.policy import ChangeWindow
from tests.sim.clocks import at

DAY_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlan:
    """Opens at an hour of each day, or of one day of the week (0 is Sunday), in UTC."""

    hour: int
    lasts_s: int
    weekday: int | None = None

    @property
    def of_config(self) -> ChangeWindow:
        """As the config has it."""
        days = "*" if self.weekday is None else self.weekday
        return ChangeWindow(cron=f"0 {self.hour} * * {days}", lasts=timedelta(seconds=self.lasts_s), time_zone="UTC")

    def open(self, at_s: float) -> bool:
        """Whether it is open at a true time."""
        return self.opens_s(at_s) == at_s

    def opens_s(self, from_s: float) -> float:
        """The first moment from a true time on at which it is open."""
        moment = at(from_s)
        midnight_s = from_s - from_s % 1 - (moment.hour * 3600 + moment.minute * 60 + moment.second)
        for day in range(-1, 9):
            begin_s = midnight_s + day * DAY_S + self.hour * 3600
            named = self.weekday is None or at(begin_s).isoweekday() % 7 == self.weekday
            if named and begin_s + self.lasts_s > from_s:
                return max(from_s, begin_s)
        raise AssertionError("a week has every day")
