"""Whatever receivers, disks and clocks do: once all is well again, the last word about each key is the true one."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import pytest

from byokd.errors import ChannelError
from byokd.facts.condition import Message, Notice, NoticeKind, OpenCondition, Severity
from tests.kit.telling import HOUR, SECOND, Counting, counting, locked_out, state
from tests.kit.world import Inbox, World, running

KEYS: Final = 6
STEPS: Final = 40
SPANS: Final = tuple(timedelta(seconds=each) for each in (5, 60, 600, 7200))
CLOCK_STEPS_S: Final = (-86_400, -3_600, -30, 3_600, 2 * 86_400)


class Capricious(Inbox):
    """A receiver that is well, away, strict (it refuses warnings) or takes half of what it is told."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.mood = "well"
        self._rng = rng

    async def deliver(self, message: Message) -> None:
        """See `ports.Channel`."""
        lesser = message.notices[0].condition.severity < Severity.CRITICAL
        refuses = {"well": False, "away": True, "strict": lesser, "flaky": self._rng.random() < 0.5}
        if refuses[self.mood]:
            raise ChannelError("not now")
        await super().deliver(message)


@dataclass
class Storm:
    """Conditions of some keys that come, get worse, better, and go, while everything else has its moods too."""

    rng: random.Random
    inbox: Capricious
    world: World
    store: Counting
    open: dict[int, OpenCondition] = field(default_factory=dict)
    made: int = 0

    async def rages(self) -> None:
        """Let something happen, and time pass."""
        await state(self.world, [self._changed(self.rng.randrange(KEYS))])
        if self.rng.random() < 0.3:
            self.inbox.mood = self.rng.choice(("well", "away", "strict", "strict", "flaky"))
        if self.rng.random() < 0.1:
            self.world.clock.step(self.rng.choice(CLOCK_STEPS_S))
            await self.world.settle()
        self.store.keeps = self.rng.random() > 0.1
        await self.world.pass_time(self.rng.choice(SPANS), step=self.rng.choice(SPANS[:3]))
        self.store.keeps = True

    async def ends(self) -> None:
        """Nothing fails any more."""
        self.inbox.mood = "well"
        await self.world.pass_time(3 * HOUR, step=30 * SECOND)

    def _changed(self, number: int) -> OpenCondition:
        now, severity = self.world.clock.now(), self.rng.choice((Severity.WARNING, Severity.CRITICAL))
        if number in self.open and self.rng.random() < 0.4:
            return replace(self.open.pop(number), resolved_at=now)
        if number not in self.open:
            self.made += 1
            self.open[number] = replace(locked_out(number), id=f"c-{self.made:05}", since=now)
        known = self.open[number]
        told = replace(known.condition, severity=severity, stage=self.rng.choice("ab"))
        self.open[number] = replace(known, condition=told)
        return self.open[number]


@pytest.mark.parametrize("seed", range(4))
async def test_the_last_word_about_each_key_is_the_true_one(seed: int) -> None:
    """A key that is bad is told to be at least as bad; one that is well, and of which people heard, to be well."""
    rng = random.Random(seed)
    inbox = Capricious(rng)
    world, store = counting(inbox)
    world.gather_for = rng.choice((timedelta(), HOUR))
    storm = Storm(rng, inbox, world, store)
    async with running(world):
        for _ in range(STEPS):
            await storm.rages()
        await storm.ends()

        assert await store.waiting_by_channel() == {}
    for number in range(KEYS):
        subject = locked_out(number).subject
        told = [each for each in inbox.notices if each.subject == subject]
        _is_true(storm.open.get(number), told)
        _is_over(storm.open.get(number), told)


def _is_true(now: OpenCondition | None, told: list[Notice]) -> None:
    """What is told last is what is."""
    if now is None:
        assert not told or told[-1].kind is NoticeKind.RESOLVED
        return
    assert told, f"{now} was never told"
    assert (told[-1].condition_id, told[-1].kind is NoticeKind.RESOLVED) == (now.id, False)
    assert told[-1].condition.severity >= now.condition.severity


def _is_over(now: OpenCondition | None, told: list[Notice]) -> None:
    """What has ended is told to have, or something that came after it is told."""
    last = {each.condition_id: number for number, each in enumerate(told)}
    for condition_id, number in last.items():
        if now is None or condition_id != now.id:
            assert told[number].kind is NoticeKind.RESOLVED or number + 1 < len(told)
