"""Adoption: which of the keys that nobody manages come into the config, and where their material is to be found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from byokd.decide.wrapping import kind_of_key
from byokd.facts.estate import ALIASES, FoundKey
from byokd.facts.key import ABSENT, Absent, KeyArn, KeyState

ALIAS: Final = "{alias}"
ID: Final = "{id}"
_DYING: Final = (KeyState.PENDING_DELETION, KeyState.PENDING_REPLICA_DELETION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A key as the config will name it."""

    arn: KeyArn
    material: str | Absent
    """ABSENT where the config's own default is meant."""
    aliases: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ()
    """Names of the lanes of its replicas, which its own entry brings into the config."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A key that does not come into the config, and why."""

    arn: KeyArn
    why: str


def adopted(keys: Iterable[FoundKey], material: str) -> tuple[list[Adopted], list[LeftOut]]:
    """The keys to take in, in the order given, and those that are left out.

    `material` is a template of locators: `{alias}` stands for a key's first alias without `alias/`, `{id}` for its key
    id. Empty: the config's own default.
    """
    taken: list[Adopted] = []
    left: list[LeftOut] = []
    for key in keys:
        if why := _unfit(key, material):
            left.append(LeftOut(arn=key.seen.arn, why=why))
        else:
            where = locator(key.seen.arn, key.aliases, material)
            taken.append(Adopted(arn=key.seen.arn, material=where, aliases=key.aliases))
    return taken, left


def dying(key: FoundKey) -> bool:
    """Whether the key is scheduled for deletion."""
    return key.seen.state in _DYING


def _unfit(key: FoundKey, material: str) -> str:
    if not isinstance(key.fleet, Absent):
        return f"fleet {key.fleet} manages it already"
    if dying(key):
        return "it is scheduled for deletion"
    if kind_of_key(key.seen) is None:
        return f"byokd does not renew keys of spec {key.seen.spec}"
    if ALIAS in material and not key.aliases:
        return f"it has no alias to put in place of {ALIAS}"
    return ""


def locator(arn: KeyArn, aliases: tuple[str, ...], material: str) -> str | Absent:
    """Where the source finds a key's material, by the template `material`; ABSENT for an empty one."""
    if not material:
        return ABSENT
    alias = aliases[0].removeprefix(ALIASES) if aliases else ""
    return material.replace(ID, arn.rpartition("/")[2]).replace(ALIAS, alias)
