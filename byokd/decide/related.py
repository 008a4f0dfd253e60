"""What people are told of the other keys of a multi-Region key: those that byokd does not keep, and a primary gone.

A relative is known from two sides: KMS lists the ARNs of the whole family, and the store what the config has of it.
"""

from __future__ import annotations

from byokd.decide.case import Case
from byokd.decide.verdict import Verdict
from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.key import Blind, KeyArn, region_of


def relatives_unmanaged(the: Case, verdict: Verdict) -> Condition | None:
    """Replicas of this primary are in no fleet: nobody here imports into them, and a rotation waits for whoever does.

    Said of the primary only, which has to be in step with all of them.
    """
    family = the.family
    if family is None or the.replica:
        return None
    missing = [arn for arn in family.replicas if arn not in _managed(the)]
    if not missing:
        return None
    where = ", ".join(region_of(arn) for arn in missing)
    what = "a replica" if len(missing) == 1 else f"{len(missing)} replicas"
    return Condition(
        kind=ConditionKind.RELATIVES_UNMANAGED,
        severity=Severity.WARNING,
        detail=f"the key has {what} in no fleet, whose material ages unseen: {where}",
        stage=",".join(missing),
    )


def replica_without_primary(the: Case, verdict: Verdict) -> Condition | None:
    """The primary of this replica is in no fleet, or not to be found: nothing can be rotated or replicated."""
    family = the.family
    if family is None or not the.replica:
        return None
    relative = next((each for each in the.snapshot.relatives if each.arn == family.primary), None)
    if relative is None:
        detail = f"its primary {family.primary} is in no fleet: byokd keeps its material and cannot rotate it"
        return Condition(kind=ConditionKind.REPLICA_WITHOUT_PRIMARY, severity=Severity.WARNING, detail=detail)
    if isinstance(relative.view, Blind) and relative.view.code == "key_not_found":
        detail = f"its primary {family.primary} is not found: {relative.view.message}"
        return Condition(
            kind=ConditionKind.REPLICA_WITHOUT_PRIMARY, severity=Severity.CRITICAL, detail=detail, stage="gone"
        )
    return None


def _managed(the: Case) -> set[KeyArn]:
    return {each.arn for each in the.snapshot.relatives}
