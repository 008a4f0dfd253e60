"""What every `ports.Channel` promises: the log, a webhook, the inbox of the tests and the simulator's channel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from byokd.alerts.log import LogChannel
from byokd.alerts.webhook import WebhookChannel, open_webhook
from byokd.errors import ChannelError
from byokd.facts.condition import Message, Notice, OpenCondition
from byokd.ports import Channel
from tests.kit.notices import a_notice
from tests.kit.receiver import receiver
from tests.kit.telling import Moody
from tests.sim.book import Book
from tests.sim.doors import SimChannel

FAR_S = 10.0
"""Longer than anything takes here."""


@dataclass
class Line:
    """A channel, and who is at its other end."""

    channel: Channel
    heard: Callable[[], list[str]]
    """The ids of the notices that arrived, each as often as it did."""
    trouble: Callable[[str], None]
    """From now on the receiver `refuses`, `hangs up`, `hangs`, or listens again."""
    asked: asyncio.Event
    """Set at the latest when the receiver is asked; where nobody can be asked, from the start."""


@contextmanager
def to_the_log() -> Iterator[Line]:
    """Byokd's own log, which takes everything."""
    with capture_logs() as lines:
        yield Line(LogChannel("pager"), lambda: [line["id"] for line in lines], _no_trouble, _at_once())


@asynccontextmanager
async def by_webhook() -> AsyncIterator[Line]:
    """HTTP over loopback; every connection is closed at the end."""
    statuses = {"refuses": 503, "hangs up": 0, "hangs": None, "": 200}
    async with receiver() as served:

        def heard() -> list[str]:
            return [notice for body in served.bodies for notice in _ids(json.loads(body))]

        def trouble(how: str) -> None:
            served.status = statuses[how]

        async with open_webhook("pager", url=served.url, timeout_s=FAR_S) as channel:
            yield Line(channel, heard, trouble, served.asked)
        assert isinstance(channel, WebhookChannel)
        assert channel._session.closed


def to_an_inbox() -> Line:
    """The inbox that tests of the engine read."""
    inbox = Moody()

    def trouble(how: str) -> None:
        inbox.refuses = -1 if how else 0

    return Line(inbox, lambda: [each.id for each in inbox.notices], trouble, _at_once())


@contextmanager
def to_the_book() -> Iterator[Line]:
    """The simulator's channel, whose book breaks no law over what was written before it was told."""
    book, ids = Book(asyncio.get_running_loop().time, lambda: 0.0), list[str]()
    for each in MANY.notices:
        book.stated(
            OpenCondition(id=each.condition_id, subject=each.subject, condition=each.condition, since=each.since)
        )
        book.watch.noticed(each)
    channel = SimChannel(book)
    channel.reader = lambda notice: ids.append(notice.id)

    def trouble(how: str) -> None:
        channel.mode = {"": "", "hangs": "hang"}.get(how, "down")

    yield Line(channel, lambda: ids, trouble, _at_once())
    assert book.violations == []


def _ids(document: dict[str, Any]) -> list[str]:
    return [each["id"] for each in document["first"] or [document]]


def _no_trouble(how: str) -> None:
    assert not how


def _at_once() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


def _of_key(number: int) -> Notice:
    notice = a_notice()
    subject = f"{notice.subject[:-4]}{number:04}"
    return replace(notice, id=f"n-{number}", condition_id=f"c-{number}", subject=subject)


MANY = Message(notices=tuple(_of_key(number) for number in range(5)), deadlines={}, now_open=7)
ONE = Message(notices=MANY.notices[:1], deadlines={})
IDS = sorted(each.id for each in MANY.notices)


@asynccontextmanager
async def opened(name: str) -> AsyncIterator[Line]:
    """An implementation of `ports.Channel`, by name."""
    match name:
        case "log":
            with to_the_log() as line:
                yield line
        case "webhook":
            async with by_webhook() as line:
                yield line
        case "inbox":
            yield to_an_inbox()
        case _:
            with to_the_book() as line:
                yield line


@pytest.fixture(params=["log", "webhook", "inbox", "sim"])
async def line(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    """Each implementation in turn."""
    async with opened(request.param) as made:
        yield made


@pytest.fixture(params=["webhook", "inbox", "sim"])
async def fallible(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    """Each that can fail: the log takes everything."""
    async with opened(request.param) as made:
        yield made


async def test_a_message_arrives_whole(line: Line):
    """When `deliver` returns, the receiver has it: one notice, or all that are told together."""
    assert line.channel.name
    await line.channel.deliver(ONE)
    assert line.heard() == ["n-0"]
    await line.channel.deliver(MANY)
    assert sorted(line.heard()[1:]) == IDS


async def test_a_message_may_come_twice_and_is_known_again(line: Line):
    """The outbox offers again what it could not write down as told; a receiver knows it by its ids."""
    for _ in range(2):
        await line.channel.deliver(MANY)
    assert sorted(line.heard()) == sorted(IDS * 2)


@pytest.mark.parametrize("how", ["refuses", "hangs up"])
async def test_what_the_receiver_did_not_take_is_an_error(fallible: Line, how: str):
    """It is never taken for told; and the channel itself is none the worse for it."""
    fallible.trouble(how)
    for message in (ONE, MANY):
        with pytest.raises(ChannelError):
            await fallible.channel.deliver(message)
    fallible.trouble("")
    before = len(fallible.heard())
    await fallible.channel.deliver(MANY)
    assert sorted(fallible.heard()[before:]) == IDS


@pytest.mark.parametrize("fallible", ["webhook", "sim"], indirect=True)
async def test_a_delivery_that_is_cancelled_leaves_the_channel_as_it_was(fallible: Line):
    """A stop or a reload comes in the middle: the cancellation is no `ChannelError`, and the next message arrives."""
    fallible.trouble("hangs")
    delivering = asyncio.create_task(fallible.channel.deliver(ONE))
    await asyncio.sleep(0)
    await fallible.asked.wait()
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    fallible.trouble("")
    before = len(fallible.heard())
    await fallible.channel.deliver(MANY)
    assert sorted(fallible.heard()[before:]) == IDS
