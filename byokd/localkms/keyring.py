"""The live state: every key and alias, in memory, with each change noted in the journal.

It also knows when keys change by themselves. `Deadlines` is a heap with one live entry per key, for the earliest moment
at which something about that key is due; what exactly is due is read from the key itself when the moment has come, so a
stale entry does no harm and a restart needs no memory of what it missed.

This file must not decide what an operation may do. It holds no lock: everything runs in one event loop, without an
await.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from byokd.localkms.aliases import Alias
from byokd.localkms.errors import Refusal
from byokd.localkms.keys import Key, arn_of
from byokd.localkms.materials import lapsed
from byokd.localkms.names import resource_named
from byokd.localkms.persistence import Journal
from byokd.localkms.signatures import Caller


class Deadlines:
    """Who is due when."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._live: dict[str, float] = {}
        self.nearer = asyncio.Event()
        """Set whenever the next deadline has come nearer; whoever waits for it clears it."""

    @property
    def next_at(self) -> float:
        """The earliest deadline, epoch seconds; infinity if there is none."""
        return self._heap[0][0] if self._heap else math.inf

    def clear(self) -> None:
        """Forget them all, and let whoever sleeps until one look again."""
        self._heap.clear()
        self._live.clear()
        self.nearer.set()

    def note(self, arn: str, due_at: float | None) -> None:
        """Look at a key at `due_at`. An entry that is earlier stays: it will find nothing due and ask again."""
        if due_at is None or due_at >= self._live.get(arn, math.inf):
            return
        if due_at < self.next_at:
            self.nearer.set()
        self._live[arn] = due_at
        heapq.heappush(self._heap, (due_at, arn))

    def pop(self) -> str | None:
        """Take out the earliest entry: a key to look at, or None if a nearer entry has replaced it."""
        due_at, arn = heapq.heappop(self._heap)
        if self._live.get(arn) != due_at:
            return None
        del self._live[arn]
        return arn


class Watcher:
    """Somebody who is told of every change to a key, after it was made and before it is on disk. Must not raise."""

    def changed(self, before: Key | None, after: Key) -> None:
        """A key has changed; `before` None: it has come into being."""

    def expired(self, key: Key, material_id: str, now: float) -> None:
        """A material has lapsed, at `now` in epoch seconds; the key is the one without it."""

    def deleted(self, key: Key, now: float) -> None:
        """A key's waiting period was over at `now`, epoch seconds, and it is no longer there."""


class Keyring:
    """All keys and aliases of all accounts and Regions."""

    def __init__(self, journal: Journal) -> None:
        """Read the keys and aliases back from the journal. Raises: StateError when they are damaged."""
        self._journal = journal
        self._keys: dict[str, Key] = {}
        self._key_ids: defaultdict[Caller, list[str]] = defaultdict(list)
        self._aliases: dict[str, Alias] = {}
        self._alias_names: defaultdict[Caller, list[str]] = defaultdict(list)
        self.deadlines = Deadlines()
        self.watchers: list[Watcher] = []
        for key in journal.all_keys():
            self._hold(key)
        for alias in journal.all_aliases():
            self._point(alias)

    def replace(self, keys: Iterable[Key], aliases: Iterable[Alias]) -> None:
        """Hold these keys and aliases in place of all others. Whoever calls this notes it in the journal."""
        for held in (self._keys, self._key_ids, self._aliases, self._alias_names):
            held.clear()
        self.deadlines.clear()
        for key in keys:
            self._hold(key)
        for alias in aliases:
            self._point(alias)

    @property
    def key_count(self) -> int:
        """How many keys there are, of all accounts and Regions."""
        return len(self._keys)

    def key(self, arn: str) -> Key | None:
        """The key of an ARN."""
        return self._keys.get(arn)

    def key_ids(self, owner: Caller) -> Sequence[str]:
        """The ids of all keys of an account and Region, sorted."""
        return self._key_ids.get(owner, ())

    def named(self, identifier: object, caller: Caller) -> Key | None:
        """The key that a caller means by an id, an ARN or an alias; None if there is none, or nothing is meant."""
        if not isinstance(identifier, str):
            return None
        try:
            resource = resource_named(identifier, caller, aliases=True)
        except Refusal:
            return None
        alias = self._aliases.get(arn_of(caller, resource))
        return self._keys.get(arn_of(caller, resource if alias is None else f"key/{alias.target}"))

    def all_keys(self) -> Iterator[Key]:
        """Every key of all accounts and Regions; none may come or go meanwhile."""
        return iter(self._keys.values())

    def put(self, key: Key) -> None:
        """Hold a new key, or a new version of one."""
        before = self._keys.get(key.arn)
        self._hold(key)
        self._journal.save_key(key)
        for watcher in self.watchers:
            watcher.changed(before, key)

    def alias(self, arn: str) -> Alias | None:
        """The alias of an ARN."""
        return self._aliases.get(arn)

    def alias_names(self, owner: Caller) -> Sequence[str]:
        """The names of all aliases of an account and Region, sorted."""
        return self._alias_names.get(owner, ())

    def put_alias(self, alias: Alias) -> None:
        """Hold a new alias, or a new version of one."""
        self._point(alias)
        self._journal.save_alias(alias)

    def drop_alias(self, alias: Alias) -> None:
        """Forget an alias."""
        del self._aliases[alias.arn]
        _remove(self._alias_names[alias.owner], alias.name)
        self._journal.forget_alias(alias.arn)

    def expire(self, now: float) -> None:
        """Let happen what is due at `now`, epoch seconds, inclusive: a material's ValidTo, a key's DeletionDate."""
        while self.deadlines.next_at <= now:
            arn = self.deadlines.pop()
            key = self._keys.get(arn) if arn is not None else None
            if key is None:
                continue
            if key.deletion_at is not None and key.deletion_at <= now:
                self._drop(key)
                for watcher in self.watchers:
                    watcher.deleted(key, now)
                continue
            after = lapsed(key, now)
            if after is key:
                self.deadlines.note(key.arn, key.due_at)
            else:
                self.put(after)
                self._tell_expiries(key, after, now)

    def _tell_expiries(self, before: Key, after: Key, now: float) -> None:
        for material in before.materials:
            if material.expires_at is not None and material.expires_at <= now:
                for watcher in self.watchers:
                    watcher.expired(after, material.id, now)

    def _drop(self, key: Key) -> None:
        """Delete a key "and all KMS data associated with it, including all aliases" (API reference)."""
        for alias in [each for each in self._aliases.values() if each.target == key.id and each.owner == key.owner]:
            self.drop_alias(alias)
        del self._keys[key.arn]
        _remove(self._key_ids[key.owner], key.id)
        self._journal.forget_key(key.arn)

    def _hold(self, key: Key) -> None:
        if key.arn not in self._keys:
            insort(self._key_ids[key.owner], key.id)
        self._keys[key.arn] = key
        self.deadlines.note(key.arn, key.due_at)

    def _point(self, alias: Alias) -> None:
        if alias.arn not in self._aliases:
            insort(self._alias_names[alias.owner], alias.name)
        self._aliases[alias.arn] = alias


def _remove(names: list[str], name: str) -> None:
    del names[bisect_left(names, name)]
