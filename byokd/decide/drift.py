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


class Between(StrEnum):
    """Who says differently."""

    CONFIG_AND_AWS = "config and AWS"
    JOURNAL_AND_AWS = "journal and AWS"
    JOURNAL_AND_SOURCE = "journal and source"
    CONFIG_AND_JOURNAL = "config and journal"


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
