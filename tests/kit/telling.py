"""Conditions made by hand, and people who are told of them: what tests of telling have in common."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from byokd.errors import ChannelError
from byokd.facts.condition import Condition, ConditionKind, Message, OpenCondition, Severity
from byokd.ports import Store
from tests.kit.clock import START
from tests.kit.world import Inbox, World

HOUR = timedelta(hours=1)
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
