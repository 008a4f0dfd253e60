"""What the daemon opens for a config: closed once, by the reload after it or at the end, however these go.

And what it opens for itself, the timer that tells when the clock is set: one for its life, whatever it reloads.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from byokd import localkms
from byokd.config.load import load
from byokd.daemon.build import build
from byokd.daemon.run import Daemon
from byokd.engine.engine import Setup
from byokd.errors import OperatorError
from byokd.facts.condition import ConditionKind
from byokd.ports import Clock, Store
from tests.kit.process import Fleet, write_fleet
from tests.kit.timers import ring, watched_timers

pytestmark = pytest.mark.timeout(90)
HOOK = '\n[channels.hook]\ntype = "webhook"\nurl = "http://127.0.0.1:9/"\n'


@dataclass(slots=True)
class Openings:
    """Counts what is opened for configs, as `build` does it, and can fail in the middle of that."""

    opened: int = 0
    closed: int = 0
    fails: bool = False
    stops: dict[str, asyncio.Event] = field(default_factory=dict)
    """What to set `before` something is opened, and `after`."""
    sessions: list[Any] = field(default_factory=list)

    async def build(self, config: Any, *, stack: AsyncExitStack, **parts: Any) -> Setup:
        """See `byokd.daemon.build`."""
        self.opened += 1
        stack.callback(self._close)
        await self._reach("before")
        setup = await build(config, stack=stack, **parts)
        self.sessions += [channel._session for channel in setup.channels.values() if hasattr(channel, "_session")]
        await self._reach("after")
        if self.fails:
            raise OperatorError("the pager cannot be opened")
        return setup

    @property
    def open(self) -> list[bool]:
        """Of each config that was opened, in order, whether its channel is."""
        return [not session.closed for session in self.sessions]

    def _close(self) -> None:
        self.closed += 1

    async def _reach(self, point: str) -> None:
        if (stop := self.stops.get(point)) is not None:
            stop.set()
            await asyncio.Event().wait()


class Daemons:
    """A daemon in this process, and what it does with each reload."""

    def __init__(self, fleet: Fleet, openings: Openings, stack: AsyncExitStack) -> None:
        self.fleet = fleet
        self.daemon = Daemon(fleet.config, load(fleet.config), stack, build=openings.build)

    async def reload(self) -> None:
        """Take the config over, or not."""
        await self.daemon._tell(await self.daemon._reload_config())

    async def told(self) -> list[ConditionKind]:
        """What is open about the daemon."""
        return [each.condition.kind for each in await self.daemon._store.open_conditions("daemon")]

    async def names(self) -> list[str]:
        """The keys on record."""
        return sorted(each.name for each in await self.daemon._store.prospects("111122223333/eu-central-1", limit=9))  # type: ignore[arg-type]  # plain text


@asynccontextmanager
async def daemon(fleet: Fleet, openings: Openings) -> AsyncIterator[Daemons]:
    """A daemon that is ready; it stops at the end."""
    ready = asyncio.Event()

    async def beside(_store: Store, _clock: Clock, stop: asyncio.Event) -> None:
        ready.set()
        await stop.wait()

    async with AsyncExitStack() as stack:
        it = Daemons(fleet, openings, stack)
        running = asyncio.create_task(it.daemon.run(beside))
        async with asyncio.timeout(60):
            await asyncio.wait([running, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
        yield it
        it.daemon._stop.set()
        assert await running == 0


async def test_each_reload_closes_what_the_one_before_opened(tmp_path: Path, kms: localkms.Server, key: str) -> None:
    """One config is open at a time; the last one is closed at the end."""
    openings = Openings()
    async with daemon(write_fleet(tmp_path, endpoint=kms.url, extra=HOOK), openings) as it:
        for count in range(1, 4):
            assert openings.open == [False] * (count - 1) + [True]
            await it.reload()
    assert openings.open == [False] * 4
    assert (openings.opened, openings.closed) == (4, 4)


async def test_a_daemon_hears_at_once_when_the_clock_is_set(tmp_path: Path, kms: localkms.Server, key: str) -> None:
    """Its clock is watched from the start to the end, also after a reload: who would sleep for an hour is woken."""
    assert watched_timers() == []
    async with daemon(write_fleet(tmp_path, endpoint=kms.url), Openings()) as it:
        await it.reload()
        (timer,) = watched_timers()
        clock = it.daemon._engine.clock
        asleep = clock.wait(asyncio.Event(), until=clock.now() + timedelta(hours=1), cap_s=3600.0)
        sleeper = asyncio.create_task(asleep)
        await asyncio.sleep(0)
        ring(timer)
        async with asyncio.timeout(20):
            await sleeper
    assert watched_timers() == []


async def test_a_reload_that_is_refused_leaves_all_as_it_is(tmp_path: Path, kms: localkms.Server, key: str) -> None:
    """A config with problems opens nothing; what cannot be opened is closed again, and its keys are not taken over."""
    openings = Openings()
    async with daemon(write_fleet(tmp_path, endpoint=kms.url, extra=HOOK), openings) as it:
        good = it.fleet.config.read_text()
        it.fleet.config.write_text(good.replace('valid_for = "1h"', 'valid_for = "1000d"'))
        await it.reload()
        assert (openings.opened, await it.told()) == (1, [ConditionKind.CONFIG_REJECTED])

        write_fleet(tmp_path, endpoint=kms.url, aliases=("alias/payments", "alias/second"), extra=HOOK)
        openings.fails = True
        await it.reload()
        assert openings.open == [True, False]
        assert await it.told() == [ConditionKind.CONFIG_REJECTED]
        assert await it.names() == ["alias/payments"]

        openings.fails = False
        await it.reload()
        assert openings.open == [False, False, True]
        assert await it.names() == ["alias/payments", "alias/second"]
        assert await it.told() == []
    assert (openings.opened, openings.closed) == (3, 3)


async def test_a_reload_while_another_process_writes(tmp_path: Path, kms: localkms.Server, key: str) -> None:
    """A bad config meets a store that is busy: the daemon lives on, and people are told when the store can."""
    async with daemon(write_fleet(tmp_path, endpoint=kms.url), Openings()) as it:
        it.fleet.config.write_text("broken")
        with closing(sqlite3.connect(tmp_path / "state" / "byokd.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with capture_logs() as lines:
                reloading = asyncio.create_task(it.reload())
                while not any(line["event"] == "reload_untold" for line in lines):
                    await asyncio.sleep(0)
            assert not reloading.done()
            other.execute("ROLLBACK")
        await reloading
        assert await it.told() == [ConditionKind.CONFIG_REJECTED]


@pytest.mark.parametrize("at", ["before", "after"])
async def test_a_stop_in_the_middle_of_a_reload(tmp_path: Path, kms: localkms.Server, key: str, at: str) -> None:
    """It is broken off while adapters are opened: the old ones and the new ones are closed, each once."""
    openings = Openings()
    async with daemon(write_fleet(tmp_path, endpoint=kms.url, extra=HOOK), openings) as it:
        openings.stops = {at: it.daemon._stop}
        it.daemon._reload.set()
        await it.daemon._stop.wait()
    assert openings.open == [False] * (1 if at == "before" else 2)
    assert (openings.opened, openings.closed) == (2, 2)


async def test_a_start_that_fails_half_way(tmp_path: Path, kms: localkms.Server, key: str) -> None:
    """The socket's place is taken: what was opened by then is closed, and no lane works on."""
    openings = Openings()
    fleet = write_fleet(tmp_path, endpoint=kms.url, extra=HOOK)
    (tmp_path / "byokd.sock").write_text("in the way")
    async with AsyncExitStack() as stack:
        it = Daemons(fleet, openings, stack)
        with pytest.raises(OperatorError, match="in the way"):
            await it.daemon.run(None)
        assert openings.open == [False]
        assert not [each for each in asyncio.all_tasks() if each.get_name().startswith(("lane ", "notify"))]
    assert (openings.opened, openings.closed) == (1, 1)
