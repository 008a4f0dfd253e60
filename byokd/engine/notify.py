"""The second loop: conditions on record, held against notices on record, become notices in the outbox and then words.

It depends on nothing but the store and the channels, so people hear of a KMS, a source or a lane that does not answer.
Delivery is at least once: a notice counts as delivered when the channel said so and that is on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from byokd.decide.notices import Audience, redeliver_at, tell
from byokd.engine.progress import Progress
from byokd.engine.setback import Setback
from byokd.errors import ByokdError, ChannelError
from byokd.facts.condition import Notice
from byokd.facts.key import Absent
from byokd.ports import Channel, Clock, NewId, Store

log = structlog.get_logger("byokd.alerts")

BATCH: Final = 200
LOOP: Final = "notify"


class Notifier:
    """Tells people. `channels` may be replaced at a reload."""

    def __init__(
        self,
        *,
        store: Store,
        channels: Mapping[str, Channel],
        audiences: Sequence[Audience],
        clock: Clock,
        new_id: NewId,
        progress: Progress,
        safety_wake: timedelta,
    ) -> None:
        self.channels = channels
        self.audiences = audiences
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._progress = progress
        self._safety_wake = safety_wake
        self._setback = Setback(clock)
        self._event = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """There may be something to tell."""
        self._event.set()

    def stop(self) -> None:
        """Begin no new round; what is not delivered stays in the outbox."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Tell what there is to tell, until stopped."""
        while not self._stopping:
            self._event.clear()
            try:
                busy = await self._compose() + await self._deliver()
                again = await self._store.next_notify_at()
            except ByokdError as error:
                log.error("notify_trouble", error=error.code, why=str(error), step=error.step)
                pause = self._setback.failed()
                await self._rest(self._clock.now() + pause, pause)
                continue
            self._setback.worked()
            if busy:
                continue
            latest = self._clock.now() + self._safety_wake
            await self._rest(latest if isinstance(again, Absent) else min(again, latest), self._safety_wake)

    async def _rest(self, until: datetime, cap: timedelta) -> None:
        with self._progress.resting(LOOP, cap.total_seconds()):
            await self._clock.wait(self._event, until=until, cap_s=cap.total_seconds())

    async def _compose(self) -> int:
        """Decide the notices of every condition that is due for it; returns how many conditions there were."""
        now = self._clock.now()
        due = await self._store.conditions_to_tell(now=now, limit=BATCH)
        for condition, told in due:
            telling = tell(condition, told, self.audiences, now)
            notices = [
                Notice(
                    id=self._new_id(),
                    condition_id=condition.id,
                    channel=channel,
                    kind=kind,
                    subject=condition.subject,
                    condition=condition.condition,
                    since=condition.since,
                    created_at=now,
                    not_before=now,
                )
                for channel, kind in telling.notices
            ]
            await self._store.save_notices(condition.id, notices, decided_for=condition, again_at=telling.again_at)
        return len(due)

    async def _deliver(self) -> int:
        """Offer every due notice to its channel, the channels side by side; returns how many were delivered."""
        notices = await self._store.outbox(now=self._clock.now(), limit=BATCH)
        by_channel: dict[str, list[Notice]] = {}
        for notice in notices:
            by_channel.setdefault(notice.channel, []).append(notice)
        counts = await asyncio.gather(*(self._hand_over(name, mine) for name, mine in by_channel.items()))
        return sum(counts)

    async def _hand_over(self, name: str, notices: Sequence[Notice]) -> int:
        delivered = 0
        for notice in notices:
            if self._stopping:
                break
            self._progress.moved(LOOP)
            now = self._clock.now()
            try:
                await self._channel(name).deliver(notice)
            except ChannelError as error:
                log.error("notice_undelivered", channel=name, why=str(error), step=error.step)
                await self._postpone(notice, now)
                # A channel that fails once would keep the others waiting with each further notice.
                break
            except Exception:
                # A defect of one channel must neither silence the others nor end the daemon.
                log.exception("channel_defect", channel=name)
                await self._postpone(notice, now)
                break
            await self._store.save_notice(replace(notice, attempts=notice.attempts + 1, sent_at=now))
            delivered += 1
        return delivered

    async def _postpone(self, notice: Notice, now: datetime) -> None:
        attempts = notice.attempts + 1
        await self._store.save_notice(replace(notice, attempts=attempts, not_before=redeliver_at(attempts, now)))

    def _channel(self, name: str) -> Channel:
        try:
            return self.channels[name]
        except KeyError:
            raise ChannelError(f"the config has no channel {name!r} any more") from None
