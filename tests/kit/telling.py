"""Conditions made by hand, and people who are told of them: what tests of telling have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from byokd.errors import ChannelError, StoreFull
from byokd.facts.condition import Condition, ConditionKind, Message, Notice, NoticeKind, OpenCondition, Severity
from byokd.ports import Store
from tests.kit.clock import START
from tests.kit.memory_store import MemoryStore
from tests.kit.world import Inbox, World

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MANY = 450
"""More than are decided in one go."""
LANE = "111122223333/eu-central-1"


class Moody(Inbox):
    """An inbox that refuses what it is told, while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses = 0
        """So many messages; below 0, all of them."""
        self.asked = 0

    async def deliver(self, message: Message) -> None:
        """See `ports.Channel`."""
        self.asked += 1
        if self.refuses:
            self.refuses -= 1
            raise ChannelError("not now")
        await super().deliver(message)


def locked_out(
    number: int, *, kind: ConditionKind = ConditionKind.ACCESS_DENIED, severity: Severity = Severity.WARNING
) -> OpenCondition:
    """What is true about one key of the lane."""
    return OpenCondition(
        id=f"c-{number:05}-{kind}",
        subject=f"arn:aws:kms:eu-central-1:111122223333:key/{number:05}",
        condition=Condition(kind=kind, severity=severity, detail="the lane's role is gone"),
        since=START,
    )


def telling(channel: Inbox, *, store: Store | None = None) -> World:
    """A world without keys, whose conditions are made by hand."""
    world = World(store=store)
    world.inbox = world.channel = channel
    world.gather_for = HOUR
    return world


async def state(world: World, conditions: Iterable[OpenCondition]) -> None:
    """Let something be true, and people be told."""
    await world.store.save_conditions(list(conditions))
    assert world.engine is not None
    world.engine.wake()
    await world.settle()


def sizes(world: World) -> list[int]:
    """How many notices each message had."""
    return [len(message.notices) for message in world.inbox.messages]


class Counting(MemoryStore):
    """A store that counts the notices which it gives and takes, and whose disk may be full."""

    def __init__(self) -> None:
        super().__init__()
        self.read = self.written = 0
        self.full = False
        self.keeps = True
        """Whether it records what was told."""
        self.fails: set[str] = set()
        """Conditions of which the next write fails."""

    async def outbox(self, channel: str, *, now: Any, limit: int) -> tuple[Notice, ...]:
        """See `ports.Store`."""
        found = await super().outbox(channel, now=now, limit=limit)
        self.read += len(found)
        return found

    async def tell_anew(self, channel: str, *, at_least: Severity, by: datetime) -> None:
        """See `ports.Store`."""
        if self.full:
            raise StoreFull("no space left")
        await super().tell_anew(channel, at_least=at_least, by=by)

    async def replace_notices(self, notices: Sequence[Notice]) -> None:
        """See `ports.Store`."""
        if not self.keeps:
            raise StoreFull("no space left")
        self.written += len(notices)
        await super().replace_notices(notices)

    async def save_notices(self, condition_id: str, *args: Any, **kwargs: Any) -> None:
        """See `ports.Store`."""
        if self.full or condition_id in self.fails:
            self.fails.discard(condition_id)
            raise StoreFull("no space left")
        await super().save_notices(condition_id, *args, **kwargs)


def counting(channel: Inbox) -> tuple[World, Counting]:
    """A world whose channel tells each key by itself, and its store."""
    store = Counting()
    world = telling(channel, store=store)
    world.gather_for = timedelta()
    return world, store


def heard(world: World, number: int) -> list[tuple[NoticeKind, str]]:
    """What people were told of one key, as kind and condition."""
    return [
        (each.kind, each.condition_id) for each in world.inbox.notices if each.subject == locked_out(number).subject
    ]
