"""The last word about a key is the latest, whatever fails; and trouble of one message, channel or store stays there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from byokd.alerts.render import document
from byokd.facts.condition import ConditionKind, Message, NoticeKind, Severity
from tests.kit.clock import START
from tests.kit.telling import DAY, HOUR, MANY, SECOND, Moody, counting, heard, locked_out, sizes, state, telling
from tests.kit.world import Inbox, World, running


async def test_the_last_word_about_a_key_that_broke_again_is_that_it_broke() -> None:
    """A condition that comes back is another one on record, and the same thing to people."""
    bad = [locked_out(number, kind=ConditionKind.LAPSED, severity=Severity.CRITICAL) for number in range(5)]
    async with running(telling(Inbox())) as world:
        await state(world, bad)
        await world.pass_time(5 * 60 * SECOND, step=5 * SECOND)
        for each in bad[:2]:
            await state(world, [replace(each, resolved_at=world.clock.now())])  # that of the second waits for 15 s
            world.clock.advance(2)
        await state(world, [replace(bad[1], id="again", since=world.clock.now())])
        await world.pass_time(10 * 60 * SECOND, step=5 * SECOND)
        first = bad[1].id
        assert heard(world, 1) == [
            (NoticeKind.RAISED, first),
            (NoticeKind.RESOLVED, first),
            (NoticeKind.RAISED, "again"),
        ]


async def test_one_write_that_fails_turns_nothing_round() -> None:
    """That it is over and that it is back are decided one after the other, or the second might be on record alone."""
    world, store = counting(Inbox())
    bad = locked_out(0)
    async with running(world):
        await state(world, [bad])
        store.fails.add(bad.id)
        await state(world, [replace(bad, resolved_at=START), replace(bad, id="d", since=START)])
        await world.pass_time(60 * SECOND, step=5 * SECOND)
        assert heard(world, 0) == [(NoticeKind.RAISED, bad.id), (NoticeKind.RESOLVED, bad.id), (NoticeKind.RAISED, "d")]


@pytest.mark.parametrize("away_s", range(0, 1500, 100))
async def test_a_receiver_that_was_away_hears_things_in_their_order(away_s: int) -> None:
    """What failed rests for longer than the channel does; what came after it about the same key waits for it."""
    inbox = Moody()
    bad = locked_out(0, severity=Severity.CRITICAL)
    async with running(telling(inbox)) as world:
        inbox.refuses = -1
        await state(world, [bad])
        await world.pass_time(311 * SECOND, step=5 * SECOND)
        await state(world, [replace(bad, resolved_at=world.clock.now())])
        await world.pass_time(away_s * SECOND, step=5 * SECOND)
        inbox.refuses = 0
        await world.pass_time(20 * 60 * SECOND, step=5 * SECOND)
        assert [kind for kind, _ in heard(world, 0)] == [NoticeKind.RAISED, NoticeKind.RESOLVED]


async def test_what_could_not_be_written_is_told_as_soon_as_it_can() -> None:
    """A group of which nothing came on record was not told: its first does not wait, however often that was tried."""
    world, store = counting(Inbox())
    world.gather_for = HOUR
    async with running(world):
        store.full = True
        await state(world, [locked_out(0, severity=Severity.CRITICAL)])
        await world.pass_time(HOUR, step=5 * SECOND)
        store.full = False
        await world.pass_time(60 * SECOND, step=5 * SECOND)
        assert sizes(world) == [1]


async def test_after_a_clock_was_set_back_a_quiet_group_begins_anew() -> None:
    """Its beat is days ahead, which says nothing."""
    async with running(telling(Inbox())) as world:
        world.clock.step(3 * 86_400)
        await state(world, [locked_out(0)])
        world.clock.step(-3 * 86_400)
        await world.pass_time(2 * HOUR)
        await state(world, [locked_out(1)])
        assert sizes(world) == [1, 1]


@pytest.mark.parametrize("restart", [False, True])
async def test_after_a_clock_was_set_back_reminders_come_no_later(restart: bool) -> None:
    """What was told last lies in the future: a reminder is due, and then again after a day."""
    world, bad = telling(Inbox()), locked_out(0, severity=Severity.CRITICAL)
    async with running(world):
        world.clock.step(3 * 86_400)
        await state(world, [bad])
        if not restart:
            world.clock.step(-3 * 86_400)
            await world.pass_time(60 * SECOND, step=SECOND)
    if restart:
        world.clock.step(-3 * 86_400)
    async with running(world):
        await world.pass_time(60 * SECOND, step=SECOND)
        assert [kind for kind, _ in heard(world, 0)] == [NoticeKind.RAISED, NoticeKind.REMINDER]
        await world.pass_time(DAY, step=HOUR)
        await world.pass_time(HOUR * 3, step=HOUR)
        assert [kind for kind, _ in heard(world, 0)] == [NoticeKind.RAISED, NoticeKind.REMINDER, NoticeKind.REMINDER]


async def test_after_a_clock_was_set_back_what_got_worse_is_told_again() -> None:
    """What was told last lies in the future; before it, people had been told that it is as bad."""
    world, bad = telling(Inbox()), locked_out(0, severity=Severity.CRITICAL)
    better = replace(bad, condition=replace(bad.condition, severity=Severity.WARNING, stage="7d"))
    async with running(world):
        await state(world, [bad])
        world.clock.step(3 * 86_400)
        await state(world, [better])
        world.clock.step(-3 * 86_400)
        await world.settle()
        for _ in range(2):
            await state(world, [bad])
        assert [notice.condition for notice in world.inbox.notices if notice.kind is NoticeKind.RAISED] == [
            bad.condition,
            better.condition,
            bad.condition,
        ]


async def test_a_shorter_time_between_reminders_is_for_what_is_open_already() -> None:
    """A reload lowers `remind_every`; the next reminder was still to come at the time that the old one said."""
    world, bad = telling(Inbox()), locked_out(0, severity=Severity.CRITICAL)
    async with running(world):
        await state(world, [bad])
        (audience,) = world.setup().audiences
        assert world.engine is not None
        await world.engine.apply(world.setup(audiences=(replace(audience, remind_every=HOUR),)))
        await world.pass_time(HOUR + 10 * 60 * SECOND, step=60 * SECOND)
        assert [kind for kind, _ in heard(world, 0)] == [NoticeKind.RAISED, NoticeKind.REMINDER]


async def test_reminders_do_not_come_long_after_all_is_over() -> None:
    """They may take hours; once it is over they are told with that at the latest."""
    world = telling(Inbox())
    async with running(world):
        bad = [locked_out(number, severity=Severity.CRITICAL) for number in range(300)]
        for each in bad:
            await state(world, [replace(each, since=world.clock.now())])
            world.clock.advance(120)
        await world.pass_time(DAY + HOUR * 3 - 300 * 120 * SECOND, step=120 * SECOND)
        await state(world, [replace(each, resolved_at=world.clock.now()) for each in bad])
        await world.pass_time(HOUR, step=120 * SECOND)
        assert (await world.store.counts()).notices_waiting == 0
        assert {kind for kind, _ in heard(world, 299)} == {NoticeKind.RAISED, NoticeKind.RESOLVED}
        assert [heard(world, number)[-1][0] for number in range(300)] == [NoticeKind.RESOLVED] * 300


async def test_each_notice_is_read_once_where_each_is_told_by_itself() -> None:
    """The cost of a storm grows with the storm."""
    world, store = counting(Inbox())
    async with running(world):
        await state(world, (locked_out(number) for number in range(MANY)))
        assert store.read == store.written == MANY


async def test_a_channel_under_another_name_is_told_of_all_that_is_open() -> None:
    """What waits for the old name goes nowhere; the new one hears of what is true."""
    world, other = telling(Inbox()), Inbox()
    async with running(world):
        await state(world, [locked_out(0)])
        world.clock.advance(1)
        await state(world, (locked_out(number) for number in range(1, 50)))
        (audience,) = world.setup().audiences
        assert world.engine is not None
        await world.engine.apply(
            world.setup(channels={"oncall": other}, audiences=(replace(audience, channel="oncall"),))
        )
        await world.settle()
        assert [len(message.notices) for message in other.messages] == [50]
        assert len(world.inbox.notices) == 1
        assert await world.store.waiting_by_channel() == {"inbox": 49}


@pytest.mark.parametrize(
    ("away", "again"),
    [
        ({"channels": {}, "audiences": ()}, False),
        ({"channels": {}, "audiences": ()}, True),
        ({"min_severity": Severity.CRITICAL}, False),
    ],
    ids=["not in the config", "not in the config, and the key broke again", "not as severe"],
)
async def test_a_channel_that_was_away_is_told_of_what_ended(away: dict[str, Any], again: bool) -> None:
    """Its receiver has an incident open, which nothing else would close; and what is open by then comes after that."""
    world, bad = telling(Inbox()), [locked_out(number) for number in range(5)]
    async with running(world):
        await state(world, bad)
        assert world.engine is not None
        if "min_severity" in away:
            (audience,) = world.setup().audiences
            away = {"audiences": (replace(audience, **away),)}
        await world.engine.apply(world.setup(**away))
        await state(world, [replace(each, resolved_at=world.clock.now()) for each in bad])
        world.clock.advance(60)
        broken = [replace(each, id=f"{each.id}-2", since=world.clock.now()) for each in bad if again]
        await state(world, broken)
        world.clock.advance(60)
    async with running(world):
        await world.pass_time(HOUR, step=60 * SECOND)
        for number, each in enumerate(bad):
            told = [(NoticeKind.RAISED, each.id), (NoticeKind.RESOLVED, each.id)]
            assert heard(world, number) == told + [(NoticeKind.RAISED, it.id) for it in broken[number : number + 1]]


async def test_what_a_receiver_took_without_saying_so_has_its_id_when_it_comes_again() -> None:
    """Others do not join what is tried again."""

    class Deaf(Moody):
        async def deliver(self, message: Message) -> None:
            ids.append((len(message.notices), document(message)["id"]))
            await super().deliver(message)

    ids: list[tuple[int, str]] = []
    inbox = Deaf()
    async with running(telling(inbox)) as world:
        inbox.refuses = 1
        await state(world, (locked_out(number) for number in range(9)))
        await state(world, (locked_out(number) for number in range(9, 20)))
        await world.pass_time(60 * SECOND, step=5 * SECOND)
        assert [size for size, _ in ids] == [9, 9, 11]
        assert ids[0] == ids[1]


async def test_a_slow_channel_keeps_no_other_waiting() -> None:
    """Its receiver takes nine seconds for each message, and all channels waited until it had taken two hundred."""
    world, healthy = telling(Inbox()), Inbox()
    lapsed = locked_out(500, kind=ConditionKind.LAPSED, severity=Severity.CRITICAL)

    class Slow(Inbox):
        async def deliver(self, message: Message) -> None:
            world.clock.advance(9)
            await super().deliver(message)
            if len(self.messages) == 5:
                await world.store.save_conditions([lapsed])
            if not healthy.messages:
                before.append(message)

    before: list[Message] = []
    async with running(world):
        (audience,) = world.setup().audiences
        assert world.engine is not None
        alone = replace(audience, channel="slow", gather_for=timedelta())
        oncall = replace(audience, channel="oncall", min_severity=Severity.CRITICAL)
        slow = Slow()
        await world.engine.apply(
            world.setup(channels={"slow": slow, "oncall": healthy}, audiences=(alone, oncall)),
        )
        await state(world, (locked_out(number) for number in range(100)))
        await world.pass_time(HOUR, step=10 * SECOND)
        assert len(slow.messages) == 101
        assert [message.notices[0].subject for message in healthy.messages] == [lapsed.subject]
        assert len(before) < 10


async def _one_is_told_and_one_waits(world: World) -> None:
    await state(world, [locked_out(0)])
    world.clock.advance(1)
    await state(world, [locked_out(1)])
    assert sizes(world) == [1]


async def test_a_full_disk_keeps_nothing_that_is_in_the_outbox() -> None:
    """What cannot be decided waits; what was decided before does not."""
    world, store = counting(Inbox())
    world.gather_for = HOUR
    async with running(world):
        await _one_is_told_and_one_waits(world)
        store.full = True
        await state(world, [locked_out(2)])
        await world.pass_time(60 * SECOND, step=5 * SECOND)
        assert sizes(world) == [1, 1]


async def test_a_full_disk_at_a_start_keeps_nothing_that_is_in_the_outbox_either() -> None:
    """What a channel was not told cannot be decided anew then, and that is no reason to be silent."""
    world, store = counting(Inbox())
    world.gather_for = HOUR
    async with running(world):
        await _one_is_told_and_one_waits(world)
    store.full = True
    async with running(world):
        await world.pass_time(60 * SECOND, step=5 * SECOND)
        assert sizes(world) == [1, 1]


async def test_what_cannot_be_recorded_as_told_is_not_told_again_and_again() -> None:
    """The process knows that it was taken, and records that once it can."""
    world, store = counting(Inbox())
    store.keeps = False
    async with running(world):
        await state(world, [locked_out(0)])
        await world.pass_time(HOUR, step=10 * SECOND)
        assert sizes(world) == [1]
        store.keeps = True
        await world.pass_time(2 * 60 * SECOND, step=10 * SECOND)
        assert sizes(world) == [1]
        assert (await store.counts()).notices_waiting == 0
