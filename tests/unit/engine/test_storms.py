"""Storms of conditions in two lanes, drawn by a seed: whatever happens, all is told, in its order and in time."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from byokd.decide.notices import OVERTAKEN_AFTER
from byokd.errors import ChannelError
from byokd.facts.condition import Condition, ConditionKind, Message, Notice, NoticeKind, OpenCondition, Severity
from byokd.facts.key import Absent
from tests.kit.telling import Counting
from tests.kit.world import Inbox, World

HOUR = timedelta(hours=1)
KEYS = [f"arn:aws:kms:{region}:111122223333:key/{n:03}" for region in ("eu-central-1", "us-east-1") for n in range(25)]
KINDS = (ConditionKind.ACCESS_DENIED, ConditionKind.LAPSED)
STEPS = 120
CLOCK_STEPS_S = (-86_400, -3_600, -30, 3_600, 2 * 86_400)


class Unreliable(Inbox):
    """Refuses at times, and at times takes a message though it says that it did not; if it is strict, no warnings."""

    def __init__(self, rng: random.Random, share: float) -> None:
        super().__init__()
        self.share = share
        self.strict = False
        self._rng = rng

    async def deliver(self, message: Message) -> None:
        """See `ports.Channel`."""
        if self.strict and message.notices[0].condition.severity < Severity.CRITICAL:
            raise ChannelError("422")
        fails = self._rng.random() < self.share
        if not fails or self._rng.random() < 0.3:
            await super().deliver(message)
        if fails:
            raise ChannelError("no answer")


class Storm:
    """What is true at the moment, and how that changes."""

    def __init__(self, seed: int, *, share: float) -> None:
        self.rng = random.Random(seed)
        self.store = Counting()
        self.world = World(store=self.store)
        self.inbox = Unreliable(self.rng, share)
        self.world.channel = self.world.inbox = self.inbox
        self.world.gather_for = HOUR
        self.open: dict[tuple[str, ConditionKind], OpenCondition] = {}

    async def step(self) -> None:
        """Something happens to some keys, or to the daemon; then time passes."""
        await self._change(self.rng.sample(KEYS, self.rng.choice((1, 1, 2, 10, 30))), self.rng.choice(KINDS))
        if self.rng.random() < 0.05:
            await self.world.stop()
            await self.world.start()
        await self.told()
        self.world.clock.advance(self.rng.choice((0, 1, 5, 20, 60, 300, 1800)))
        await self.world.settle()

    async def rough_step(self) -> None:
        """As a step; and the receiver has its moods, the clock is set, and the disk does not record what was told."""
        if self.rng.random() < 0.3:
            self.inbox.strict, self.inbox.share = self.rng.choice(
                ((False, 0.0), (True, 0.0), (True, 0.5), (False, 1.0))
            )
        if self.rng.random() < 0.1:
            self.world.clock.step(self.rng.choice(CLOCK_STEPS_S))
            await self.world.settle()
        self.store.keeps = self.rng.random() > 0.1
        await self.step()
        self.store.keeps = True

    async def told(self) -> None:
        """Let people be told."""
        assert self.world.engine is not None
        self.world.engine.wake()
        await self.world.settle()

    async def _change(self, keys: list[str], kind: ConditionKind) -> None:
        what = self.rng.choice(("begins", "begins", "worse", "over"))
        changed = []
        for subject in keys:
            was = self.open.get((subject, kind))
            if was is None and what == "begins":
                told = Condition(kind=kind, severity=Severity.WARNING, detail="It broke.")
                now = self.world.clock.now()
                changed.append(OpenCondition(id=self.world.new_id(), subject=subject, condition=told, since=now))
            elif was is not None and what == "worse":
                changed.append(replace(was, condition=replace(was.condition, severity=Severity.CRITICAL)))
            elif was is not None and what == "over":
                changed.append(replace(was, resolved_at=self.world.clock.now()))
        for each in changed:
            self.open[each.subject, kind] = each
            if not isinstance(each.resolved_at, Absent):
                del self.open[each.subject, kind]
        await self.store.save_conditions(changed)

    async def blow(self, *, rough: bool = False) -> list[Notice]:
        """All of it, and then peace; returns every notice that there is."""
        await self.world.start()
        for _ in range(STEPS):
            await (self.rough_step() if rough else self.step())
        self.inbox.share, self.inbox.strict = 0.0, False
        await self.world.pass_time(4 * HOUR, step=timedelta(minutes=5))
        await self.world.stop()
        return sorted(self.store._notices.values(), key=lambda each: (each.created_at, each.id))

    def out_of_order(self, notices: list[Notice]) -> list[tuple[str, ConditionKind]]:
        """What was told of after something that is newer about the same, be it again."""
        place: defaultdict[str, list[int]] = defaultdict(list)
        for number, notice in enumerate(self.inbox.notices):
            place[notice.id].append(number)
        gave_way = self.gave_way(notices)
        told = (
            (about, pairwise(each.id for each in thread if each.id not in gave_way))
            for about, thread in _threads(notices).items()
        )
        return [about for about, pairs in told for one, next_one in pairs if place[one][-1] > place[next_one][0]]

    def gave_way(self, notices: list[Notice]) -> set[str]:
        """What need not be told any more, as something worse could be: what failed often, and what waited behind it.

        Told again it may be before that is, of which the receiver said that it had not taken it.
        """
        found = set()
        for thread in _threads(notices).values():
            for number, notice in enumerate(thread):
                failed = [each.condition.severity for each in thread[: number + 1] if each.attempts >= OVERTAKEN_AFTER]
                later = [each for each in thread[number + 1 :] if each.kind is not NoticeKind.RESOLVED]
                if failed and any(each.condition.severity > min(failed) for each in later):
                    found.add(notice.id)
        return found

    def last_words(self) -> dict[tuple[str, ConditionKind], Notice]:
        """What people were told last about each subject and kind of condition."""
        return {notice.thread: notice for notice in self.inbox.notices}


def _threads(notices: list[Notice]) -> dict[tuple[str, ConditionKind], list[Notice]]:
    threads: defaultdict[tuple[str, ConditionKind], list[Notice]] = defaultdict(list)
    for notice in notices:
        threads[notice.thread].append(notice)
    return threads


@pytest.mark.parametrize("seed", [*range(5), 11, 14])
async def test_all_is_told_once_in_its_order_and_in_time(seed: int) -> None:
    """In a channel that takes what it is given, with restarts between; and in less than half as many messages."""
    storm = Storm(seed, share=0.0)
    notices = await storm.blow()
    assert sorted(notice.id for notice in storm.inbox.notices) == sorted(notice.id for notice in notices)
    assert storm.out_of_order(notices) == []
    for notice in notices:
        assert not isinstance(notice.sent_at, Absent)
        limit = timedelta(minutes=5) if notice.condition.kind is ConditionKind.LAPSED else HOUR
        if notice.kind is NoticeKind.RAISED:
            assert notice.sent_at - notice.created_at <= limit + timedelta(minutes=30)  # the longest step of the clock
    assert len(storm.inbox.messages) < len(notices) / 2


@pytest.mark.parametrize("seed", range(5, 10))
async def test_all_is_told_in_its_order_by_a_channel_that_fails_every_other_time(seed: int) -> None:
    """At least once, and never again after something newer about the same key; but for what gave way to worse."""
    storm = Storm(seed, share=0.5)
    notices = await storm.blow()
    untold = {notice.id for notice in notices} - {notice.id for notice in storm.inbox.notices}
    assert untold <= storm.gave_way(notices)
    assert await storm.store.waiting_by_channel() == {}
    assert storm.out_of_order(notices) == []


@pytest.mark.parametrize("seed", range(20, 40))
async def test_the_last_word_about_each_key_is_the_true_one(seed: int) -> None:
    """Whatever receivers, clocks and disks do: in the end what is bad is told to be as bad, and the rest to be over."""
    storm = Storm(seed, share=0.0)
    await storm.blow(rough=True)
    assert await storm.store.waiting_by_channel() == {}
    last = storm.last_words()
    for about, condition in storm.open.items():
        assert (last[about].condition_id, last[about].kind is NoticeKind.RESOLVED) == (condition.id, False)
        assert last[about].condition.severity >= condition.condition.severity
    assert all(notice.kind is NoticeKind.RESOLVED for about, notice in last.items() if about not in storm.open)
