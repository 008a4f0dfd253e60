"""The report of drift: each thing of which config, AWS as last seen, and journal say differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from byokd.decide.drift import Between, Difference, differences, not_compared
from byokd.decide.transitions import show_expiry
from byokd.facts.condition import OpenCondition
from byokd.facts.key import Absent
from byokd.facts.past import LeftBehind
from byokd.facts.policy import Lane
from byokd.web.documents import Document, condition, stamp

LEFT_CONFIG: Final = "left_config"
"""In place of a condition's kind: nothing looks at such a key any more, so that no condition about it could end."""

MANIFEST: Final = "manifest"
"""In place of a condition's kind: the daemon knows no manifests."""


def report(
    open_: Sequence[OpenCondition], left: Sequence[LeftBehind], unsearched: Sequence[Lane], *, limit: int
) -> Document:
    """The differences, those that are conditions first and worst first; at most `limit` of each sort are spelt out."""
    found, unknown = differences(open_), not_compared(open_)
    return {
        "differences": len(found) + len(left),
        "drift": [_difference(each) for each in found[:limit]] + [_left(each) for each in left],
        "not_compared": [
            {"subject": each.subject, "kind": each.condition.kind.value, "why": each.condition.detail}
            for each in unknown[:limit]
        ]
        + [{"subject": f"lane:{lane.id}", "kind": None, "why": _unsearched(lane)} for lane in unsearched],
    }


def _difference(each: Difference) -> Document:
    told = condition(each.condition)
    kept = ("subject", "kind", "severity", "detail", "since")
    return {"between": each.between.value} | {member: told[member] for member in kept}


def _left(each: LeftBehind) -> Document:
    return {
        "between": Between.CONFIG_AND_JOURNAL.value,
        "subject": each.ref,
        "kind": LEFT_CONFIG,
        "severity": "warning",
        "detail": f"it was in the fleet {each.fleet}; its material, as last seen, ends: {show_expiry(each.expiry)}",
        "since": None if isinstance(each.left_at, Absent) else stamp(each.left_at),
    }


def from_manifest(alias: str, told: Sequence[str]) -> list[Document]:
    """What AWS shows otherwise than a manifest, as lines of the report."""
    return [
        {
            "between": Between.MANIFEST_AND_AWS.value,
            "subject": alias,
            "kind": MANIFEST,
            "severity": "warning",
            "detail": each,
            "since": None,
        }
        for each in told
    ]


def hidden(alias: str, why: str) -> Document:
    """A key of a manifest that could not be seen whole, as a line of the report."""
    return {"subject": alias, "kind": None, "why": why}


def _unsearched(lane: Lane) -> str:
    return (
        f"{lane.name} is not searched for keys that nobody manages: set discover_every, or see `byokd find --unmanaged`"
    )
