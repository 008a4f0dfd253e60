"""The second loop: conditions on record, held against notices on record, become notices in the outbox and then words.

It depends on nothing but the store and the channels, so people hear of a KMS, a source or a lane that does not answer.
Delivery is at least once: a notice counts as delivered when the channel said so and that is on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, cast

import structlog

from byokd.decide.gathering import Beat, Group, gathered, group_of, longest_wait, next_beat, scheduled
from byokd.decide.notices import Audience, redeliver_at, tell
from byokd.engine.progress import Progress
from byokd.engine.setback import Setback
from byokd.errors import ByokdError, ChannelError
from byokd.facts.condition import Message, Notice
from byokd.facts.key import Absent
from byokd.ports import Channel, Clock, NewId, Store

log = structlog.get_logger("byokd.alerts")

T = TypeVar("T")

BATCH: Final = 200
"""Conditions decided in one go, and messages given to one channel before the others' news are looked for."""
AT_ONCE: Final = 10_000
"""Conditions decided, or notices looked at, in one round; hence the most that one message tells of."""
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
        # Not on record: after a restart the next notice of each group is told at once.
        self._beats: dict[Group, Beat] = {}
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
        """Decide the notices of all conditions that are due for it; returns how many conditions there were.

        All of them before any is delivered, or what breaks at once would be told in parts.
        """
        composed, due = 0, BATCH
        while due >= BATCH and composed < AT_ONCE and not self._stopping:
            self._progress.moved(LOOP)
            due = await self._compose_some()
            composed += due
        return composed

    async def _compose_some(self) -> int:
        now = self._clock.now()
        due = await self._store.conditions_to_tell(now=now, limit=BATCH)
        deadlines = await self._store.deadlines([condition.subject for condition, _ in due]) if due else {}
        saves = []
        hastened: list[Notice] = []
        for condition, told in due:
            telling = tell(condition, told, self.audiences, now)
            notices: list[Notice] = []
            for channel, kind in telling.notices:
                notice = Notice(
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
                beat = self._beat(notice, deadlines.get(condition.subject), now)
                notice, *others = scheduled(notice, (*told, *notices), beat)
                notices.append(notice)
                hastened += others
            saves.append(
                self._store.save_notices(condition.id, notices, decided_for=condition, again_at=telling.again_at)
            )
        await _all(saves)
        await self._store.replace_notices(hastened)
        return len(due)

    def _beat(self, notice: Notice, deadline: datetime | None, now: datetime) -> Beat:
        """When the group of a new notice is told of it."""
        group = group_of(notice)
        if group is None:
            return Beat(at=now, pause=timedelta())
        audience = next(each for each in self.audiences if each.channel == notice.channel)
        beat = next_beat(self._beats.get(group), longest_wait(notice, audience, deadline, now), now)
        self._beats[group] = beat
        return beat

    async def _deliver(self) -> int:
        """Offer what is due to its channels, the channels side by side; returns how many notices were delivered."""
        by_channel: dict[str, list[Notice]] = {}
        for notice in await self._store.outbox(now=self._clock.now(), limit=AT_ONCE):
            by_channel.setdefault(notice.channel, []).append(notice)
        return sum(await _all([self._hand_over(name, mine) for name, mine in by_channel.items()]))

    async def _hand_over(self, name: str, notices: Sequence[Notice]) -> int:
        alone = any(each.channel == name and not each.gather_for for each in self.audiences)
        parts = gathered(notices, alone=alone)
        deadlines = await self._store.deadlines([notice.subject for part in parts[:BATCH] for notice in part])
        delivered = 0
        for number, part in enumerate(parts[:BATCH]):
            if self._stopping:
                break
            self._progress.moved(LOOP)
            now = self._clock.now()
            message = Message(
                notices=part,
                deadlines={each.subject: deadlines[each.subject] for each in part if each.subject in deadlines},
                now_open=None if alone else await self._now_open(part[0]),
            )
            if not await self._offer(name, message):
                await self._postpone(part, [notice for later in parts[number + 1 :] for notice in later], now)
                break
            sent = [replace(notice, attempts=notice.attempts + 1, sent_at=now) for notice in part]
            await self._store.replace_notices(sent)
            delivered += len(part)
        return delivered

    async def _now_open(self, notice: Notice) -> int | None:
        """How many keys of a lane have what one of them is told of."""
        lane = notice.lane
        return None if isinstance(lane, Absent) else await self._store.count_open(notice.condition.kind, lane)

    async def _offer(self, name: str, message: Message) -> bool:
        """Hand a message to its channel; returns whether that took it."""
        try:
            await self._channel(name).deliver(message)
        except ChannelError as error:
            log.error("notice_undelivered", channel=name, why=str(error), step=error.step, notices=len(message.notices))
        except Exception:
            # A defect of one channel must neither silence the others nor end the daemon.
            log.exception("channel_defect", channel=name)
        else:
            return True
        return False

    async def _postpone(self, failed: Sequence[Notice], others: Sequence[Notice], now: datetime) -> None:
        """Offer the notices of a message that failed again later, and rest its channel with the `others` for a moment.

        A channel that failed once would keep people waiting with each further message. The others wait for less than
        the one that failed, or a message that no channel takes would stand in their way.
        """
        attempts = max(notice.attempts for notice in failed) + 1
        again_at, soon = redeliver_at(attempts, now), redeliver_at(1, now)
        await self._store.replace_notices(
            [replace(notice, attempts=attempts, not_before=again_at) for notice in failed]
            + [replace(notice, not_before=soon) for notice in others]
        )

    def _channel(self, name: str) -> Channel:
        try:
            return self.channels[name]
        except KeyError:
            raise ChannelError(f"the config has no channel {name!r} any more") from None


async def _all(steps: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of steps that are taken side by side. Raises what the first one raised, when all have ended."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[T]", results)
