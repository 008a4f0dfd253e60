"""What makes no sense to order for a key, as far as that is plain from the record, why, and what to do instead."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeGuard

from byokd.decide.case import CLOCKS_DIFFER, case
from byokd.decide.orders import before_deciding, rotated_at, without
from byokd.decide.rotation import obstacle
from byokd.decide.suspension import cannot_suspend
from byokd.errors import KeyNotFound, OrderRefused
from byokd.facts.key import ABSENT, SYMMETRIC, Absent, Blind, View
from byokd.facts.ledger import Order, OrderKind
from byokd.facts.snapshot import Snapshot
from byokd.web import documents
from byokd.web.answers import NotOneKey

NEW_FOR: Final = timedelta(hours=1)
"""How long a key that was made may not be found: far beyond what AWS says (guide, "eventual consistency": minutes)."""

NEXT_MATERIAL: Final = "Put the next one at the end of `materials`, reload the config, and order it again."


class Refusal(NamedTuple):
    """Why there is no order, in one sentence, and what a person does next."""

    why: str
    step: str

    def about(self, key: str) -> OrderRefused:
        """The error that tells it of a key."""
        return OrderRefused(f"{key}: {self.why}", self.step)


def not_one(name: NotOneKey) -> OrderRefused:
    """The refusal of an order for a name that is not that of one key."""
    return OrderRefused(str(name), name.step)


def unfit(kind: OrderKind, snapshot: Snapshot, now: datetime, *, lose: bool = False) -> Refusal | None:
    """Why an order makes no sense for a key as it stands; None where it does."""
    orders, ref = snapshot.ledger.open_orders, snapshot.ref
    # A release or a resumption that no turn has carried out yet counts already.
    ledger = replace(snapshot.ledger, open_orders=without(orders, before_deciding(orders, snapshot.view, now)))
    snapshot = replace(snapshot, ledger=ledger)
    suspension, held = ledger.suspension, case(snapshot, now).hold
    match kind:
        case OrderKind.IMPORT | OrderKind.SUSPEND | OrderKind.ROTATE if _gone(snapshot.view, now):
            why = "KMS has known no such key for an hour and more"
            return Refusal(why, "Take it out of the config, if it was deleted; else look for it with `byokd find`.")
        case OrderKind.RELEASE if isinstance(held, Absent):
            return Refusal("no hold is in force: there is nothing to release", _in_force(ref))
        case OrderKind.RESUME if isinstance(suspension, Absent):
            return Refusal("it is not suspended: there is nothing to resume", _in_force(ref))
        case OrderKind.IMPORT | OrderKind.ROTATE if not isinstance(suspension, Absent):
            return Refusal(f"it was suspended by {suspension.by}", f"`byokd resume {ref}` brings its material back.")
        case OrderKind.IMPORT | OrderKind.RESUME | OrderKind.ROTATE if not isinstance(held, Absent):
            why = f"it is held by {held.by}" + (f": {held.why}" if held.why else "")
            return Refusal(why, f"`byokd release {ref}` ends the hold; then order it again.")
        case OrderKind.SUSPEND if _under_way(suspension) and not (lose and not suspension.lose):
            return Refusal("it is being suspended already", f"`byokd orders {ref}` tells how far that is.")
        case OrderKind.SUSPEND if why := cannot_suspend(snapshot, lose=lose):
            return Refusal(
                why, f"Choose one of these, or repair its source and order it again: see `byokd show {ref}`."
            )
        case OrderKind.ROTATE:
            return _not_to_rotate(snapshot, now)
        case _:
            return None


def _not_to_rotate(snapshot: Snapshot, now: datetime) -> Refusal | None:
    the, ref = case(snapshot, now), snapshot.ref
    never = the.seen is not None and (the.replica or the.seen.spec != SYMMETRIC)
    if never and (hindrance := obstacle(the)) is not None:
        return Refusal(hindrance, f"`byokd show {ref}` tells what the key is.")
    if not snapshot.others:
        why = "the config has one material for it, and no further one to rotate to"
        return Refusal(why, f"Name all of them in `materials`, from the first on. {NEXT_MATERIAL}")
    if the.rotation is not None:
        return Refusal("it is being rotated already", f"`byokd orders {ref}` tells what that waits for.")
    if (at := rotated_at(snapshot.view)) is not ABSENT and now <= at + CLOCKS_DIFFER:
        why = f"it was rotated at {documents.stamp(at)}, only just, and KMS's clock may differ"
        return Refusal(why, "Wait a minute, if it is to be rotated once more.")
    if the.seen is None or not the.seen.materials_known or the.pending:
        return None  # what KMS has now, the next look tells
    hindrance = obstacle(the)
    return None if hindrance is None else Refusal(hindrance, NEXT_MATERIAL)


def _in_force(ref: str) -> str:
    return f"`byokd orders {ref}` lists what is in force."


def _under_way(suspension: Order | Absent) -> TypeGuard[Order]:
    return not isinstance(suspension, Absent) and isinstance(suspension.effective_at, Absent)


def _gone(view: View, now: datetime) -> bool:
    """Whether KMS does not know the key, and for so long that it cannot be a new one."""
    return isinstance(view, Blind) and view.code == KeyNotFound.code and view.since <= now - NEW_FOR
