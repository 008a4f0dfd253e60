"""The probe: after an import a key is used once, where its policy asks for it, before people have to.

    import seen done ─▶ Encrypt, Sign, GenerateMac ─▶ Decrypt, Verify, VerifyMac ─┬─ right: once for each import
                        or DeriveSharedSecret         or the other side of it     └─ wrong, or none: told
                                 ▲                                                     │
                                 └───────────────── again, ever later ─────────────────┘

A probe speaks of the whole key: KMS encrypts and signs with its current material, whichever of them was imported.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from byokd.decide.backoff import LONGEST, retry_at
from byokd.decide.case import Case
from byokd.decide.verdict import SOON, Verdict
from byokd.facts.key import ABSENT, Absent
from byokd.facts.ledger import Probe
from byokd.facts.snapshot import ProbeWanted, Reason, Snapshot
from byokd.facts.uses import use_of


def probes(the: Case) -> Verdict | None:
    """A key that was imported into is used once, where the policy wants it, and again while that fails.

    Said of the key's first material, since it is about all of them. While a probe waits for its next try, the source is
    drilled as ever.
    """
    if not the.policy.probe or the.snapshot.place or not the.enabled:
        return None
    imported_at, probe = last_import(the.snapshot), the.snapshot.ledger.probe
    if isinstance(imported_at, Absent) or the.seen is None or use_of(the.seen.spec, the.seen.usage) is None:
        return None
    if isinstance(probe, Absent) or probe.of != imported_at:
        return Verdict(
            reason=Reason.PROBING,
            message="uses the key once, to see that it works",
            action=ProbeWanted(),
            wake_at=the.now + timedelta(seconds=1),
        )
    if probe.works:
        return None
    again = again_at(the.snapshot, probe)
    if probe.at <= the.now < again:
        return None
    return Verdict(
        reason=Reason.PROBING,
        message=f"uses the key again: {probe.message}",
        action=ProbeWanted(),
        wake_at=the.now + SOON,
    )


def again_at(snapshot: Snapshot, probe: Probe) -> datetime:
    """When a probe that failed is tried again: after 5 s, doubling to `drill_every`, or to an hour if that is longer.

    No renewal waits for it, and people have been told: what fails for weeks need not be asked of KMS every hour.
    """
    longest = max(LONGEST, snapshot.desired.policy.drill_every)
    return retry_at(
        who=snapshot.ref, failures=probe.failures, now=probe.at, deadline=ABSENT, emergency=False, longest=longest
    )


def last_import(snapshot: Snapshot) -> datetime | Absent:
    """When byokd last imported any material of the key."""
    moments = [each.last_success_at for each in (snapshot.ledger, *snapshot.others)]
    return max([each for each in moments if isinstance(each, datetime)], default=ABSENT)


def failing_probe(snapshot: Snapshot) -> Probe | None:
    """The probe of the last import, where it failed and the policy still wants one."""
    probe = snapshot.ledger.probe
    if isinstance(probe, Absent) or probe.works or not snapshot.desired.policy.probe:
        return None
    return probe if probe.of == last_import(snapshot) else None
