"""Change windows as they are written: `{ cron = "0 2 * * sat", for = "4h", time_zone = "Europe/Berlin" }`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from byokd.config.problems import Unfit, quoted
from byokd.config.quantities import Span
from byokd.config.settings import Line, Settings
from byokd.decide.windows import parse_cron, zone
from byokd.facts.policy import ChangeWindow


def _cron(value: str) -> str:
    try:
        wrong = "" if parse_cron(value).ever() else "names no day that exists"
    except ValueError as error:
        wrong = str(error)
    if wrong:
        raise Unfit(f"{quoted(value)}: {wrong}", 'as in crontab(5), for example "0 2 * * sat"')
    return value


def _zone(value: str) -> str:
    try:
        zone(value)
    except ValueError as error:
        hint = 'a name of the time zone database, such as "Europe/Berlin" (Debian has it in the package tzdata)'
        raise Unfit(str(error), hint) from None
    return value


class WindowSettings(Settings):
    """A recurring time in which routine renewals may begin."""

    cron: Annotated[Line, AfterValidator(_cron)]
    """When it opens, by the clock of `time_zone`: minute, hour, day of month, month, day of week, as in crontab(5)."""

    lasts: Annotated[timedelta, Span("1m", "7d")] = Field(alias="for")
    """How long it stays open: a duration from 1m to 7d."""

    time_zone: Annotated[Line, AfterValidator(_zone)] = "UTC"
    """Whose clock, by its name in the time zone database. Default UTC."""

    def window(self) -> ChangeWindow:
        """The fact that these settings come to."""
        return ChangeWindow(cron=self.cron, lasts=self.lasts, time_zone=self.time_zone)
