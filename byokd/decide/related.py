"""What people are told of the other keys of a multi-Region key: those that byokd does not keep, and a primary gone.

A relative is known from two sides: KMS lists the ARNs of the whole family, and the store what the config has of it.
"""

from __future__ import annotations

from typing import TypeGuard

from byokd.decide.case import Case
from byokd.decide.materials import in_stock, waiting
from byokd.decide.verdict import Verdict
from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.key import (
    ABSENT,
    Blind,
    KeyArn,
    MaterialState,
    ObservedKey,
    ObservedMaterial,
    View,
    region_of,
)
from byokd.facts.relative import Relative


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


def rotation_unfinished(the: Case, verdict: Verdict) -> Condition | None:
    """A rotation that was begun and does not go on by itself: nobody ordered it here, or a material is missing.

    What waits for a rotation harms nothing; the key lives on under its current material.
    """
    if the.awaited is not None:
        if in_stock(the.snapshot):
            return None
        detail = f"its primary is to be rotated to material {_short(the.awaited)}, and the config has none in stock"
        return Condition(kind=ConditionKind.ROTATION_UNFINISHED, severity=Severity.WARNING, detail=detail)
    pending = the.pending
    if pending is None or the.replica or the.rotation is not None:
        return None
    detail = f"material {_short(pending)} waits for a rotation that nobody has ordered here: order it, or delete that"
    return Condition(kind=ConditionKind.ROTATION_UNFINISHED, severity=Severity.INFO, detail=detail)


def outdated(the: Case) -> tuple[Relative, ...]:
    """Members of the family whose record is behind this reading: not found, of another family, or not rotated as it.

    So a replica that was made is looked for, a primary hears of it, and all show a rotation. A primary that waits for
    material to be in its replicas hears of each that has it.
    """
    family, seen = the.family, the.seen
    if family is None or seen is None:
        return ()
    return tuple(
        each
        for each in the.snapshot.relatives
        if each.arn in family.members and _tells_otherwise(each.view, seen) and each.view.at < seen.at
    )


def _tells_otherwise(view: View, seen: ObservedKey) -> TypeGuard[Blind | ObservedKey]:
    if isinstance(view, Blind):
        return view.code == "key_not_found"
    if not isinstance(view, ObservedKey):
        return False
    # A replica without material may tell no id: that is no other one, and would make both look for ever.
    ids = {view.current_material, seen.current_material} - {ABSENT}
    return view.family != seen.family or len(ids) > 1 or _waits_for_less(view, seen)


def _waits_for_less(view: ObservedKey, seen: ObservedKey) -> bool:
    """Whether a primary's record waits for its replicas to have material that this reading of one of them shows."""
    awaited = waiting(view)
    if awaited is None or awaited.state is not MaterialState.PENDING_MULTI_REGION or seen.role != "replica":
        return False
    mine = (each for each in seen.materials if each.material_id == awaited.material_id)
    return any(each.imported and each.state is not awaited.state for each in mine)


def _short(material: ObservedMaterial) -> str:
    return f"{material.material_id[:12]}…"


def _managed(the: Case) -> set[KeyArn]:
    return {each.arn for each in the.snapshot.relatives}
