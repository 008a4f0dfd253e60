"""The entrance: one snapshot and one `now` in, one decision out."""

from __future__ import annotations

from datetime import datetime, timedelta

from byokd.decide.backoff import EIGHTH, LONGEST, LONGEST_IN_EMERGENCY, SHORTEST
from byokd.decide.case import Case, case
from byokd.decide.conditions import CHECKS
from byokd.decide.period import moments as of_the_period
from byokd.decide.probing import again_at, failing_probe
from byokd.decide.rules import RULES, Rule
from byokd.decide.several import merged
from byokd.decide.verdict import Verdict
from byokd.facts.key import Absent, KeyState
from byokd.facts.ledger import ImportState, Proved
from byokd.facts.snapshot import Decision, ImportWanted, Snapshot


def decide(snapshot: Snapshot, now: datetime) -> Decision:
    """What follows from what is known about a key at `now`. Total: no snapshot makes it raise.

    Of a key with several materials each is decided on by itself, as if it were the only one.
    """
    if not snapshot.others:
        return decided(case(snapshot, now))
    return merged([decided(case(snapshot.turned_to(place), now)) for place in snapshot.places])


def decided(the: Case) -> Decision:
    """What follows from a case that is worked out already."""
    _, verdict = ruling(the)
    conditions = [found for check in CHECKS if (found := check(the, verdict)) is not None]
    return Decision(
        reason=verdict.reason,
        message=verdict.message,
        action=verdict.action,
        conditions=tuple(conditions),
        tier=the.tier,
        wake_at=_wake_at(the, verdict),
        cancel=_cancel(the, verdict),
        place=the.snapshot.place,
    )


def ruling(the: Case) -> tuple[Rule, Verdict]:
    """The rule that decides a case, the first that speaks, and what it says."""
    for rule in RULES:
        if (verdict := rule(the)) is not None:
            return rule, verdict
    raise AssertionError("the last rule always speaks")


def _wake_at(the: Case, verdict: Verdict) -> datetime:
    """The earliest moment at which the answer could be another one."""
    moments = [the.now + the.policy.look_every]
    if not isinstance(verdict.wake_at, Absent):
        moments.append(verdict.wake_at)
    if the.window is not None:
        moments += the.window.boundaries
        moments += [the.window.valid_to - each for each in the.policy.alert_before]  # conditions begin there
    moments += of_the_period(the)
    if (probe := failing_probe(the.snapshot)) is not None:
        moments.append(again_at(the.snapshot, probe))
    if (nearer := the.nearer_expiry) is not None:
        wait = min(LONGEST, max(SHORTEST, (nearer - the.now) / EIGHTH)) if nearer > the.now else LONGEST
        moments.append(the.now + wait)
    if _misses_nothing_listed(the):
        moments.append(the.now + LONGEST_IN_EMERGENCY)
    if isinstance(the.snapshot.proof, Proved):
        moments.append(the.snapshot.proof.at + the.policy.drill_every)
    # What lies behind us and could not be done is no reason to look again: a drill of a key that is held, for one.
    return min([at for at in moments if at > the.now], default=the.now + timedelta(seconds=1))


def _misses_nothing_listed(the: Case) -> bool:
    """Whether the key is PendingImport, and all materials that it needs are listed as imported.

    One of the two answers is from before a change. That may be one that KMS will not show for long, or for ever where
    it does not list the material that is missing: the key is looked at as often as in any emergency that lasts.
    """
    if the.seen is None or the.seen.state is not KeyState.PENDING_IMPORT:
        return False
    needed = [each for each in the.seen.materials if each.state.permanent]
    return bool(needed) and all(each.imported for each in needed)


def _cancel(the: Case, verdict: Verdict) -> str:
    """Why the open import is no longer wanted, if it is not.

    A running one is never cancelled: only a look at the key can tell what became of it.
    """
    row = the.snapshot.ledger.open_import
    if isinstance(row, Absent) or row.state is ImportState.RUNNING or isinstance(verdict.action, ImportWanted):
        return ""
    waits = isinstance(verdict.wake_at, datetime) and not verdict.blocks
    return "" if waits else verdict.message
