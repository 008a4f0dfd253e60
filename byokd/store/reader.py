"""A reader: everybody who asks while it is at work shares the next read transaction, hence one state of the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection

from byokd.store.batches import Batches
from byokd.store.faults import mapped
from byokd.store.link import Link

T = TypeVar("T")
Question = Callable[[Connection], Any]

QUESTIONS_PER_VISIT: Final = 500
"""Bounds how long a read transaction lasts: while one is open, SQLite's write-ahead log can only grow."""


class Reader:
    """Reads through one link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._batches: Batches[Question, Any] = Batches(self._read, limit=QUESTIONS_PER_VISIT)

    async def read(self, question: Callable[[Connection], T]) -> T:
        """What `question` returns over the newest committed state. Raises: StoreError, and what it raises."""
        return cast("T", await self._batches.ask(question))

    async def settle(self) -> None:
        """Return when nothing waits any more."""
        await self._batches.settle()

    async def _read(self, questions: Sequence[Question]) -> Sequence[Any]:
        def visit(connection: Connection) -> list[Any]:
            with connection.begin():
                return [self._attempt(connection, question) for question in questions]

        return await self._link.run(visit)

    def _attempt(self, connection: Connection, question: Question) -> Any:
        try:
            with mapped(self._link.path):
                return question(connection)
        except Exception as error:  # noqa: BLE001 - it becomes the caller's answer, who raises it
            return error
