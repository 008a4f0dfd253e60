"""What became of an import that was sent: explained by a look at the key, never by the answer alone.

An intent is durable before ImportKeyMaterial is called. A crash, a lost answer or a slow KMS all leave the same thing,
a running row, and the next reading tells which of three it is: seen, still settling, or not applied.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from byokd.decide.backoff import EIGHTH, retry_at
from byokd.decide.case import Case, case
from byokd.decide.materials import applied, hidden_behind, in_stock, managed_material, present
from byokd.facts.key import Absent, ObservedKey
from byokd.facts.ledger import Import, ImportState
from byokd.facts.policy import Policy
from byokd.facts.snapshot import Snapshot

NOT_SEEN: Final = "not_seen"
"""Outcome of an import that no look showed in time."""
UNANSWERED: Final = timedelta(seconds=10)
"""How long a request without an answer may still be on its way to be applied."""


def explain(snapshot: Snapshot, now: datetime) -> Import | Absent:
    """The open import as the newest reading explains it: done, failed, or unchanged while it may still settle.

    A reading older than the intent proves nothing, and neither does a failed look. What was given up as not seen may
    still show, later than KMS usually takes.
    """
    row, seen = snapshot.ledger.open_import, snapshot.view
    if isinstance(row, Absent) or isinstance(row.started_at, Absent):
        return row
    late = row.state is ImportState.FAILED and row.outcome == NOT_SEEN
    if row.state is not ImportState.RUNNING and not late:
        return row
    # A stamp in the future was made before the clock was set back, and tells nothing about what came first.
    set_back = row.started_at > now
    if not isinstance(seen, ObservedKey) or (seen.at < row.started_at and not set_back):
        return row
    if _shows(snapshot, seen, row):
        outcome = "" if row.answered else "adopted"
        return replace(row, state=ImportState.DONE, finished_at=now, outcome=outcome, detail="")
    if late or (now < settles_at(row, snapshot.desired.policy) and not set_back):
        return row
    the = case(snapshot, now)
    again = retry_at(who=row.ref, failures=row.attempts, now=now, deadline=the.deadline, emergency=the.emergency)
    detail = "KMS confirmed the import, but its ValidTo did not move" if row.answered else "the import did not arrive"
    return replace(row, state=ImportState.FAILED, not_before=again, outcome=NOT_SEEN, detail=detail)


def _shows(snapshot: Snapshot, seen: ObservedKey, row: Import) -> bool:
    """Whether a reading shows the import done; what KMS confirmed need not show where another material hides it."""
    # What KMS does not list is not there, whatever expiry the key's other materials happen to have.
    if snapshot.place in in_stock(snapshot):
        return False
    material = managed_material(snapshot)
    hidden = row.answered and present(seen, material) and hidden_behind(snapshot, seen, row.expiry)
    return hidden or applied(seen, material, row.expiry)


def imported_last(the: Case) -> datetime | Absent:
    """When the material at hand was imported last, as far as is known: ABSENT where it never was.

    Where a key with several materials does not list them, its ValidTo may be that of another. An import that KMS has
    confirmed, and that does not show in it, counts too: it is not made again as if nothing had come of it.
    """
    row, last = the.snapshot.ledger.open_import, the.snapshot.ledger.last_success_at
    listed = the.seen is None or the.seen.materials_known or not the.snapshot.others
    if listed or isinstance(row, Absent) or not row.answered or row.outcome != NOT_SEEN:
        return last
    sent = row.started_at
    return sent if isinstance(last, Absent) or (isinstance(sent, datetime) and last < sent) else last


def settles_at(row: Import, policy: Policy) -> datetime:
    """Until when a running import may be invisible: never longer than an eighth of what was left when it was sent."""
    started = row.created_at if isinstance(row.started_at, Absent) else row.started_at
    limit = policy.settle_for if row.answered else min(policy.settle_for, UNANSWERED)
    if row.deadline > started:
        limit = min(limit, max((row.deadline - started) / EIGHTH, timedelta(seconds=1)))
    return started + timedelta(seconds=int(limit.total_seconds()))
