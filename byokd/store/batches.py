"""Many callers, one visit: whoever asks while the work is going on is taken along by the next round.

A round begins one turn of the event loop after the first question, so that everybody who is ready in that turn shares
it. Rounds run in a task of their own: a caller that is cancelled takes back a question that has not been taken up, and
never disturbs the round it is part of.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Batches(Generic[Q, A]):
    """Questions gathered into rounds of at most `limit`, answered in the order in which they came."""

    def __init__(self, work: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]], *, limit: int) -> None:
        """`work` returns one answer, or one exception, for each question; what it raises is everybody's answer."""
        self._work = work
        self._limit = limit
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._rounds: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """The answer to one question. Raises what the work answered or raised for it."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        self._waiting.append((question, answer))
        if self._rounds is None:
            self._rounds = loop.create_task(self._run(), name="store-rounds")
        return await answer

    async def settle(self) -> None:
        """Return when every question asked so far is answered."""
        while self._rounds is not None:
            await asyncio.wait((self._rounds,))

    async def _run(self) -> None:
        taken: list[tuple[Q, asyncio.Future[A]]] = []
        try:
            while taken := self._take():
                try:
                    answers = await self._work([question for question, _ in taken])
                except Exception as error:  # noqa: BLE001 - it is handed to each caller, who raises it
                    answers = [error] * len(taken)
                for (_, answer), given in zip(taken, answers, strict=True):
                    _resolve(answer, given)
        finally:
            # Only a cancelled round comes here with callers left: their outcome is unknown, and they must not hang.
            for _, answer in (*taken, *self._waiting):
                answer.cancel()
            self._waiting.clear()
            self._rounds = None

    def _take(self) -> list[tuple[Q, asyncio.Future[A]]]:
        taken: list[tuple[Q, asyncio.Future[A]]] = []
        while self._waiting and len(taken) < self._limit:
            question, answer = self._waiting.popleft()
            if not answer.done():
                taken.append((question, answer))
        return taken


def _resolve(answer: asyncio.Future[A], given: A | Exception) -> None:
    if answer.done():  # the caller was cancelled while the round was under way
        return
    if isinstance(given, Exception):
        answer.set_exception(given)
    else:
        answer.set_result(given)
