"""Drift: what config, AWS and the journal say differently of the same key, from the conditions that tell it.

    config    what is wanted       ┐
    AWS       what was last seen   ├─ two of them disagree: a difference
    journal   what byokd did       ┘  one of them could not be read: nothing is known, which is said too

Every kind of condition is either a difference, a reason why none can be told, or neither; a test fails where a new kind
is none of the three.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from byokd.facts.condition import ConditionKind, OpenCondition
from byokd.facts.estate import CREATED_AS, Attributes, FoundKey, NewKey
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


def from_manifest(wanted: NewKey, found: FoundKey | None, carried: Attributes) -> tuple[str, ...]:
    """What AWS shows of a key otherwise than the manifest that it was made from, a sentence each.

    `found` is the key that has the alias, None where none is seen that has imported material, and `carried` what could
    be read of it. Further tags are nobody's business here, and neither is a policy that the manifest leaves to KMS.
    """
    if found is None:
        return ("no key with imported material is seen under this alias",)
    told = []
    if isinstance(carried.tags, Mapping) and carried.tags.get(CREATED_AS, wanted.alias) != wanted.alias:
        told.append(f"the alias points to a key that was made for {carried.tags[CREATED_AS]}")
    if found.seen.spec != wanted.spec:
        told.append(f"its key spec is {found.seen.spec}, and was to be {wanted.spec}")
    elif found.seen.usage and found.seen.usage != wanted.usage:
        told.append(f"its use is {found.seen.usage}, and was to be {wanted.usage.value}")
    if wanted.multi_region and isinstance(found.seen.family, Absent):
        told.append("it is a single-Region key, and was to be a multi-Region one")
    if not wanted.multi_region and not isinstance(found.seen.family, Absent):
        told.append("it is a multi-Region key, and was to be a single-Region one")
    if not isinstance(carried.description, Absent) and carried.description != wanted.description:
        told.append(f"its description is {carried.description!r}, and was to be {wanted.description!r}")
    theirs, ours = carried.policy, wanted.policy
    if isinstance(theirs, str) and isinstance(ours, str) and not same_policy(theirs, ours):
        told.append("its key policy says something else than the manifest's")
    return (*told, *_tags(wanted.tags, carried.tags))


def not_read(wanted: NewKey, carried: Attributes) -> tuple[str, ...]:
    """What of a key could not be held against its manifest, a sentence each."""
    lost = {
        "kms:ListResourceTags": "its tags may not be read" if wanted.tags else "",
        "kms:GetKeyPolicy": "its key policy may not be read",
        "kms:DescribeKey": "its description may not be read",
    }
    return tuple(f"{lost[each]}: {each} is missing" for each in carried.denied if lost.get(each))


def same_policy(one: str, other: str) -> bool:
    """Whether two key policies say the same, however they are written.

    The order of statements and of lists of words is of no matter, nor whether a single one stands in a list (IAM user
    guide, "Grammar of the IAM JSON policy language").
    """
    try:
        return bool(_plain(json.loads(one)) == _plain(json.loads(other)))
    except ValueError:
        return one == other


def _plain(node: Any) -> Any:
    """A policy with one way to say each thing."""
    if isinstance(node, dict):
        return {name: _plain(value) for name, value in node.items()}
    if isinstance(node, list):
        parts = sorted((_plain(each) for each in node), key=lambda each: json.dumps(each, sort_keys=True))
        return parts[0] if len(parts) == 1 else parts
    return node


def _tags(wanted: Mapping[str, str], shown: Mapping[str, str] | Absent) -> list[str]:
    """In which tags a key differs, as far as they could be read."""
    told: list[str] = []
    if isinstance(shown, Absent):
        return told
    for name, value in wanted.items():
        if name not in shown:
            told.append(f"it has no tag {name}, which was to be {value!r}")
        elif shown[name] != value:
            told.append(f"its tag {name} is {shown[name]!r}, and was to be {value!r}")
    return told
