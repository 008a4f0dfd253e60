"""The estate: what keys there are in a lane, whether the config names them or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from byokd.facts.key import ABSENT, SYMMETRIC, Absent, KeyArn, Never, ObservedKey
from byokd.facts.uses import KeyUsage

ALIASES: Final = "alias/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which keys of a lane to look for. Nothing said means all of them; what is said of one kind must fit."""

    arns: frozenset[KeyArn] = frozenset()
    aliases: tuple[str, ...] = ()
    """Patterns with `*`, `?` and `[...]`, each beginning with `alias/`; a key fits by any of its aliases."""
    tags: Mapping[str, str | Absent] = field(default_factory=dict)
    """Tags that a key must all have; ABSENT for any value."""

    @property
    def by_name(self) -> bool:
        """Whether keys are named, by ARN or by alias, so that not all of them have to be listed."""
        return bool(self.arns or self.aliases)

    @property
    def everything(self) -> bool:
        """Whether nothing narrows the search."""
        return not (self.by_name or self.tags)

    def names(self, arn: KeyArn, aliases: tuple[str, ...]) -> bool:
        """Whether a key is one of those that are named."""
        return arn in self.arns or any(fnmatchcase(each, pattern) for each in aliases for pattern in self.aliases)

    def fits(self, tags: Mapping[str, str]) -> bool:
        """Whether a key with these tags is meant."""
        return all(name in tags and value in (ABSENT, tags[name]) for name, value in self.tags.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Managed:
    """The keys of one lane that a config names, each with its fleet."""

    by_arn: Mapping[KeyArn, str] = field(default_factory=dict)
    by_alias: Mapping[str, str] = field(default_factory=dict)

    def fleet_of(self, arn: KeyArn, aliases: tuple[str, ...]) -> str | Absent:
        """The fleet that a key belongs to; ABSENT where nobody manages it."""
        if arn in self.by_arn:
            return self.by_arn[arn]
        return next((self.by_alias[each] for each in aliases if each in self.by_alias), ABSENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """A key with Origin EXTERNAL, as KMS shows it, and who keeps it alive."""

    seen: ObservedKey
    aliases: tuple[str, ...]
    """In alphabetical order."""
    tags: Mapping[str, str] | Absent
    """ABSENT where nobody asked for them, or where they may not be read."""
    fleet: str | Absent
    """The fleet of the config that it belongs to; ABSENT where nobody manages it."""

    @property
    def name(self) -> str:
        """What a person calls it: its first alias, else its id."""
        return self.aliases[0] if self.aliases else self.seen.arn.rpartition("/")[2]

    @property
    def lost(self) -> bool:
        """Whether it had material once and has none now. Symmetric keys alone tell: CurrentKeyMaterialId stays."""
        gone = isinstance(self.seen.expiry, Absent) and not isinstance(self.seen.current_material, Absent)
        return gone and self.seen.spec == SYMMETRIC


CREATED_AS: Final = "byokd:created-as"
"""The tag of a key that byokd made, with the alias that it was made for: by it a key is known again whose making was
never confirmed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key with Origin EXTERNAL that is to be made."""

    alias: str
    """Names the key for good, and is unique in its lane."""
    spec: str = SYMMETRIC
    usage: KeyUsage = KeyUsage.ENCRYPT_DECRYPT
    """What it is for, for life."""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: str | Absent = ABSENT
    """The key policy, as JSON; ABSENT for KMS's default."""
    multi_region: bool = False
    """Whether it becomes the primary of a multi-Region key."""
    replicas: tuple[str, ...] = ()
    """Names of the lanes where it is to have replicas, once its material is in."""
    material: str | Absent = ABSENT
    """Where the source finds its material; ABSENT: by its alias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a key carries beside its material; each key of a multi-Region key its own.

    ABSENT for what nobody asked for or may read and, of a key that is to be made, for KMS's default.
    """

    description: str | Absent = ABSENT
    tags: Mapping[str, str] | Absent = ABSENT
    policy: str | Absent = ABSENT
    """The key policy, as JSON."""
    denied: tuple[str, ...] = ()
    """Permissions that were missing to read the rest."""


class Stage(StrEnum):
    """How far a new key is. Each is written down before the next step begins."""

    INTENDED = "intended"
    """KMS is about to be asked for the key, and may have made it."""
    NOT_MADE = "not_made"
    """KMS said no, or a search found no such key: nothing was made."""
    MADE = "made"
    """The key is there, and has no alias yet."""
    NAMED = "named"
    """The key has its alias: all is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a journal: how far the key of an alias is."""

    alias: str
    stage: Stage
    at: datetime
    arn: KeyArn | Absent = ABSENT
    """Known from MADE on."""


def by_deadline(key: FoundKey) -> tuple[int, str, str]:
    """Sorts keys: what is lost already, then by the deadline, then what never ends, then what never had material."""
    match key.seen.expiry:
        case datetime() as ends_at:
            return 1, ends_at.isoformat(), key.seen.arn
        case Never():
            return 2, "", key.seen.arn
        case Absent():
            return (0 if key.lost else 3), "", key.seen.arn


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A key that byokd was not let look at."""

    arn: KeyArn
    why: str
    aliases: tuple[str, ...] = ()
    """As far as they were known when it was looked at: of keys that are looked for by alias, all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search of one lane brought."""

    at: datetime
    """When it began."""
    looked_at: int
    """Keys of any Origin that were looked at."""
    keys: tuple[FoundKey, ...]
    """Those with Origin EXTERNAL, by `by_deadline`."""
    unseen: tuple[Unseen, ...]
    missing: tuple[str, ...]
    """ARNs and aliases of the config that the lane does not have; empty unless everything was looked for."""

    @property
    def unmanaged(self) -> tuple[FoundKey, ...]:
        """The keys that nobody manages."""
        return tuple(key for key in self.keys if isinstance(key.fleet, Absent))
