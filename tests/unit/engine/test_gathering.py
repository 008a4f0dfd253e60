"""A lane that breaks with all its keys is told in few messages; nothing is lost, and nothing that got worse waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from byokd.errors import ChannelError
from byokd.facts.condition import ConditionKind, Message, NoticeKind, Severity
from byokd.facts.key import ABSENT, LaneId
from tests.kit.clock import START
from tests.kit.memory_store import MemoryStore
from tests.kit.telling import HOUR, LANE, MANY, Moody, locked_out, sizes, state, telling
from tests.kit.world import Inbox, running


async def test_what_breaks_at_once_is_one_message() -> None:
    """All that waits is decided before any of it is delivered."""
    async with running(telling(Inbox())) as world:
        await state(world, (locked_out(number) for number in range(MANY)))
        assert sizes(world) == [MANY]
        assert await world.store.outbox("inbox", now=START + 99 * HOUR, limit=9) == ()


async def test_what_breaks_bit_by_bit_is_a_few_messages() -> None:
    """One key every 43 s for a day, as where a source is proved once a day: the first at once, all within the hour."""
    async with running(telling(Inbox())) as world:
        for number in range(2000):
            await state(world, [replace(locked_out(number), since=world.clock.now())])
            world.clock.advance(43)
        await world.pass_time(HOUR)
        assert len(world.inbox.notices) == len({notice.subject for notice in world.inbox.notices}) == 2000
        assert world.inbox.messages[0].notices[0].subject == locked_out(0).subject
        assert len(world.inbox.messages) < 30
        for notice in world.inbox.notices:
            assert notice.not_before - notice.created_at <= HOUR


async def test_what_gets_worse_waits_for_nobody() -> None:
    """A key that is critical now is told at once, however much of the lane's other trouble is being gathered."""
    async with running(telling(Inbox())) as world:
        for number in range(100):
            await state(world, [locked_out(number)])
            world.clock.advance(43)
        world.inbox.messages.clear()
        await state(world, [locked_out(7, severity=Severity.CRITICAL)])
        (message,) = world.inbox.messages
        assert message.notices[0].subject == locked_out(7).subject


async def test_what_gets_worse_brings_forward_what_was_to_be_told_of_it() -> None:
    """That a key is locked out waits for others when it becomes critical: both are told at once, and in this order."""
    async with running(telling(Inbox())) as world:
        await state(world, [locked_out(0)])
        world.clock.advance(1)
        await state(world, (locked_out(number) for number in range(1, 50)))
        await state(world, [locked_out(7, severity=Severity.CRITICAL)])
        heard = [(each.subject, each.condition.severity) for each in world.inbox.notices]
        assert heard == [
            (locked_out(0).subject, Severity.WARNING),
            (locked_out(7).subject, Severity.WARNING),
            (locked_out(7).subject, Severity.CRITICAL),
        ]


async def test_a_clock_that_is_set_back_keeps_nobody_waiting() -> None:
    """What waits for a time that is years away now, since the clock was ahead, is told as soon as that is noticed."""
    async with running(telling(Inbox())) as world:
        await state(world, [locked_out(0)])
        world.clock.advance(1)
        await state(world, [locked_out(1)])
        world.clock.step(-300 * 86_400)
        await world.settle()
        await world.pass_time(2 * HOUR)
        assert sizes(world) == [1, 1]


async def test_recovery_is_gathered_too_and_comes_after_the_bad_news() -> None:
    """What is over before it was told is told in its order: first that it was, then that it is over."""
    async with running(telling(Inbox())) as world:
        await state(world, (locked_out(number) for number in range(50)))
        world.clock.advance(1)
        await state(world, (locked_out(number) for number in range(50, MANY)))  # which waits for some seconds
        world.clock.advance(1)
        await state(world, (replace(locked_out(number), resolved_at=START) for number in range(MANY)))
        await world.pass_time(HOUR)
        heard = [(notice.subject, notice.kind) for notice in world.inbox.notices]
        for number in range(MANY):
            mine = [kind for subject, kind in heard if subject == locked_out(number).subject]
            assert mine == [NoticeKind.RAISED, NoticeKind.RESOLVED]
        assert len(world.inbox.messages) <= 5


async def test_other_lanes_and_a_lane_as_a_whole_are_told_apart() -> None:
    """A message is about one lane; what is no key's is never one of many."""
    async with running(telling(Inbox())) as world:
        here = [locked_out(number) for number in range(5)]
        there = [
            replace(each, id=f"{each.id}-us", subject=each.subject.replace("eu-central", "us-east")) for each in here
        ]
        whole = [
            replace(each, id=f"{each.id}-lane", subject=f"lane:{LANE}{number}") for number, each in enumerate(here)
        ]
        await state(world, here + there + whole)
        assert sorted(sizes(world)) == [1, 1, 1, 1, 1, 5, 5]


async def test_a_message_that_fails_is_told_again_as_one() -> None:
    """A receiver that is away for minutes gets one message for all, and every notice is on record as tried and sent."""
    inbox = Moody()
    async with running(telling(inbox)) as world:
        inbox.refuses = 3
        await state(world, (locked_out(number) for number in range(MANY)))
        waiting = await world.store.outbox("inbox", now=START + HOUR, limit=MANY + 1)
        assert {notice.attempts for notice in waiting} == {1}
        assert len(waiting) == MANY
        await world.pass_time(timedelta(minutes=5), step=timedelta(seconds=10))
        assert sizes(world) == [MANY]
        assert inbox.asked == 4


