"""Using a key once, to see that it does what it is for. Changes nothing in KMS, and may be repeated at will."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from byokd.decide.probing import last_import
from byokd.engine.pace import Pace
from byokd.errors import KmsError, ProbeFailed, Throttled
from byokd.facts.key import Absent, ObservedKey
from byokd.facts.ledger import Probe
from byokd.facts.snapshot import Snapshot
from byokd.facts.uses import use_of
from byokd.ports import Clock, Kms


async def probed(snapshot: Snapshot, *, kms: Kms, pace: Pace, clock: Clock) -> Snapshot:
    """The snapshot with what came of using its key just now. A failure is a fact like any other, and counted.

    A refusal for the rate is none: it says nothing of the key. The pace is slower then, and the snapshot as it was.
    """
    of, before = last_import(snapshot), snapshot.ledger.probe
    assert isinstance(of, datetime)  # only an import makes `decide` want this
    code = message = ""
    try:
        await _use(snapshot, kms, pace, clock)
    except Throttled:
        return snapshot
    except KmsError as error:
        code, message = error.code, f"{error} → {error.step}"
    failures = before.failures if isinstance(before, Probe) and before.of == of else 0
    probe = Probe(of=of, at=clock.now(), failures=failures + 1 if code else 0, code=code, message=message)
    return replace(snapshot, ledger=replace(snapshot.ledger, probe=probe))


async def _use(snapshot: Snapshot, kms: Kms, pace: Pace, clock: Clock) -> None:
    """Let the key make something of a message, and check it. Raises: KmsError; ProbeFailed where it is not right."""
    arn, seen = snapshot.arn, snapshot.view
    assert not isinstance(arn, Absent)  # a key that was seen has an ARN
    assert isinstance(seen, ObservedKey)  # the rules try no other
    use = use_of(seen.spec, seen.usage)
    assert use is not None  # nor one that cannot be tried
    # Of now, so that no answer from before can pass for this one; within what RSA_2048 encrypts, 190 bytes.
    message = f"byokd tries {arn} at {clock.now():%Y-%m-%dT%H:%M:%SZ}".encode()
    async with pace.request(use.makes):
        made = await kms.make(arn, use=use, message=message)
    async with pace.request(use.checks):
        right = await kms.check(arn, use=use, message=message, made=made)
    if not right:
        raise ProbeFailed(f"{use.checks} does not accept what {use.makes} made")
