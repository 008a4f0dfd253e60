"""Discovery: which keys with imported material there are in a lane, and which of them nobody manages.

    aliases, page by page ─▶ which names a key has; first where keys are looked for by name, else beside the rest
    keys, page by page ─┬─▶ its tags, where tags are asked for ─▶ DescribeKey ─▶ Origin EXTERNAL? found
                        └─▶ ... as many at a time as the lane allows, each call at the lane's pace

KMS tells the Origin of a key in DescribeKey alone, so each key costs one call. What costs less is asked first. A key
that is gone when it is looked at was deleted meanwhile; one that byokd may not look at is told, and the rest goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from byokd.engine.calls import Calls
from byokd.errors import AccessDenied, KeyNotFound
from byokd.facts.estate import Found, FoundKey, Managed, Unseen, Wanted, by_deadline
from byokd.facts.key import ABSENT, Absent, KeyArn, ObservedKey
from byokd.ports import Clock
from byokd.ports.estate import Estate, Page

Row = TypeVar("Row")
Seen = Callable[[int], None]
"""Told how many keys were looked at so far."""


class Discovery:
    """Searches one lane."""

    def __init__(
        self, estate: Estate, calls: Calls, clock: Clock, *, in_flight: int, seen: Seen = lambda _: None
    ) -> None:
        """`in_flight` bounds the calls at the same time."""
        self._estate = estate
        self._calls = calls
        self._clock = clock
        self._in_flight = in_flight
        self._seen = seen

    async def find(self, wanted: Wanted, managed: Managed, *, tags: bool = False) -> Found:
        """Look for keys. `tags` asks for them even where nothing depends on them.

        Raises: KmsError; AccessDenied where not a single key may be looked at.
        """
        search = _Search(wanted, managed, tags=tags or bool(wanted.tags))
        at = self._clock.now()
        arns, turn = self._arns(search), asyncio.Lock()

        async def name() -> None:
            search.aliases = await self.aliases()

        async def work() -> None:
            while True:
                async with turn:  # the listing goes on for one at a time
                    arn = await anext(arns, None)
                if arn is None:
                    return
                await self._look(arn, search)
                search.looked_at += 1
                self._seen(search.looked_at)

        if wanted.aliases:
            await name()  # else nobody waits for the names
        try:
            async with asyncio.TaskGroup() as group:
                if not wanted.aliases:
                    group.create_task(name())
                for _ in range(self._in_flight):
                    group.create_task(work())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        if search.denied is not None and len(search.unseen) == search.looked_at:
            raise search.denied
        return Found(
            at=at,
            looked_at=search.looked_at,
            keys=tuple(sorted(search.keys(), key=by_deadline)),
            unseen=tuple(search.unseen),
            missing=tuple(search.missing()),
        )

    async def aliases(self) -> dict[str, tuple[str, ...]]:
        """The aliases of each key that has any, by its id. Raises: KmsError."""
        found: dict[str, tuple[str, ...]] = {}
        async for each in self._listed("ListAliases", self._estate.list_aliases):
            found[each.key_id] = (*found.get(each.key_id, ()), each.alias)
        return found

    async def _arns(self, search: _Search) -> AsyncIterator[KeyArn]:
        """The keys to be looked at. Keys that are named are listed too: an alias tells an id, not an ARN."""
        async for arn in self._listed("ListKeys", self._estate.list_keys):
            search.listed.add(arn)
            if not search.wanted.by_name or search.wanted.names(arn, search.names_of(arn)):
                yield arn

    async def _listed(
        self, operation: str, page_after: Callable[[str | Absent], Awaitable[Page[Row]]]
    ) -> AsyncIterator[Row]:
        """Every row of a listing."""
        after: str | Absent = ABSENT
        while True:
            page = await self._calls.make(operation, partial(page_after, after))
            for row in page.rows:
                yield row
            if isinstance(page.next, Absent):
                return
            after = page.next

    async def _look(self, arn: KeyArn, search: _Search) -> None:
        try:
            tags: Mapping[str, str] | Absent = ABSENT
            if search.tags:
                tags = await self._tags(arn, search)
                if not isinstance(tags, Absent) and not search.wanted.fits(tags):
                    return
            seen = await self._calls.make("DescribeKey", partial(self._estate.describe, arn))
        except KeyNotFound:
            return
        except AccessDenied as error:
            search.unseen.append(Unseen(arn=arn, why=str(error), aliases=search.names_of(arn)))
            search.denied = error
            return
        if seen.origin == "EXTERNAL":
            search.seen.append((seen, tags))

    async def _tags(self, arn: KeyArn, search: _Search) -> Mapping[str, str] | Absent:
        """A key's tags; ABSENT where they may not be read and are only to be told. Raises: KmsError."""
        try:
            return await self._calls.make("ListResourceTags", partial(self._estate.tags, arn))
        except AccessDenied:
            if search.wanted.tags:
                raise  # whether the key is wanted, its tags alone would say
            return ABSENT


@dataclass(slots=True)
class _Search:
    """One search under way."""

    wanted: Wanted
    managed: Managed
    tags: bool = field(kw_only=True)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    listed: set[KeyArn] = field(default_factory=set)
    looked_at: int = 0
    seen: list[tuple[ObservedKey, Mapping[str, str] | Absent]] = field(default_factory=list)
    """Keys with Origin EXTERNAL, and their tags."""
    unseen: list[Unseen] = field(default_factory=list)
    denied: AccessDenied | None = None

    def names_of(self, arn: KeyArn) -> tuple[str, ...]:
        return tuple(sorted(self.aliases.get(arn.rpartition("/")[2], ())))

    def keys(self) -> Iterator[FoundKey]:
        """What was found, once the names are there."""
        for seen, tags in self.seen:
            names = self.names_of(seen.arn)
            fleet = self.managed.fleet_of(seen.arn, names)
            yield FoundKey(seen=seen, aliases=names, tags=tags, fleet=fleet)

    def missing(self) -> list[str]:
        """What the config names and the lane does not have."""
        if not self.wanted.everything:
            return []
        aliases = {name for names in self.aliases.values() for name in names}
        gone = [*(self.managed.by_arn.keys() - self.listed), *(self.managed.by_alias.keys() - aliases)]
        return sorted(gone)
