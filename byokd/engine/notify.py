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

from byokd.decide.gathering import Beat, Group, beside, gathered, group_of, longest_wait, next_beat
from byokd.decide.notices import FIRST_RETRY, Audience, redeliver_at, tell
from byokd.engine.progress import Progress
from byokd.engine.setback import Setback
from byokd.errors import ByokdError, ChannelError
from byokd.facts.condition import ConditionKind, Message, Notice, OpenCondition
from byokd.facts.key import ABSENT, Absent, LaneId
from byokd.ports import Channel, Clock, NewId, Store

log = structlog.get_logger("byokd.alerts")

T = TypeVar("T")
Counts = dict[tuple[ConditionKind, LaneId], int]
"""How many keys of a lane have a condition, as severe as a channel asks for."""

BATCH: Final = 200
"""Conditions decided in one go, and messages given to one channel before the others' news are looked for."""
AT_ONCE: Final = 10_000
"""Conditions decided, or notices looked at, in one round; hence the most that one message tells of."""
GIVE_S: Final = 10.0
"""How long a channel is given messages before the news of others are looked for, so that a slow one delays nobody."""
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
        self._rests: dict[str, datetime] = {}
        """Until when a channel that failed is left alone."""
        self._failed: set[str] = set()
        """Channels that did not take all that they were offered last."""
        self._unrecorded: set[str] = set()
        """Notices that were taken and could not be recorded as that."""
        self._met: Sequence[Audience] | None = None
        self._met_at = clock.now()
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
                busy, now = await self._round()
                again = await self._next_at(now)
            except ByokdError as error:
                log.error("notify_trouble", error=error.code, why=str(error), step=error.step)
                pause = self._setback.failed()
                await self._rest(self._clock.now() + pause, pause)
                continue
            self._setback.worked()
            if busy or self._clock.now() < now:
                continue  # or the clock was put back meanwhile, and `again` passes over what comes before that `now`
            latest = self._clock.now() + self._safety_wake
            await self._rest(latest if isinstance(again, Absent) else min(again, latest), self._safety_wake)

    async def _round(self) -> tuple[int, datetime]:
        """Decide what there is to tell, and tell it; how much there was, and when it was looked for.

        What is in the outbox is told also where nothing can be decided, since the disk is full.
        """
        try:
            await self._meet()
            composed = await self._compose()
        except ByokdError:
            await self._deliver(self._clock.now())
            raise
        now = self._clock.now()
        return composed + await self._deliver(now), now

    async def _next_at(self, now: datetime) -> datetime | Absent:
        """When there is something to do that there was not at `now`."""
        again = await self._store.next_notify_at(after=now)
        times = (again, *(until for until in self._rests.values() if until > now))
        return min((at for at in times if not isinstance(at, Absent)), default=ABSENT)

    async def _rest(self, until: datetime, cap: timedelta) -> None:
        with self._progress.resting(LOOP, cap.total_seconds()):
            await self._clock.wait(self._event, until=until, cap_s=cap.total_seconds())

    async def _meet(self) -> None:
        """Decide anew what a channel was not told as it is, and what waits for a time that is too far away.

        After a start, a reload, and where the clock was set back. What waits for nobody is logged then.
        """
        audiences, now = self.audiences, self._clock.now()
        if audiences == self._met and now >= self._met_at:
            self._met_at = now
            return
        for each in audiences:
            await self._store.tell_anew(each.channel, at_least=each.min_severity, by=now + each.remind_every)
        names = {each.channel for each in audiences}
        for name, count in (await self._store.waiting_by_channel()).items():
            if name not in names:
                log.warning("notices_without_channel", channel=name, notices=count)
        self._met, self._met_at = audiences, now

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
        beats: dict[Group, Beat] = {}
        for condition, told in _first_of_each(due):
            telling = tell(condition, told, self.audiences, now)
            notices = []
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
                at = self._time(notice, deadlines.get(condition.subject), now, beats)
                notices.append(replace(notice, not_before=at))
            saves.append(
                self._store.save_notices(condition.id, notices, decided_for=condition, again_at=telling.again_at)
            )
        await _all(saves)
        # Not before: a group of which nothing came on record was not told yet, however often that is tried.
        self._beats |= beats
        return len(due)

    def _time(self, notice: Notice, deadline: datetime | None, now: datetime, beats: dict[Group, Beat]) -> datetime:
        """When to tell a new notice; `beats` are those of this round, which its group's joins."""
        group = group_of(notice)
        audience = next((each for each in self.audiences if each.channel == notice.channel), None)
        if group is None or audience is None:
            return now
        last = beats.get(group, self._beats.get(group))
        beats[group] = next_beat(last, longest_wait(notice, audience, deadline, now), now)
        return beats[group].at

    async def _deliver(self, now: datetime) -> int:
        """Offer what is due to its channels, the channels side by side; returns how many notices were delivered."""
        # A rest that is longer than any is of a clock that was set back since.
        self._rests = {name: at for name, at in self._rests.items() if now < at <= now + FIRST_RETRY}
        awake = [each for each in self.audiences if each.channel not in self._rests]
        return sum(await _all([self._hand_over(each, now) for each in awake]))

    async def _hand_over(self, audience: Audience, due_at: datetime) -> int:
        """Give a channel what is due; returns how many notices were delivered.

        A message that fails may be one that the channel never takes, so others are tried, until one more fails.
        """
        name, alone = audience.channel, not audience.gather_for
        limit = BATCH if alone and name not in self._failed else AT_ONCE
        found = await self._store.outbox(name, now=due_at, limit=limit)
        parts = gathered(self._not_overtaken(found), alone=alone)
        counts: Counts = {}
        delivered, at = await self._give(audience, parts, counts)
        if at is None:
            self._failed.discard(name)
            return delivered
        self._failed.add(name)
        more, _ = await self._give(audience, beside(parts[at:]), counts)
        return delivered + more

    def _not_overtaken(self, found: Sequence[Notice]) -> list[Notice]:
        """What may be offered: of what was taken and is not on record as that, nothing else about the same.

        It may have overtaken what is older, and only its record closes that.
        """
        taken = {each.thread for each in found if each.id in self._unrecorded}
        return [each for each in found if each.id in self._unrecorded or each.thread not in taken]

    async def _give(
        self, audience: Audience, parts: Sequence[tuple[Notice, ...]], counts: Counts
    ) -> tuple[int, int | None]:
        """Offer messages until one fails, or for `GIVE_S`: how many notices were taken, and the number of that one."""
        if not parts:
            return 0, None
        until_s = self._clock.monotonic() + GIVE_S
        deadlines = await self._store.deadlines([notice.subject for part in parts[:BATCH] for notice in part])
        taken = 0
        for number, part in enumerate(parts[:BATCH]):
            if self._stopping or self._clock.monotonic() > until_s:
                break
            self._progress.moved(LOOP)
            now, ids = self._clock.now(), {notice.id for notice in part}
            message = Message(
                notices=part,
                deadlines={each.subject: deadlines[each.subject] for each in part if each.subject in deadlines},
                now_open=await self._now_open(part[0], audience, counts),
            )
            if not ids <= self._unrecorded and not await self._offer(audience.channel, message):
                await self._postpone(audience.channel, part)
                return taken, number
            self._unrecorded |= ids
            await self._store.replace_notices([_tried(notice, now, sent_at=now) for notice in part])
            self._unrecorded -= ids
            taken += len(part)
        return taken, None

    async def _now_open(self, notice: Notice, audience: Audience, counts: Counts) -> int | None:
        """How many keys of a lane have what one of them is told of, of those that the channel is told of.

        A count walks the keys of the lane, so `counts` keeps it for what else is handed over now. What changes
        meanwhile is decided, and told, after that.
        """
        lane, kind = notice.lane, notice.condition.kind
        if isinstance(lane, Absent) or not audience.gather_for:
            return None
        if (kind, lane) not in counts:
            counts[kind, lane] = await self._store.count_open(kind, lane, at_least=audience.min_severity)
        return counts[kind, lane]

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

    async def _postpone(self, name: str, failed: Sequence[Notice]) -> None:
        """Offer the notices of a message that failed again later, and leave its channel alone for a moment.

        Each further message would cost a time-out. From its second try on the failed one waits for longer, or a message
        that no channel takes would stand in the way of the others.
        """
        now = self._clock.now()
        self._rests[name] = now + FIRST_RETRY
        again_at = redeliver_at(max(notice.attempts for notice in failed) + 1, now)
        await self._store.replace_notices([_tried(notice, now, not_before=again_at) for notice in failed])

    def _channel(self, name: str) -> Channel:
        try:
            return self.channels[name]
        except KeyError:
            raise ChannelError(f"the config has no channel {name!r} any more") from None


def _first_of_each(due: Sequence[tuple[OpenCondition, T]]) -> list[tuple[OpenCondition, T]]:
    """The oldest of each subject and kind: if its write failed, what is newer would come on record before it.

    What is over came before what is open, whatever the clock said.
    """
    first: dict[tuple[str, ConditionKind], tuple[OpenCondition, T]] = {}
    for each in sorted(due, key=lambda each: isinstance(each[0].resolved_at, Absent)):
        first.setdefault((each[0].subject, each[0].condition.kind), each)
    return list(first.values())


def _tried(notice: Notice, now: datetime, **outcome: Any) -> Notice:
    """A notice that its channel was offered. It was made no later than that, whatever the clock said before."""
    return replace(notice, attempts=notice.attempts + 1, created_at=min(notice.created_at, now), **outcome)


async def _all(steps: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of steps that are taken side by side. Raises what the first one raised, when all have ended."""
    if len(steps) <= 1:
        return [await step for step in steps]  # nearly always, and tasks are dear
    results = await asyncio.gather(*steps, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[T]", results)
