"""Storms of conditions in two lanes, drawn by a seed: whatever happens, all is told, in its order and in time."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from byokd.errors import ChannelError
from byokd.facts.condition import Condition, ConditionKind, Message, Notice, NoticeKind, OpenCondition, Severity
from byokd.facts.key import Absent
from tests.kit.memory_store import MemoryStore
from tests.kit.world import Inbox, World

HOUR = timedelta(hours=1)
KEYS = [f"arn:aws:kms:{region}:111122223333:key/{n:03}" for region in ("eu-central-1", "us-east-1") for n in range(25)]
KINDS = (ConditionKind.ACCESS_DENIED, ConditionKind.LAPSED)
STEPS = 120


class Unreliable(Inbox):
    """Refuses at times, and at times takes a message though it says that it did not."""

    def __init__(self, rng: random.Random, share: float) -> None:
        super().__init__()
        self.share = share
        self.heard_at: dict[str, datetime] = {}
        self._rng = rng

    async def deliver(self, message: Message) -> None:
        """See `ports.Channel`."""
        fails = self._rng.random() < self.share
        if not fails or self._rng.random() < 0.3:
            await super().deliver(message)
        if fails:
            raise ChannelError("no answer")


class Storm:
    """What is true at the moment, and how that changes."""

    def __init__(self, seed: int, *, share: float) -> None:
        self.rng = random.Random(seed)
        self.store = MemoryStore()
        self.world = World(store=self.store)
        self.inbox = Unreliable(self.rng, share)
        self.world.channel = self.world.inbox = self.inbox
        self.world.gather_for = HOUR
        self._open: dict[tuple[str, ConditionKind], OpenCondition] = {}

    async def step(self) -> None:
        """Something happens to some keys, or to the daemon; then time passes."""
        await self._change(self.rng.sample(KEYS, self.rng.choice((1, 1, 2, 10, 30))), self.rng.choice(KINDS))
        if self.rng.random() < 0.05:
            await self.world.stop()
            await self.world.start()
        await self.told()
        self.world.clock.advance(self.rng.choice((0, 1, 5, 20, 60, 300, 1800)))
        await self.world.settle()

    async def told(self) -> None:
        """Let people be told."""
        assert self.world.engine is not None
        self.world.engine.wake()
        await self.world.settle()

    async def _change(self, keys: list[str], kind: ConditionKind) -> None:
        what = self.rng.choice(("begins", "begins", "worse", "over"))
        changed = []
        for subject in keys:
            was = self._open.get((subject, kind))
            if was is None and what == "begins":
                told = Condition(kind=kind, severity=Severity.WARNING, detail="It broke.")
                now = self.world.clock.now()
                changed.append(OpenCondition(id=self.world.new_id(), subject=subject, condition=told, since=now))
            elif was is not None and what == "worse":
                changed.append(replace(was, condition=replace(was.condition, severity=Severity.CRITICAL)))
            elif was is not None and what == "over":
                changed.append(replace(was, resolved_at=self.world.clock.now()))
        for each in changed:
            self._open[each.subject, kind] = each
            if not isinstance(each.resolved_at, Absent):
                del self._open[each.subject, kind]
        await self.store.save_conditions(changed)

    async def blow(self) -> list[Notice]:
        """All of it, and then peace; returns every notice that there is."""
        await self.world.start()
        for _ in range(STEPS):
            await self.step()
        self.inbox.share = 0.0
        await self.world.pass_time(4 * HOUR, step=timedelta(minutes=5))
        await self.world.stop()
        return sorted(self.store._notices.values(), key=lambda each: (each.created_at, each.id))

    def out_of_order(self, notices: list[Notice]) -> list[tuple[str, ConditionKind]]:
        """What was told of after something that is newer about the same, be it again."""
        place: defaultdict[str, list[int]] = defaultdict(list)
        for number, notice in enumerate(self.inbox.notices):
            place[notice.id].append(number)
        by_subject: defaultdict[tuple[str, ConditionKind], list[str]] = defaultdict(list)
        for notice in notices:
            by_subject[notice.subject, notice.condition.kind].append(notice.id)
        told = ((about, list(pairwise(ids))) for about, ids in by_subject.items())
        return [about for about, pairs in told for one, next_one in pairs if place[one][-1] > place[next_one][0]]


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
    """At least once, and never again after something newer about the same key."""
    storm = Storm(seed, share=0.5)
    notices = await storm.blow()
    assert {notice.id for notice in storm.inbox.notices} == {notice.id for notice in notices}
    assert await storm.store.waiting_by_channel() == {}
    assert storm.out_of_order(notices) == []
