"""The API over a store in memory, asked through a real Unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
from structlog.testing import capture_logs

from byokd.facts.key import KeyRef
from byokd.facts.ledger import HistoryEntry, Order, OrderKind
from byokd.facts.policy import Lane
from byokd.ports import Store
from byokd.store.views import cursor
from byokd.web.app import build_app
from byokd.web.socket import serving
from tests.kit.clock import ManualClock
from tests.kit.memory_store import MemoryStore
from tests.unit.web.fleet import furnished


@dataclass
class Api:
    """A client of the API, and what stands behind it."""

    store: MemoryStore
    socket: Path
    client: aiohttp.ClientSession
    status: dict[str, Any]
    clock: ManualClock = field(default_factory=ManualClock)
    lanes: tuple[Lane, ...] = ()
    approval: tuple[OrderKind, ...] = ()
    wakes: list[str] = field(default_factory=list)
    logged: list[Any] = field(default_factory=list)

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        """Status and document."""
        async with self.client.get(f"http://byokd{path}", params=query) as response:
            return response.status, await response.json()

    async def orders(self, ref: str) -> tuple[Order, ...]:
        """The open orders on record for a key."""
        (snapshot,) = await self.store.snapshots([KeyRef(ref)])
        return snapshot.ledger.open_orders

    async def told(self) -> HistoryEntry:
        """The last line of history."""
        return (await self.store.history(None, limit=1))[0]

    async def post(self, body: Any, *, data: bytes | None = None, path: str = "/v1/orders") -> tuple[int, Any]:
        """Give an order, or take one back: status and document."""
        given: dict[str, Any] = {"json": body} if data is None else {"data": data}
        async with self.client.post(f"http://byokd{path}", **given) as response:
            return response.status, await response.json()


@asynccontextmanager
async def an_api(directory: Path, store: Store | None = None) -> AsyncIterator[Api]:
    """Serve a furnished store until the block is left."""
    memory = await furnished()
    numbers = count(1)
    path = directory / "byokd.sock"
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as client:
        api = Api(store=memory, socket=path, client=client, status={"version": "1", "ready": True})
        app = build_app(
            store or memory,
            api.clock,
            lambda: f"{next(numbers):012}",
            wake=lambda: api.wakes.append("woken"),
            status=lambda: api.status,
            cursor=cursor,
            lanes=lambda: api.lanes,
            approval=lambda: api.approval,
        )
        with capture_logs() as api.logged:
            async with serving(app, path):
                yield api
