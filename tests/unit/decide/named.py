"""What a case of `byokd why` consists of: a key about which one rule decides, and what would change that."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from byokd.facts.key import ABSENT, Blind, MaterialState, ObservedMaterial
from byokd.facts.ledger import ImportState, Order, OrderKind, Proved, Track, Unproved
from byokd.facts.policy import ChangeWindow
from byokd.facts.snapshot import Reason
from tests.kit.builders import (
    DAY,
    FINGERPRINT,
    MATERIAL,
    desired,
    ledger,
    observed,
    order,
    policy,
    queued,
    snapshot,
)
from tests.kit.clock import START

ENDS = START + 60 * DAY
DUE = ENDS - 30 * DAY
URGENT = ENDS - 15 * DAY
EMERGENCY = ENDS - 90 * DAY * 0.05
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
TOMORROW_AT_TWO = ChangeWindow(cron="0 2 * * *", lasts=HOUR, time_zone="UTC")
PROVED = snapshot().proof
assert isinstance(PROVED, Proved)


@dataclass(frozen=True)
class Named:
    """A key about which one rule decides, and the same key once somebody did what would change that."""

    says: str
    rule: str
    reason: Reason
    key: dict[str, Any]
    otherwise: dict[str, Any] = field(default_factory=dict)
    now: datetime = START
    later: datetime | None = None
    """When the change comes by itself."""
    until: datetime | None = None
    waits_for: str = ""
    tells: str = ""
    """Among what would change the rule's mind."""


def blind(code: str) -> Blind:
    return Blind(since=START, at=START, code=code, message="no", failures=5, last=observed())


def unproved(code: str, failures: int = 1) -> Unproved:
    return Unproved(since=START, at=START, code=code, message="no material", failures=failures)


def in_policy(**changes: Any) -> dict[str, Any]:
    return {"desired": desired(policy=policy(**changes))}


def ordered(*orders: Any, **changes: Any) -> dict[str, Any]:
    return {"ledger": ledger(open_orders=orders, **changes)}


def waiting(state: MaterialState, *besides: Order, **changes: Any) -> dict[str, Any]:
    """A second material that waits in KMS for the ordered rotation, and what else is ordered."""
    entry = ObservedMaterial(material_id=OTHER, state=state, imported=True, expiry=ENDS)
    first = observed().materials[0]
    rotate = order(OrderKind.ROTATE, **changes)
    stock = Track(proof=PROVED, fingerprint=FINGERPRINT, material=MATERIAL, last_expiry=ENDS)
    return {
        "desired": desired(further=("2.key",)),
        "view": observed(materials=(first, entry)),
        "others": (stock,),
        "place": 1,
        **ordered(rotate, *besides, material=OTHER),
    }


OTHER: Any = "cd" * 32
GONE = observed(valid_to=ABSENT)
HOLD = order(OrderKind.HOLD, until=START + HOUR)
SUSPEND = order(OrderKind.SUSPEND)
SUSPENDED = order(OrderKind.SUSPEND, effective_at=START)
FAILED = queued(state=ImportState.FAILED, attempts=3, not_before=DUE + HOUR, detail="no route")
REFUSED = queued(state=ImportState.REFUSED, finished_at=DUE, outcome="request_refused", detail="no")
STOCKED = {"desired": desired(further=("2.key",)), "others": (Track(proof=PROVED),)}
