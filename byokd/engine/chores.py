"""Housekeeping by the calendar, off the deadline path: APScheduler runs it, and nothing a key needs depends on it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from byokd.engine.foresight import Foresight
from byokd.engine.survey import Survey
from byokd.errors import ByokdError
from byokd.ports import Clock, Store

log = structlog.get_logger("byokd.chores")

PRUNE_LIMIT: Final = 5000


LOOK_AHEAD: Final = timedelta(minutes=15)
LOOK_SOON: Final = timedelta(minutes=1)
"""After a start or a reload, so that the keys have been looked at before their future is."""
SURVEY: Final = timedelta(minutes=1)
"""How often it is asked which lanes are due to be searched."""
_SOON: Final = "look ahead soon"


class Chores:
    """Prunes old records every night, looks ahead, and says once an hour how the fleet is doing."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        foresight: Foresight,
        history_for: timedelta,
        survey: Survey | None = None,
        calendar: AsyncIOScheduler | None = None,
    ) -> None:
        """`calendar` is one in UTC that nobody has started, by default one of its own."""
        self.history_for = history_for
        self._foresight = foresight
        self._survey = survey
        self._store = store
        self._clock = clock
        self._scheduler = calendar or AsyncIOScheduler(timezone="UTC")

    def start(self) -> None:
        """Start the calendar; needs a running event loop."""
        self._put_down()
        self._scheduler.start()

    def clock_was_set(self) -> None:
        """Go on from the time that it is now: the calendar would stand still until a time that was put back comes."""
        self._put_down()
        self.look_ahead_soon()

    def _put_down(self) -> None:
        """Each chore's next time, reckoned from now."""
        put = partial(self._scheduler.add_job, replace_existing=True)
        put(self.prune, "cron", id="prune", hour=3, minute=17, misfire_grace_time=3600)
        put(self.heartbeat, "interval", id="heartbeat", hours=1, misfire_grace_time=600)
        ahead_s = LOOK_AHEAD.total_seconds()
        put(self._foresight.look, "interval", id="look ahead", seconds=ahead_s, misfire_grace_time=600)
        if self._survey is not None:
            put(self._survey.look, "interval", id="survey", seconds=SURVEY.total_seconds())

    def look_ahead_soon(self) -> None:
        """The config changed: look ahead before the next time is due."""
        self._scheduler.add_job(
            self._look_ahead_once, "interval", seconds=LOOK_SOON.total_seconds(), id=_SOON, replace_existing=True
        )

    async def _look_ahead_once(self) -> None:
        self._scheduler.remove_job(_SOON)
        await self._foresight.look(anew=True)

    def stop(self) -> None:
        """Stop the calendar; a chore that is running ends by itself, a survey at once."""
        if self._survey is not None:
            self._survey.stop()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def prune(self) -> None:
        """Delete what is older than `history_for`, in portions, so that no write of a key waits long."""
        before = self._clock.now() - self.history_for
        try:
            while gone := await self._store.prune(before=before, limit=PRUNE_LIMIT):
                log.info("pruned", rows=gone, older_than=before.isoformat())
        except ByokdError as error:
            log.error("chore_failed", chore="prune", error=error.code, why=str(error))

    async def heartbeat(self) -> None:
        """One line an hour: the figures that tell a reader of the journal that byokd is alive and how things are."""
        try:
            counts = await self._store.counts()
        except ByokdError as error:
            log.error("chore_failed", chore="heartbeat", error=error.code, why=str(error))
            return
        log.info(
            "heartbeat",
            keys=counts.keys,
            tiers=counts.by_tier,
            states=counts.by_state,
            queue=counts.queue,
            conditions=counts.conditions,
        )
