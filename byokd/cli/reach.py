"""How the command line gets its answers: from the daemon, else from what is on record.

    ask ─▶ the daemon's socket ─▶ answer
               └─ nobody there ─▶ the store, read-only ─▶ the same answer, and a word on stderr about its age

A question is a path for the daemon and a method of `Desk` for the record, so that both give the same document. Orders
need the daemon: nobody would carry them out.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

from byokd.cli import client
from byokd.cli.client import Document
from byokd.cli.failures import Failed
from byokd.errors import ConfigError, DaemonUnreachable, StoreError
from byokd.facts.policy import Lane
from byokd.ports import Store
from byokd.web import documents
from byokd.web.answers import MAX_ROWS, Answer, Cursor, Desk

PLAN_TIMEOUT_S: Final = 300.0
"""A plan of a hundred thousand keys takes its time, and so do those of several lanes."""
ORDER_TIMEOUT_S: Final = 300.0
"""So does an order for all keys of a lane."""

Query = Mapping[str, str]
Question = Callable[[Desk], Awaitable[Answer]]


class OnRecord(Protocol):
    """The store as the daemon left it."""

    def as_of(self) -> datetime | None:
        """When it was last written to; None where there is none."""
        ...

    def open(self) -> AbstractAsyncContextManager[Store]:
        """Open it for reading. Raises `StoreError`."""
        ...

    def cursor(self) -> Cursor:
        """How the store marks the place in a list."""
        ...


class Record:
    """The daemon's database file; `path` is asked only when it is needed."""

    def __init__(self, path: Callable[[], Path]) -> None:
        self._path = path

    def as_of(self) -> datetime | None:
        """See `OnRecord`: the later of the file and its write-ahead log. Raises `StoreError` where it may not look."""
        path = self._path()
        files = (path, path.with_name(f"{path.name}-wal"))
        try:
            changed = [each.stat().st_mtime for each in files if each.exists()]
        except OSError as error:
            raise StoreError(f"cannot look at {path}: {error.strerror or error}") from error
        return datetime.fromtimestamp(int(max(changed)), UTC) if changed else None

    def open(self) -> AbstractAsyncContextManager[Store]:
        """See `OnRecord`."""
        from byokd import logs
        from byokd.store import open_reader

        logs.configure(level="warning", stream=sys.stderr)  # stdout is for the answer

        return open_reader(self._path())

    def cursor(self) -> Cursor:
        """See `OnRecord`."""
        from byokd.store.views import cursor

        return cursor


class Reach:
    """Answers, from wherever they are to be had. Every method raises `Failed` where the answer is an error."""

    def __init__(
        self,
        socket: Path,
        record: OnRecord,
        *,
        warn: Callable[[str], None],
        lanes: Callable[[], Sequence[Lane]] = tuple,
    ) -> None:
        """`lanes` are those of the config, asked for only where the daemon does not answer."""
        self._lanes = lanes
        self._socket = socket
        self._record = record
        self._warn = warn
        self.daemon_answers = True
        """False once an answer had to come from the record."""

    def status(self) -> Document:
        """How the fleet is, in figures."""
        return self._ask("/v1/status", {}, lambda desk: desk.status({}))

    def keys(self, query: Query, *, limit: int) -> Document:
        """Keys by time left, page after page until there are `limit`."""
        whole: Document = {"keys": [], "next": None}
        after = ""
        while (wanted := limit - len(whole["keys"])) > 0:
            page = self._keys({**query, "limit": str(min(wanted, MAX_ROWS)), **({"after": after} if after else {})})
            whole = {**page, "keys": [*whole["keys"], *page["keys"]]}
            if page["next"] is None:
                break
            after = page["next"]
        return whole

    def _keys(self, query: Query) -> Document:
        return self._ask("/v1/keys", query, lambda desk: desk.keys(query))

    def key(self, name: str) -> Document:
        """All about one key."""
        return self._ask(f"/v1/keys/{quote(name, safe='')}", {}, lambda desk: desk.key(name, {}))

    def why(self, name: str, query: Query) -> Document:
        """Why a key is where it is, or was at an earlier moment."""
        return self._ask(f"/v1/keys/{quote(name, safe='')}/why", query, lambda desk: desk.why(name, query))

    def history(self, name: str, query: Query) -> Document:
        """One key's life, or all keys' where `name` is empty."""
        if not name:
            return self._ask("/v1/history", query, lambda desk: desk.history(query))
        return self._ask(f"/v1/keys/{quote(name, safe='')}/history", query, lambda desk: desk.key_history(name, query))

    def queue(self, query: Query) -> Document:
        """Rows of the import queue."""
        return self._ask("/v1/queue", query, lambda desk: desk.queue(query))

    def orders(self, query: Query) -> Document:
        """Orders, newest first."""
        return self._ask("/v1/orders", query, lambda desk: desk.orders(query))

    def drift(self, query: Query) -> Document:
        """What config, AWS as last seen, and journal say differently."""
        return self._ask("/v1/drift", query, lambda desk: desk.drift(query))

    def plan(self, query: Query) -> Document:
        """The forecast of each lane."""
        return self._ask("/v1/plan", query, lambda desk: desk.plan(query), timeout_s=PLAN_TIMEOUT_S)

    def order(self, body: Mapping[str, Any]) -> Document:
        """Give an order. Raises `DaemonUnreachable` where nobody takes it."""
        status, document = client.call(self._socket, "POST", "/v1/orders", {}, dict(body), timeout_s=ORDER_TIMEOUT_S)
        return _good(status, document)

    def approve(self, body: Mapping[str, Any]) -> Document:
        """Approve proposed orders. Raises `DaemonUnreachable` where nobody takes it."""
        status, document = client.call(self._socket, "POST", "/v1/approvals", {}, dict(body), timeout_s=ORDER_TIMEOUT_S)
        return _good(status, document)

    def cancel_order(self, order_id: str) -> Document:
        """Take an order back. Raises `DaemonUnreachable` where nobody takes it."""
        target = f"/v1/orders/{quote(order_id, safe='')}/cancel"
        status, document = client.call(self._socket, "POST", target, {})
        return _good(status, document)

    def _ask(self, target: str, query: Query, question: Question, *, timeout_s: float = client.TIMEOUT_S) -> Document:
        if self.daemon_answers:
            try:
                status, document = client.call(self._socket, "GET", target, query, timeout_s=timeout_s)
            except DaemonUnreachable as unreachable:
                self._fall_back(unreachable)
            else:
                return _good(status, document)
        answer = asyncio.run(self._look_up(question))
        return _good(answer.status, answer.document)

    def _fall_back(self, unreachable: DaemonUnreachable) -> None:
        try:
            as_of = self._record.as_of()
        except ConfigError as invalid:
            raise DaemonUnreachable(f"{unreachable}; and no valid config tells where its record is") from invalid
        if as_of is None:
            raise DaemonUnreachable(f"{unreachable}; and there is nothing on record") from unreachable
        self.daemon_answers = False
        self._warn(f"{unreachable}; showing what is on record as of {documents.stamp(as_of)}")

    async def _look_up(self, question: Question) -> Answer:
        from byokd.clock import SystemClock

        async with self._record.open() as store:
            return await question(
                Desk(
                    store=store,
                    now=SystemClock().now,
                    cursor=self._record.cursor(),
                    daemon=lambda: None,
                    lanes=self._lanes,
                )
            )


def _good(status: int, document: Document) -> Document:
    if status >= 400:
        raise Failed.from_document(document)
    return document
