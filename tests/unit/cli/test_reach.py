"""Where answers come from when the daemon is down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from byokd.cli.failures import Exit, Failed
from byokd.cli.reach import Reach
from byokd.config.load import load
from byokd.errors import DaemonUnreachable
from byokd.ports import Store
from byokd.store import open_store
from byokd.store.views import cursor
from byokd.web.answers import Cursor
from tests.kit.builders import lane
from tests.kit.clock import START
from tests.kit.memory_store import MemoryStore
from tests.kit.process import write_fleet
from tests.unit.cli.terminal import byokd
from tests.unit.web.api import an_api
from tests.unit.web.fleet import FRESH, furnished


@dataclass
class Kept:
    """A record in memory; implements `OnRecord`."""

    store: MemoryStore | None
    opened: list[str] = field(default_factory=list)

    def as_of(self) -> datetime | None:
        return None if self.store is None else START

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        assert self.store is not None
        self.opened.append("opened")
        yield self.store

    def cursor(self) -> Cursor:
        return cursor


@pytest.fixture
def _logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("byokd").setLevel(logging.NOTSET)
    structlog.reset_defaults()


QUESTIONS: dict[str, Callable[[Reach], dict[str, Any]]] = {
    "status": lambda reach: reach.status(),
    "keys": lambda reach: reach.keys({"fleet": "payments"}, limit=2),
    "key": lambda reach: reach.key("alias/ledger"),
    "history": lambda reach: reach.history("", {"limit": "2"}),
    "key history": lambda reach: reach.history(FRESH, {}),
    "queue": lambda reach: reach.queue({"all": "true"}),
    # Without its times: a forecast begins now, and the record is read by the real clock.
    "plan": lambda reach: {"lanes": [(each["name"], each["keys"]) for each in reach.plan({"lane": "prod"})["lanes"]]},
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
async def test_same_answer_with_and_without_the_daemon(tmp_path: Path, question: Callable[[Reach], dict[str, Any]]):
    """The record answers as the daemon does, but for the time and for what the daemon says of itself."""
    kept = Kept(await furnished())
    async with an_api(tmp_path) as api:
        api.lanes = (lane(),)
        up = Reach(api.socket, kept, warn=pytest.fail)
        from_daemon = await asyncio.to_thread(question, up)
    assert kept.opened == []
    down = Reach(api.socket, kept, warn=lambda _: None, lanes=lambda: (lane(),))
    from_record = await asyncio.to_thread(question, down)
    own = {"at": "", "daemon": None}
    assert from_record | own == from_daemon | own | ({} if "daemon" in from_daemon else {"daemon": None})
    assert kept.opened
    assert not down.daemon_answers


async def test_the_age_of_the_record_is_told_once(tmp_path: Path):
    """That the daemon does not answer, and how old the record is, is said once however many pages it takes."""
    said: list[str] = []
    reach = Reach(tmp_path / "none.sock", Kept(await furnished()), warn=said.append)
    await asyncio.to_thread(reach.status)
    await asyncio.to_thread(reach.status)
    (told,) = said
    assert "does not answer at" in told
    assert told.endswith("showing what is on record as of 2026-03-01T12:00:00Z")


async def test_refusals_are_the_same(tmp_path: Path):
    """An unknown key is refused by the record in the daemon's words."""
    reach = Reach(tmp_path / "none.sock", Kept(await furnished()), warn=lambda _: None)
    with pytest.raises(Failed, match="no key named 'alias/none'") as caught:
        await asyncio.to_thread(reach.key, "alias/none")
    assert caught.value.exit is Exit.REFUSED


async def test_nothing_on_record(tmp_path: Path):
    """Without daemon and record there is no answer."""
    reach = Reach(tmp_path / "none.sock", Kept(None), warn=pytest.fail)
    with pytest.raises(DaemonUnreachable, match="nothing on record"):
        await asyncio.to_thread(reach.status)


@pytest.mark.usefixtures("_logs_as_before")
async def test_the_real_record(tmp_path: Path):
    """With the daemon down, `byokd keys` reads the daemon's database and says so on stderr, apart from the answer."""
    fleet = write_fleet(tmp_path, endpoint="http://127.0.0.1:1", aliases=("alias/a", "alias/b"))
    config = load(fleet.config)
    config.daemon.state_dir.mkdir()
    async with open_store(config.daemon.state_dir / "byokd.db") as store:
        await store.sync_fleet(config.keys(), now=START)
    printed = await byokd("--config", str(fleet.config), "keys", "--json")
    assert [key["name"] for key in printed.document["keys"]] == ["alias/a", "alias/b"]
    assert "does not answer" in printed.err
    assert (await byokd("--config", str(fleet.config), "status", "--check")).code == Exit.UNREACHABLE


@pytest.mark.usefixtures("_logs_as_before")
async def test_a_damaged_record(tmp_path: Path):
    """A record that cannot be read ends the command with 5."""
    fleet = write_fleet(tmp_path, endpoint="http://127.0.0.1:1")
    state = load(fleet.config).daemon.state_dir
    state.mkdir()
    (state / "byokd.db").write_bytes(b"no database, but long enough to be taken for one" * 100)
    printed = await byokd("--config", str(fleet.config), "keys")
    assert (printed.code, printed.out) == (Exit.STORE, "")


async def test_orders_need_the_daemon(tmp_path: Path):
    """An order that nobody would carry out is not taken, with exit code 4."""
    printed = await byokd("import", FRESH, socket=tmp_path / "none.sock")
    assert printed.code == Exit.UNREACHABLE
    assert "systemctl start byokd" in printed.err


async def test_what_answers_is_not_byokd(tmp_path: Path):
    """Something else on the socket counts as no daemon, not as a traceback."""
    path = tmp_path / "other.sock"

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(b"220 smtp ready\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_unix_server(greet, path):
        printed = await byokd("import", FRESH, socket=path)
    assert printed.code == Exit.UNREACHABLE
    assert "is not byokd" in printed.err
