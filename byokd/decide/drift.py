"""Drift: what config, AWS and the journal say differently of the same key, from the conditions that tell it.

    config    what is wanted       ┐
    AWS       what was last seen   ├─ two of them disagree: a difference
    journal   what byokd did       ┘  one of them could not be read: nothing is known, which is said too

Every kind of condition is either a difference, a reason why none can be told, or neither; a test fails where a new kind
is none of the three.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from byokd.facts.condition import ConditionKind, OpenCondition
from byokd.facts.estate import FoundKey, NewKey
from byokd.facts.key import Absent


class Between(StrEnum):
    """Who says differently."""

    CONFIG_AND_AWS = "config and AWS"
    JOURNAL_AND_AWS = "journal and AWS"
    JOURNAL_AND_SOURCE = "journal and source"
    CONFIG_AND_JOURNAL = "config and journal"
    MANIFEST_AND_AWS = "manifest and AWS"


DIFFERENCES: Final[Mapping[ConditionKind, Between]] = {
    ConditionKind.KEY_NOT_FOUND: Between.CONFIG_AND_AWS,
    ConditionKind.WRONG_ORIGIN: Between.CONFIG_AND_AWS,
    ConditionKind.UNSUPPORTED_SPEC: Between.CONFIG_AND_AWS,
    ConditionKind.WRAPPING_REFUSED: Between.CONFIG_AND_AWS,
    ConditionKind.ALIAS_MOVED: Between.CONFIG_AND_AWS,
    ConditionKind.DUPLICATE_KEY: Between.CONFIG_AND_AWS,
    ConditionKind.DISABLED: Between.CONFIG_AND_AWS,
    ConditionKind.PENDING_DELETION: Between.CONFIG_AND_AWS,
    ConditionKind.UNAVAILABLE: Between.CONFIG_AND_AWS,
    ConditionKind.EXPIRY_DRIFT: Between.CONFIG_AND_AWS,
    ConditionKind.MATERIAL_UNMANAGED: Between.CONFIG_AND_AWS,
    ConditionKind.RELATIVES_UNMANAGED: Between.CONFIG_AND_AWS,
    ConditionKind.REPLICA_WITHOUT_PRIMARY: Between.CONFIG_AND_AWS,
    ConditionKind.REPLICA_MISSING: Between.CONFIG_AND_AWS,
    ConditionKind.ROTATION_UNFINISHED: Between.CONFIG_AND_AWS,
    ConditionKind.UNMANAGED_KEYS: Between.CONFIG_AND_AWS,
    ConditionKind.MATERIAL_DIFFERS: Between.JOURNAL_AND_AWS,
    ConditionKind.MATERIAL_DELETED: Between.JOURNAL_AND_AWS,
    ConditionKind.MATERIAL_CHANGED: Between.JOURNAL_AND_SOURCE,
}
NOT_COMPARED: Final = frozenset(
    {
        ConditionKind.COULD_NOT_LOOK,
        ConditionKind.ACCESS_DENIED,
        ConditionKind.DEADLINES_HIDDEN,
        ConditionKind.DISCOVERY_FAILING,
        ConditionKind.SOURCE_UNREADABLE,
    }
)
"""Kinds that say that one side could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing of which two sides say differently."""

    between: Between
    condition: OpenCondition


def differences(open_: Iterable[OpenCondition]) -> tuple[Difference, ...]:
    """The conditions that are differences, in their order."""
    return tuple(
        Difference(between=DIFFERENCES[each.condition.kind], condition=each)
        for each in open_
        if each.condition.kind in DIFFERENCES
    )


def not_compared(open_: Iterable[OpenCondition]) -> tuple[OpenCondition, ...]:
    """The conditions for which differences may be hidden, in their order."""
    return tuple(each for each in open_ if each.condition.kind in NOT_COMPARED)


def from_manifest(wanted: NewKey, found: FoundKey | None) -> tuple[str, ...]:
    """What AWS shows of a key otherwise than the manifest that it was made from, a sentence each.

    `found` is the key that has the alias, None where none is seen that has imported material; its tags were asked for.
    Further tags are nobody's business here. The description and the key policy are not compared: no reading has them.
    """
    if found is None:
        return ("no key with imported material is seen under this alias",)
    told = []
    if found.seen.spec != wanted.spec:
        told.append(f"its key spec is {found.seen.spec}, and was to be {wanted.spec}")
    if wanted.multi_region and isinstance(found.seen.family, Absent):
        told.append("it is a single-Region key, and was to be a multi-Region one")
    if not wanted.multi_region and not isinstance(found.seen.family, Absent):
        told.append("it is a multi-Region key, and was to be a single-Region one")
    shown = {} if isinstance(found.tags, Absent) else found.tags
    for name, value in wanted.tags.items():
        if name not in shown:
            told.append(f"it has no tag {name}, which was to be {value!r}")
        elif shown[name] != value:
            told.append(f"its tag {name} is {shown[name]!r}, and was to be {value!r}")
    return tuple(told)