async def test_a_restart_in_the_middle_loses_nothing() -> None:
    """What was gathered and not delivered is in the outbox, and is told at its time by the next process."""
    inbox = Moody()
    world = telling(inbox)
    async with running(world):
        await state(world, [locked_out(0)])
        world.clock.advance(1)
        await state(world, (locked_out(number) for number in range(1, MANY)))
        assert sizes(world) == [1]
    async with running(world):
        await world.pass_time(timedelta(minutes=1), step=timedelta(seconds=5))
        assert sizes(world) == [1, MANY - 1]


async def test_a_dead_receiver_is_asked_seldom() -> None:
    """Hundreds of messages that wait for it do not each cost a time-out: who fails two rests with all of them."""
    inbox = Moody()
    inbox.refuses = -1
    world = telling(inbox)
    world.gather_for = timedelta()
    async with running(world):
        await state(world, (locked_out(number) for number in range(MANY)))
        await world.pass_time(HOUR, step=timedelta(seconds=5))
        assert inbox.asked <= 2 * 361
        inbox.refuses = 0
        await world.pass_time(timedelta(minutes=16), step=timedelta(seconds=5))
        assert sizes(world) == [1] * MANY


async def test_a_message_that_nobody_takes_does_not_stand_in_the_way() -> None:
    """A receiver that refuses one message for ever gets the others all the same."""

    class Choosy(Inbox):
        async def deliver(self, message: Message) -> None:
            if message.notices[0].condition.kind is ConditionKind.EXPIRING:
                raise ChannelError("I do not understand")
            await super().deliver(message)

    async with running(telling(Choosy())) as world:
        poison = [locked_out(number, kind=ConditionKind.EXPIRING) for number in range(10)]
        await state(world, poison + [locked_out(number) for number in range(10)])
        await world.pass_time(timedelta(minutes=2), step=timedelta(seconds=5))
        assert sizes(world) == [10]


async def test_a_channel_that_is_gone_costs_no_more_than_a_line_now_and_then() -> None:
    """What was to be told in a channel that a reload took away stays in the outbox."""
    world = telling(Inbox())
    async with running(world):
        await state(world, [locked_out(0)])
        world.clock.advance(1)
        await state(world, (locked_out(number) for number in range(1, MANY)))
        assert world.engine is not None
        await world.engine.apply(world.setup(channels={}, audiences=()))
        await world.pass_time(HOUR)
        assert (await world.store.counts()).notices_waiting == MANY - 1
        await world.engine.apply(world.setup())
        await world.pass_time(HOUR)
        assert sum(sizes(world)) == MANY


async def test_each_key_by_itself_where_that_is_wanted() -> None:
    """With `gather_for` 0 there is a message for each key, at once."""
    world = telling(Inbox())
    world.gather_for = timedelta()
    async with running(world):
        await state(world, (locked_out(number) for number in range(MANY)))
        assert sizes(world) == [1] * MANY


async def test_few_are_told_one_by_one() -> None:
    """Three keys are three messages: each says more than a summary would."""
    async with running(telling(Inbox())) as world:
        await state(world, (locked_out(number) for number in range(3)))
        assert sizes(world) == [1, 1, 1]


async def test_the_keys_of_a_lane_are_counted_once_for_all_messages() -> None:
    """A count walks the lane's keys, a quarter of a second where there are many: not once for each that is told."""
    asked: list[tuple[ConditionKind, LaneId]] = []

    class Asked(MemoryStore):
        async def count_open(self, kind: ConditionKind, lane: LaneId, *, at_least: Severity) -> int:
            asked.append((kind, lane))
            return await super().count_open(kind, lane, at_least=at_least)

    class Choosy(Moody):
        async def deliver(self, message: Message) -> None:
            if self.asked == 1:
                self.refuses = 1
            await super().deliver(message)

    async with running(telling(Choosy(), store=Asked())) as world:
        stages = [replace(locked_out(number).condition, stage=f"{number}") for number in range(20)]
        await state(world, [replace(locked_out(number), condition=each) for number, each in enumerate(stages)])
        assert sizes(world) == [1] * 19
        assert asked == [(ConditionKind.ACCESS_DENIED, LANE)]
        assert {message.now_open for message in world.inbox.messages} == {0}  # none of them is in the config
        await world.pass_time(timedelta(minutes=1), step=timedelta(seconds=5))
        assert sizes(world) == [1] * 20
        assert len(asked) == 2


async def test_messages_know_deadlines() -> None:
    """A message carries the deadline of each of its keys that has one."""
    world = telling(Inbox())
    ref = await world.add()
    async with running(world):
        await world.pass_time(timedelta(days=1), step=6 * HOUR)
        known = await world.know(ref)
        others = [locked_out(number) for number in range(5)]
        await state(world, [*others, replace(locked_out(9), subject=ref)])
        (message,) = (each for each in world.inbox.messages if len(each.notices) == 6)
        assert message.deadlines == {ref: known.ledger.last_expiry} != {ref: ABSENT}
