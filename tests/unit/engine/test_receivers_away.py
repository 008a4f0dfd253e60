"""A receiver that is away, or refuses what it is told, misses no more than it must, and costs nobody else anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from byokd.errors import ChannelError
from byokd.facts.condition import ConditionKind, Message, NoticeKind, Severity
from byokd.ports import Skew
from tests.kit.telling import DAY, HOUR, MANY, SECOND, Moody, counting, heard, locked_out, sizes, state, telling
from tests.kit.world import running


class Choosy(Moody):
    """Refuses what it does not understand, for ever."""

    async def deliver(self, message: Message) -> None:
        """See `ports.Channel`."""
        if message.notices[0].condition.kind is ConditionKind.ACCESS_DENIED:
            self.asked += 1
            raise ChannelError("422")
        await super().deliver(message)


class Strict(Moody):
    """Refuses warnings: it maps no such severity, until somebody sees to that."""

    lenient = False

    async def deliver(self, message: Message) -> None:
        """See `ports.Channel`."""
        if self.lenient or message.notices[0].condition.severity > Severity.WARNING:
            await super().deliver(message)
        else:
            raise ChannelError("422")


async def test_after_a_clock_was_set_back_what_is_refused_still_makes_way() -> None:
    """What was made later than now is offered at once, and then no sooner than anything else that failed."""
    inbox = Choosy()
    async with running(telling(inbox)) as world:
        inbox.refuses = -1
        others = [locked_out(number, kind=ConditionKind.EXPIRING) for number in range(10)]
        await state(world, [locked_out(number) for number in range(10)] + others)
        world.clock.step(-10 * 86_400)
        inbox.refuses = 0
        await world.settle()
        await world.pass_time(HOUR, step=5 * SECOND)
        assert sizes(world) == [10]
        assert inbox.asked < 20


@pytest.mark.parametrize("by", ["the host", "KMS"])
async def test_a_clock_that_is_put_back_while_a_receiver_is_asked_delays_nothing(by: str) -> None:
    """The next try was earlier than the clock had read before this one, passed for due, and nobody woke for it."""

    class Slow(Moody):
        async def deliver(self, message: Message) -> None:
            if self.asked == 1 and by == "the host":
                world.clock.step(-3600)
            elif self.asked == 1 and world.engine is not None:
                skew = Skew(by=-HOUR, at=world.clock.monotonic() + 1)
                world.engine.clock.learn(world.lane.id, skew, threshold=30 * SECOND)
            await super().deliver(message)

    inbox = Slow()
    async with running(telling(inbox)) as world:
        inbox.refuses = 2
        await state(world, [locked_out(0)])
        world.clock.step(3600)
        await world.settle()
        assert inbox.asked == 2
        await world.pass_time(20 * SECOND)
        assert sizes(world) == [1]


async def test_a_receiver_that_was_away_for_days_hears_of_a_key_once_and_is_reminded_from_then_on() -> None:
    """Reminders gathered in the outbox: a dozen for one key, which told nothing that was not to be told anyway."""
    inbox = Moody()
    async with running(telling(inbox)) as world:
        inbox.refuses = -1
        bad = [locked_out(number, severity=Severity.CRITICAL) for number in range(5)]
        await state(world, bad)
        await world.pass_time(12 * DAY, step=HOUR)
        assert await world.store.waiting_by_channel() == {"inbox": 5}
        inbox.refuses = 0
        await world.pass_time(HOUR, step=60 * SECOND)
        assert sizes(world) == [5]
        await world.pass_time(DAY + 3 * HOUR, step=HOUR)
        for number, each in enumerate(bad):
            assert heard(world, number) == [(NoticeKind.RAISED, each.id), (NoticeKind.REMINDER, each.id)]


async def test_a_dead_channel_costs_two_notices_at_a_time() -> None:
    """However much waits for it: what was not tried is not written. One failure may be the message's fault, not two."""
    inbox = Moody()
    inbox.refuses = -1
    world, store = counting(inbox)
    async with running(world):
        await state(world, (locked_out(number) for number in range(MANY)))
        await world.pass_time(HOUR, step=10 * SECOND)
        assert store.written == inbox.asked <= 2 * 361


async def test_hundreds_of_messages_that_nobody_takes_do_not_silence_a_channel() -> None:
    """Each was tried in its turn, and there were so many that news had none: a key that lapsed was never told."""
    world = telling(Choosy())
    world.gather_for = timedelta()
    async with running(world):
        await state(world, (locked_out(number) for number in range(200)))
        await world.pass_time(HOUR, step=10 * SECOND)
        await state(world, [locked_out(500, kind=ConditionKind.LAPSED, severity=Severity.CRITICAL)])
        await world.pass_time(30 * SECOND, step=5 * SECOND)
        assert sizes(world) == [1]


async def test_a_warning_that_is_refused_for_ever_does_not_keep_what_is_critical() -> None:
    """It was never told that the key is lost, since it did not take that the key would be."""
    world = telling(Strict())
    async with running(world):
        them = [locked_out(number) for number in range(5)]
        await state(world, them)
        await world.pass_time(HOUR, step=10 * SECOND)
        await state(world, [locked_out(3, severity=Severity.CRITICAL)])
        await world.pass_time(30 * SECOND, step=5 * SECOND)
        assert heard(world, 3) == [(NoticeKind.RAISED, them[3].id)]
        assert await world.store.waiting_by_channel() == {"inbox": 4}
        await state(world, [replace(locked_out(3, severity=Severity.CRITICAL), resolved_at=world.clock.now())])
        await world.pass_time(HOUR, step=60 * SECOND)
        assert [kind for kind, _ in heard(world, 3)] == [NoticeKind.RAISED, NoticeKind.RESOLVED]


async def test_what_was_overtaken_is_not_told_while_that_cannot_be_recorded_either() -> None:
    """The receiver would take the warning by now, and believe that the key is no worse."""
    inbox = Strict()
    world, store = counting(inbox)
    async with running(world):
        await state(world, [locked_out(0)])
        await world.pass_time(HOUR, step=10 * SECOND)
        await state(world, [locked_out(0, severity=Severity.CRITICAL)])
        store.keeps = False
        await world.pass_time(30 * SECOND, step=5 * SECOND)
        assert [notice.condition.severity for notice in inbox.notices] == [Severity.CRITICAL]
        inbox.lenient = True
        await world.pass_time(HOUR, step=10 * SECOND)
        store.keeps = True
        await world.pass_time(HOUR, step=10 * SECOND)
        assert [notice.condition.severity for notice in inbox.notices] == [Severity.CRITICAL]
        assert await store.waiting_by_channel() == {}
