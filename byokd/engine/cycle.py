"""One key's turn: look, explain, decide, record; and, when its lane admits it, the import itself.

A turn begins because the key is due, or because its import has come to the head of the queue. From there on both are
the same: an import that a look finds due goes on at once where the lane lets it, and into the queue where not.

The order of an import is what makes it safe to be killed at any instruction:

    prove the material  →  intent on disk  →  parameters  →  wrap  →  ImportKeyMaterial  →  look  →  record

Before the intent nothing was asked of KMS. After it, whatever happened is found out by looking, never by assuming.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from byokd.decide.admit import IMPORT_PARAMETERS
from byokd.decide.case import case
from byokd.decide.decide import decide
from byokd.decide.related import outdated
from byokd.decide.rotation import behind
from byokd.decide.verdict import SOON
from byokd.decide.wrapping import chosen
from byokd.engine.gather import Gatherer, answered
from byokd.engine.pace import Pace
from byokd.engine.probe import probed
from byokd.engine.record import (
    as_named,
    conclude,
    failed,
    has_ended,
    on_record,
    prepare,
    queue,
    settle,
    with_import,
    with_order,
    with_rotation,
)
from byokd.errors import ByokdError, KmsError, MaterialChanged, MaterialDiffers, Remedy
from byokd.facts.change import Change
from byokd.facts.key import (
    ABSENT,
    NEVER_LOOKED,
    SYMMETRIC,
    Absent,
    KeyRef,
    LaneId,
    MaterialId,
    NeverLooked,
    ObservedKey,
    last_seen,
)
from byokd.facts.ledger import HistoryEvent, Import, ImportState, Order, OrderState, Proved, Tier
from byokd.facts.snapshot import (
    Decision,
    DeletionWanted,
    ImportWanted,
    OrderWanted,
    ProbeWanted,
    ProofWanted,
    RotationWanted,
    Snapshot,
)
from byokd.ports import Clock, Kms, NewId, Store

log = structlog.get_logger("byokd.engine")
_levels = logging.getLogger("byokd.engine")

FRESH_ENOUGH: Final = timedelta(seconds=10)
"""A reading or a proof younger than this need not be repeated before an import."""
STILL_TRUE: Final = timedelta(minutes=1)
"""How long a source may take to answer before the key and its orders are looked at again for the import."""
DELETION: Final = "DeleteImportedKeyMaterial"
ROTATION: Final = "RotateKeyOnDemand"
TOKEN_TRIES: Final = 3
"""Fresh tokens that one import may ask for in a row before it counts as failing for good reason and backs off."""

_EVERYDAY: Final = (HistoryEvent.IMPORT_QUEUED, HistoryEvent.IMPORT_STARTED, HistoryEvent.EXPIRY_CHANGED)
"""Steps on the way to an outcome; the history has them, and the log only at debug."""


class Cycle:
    """Turns of the keys of one lane. Raises only `StoreError`s; everything else becomes a fact on record."""

    def __init__(
        self,
        *,
        kms: Kms,
        pace: Pace,
        store: Store,
        gather: Gatherer,
        clock: Clock,
        new_id: NewId,
        epoch: int,
        told: Callable[[], None],
        measure: Callable[[Kms], None],
        straight_on: Callable[[KeyRef, Tier], bool],
        woke: Callable[[Iterable[LaneId]], None],
    ) -> None:
        """`told` is called when a condition was raised, changed or resolved; `measure` puts `clock` right after a look.

        `straight_on` lets an import that was not queued yet set out at once, if the lane can. `woke` is told the
        lanes of keys that were made due.
        """
        self._kms = kms
        self._pace = pace
        self._store = store
        self._gather = gather
        self._clock = clock
        self._new_id = new_id
        self._epoch = epoch
        self._told = told
        self._measure = measure
        self._straight_on = straight_on
        self._woke = woke

    async def look(self, before: Snapshot) -> Decision:
        """Look at a key, decide, and record what came of it; go on with an import that may begin at once."""
        return await self._begin(before, sets_out=False)

    async def perform(self, before: Snapshot) -> Decision:
        """Carry out a key's queued import, if it is still wanted; leave an explanation in any case."""
        return await self._begin(before, sets_out=True)

    async def _begin(self, before: Snapshot, *, sets_out: bool) -> Decision:
        """Take a turn. `sets_out` says that the lane has let an import of this key set out."""
        fresh = sets_out and isinstance(before.view, ObservedKey) and self._recent(before.view.at)
        try:
            seen = before if fresh else await self._gather.look(before)
            self._measure(self._kms)
            return await self._turn(before, seen, sets_out=sets_out)
        finally:
            self._gather.end(before)

    async def _turn(self, before: Snapshot, seen: Snapshot, *, sets_out: bool, anew: bool = False) -> Decision:
        """From a reading to its record; `anew` says that the turn has begun again once."""
        now = began = self._clock.now()
        after, orders = prepare(settle(seen, now), now, was=before.view)
        if has_ended(after):
            # What has just been seen done is put on record before anything else is begun.
            return await self._conclude(before, after, orders, now)
        decision = decide(after, now)
        if isinstance(decision.action, DeletionWanted):
            return await self._delete(before, after, orders, decision.action)
        if isinstance(decision.action, OrderWanted):
            # On disk before anything is done for it.
            given = with_rotation(after, decision.action, now, self._new_id)
            return await self._conclude(before, given, orders, now)
        if isinstance(decision.action, RotationWanted):
            return await self._rotate(before, after, orders, decision.action)
        if isinstance(decision.action, ProbeWanted):
            return await self._probe(before, after, orders)
        if isinstance(decision.action, ProofWanted):
            after, now, decision = await self._proved(after, decision.action.places)
        after = after.turned_to(decision.place)
        if isinstance(decision.action, ImportWanted):
            sets_out = sets_out or self._straight_on(after.ref, decision.action.tier)
            if sets_out and not (isinstance(after.proof, Proved) and self._recent(after.proof.at)):
                after, now, decision = await self._proved(after, (decision.place,))
            if sets_out and isinstance(decision.action, ImportWanted) and self._pace.near(decision.action.tier):
                after = after.turned_to(decision.place)
                if not anew and now - began > STILL_TRUE and (known := await self._store.snapshots([after.ref])):
                    return await self._anew(known[0], after)
                return await self._carry_out(await self._intend(before, after, orders, decision, now))
            # What waits in the queue keeps the key from nothing else: that would come back every second.
            for each in decision.parts:
                if isinstance(each.action, RotationWanted):
                    return await self._rotate(before, after, orders, each.action)
            if any(isinstance(each.action, ProbeWanted) for each in decision.parts):
                return await self._probe(before, after, orders)
            if places := tuple(each.place for each in decision.parts if isinstance(each.action, ProofWanted)):
                after, now, decision = await self._proved(after, places)
        return await self._conclude(before, after, orders, now, decision)

    async def _anew(self, before: Snapshot, proved: Snapshot) -> Decision:
        """The turn once more, on what is on record by now and in KMS: its source has answered, and took long for it."""
        self._gather.end(before)
        seen = await self._gather.look(before)
        for place in proved.places if seen.desired == proved.desired else ():
            seen = replace(seen.turned_to(place), proof=proved.turned_to(place).proof)
        return await self._turn(before, seen.turned_to(before.place), sets_out=True, anew=True)

    async def _delete(
        self, before: Snapshot, after: Snapshot, orders: tuple[Order, ...], wanted: DeletionWanted
    ) -> Decision:
        """Take the material of a suspended key away, and look what came of it.

        The order is the intent on disk; deleting what is gone changes nothing, so what is cut short is done again.
        """
        arn, order = after.arn, after.ledger.suspension
        assert not isinstance(arn, Absent)  # a key that was seen has an ARN
        assert not isinstance(order, Absent)  # only a suspension makes `decide` want this
        hindered, code = "", ""
        try:
            for material in wanted.materials:
                async with self._pace.request(DELETION):
                    await self._kms.delete_imported_material(arn, material=material)
                log.info("material_deleted", key=after.desired.name, material=str(material), cause=f"order {order.id}")
        except KmsError as error:
            hindered, code = f"{error} → {error.step}", error.code
        if hindered != order.outcome:
            if hindered:
                log.warning("deletion_failed", key=after.desired.name, error=code, why=hindered)
            told = replace(order, outcome=hindered)
            after, orders = with_order(after, told), (*orders, told)
        after = await self._gather.look(after)
        now = self._clock.now()
        return await self._conclude(before, settle(after, now), orders, now)

    async def _rotate(
        self, before: Snapshot, after: Snapshot, orders: tuple[Order, ...], wanted: RotationWanted
    ) -> Decision:
        """Ask KMS to rotate, and look what came of it.

        That the material waits is on disk before: where a call is cut short KMS either rotates to it or does not, which
        the next look shows whatever the clocks say; and what waits for its rotation can be rotated to but once.
        """
        waiting, _ = await self._save(before, after, orders, self._clock.now())
        before = after = on_record(waiting).turned_to(after.place)
        arn = after.arn
        assert not isinstance(arn, Absent)  # a key that was seen has an ARN
        (order,) = (each for each in after.ledger.open_orders if each.id == wanted.order_id)
        asked = replace(order, effective_at=self._clock.now(), outcome="")
        try:
            async with self._pace.request(ROTATION):
                await self._kms.rotate_on_demand(arn)
            log.info("rotation_asked_for", key=after.desired.name, cause=f"order {order.id}")
        except KmsError as error:
            asked = replace(asked, outcome=f"{error} → {error.step}")
            log.warning("rotation_failed", key=after.desired.name, error=error.code, why=str(error))
            if error.remedy is Remedy.REFUSE and not order.by_period:  # what nobody gave nobody gives again
                asked = replace(asked, state=OrderState.REFUSED, closed_at=self._clock.now())
        seen = await self._gather.look(with_order(after, asked))
        now = self._clock.now()
        after, closed = prepare(settle(seen, now), now, was=after.view)
        changed = {each.id: each for each in (asked, *closed)}  # it may be carried out already
        return await self._conclude(before, after, tuple(changed.values()), now)

    async def _probe(self, before: Snapshot, after: Snapshot, orders: tuple[Order, ...]) -> Decision:
        """Use the key once, and record what came of it. What was cut short is done again."""
        after = await probed(after, kms=self._kms, pace=self._pace, clock=self._clock)
        return await self._conclude(before, after, orders, self._clock.now())

    async def _proved(self, after: Snapshot, places: Sequence[int]) -> tuple[Snapshot, datetime, Decision]:
        """The materials at these places proved, and what follows."""
        for place in places:
            after = await self._gather.prove(after.turned_to(place))
        now = self._clock.now()
        return after, now, decide(after, now)

    def _recent(self, at: datetime) -> bool:
        return timedelta(0) <= self._clock.now() - at < FRESH_ENOUGH

    async def _intend(
        self, before: Snapshot, after: Snapshot, orders: tuple[Order, ...], decision: Decision, now: datetime
    ) -> Snapshot:
        """Write down what is about to be asked of KMS. Only what this returns may be carried out."""
        row, wanted = queue(after, decision, now, self._new_id), decision.action
        assert isinstance(wanted, ImportWanted)  # the caller checked; tells the type checker
        assert not isinstance(row, Absent)  # what is wanted has a row
        running = replace(
            row,
            state=ImportState.RUNNING,
            reason=wanted.reason.value,
            tier=wanted.tier,
            material=wanted.material,
            expiry=wanted.expiry,
            deadline=wanted.deadline,
            order_id=wanted.order_id,
            attempts=row.attempts + 1,
            started_at=now,
            answered=False,
        )
        change, _ = await self._save(before, with_import(after, running, now), orders, now)
        return on_record(change).turned_to(after.place)

    async def _carry_out(self, intended: Snapshot) -> Decision:
        row = intended.ledger.open_import
        assert not isinstance(row, Absent)  # just written by `_intend`
        await self._pace.arrived(intended.ref, row.tier)
        row = replace(row, started_at=self._clock.now())  # it may have waited; how it settles counts from its sending
        named: MaterialId | Absent = ABSENT
        try:
            named = await self._import(intended, row)
            sent = replace(row, answered=True)
        except ByokdError as error:
            sent = failed(intended, row, error, self._clock.now())
            log.warning(
                "import_failed", key=intended.desired.name, attempt=row.attempts, error=error.code, why=str(error)
            )
        now = self._clock.now()
        after = with_import(intended, sent, now)
        if sent.state is ImportState.RUNNING:
            seen = await self._gather.look(after)
            now = self._clock.now()
            after = as_named(seen, settle(seen, now), row, named, now)
        return await self._conclude(intended, after, (), now)

    async def _import(self, intended: Snapshot, row: Import) -> MaterialId | Absent:
        """GetParametersForImport, wrap, ImportKeyMaterial. The lane has admitted the first call already.

        Returns what KMS calls the material. Raises: `MaterialDiffers` where the record calls it otherwise.
        """
        arn, desired = intended.arn, intended.desired
        assert not isinstance(arn, Absent)  # a key that was seen has an ARN
        way, seen = chosen(intended), last_seen(intended.view)
        assert isinstance(seen, ObservedKey)  # what is imported into was seen
        replica = seen.role == "replica"
        for tries_left in reversed(range(TOKEN_TRIES)):
            async with self._pace.request(IMPORT_PARAMETERS, admitted=True):
                parameters = await self._kms.get_parameters(arn, algorithm=way.algorithm, spec=way.key_spec)
            sealed = await answered(
                desired.source,
                self._gather.source(desired).seal(
                    intended.locator, public_key=parameters.public_key, algorithm=way.algorithm
                ),
            )
            # The source was asked twice; what it gave the second time is what KMS would get, for the life of the key.
            self._gather.proved(intended, sealed.proof)
            if isinstance(intended.proof, Proved) and sealed.proof.fingerprint != intended.proof.fingerprint:
                raise MaterialChanged(
                    f"source {desired.source} gave two different materials for {desired.name} in a row"
                )
            try:
                async with self._pace.request("ImportKeyMaterial"):
                    named = await self._kms.import_material(
                        arn,
                        token=parameters.token,
                        ciphertext=sealed.ciphertext,
                        expiry=row.expiry,
                        material=row.material,
                        new=row.material is ABSENT and intended.place > 0 and not replica,
                        existing=replica and seen.spec == SYMMETRIC,
                    )
            except KmsError as error:
                if error.remedy is Remedy.FRESH_TOKEN and tries_left and self._pace.near(row.tier):
                    await self._pace.admit(IMPORT_PARAMETERS)
                    continue
                raise
            if ABSENT not in (named, row.material) and named != row.material:
                raise MaterialDiffers(f"KMS took the material as {named}, and the record has {row.material}")
            return named
        raise AssertionError("the last try returns or raises")

    async def _conclude(
        self, before: Snapshot, after: Snapshot, orders: tuple[Order, ...], now: datetime, said: Decision | None = None
    ) -> Decision:
        return (await self._save(before, after, orders, now, said))[1]

    async def _save(
        self,
        before: Snapshot,
        after: Snapshot,
        orders: tuple[Order, ...],
        now: datetime,
        said: Decision | None = None,
    ) -> tuple[Change, Decision]:
        """Write the change; `said` is what was decided on `after` at `now` already."""
        change, decision = conclude(
            before=before, after=after, orders=orders, now=now, epoch=self._epoch, new_id=self._new_id, said=said
        )
        await self._store.save(change)
        if change.conditions:
            self._told()
        # A state is no news at the first look, nor where it follows from an import that has a line of its own.
        expected = before.view is NEVER_LOOKED or bool(change.imports)
        for entry in change.history:
            quiet = entry.event in _EVERYDAY or (entry.event is HistoryEvent.STATE_CHANGED and expected)
            if quiet and not _levels.isEnabledFor(logging.DEBUG):
                continue  # asked here, it costs a tenth of what the logger's chain asks for it
            level = log.debug if quiet else log.info
            level(entry.event.value, key=after.desired.name, detail=entry.detail, cause=entry.cause)
        if change.snapshot.relatives:
            await self._wake_relatives(change.snapshot, now)
        return change, decision

    async def _wake_relatives(self, snapshot: Snapshot, now: datetime) -> None:
        """Make the replicas due that a rotation of their primary waits for, and relatives with an outdated reading.

        Not those that cannot be looked at, which have a time for that. A wake that is lost comes with the next turn.
        """
        the = case(snapshot, now)
        late = [each for each in behind(the) if isinstance(each.view, ObservedKey)]
        if late:
            await self._store.wake([each.ref for each in late], at=now)
        for each in (old := outdated(the)):
            # Where KMS is behind, two lanes see different things for a while, and must not chase each other.
            seen_at = now if isinstance(each.view, NeverLooked) else each.view.at
            await self._store.wake([each.ref], at=max(now, seen_at + SOON))
        if late or old:
            self._woke({each.lane for each in (*late, *old)})
