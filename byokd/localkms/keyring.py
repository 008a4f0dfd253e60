"""The live state: every key, alias and grant, in memory, with each change noted in the journal.

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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from byokd.localkms.aging import aged
from byokd.localkms.aliases import Alias
from byokd.localkms.errors import Refusal
from byokd.localkms.families import bury, replica_of
from byokd.localkms.grants import Grant
from byokd.localkms.keys import Key, arn_of
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

    def note(self, arn: str, due_at: float | None) -> None:
        """Look at a key at `due_at`. An entry that is earlier stays: it will find nothing due and ask again."""
        if due_at is None or due_at >= self._live.get(arn, math.inf):
            return
        if due_at < self.next_at:
            self.nearer.set()
        self._live[arn] = due_at
        heapq.heappush(self._heap, (due_at, arn))

    def clear(self) -> None:
        """Forget them all, and let whoever sleeps until one look again."""
        self._heap.clear()
        self._live.clear()
        self.nearer.set()

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
        self._aliases_of: dict[str, set[str]] = {}  # ARNs of the aliases of a key, by its ARN; most have none
        self._grants: dict[str, dict[str, Grant]] = {}  # grants by id, by the ARN of their key; most have none
        self.deadlines = Deadlines()
        self.watchers: list[Watcher] = []
        self.replace(journal.all_keys(), journal.all_aliases(), journal.all_grants())

    def replace(self, keys: Iterable[Key], aliases: Iterable[Alias], grants: Iterable[Grant]) -> None:
        """Hold these in place of all others. Whoever calls this notes it in the journal."""
        for held in (self._keys, self._key_ids, self._aliases, self._alias_names, self._aliases_of, self._grants):
            held.clear()
        self.deadlines.clear()
        for key in keys:
            self._hold(key)
        for alias in aliases:
            self._point(alias)
        for grant in grants:
            self._grants.setdefault(grant.key, {})[grant.id] = grant

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

    def relatives(self, key: Key) -> list[Key]:
        """The other keys of a multi-Region key's family, in the order of Regions; none for a single-Region key."""
        if key.multi_region is None:
            return []
        regions = sorted({key.multi_region.primary, *key.multi_region.replicas} - {key.owner.region})
        arns = [arn_of(replica_of(key, region), f"key/{key.id}") for region in regions]
        return [self._keys[arn] for arn in arns if arn in self._keys]

    def put(self, *keys: Key) -> None:
        """Hold new keys, or new versions of some; all of them reach the disk together."""
        befores = [self._keys.get(key.arn) for key in keys]
        for key in keys:
            self._hold(key)
        self._journal.save_keys(keys)
        for before, key in zip(befores, keys, strict=True):
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

    def aliases_of(self, key: Key) -> Collection[str]:
        """The ARNs of all aliases of a key."""
        return self._aliases_of.get(key.arn, ())

    def drop_alias(self, alias: Alias) -> None:
        """Forget an alias."""
        del self._aliases[alias.arn]
        self._aliases_of[alias.key_arn].discard(alias.arn)
        _remove(self._alias_names[alias.owner], alias.name)
        self._journal.forget_alias(alias.arn)

    def grants(self, key: Key) -> Mapping[str, Grant]:
        """The grants of a key, by their ids."""
        return self._grants.get(key.arn, {})

    def all_grants(self) -> Iterator[Grant]:
        """Every grant of all accounts and Regions; none may come or go meanwhile."""
        return (grant for grants in self._grants.values() for grant in grants.values())

    def put_grant(self, grant: Grant) -> None:
        """Hold a new grant."""
        self._grants.setdefault(grant.key, {})[grant.id] = grant
        self._journal.save_grant(grant)

    def drop_grant(self, grant: Grant) -> None:
        """Forget a grant."""
        del self._grants[grant.key][grant.id]
        self._journal.forget_grant(grant.id)

    def expire(self, now: float) -> None:
        """Let happen what is due by `now`, epoch seconds, each thing as at its own moment, earliest first."""
        while self.deadlines.next_at <= now:
            arn = self.deadlines.pop()
            key = self._keys.get(arn) if arn is not None else None
            moment = None if key is None else key.due_at
            if key is None or moment is None:
                continue
            if moment > now:
                self.deadlines.note(key.arn, moment)
            elif key.deletion_at is not None and key.deletion_at <= moment:
                self._drop(key, moment)
                for watcher in self.watchers:
                    watcher.deleted(key, now)
            else:
                self.put(*aged(key, self.relatives(key), moment))
                self._tell_expiries(key, moment, now)

    def _tell_expiries(self, before: Key, moment: float, now: float) -> None:
        for material in before.materials:
            if material.expires_at is not None and material.expires_at <= moment:
                for watcher in self.watchers:
                    watcher.expired(self._keys[before.arn], material.id, now)

    def _drop(self, key: Key, now: float) -> None:
        """Delete a key "and all KMS data associated with it, including all aliases" (API reference)."""
        for arn in tuple(self.aliases_of(key)):
            self.drop_alias(self._aliases[arn])
        self._aliases_of.pop(key.arn, None)
        self._grants.pop(key.arn, None)
        relatives = self.relatives(key)
        left = bury(key, relatives, now)
        del self._keys[key.arn]
        _remove(self._key_ids[key.owner], key.id)
        for each in left:
            self._hold(each)
        self._journal.save_keys(left, forgotten=key.arn)
        for before, each in zip(relatives, left, strict=True):
            for watcher in self.watchers:
                watcher.changed(before, each)

    def _hold(self, key: Key) -> None:
        if key.arn not in self._keys:
            insort(self._key_ids[key.owner], key.id)
        self._keys[key.arn] = key
        self.deadlines.note(key.arn, key.due_at)

    def _point(self, alias: Alias) -> None:
        arn = alias.arn
        if (before := self._aliases.get(arn)) is None:
            insort(self._alias_names[alias.owner], alias.name)
        else:
            self._aliases_of[before.key_arn].discard(arn)
        self._aliases_of.setdefault(alias.key_arn, set()).add(arn)
        self._aliases[arn] = alias


def _remove(names: list[str], name: str) -> None:
    del names[bisect_left(names, name)]
