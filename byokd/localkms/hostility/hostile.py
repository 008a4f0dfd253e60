"""The hand that hostility has in each request; see passage.py for where it may take it.

    admit    draw the fate ▸ latency ▸ fail or drop it, nothing changed
    before   quotas ▸ let a read see the past
    after    fail it, the change applied
    told     drop or cut the answer ▸ shift its Date ▸ tell the outlets

Quotas are counted once the body is known, for the shared ones depend on the key that it names; what AWS's model refuses
costs nothing.
"""

from __future__ import annotations

import asyncio

from byokd.localkms.clock import Clock
from byokd.localkms.errors import Refusal
from byokd.localkms.hostility.fate import Fates, Mishap
from byokd.localkms.hostility.past import READS, Past
from byokd.localkms.hostility.quotas import Quotas, due, per_second
from byokd.localkms.hostility.settings import Hostility
from byokd.localkms.keyring import Keyring, Watcher
from byokd.localkms.keys import Key
from byokd.localkms.operations import OPERATIONS
from byokd.localkms.outlets.publisher import Publisher
from byokd.localkms.passage import Dropped, Interference, Passage, Replaced

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"


class Hostile(Interference, Watcher):
    """An Interference by the settings of hostility, which also lets the outlets hear of each request."""

    def __init__(self, hostility: Hostility, keyring: Keyring, clock: Clock, publisher: Publisher) -> None:
        """Raises: ValueError when a setting names an operation that does not exist."""
        _check_names(hostility)
        self._fates = Fates(hostility)
        self._quotas = Quotas(hostility) if hostility.quota_factor else None
        self._past = Past(hostility.lag_s if hostility.lag_rate else 0.0)
        self._keyring = keyring
        self._clock = clock
        self._publisher = publisher

    async def admit(self, passage: Passage) -> None:
        """See Interference."""
        assert passage.caller is not None, "admitted is after verified"
        passage.fate = fate = self._fates.of(passage.caller, passage.operation)
        passage.date_at += fate.skew_s
        if fate.latency_s:
            await asyncio.sleep(fate.latency_s)
            passage.now = max(passage.now, self._clock.now())  # it arrives later than it was sent
        if fate.mishap in (Mishap.DROP_BEFORE, Mishap.ERROR_BEFORE):
            passage.mishap = fate.mishap
            raise Dropped if fate.mishap is Mishap.DROP_BEFORE else _outage(passage)

    async def before(self, passage: Passage) -> None:
        """See Interference."""
        assert passage.caller is not None, "checked is after verified"
        if self._quotas is not None:
            asked = passage.request.get("KeyId", passage.request.get("DestinationKeyId"))
            key = self._keyring.named(asked, passage.caller)
            spec = None if key is None else key.spec
            self._quotas.admit(due(passage.caller, passage.operation, passage.request, spec), passage.now)
        if passage.fate.behind and passage.operation in READS:
            passage.find = self._past.seen_from(self._keyring, passage.now, passage.saw_past)

    async def after(self, passage: Passage) -> None:
        """See Interference."""
        if passage.fate.mishap is Mishap.ERROR_AFTER:
            passage.mishap = passage.fate.mishap
            raise _outage(passage)

    def told(self, passage: Passage) -> None:
        """See Interference. What is refused may be lost on its way as well."""
        if passage.fate.mishap in (Mishap.DROP_AFTER, Mishap.CUT):
            passage.mishap = passage.fate.mishap
            nothing_to_cut = passage.answer is None and passage.refusal is None
            if passage.mishap is Mishap.DROP_AFTER or nothing_to_cut:
                passage.dropped = True
            else:
                passage.cut_after = 0.5
        self._publisher.called(passage)

    def forget(self) -> None:
        """See Interference."""
        self._past.clear()

    def changed(self, before: Key | None, after: Key) -> None:
        """See Watcher."""
        self._past.note(before, after.arn, self._clock.now())


def _check_names(hostility: Hostility) -> None:
    """A misspelt operation would turn hostility off in silence. Not in the settings: they know no operations."""
    unknown = hostility.operations - OPERATIONS.keys()
    unknown |= {quota for quota in hostility.quotas if per_second(quota, "") is None}
    if unknown:
        raise ValueError(f"Hostility names what does not exist: {', '.join(sorted(unknown))}.")


def _outage(passage: Passage) -> Refusal | Replaced:
    fault = passage.fate.outage
    return Replaced(502, PAGE) if fault is None else Refusal(fault)
