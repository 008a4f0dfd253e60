"""The five things the engine needs from outside, as contracts: Clock, Kms, Source, Store, Channel.

The docstrings are what an adapter promises and all that the engine may rely on. The fakes in `tests/kit` pass the same
contract suites. Adapters raise the errors of `byokd.errors` alone; what they open, their `async with` closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from byokd.facts.change import Change, FleetChange, FleetCounts, KeyFilter, KeyLine
from byokd.facts.condition import ConditionKind, Message, Notice, OpenCondition, Severity
from byokd.facts.key import (
    Absent,
    KeyArn,
    KeyRef,
    LaneId,
    WrappingAlgorithm,
)
from byokd.facts.kinds import MaterialKind
from byokd.facts.ledger import Fingerprint, HistoryEntry, Import, Order
from byokd.facts.past import LeftBehind, Past
from byokd.facts.policy import DesiredKey, LearnedPace
from byokd.facts.prospect import Prospect
from byokd.facts.relative import Relative
from byokd.facts.snapshot import Snapshot
from byokd.ports.kms import ImportParameters as ImportParameters
from byokd.ports.kms import Kms as Kms
from byokd.ports.kms import OpenKms as OpenKms
from byokd.ports.kms import Skew as Skew

NewId = Callable[[], str]
"""Makes ids that are unique over all nodes and sort by creation time."""


class Clock(Protocol):
    """Time, injected. Wall time for deadlines, monotonic for durations."""

    def now(self) -> datetime:
        """Wall time: aware UTC, cut to whole seconds. May step in either direction."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never steps back."""
        ...

    async def wait(self, event: asyncio.Event, *, until: datetime, cap_s: float = 60.0) -> None:
        """Return when `event` is set, when the wall clock reads `until`, or after `cap_s` seconds, whichever is first.

        Also when the clock is set or the machine resumes, if that is noticed: the cap makes it harmless where it is
        not. Does not clear the event.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of monotonic time; 0 gives other tasks a turn."""
        ...


# -- sources ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialProof:
    """What a source lets others know about material."""

    fingerprint: Fingerprint
    length: int
    """In bytes."""
    kind: MaterialKind = MaterialKind.BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """Material wrapped under KMS's public key: safe to hold, useless to anybody but KMS."""

    ciphertext: bytes
    proof: MaterialProof


class Source(Protocol):
    """Where material comes from. Plaintext never crosses this port.

    Raises `SourceUnreadable`, `SourceUnsafe` or `MaterialInvalid`; never with material or a command's output in the
    text.
    """

    async def prove(self, locator: str) -> MaterialProof:
        """Produce the material, fingerprint it, forget it. Costs no call to AWS."""
        ...

    async def seal(self, locator: str, *, public_key: bytes, algorithm: WrappingAlgorithm) -> Sealed:
        """Produce the material and wrap it under `public_key` (DER SubjectPublicKeyInfo)."""
        ...


# -- store ------------------------------------------------------------------------------------------------------------


class Store(Protocol):
    """The durable memory. A write that returned is on disk; a write that raised left nothing behind.

    Raises `StoreError`s. Holds no material. Due times are when to look, never permission to act.
    """

    # The fleet.

    async def taken_from(self) -> str:
        """The `digest` of the newest `sync_fleet`: while a config has the same one, there is nothing to take over.

        Empty where none was given.
        """
        ...

    async def sync_fleet(self, desired: Iterable[DesiredKey], *, now: datetime, digest: str = "") -> FleetChange:
        """Make the keys on record those of the config, in one transaction. `digest` names the config, if it is one.

        New and changed keys become due at `now`. Keys that left the config keep their history, are not due any more,
        and their open imports, orders and conditions are closed.
        """
        ...

    async def acquire_lane(self, lane: LaneId, *, node: str, now: datetime) -> int:
        """Own the lane: returns a new, higher epoch. All keys of the lane with an open running import become due.

        Where the lane was last kept later than `now`, the clock was set back meanwhile, and every key becomes due.
        """
        ...

    async def keep_lane(
        self, lane: LaneId, *, epoch: int, now: datetime, look_again: bool, paces: Mapping[str, LearnedPace]
    ) -> None:
        """Say that the lane is owned at `now`, and what it learned. Raises `LeaseLost` when `epoch` is not the newest.

        With `look_again`, all its keys become due at `now`. `paces`, by KMS operation, replaces what was on record.
        """
        ...

    async def learned_paces(self, lane: LaneId) -> Mapping[str, LearnedPace]:
        """What was last said that the lane had learned."""
        ...

    # The timer queue and the import queue of one lane.

    async def due(self, lane: LaneId, *, now: datetime, limit: int) -> tuple[KeyRef, ...]:
        """Keys with `due_at` <= now, earliest first."""
        ...

    async def next_due_at(self, lane: LaneId, *, after: datetime) -> datetime | Absent:
        """The earliest `due_at` of the lane that is later than `after`."""
        ...

    async def ready_imports(self, lane: LaneId, *, now: datetime, limit: int) -> tuple[Import, ...]:
        """Queued and failed rows with `not_before` <= now: by `Import.turn`."""
        ...

    async def next_ready_at(self, lane: LaneId, *, after: datetime) -> datetime | Absent:
        """The earliest `not_before` among the lane's queued and failed rows that is later than `after`."""
        ...

    async def snapshots(self, refs: Sequence[KeyRef]) -> tuple[Snapshot, ...]:
        """What is known of these keys, in no particular order; keys no longer in the config are left out.

        Relatives are as `relatives` gives them for the ARN that is on record.
        """
        ...

    async def others_known_as(self, arn: KeyArn, ref: KeyRef) -> tuple[str, ...]:
        """The names of other keys in the config that are known to be the key of this ARN."""
        ...

    async def relatives(self, arn: KeyArn, ref: KeyRef) -> tuple[Relative, ...]:
        """The other keys of the config that belong to the multi-Region key of this ARN, by ref."""
        ...

    async def save(self, change: Change) -> None:
        """Write one change. Raises `LeaseLost` when its epoch is not the newest of the lane."""
        ...

    async def wake(self, refs: Sequence[KeyRef], *, at: datetime) -> None:
        """Make keys due at `at` or earlier; never later than they were."""
        ...

    # Orders.

    async def add_orders(self, given: Sequence[tuple[Order, HistoryEntry]]) -> None:
        """Record open or proposed orders, all or none, and make each one's key due at its `created_at`.

        Raises `OrderRefused` where one is for a key that is not in the config.
        """
        ...

    async def approve_orders(self, given: Sequence[tuple[Order, HistoryEntry]]) -> None:
        """Put proposed orders in force, all or none: with state, `by` and `created_at` as given, their keys due then.

        Raises `OrderRefused` where one is not proposed any more.
        """
        ...

    async def cancel_order(self, order: Order, entry: HistoryEntry) -> None:
        """Close an order as cancelled, and make its key due. Raises `OrderRefused` where it is closed already."""
        ...

    async def order(self, order_id: str) -> Order | Absent:
        """The order with this id."""
        ...

    async def orders(self, *, ref: KeyRef | None = None, only_open: bool, limit: int) -> tuple[Order, ...]:
        """Orders, the newest first; `only_open` leaves out those that are closed."""
        ...

    # Conditions of lanes and the daemon, and the outbox.

    async def open_conditions(self, subject: str = "") -> tuple[OpenCondition, ...]:
        """Open conditions, worst first, of one subject or of all."""
        ...

    async def save_conditions(self, conditions: Sequence[OpenCondition]) -> None:
        """Insert or replace by id what is not over; each becomes due for its notices.

        Not where only its sentence is another one.
        """
        ...

    async def conditions_to_tell(
        self, *, now: datetime, limit: int
    ) -> tuple[tuple[OpenCondition, tuple[Notice, ...]], ...]:
        """Conditions, open or resolved, whose notices are to be decided now, with the notices there already are."""
        ...

    async def save_notices(
        self, condition_id: str, notices: Sequence[Notice], *, decided_for: OpenCondition, again_at: datetime | Absent
    ) -> None:
        """Put new notices into the outbox and decide again at `again_at` (ABSENT: only when the condition changes).

        A condition that changed since `decided_for` was read stays due. What waits about the same, which is to say in
        the same channel, of the same subject and kind of condition, is brought forward to what is new. Whatever the
        clock said, that was made before, and so was what there is of the same condition and channel: their stamps are
        put right.
        """
        ...

    async def tell_anew(self, channel: str, *, at_least: Severity, by: datetime) -> None:
        """Have notices decided of all open conditions, as severe, that the channel was not told as they are.

        Also of those that were to be decided again later than `by`.
        """
        ...

    async def outbox(self, channel: str, *, now: datetime, limit: int) -> tuple[Notice, ...]:
        """Undelivered notices of a channel with `not_before` <= now, oldest first; also those made later than now.

        The clock was set back since such a one was made, hence what it waits for may be far away. A notice is left out
        while an older one about the same (see `save_notices`) has to wait; unless it is worse, says of nothing that it
        is over, and the older one has failed `OVERTAKEN_AFTER` times.
        """
        ...

    async def waiting_by_channel(self) -> Mapping[str, int]:
        """How many notices are undelivered, by channel."""
        ...

    async def replace_notices(self, notices: Sequence[Notice]) -> None:
        """Replace notices, by id, all or none.

        One that was sent, and says of nothing that it is over, closes what is older about the same: that was overtaken.
        """
        ...

    async def deadlines(self, subjects: Sequence[str]) -> Mapping[str, datetime]:
        """When the managed material of these keys ends or has ended, of those for which there is such a time."""
        ...

    async def next_notify_at(self, *, after: datetime) -> datetime | Absent:
        """The earliest time at which a condition is due, or a notice whose `not_before` is later than `after`."""
        ...

    async def count_open(self, kind: ConditionKind, lane: LaneId, *, at_least: Severity) -> int:
        """How many keys of the lane that are in the config have an open condition of this kind, and as severe."""
        ...

    # For people.

    async def find(self, name: str) -> tuple[KeyRef, ...]:
        """Keys that a person may mean by `name`: ref, ARN, key id or alias. At most 10."""
        ...

    async def list_keys(self, which: KeyFilter, *, limit: int, after: str = "") -> tuple[KeyLine, ...]:
        """Keys by time left, least first (keys without expiry last), from the cursor `after` on.

        The cursor of a line is `cursor(line)` of `byokd.store.views`; an empty one starts at the beginning.
        """
        ...

    async def imports(self, *, ref: KeyRef | None = None, only_open: bool, limit: int) -> tuple[Import, ...]:
        """Rows of the queue: open ones by `Import.turn`, as their lanes will serve them, else newest first."""
        ...

    async def history(self, ref: KeyRef | None, *, limit: int) -> tuple[HistoryEntry, ...]:
        """Newest first; of all keys where `ref` is None."""
        ...

    async def past(self, ref: KeyRef, *, at: datetime, limit: int = 10_000) -> Past | None:
        """All that is on record about a key, of today and before; also of one that left the config.

        Of the conditions, those that were open at `at`.
        Of each kind of row the newest `limit`; where there are more, `known_from` says from when on nothing is missing.
        None for a key that was never on record.
        """
        ...

    async def left_behind(self, *, now: datetime, limit: int) -> tuple[LeftBehind, ...]:
        """Keys that left the config while their material lives, the nearest end first; a key that is back is none."""
        ...

    async def prospects(self, lane: LaneId, *, limit: int, after: str = "") -> tuple[Prospect, ...]:
        """What a forecast needs of the lane's keys, by ref, from the first one after `after` on; at most `limit`."""
        ...

    async def counts(self) -> FleetCounts:
        """Figures over everything on record."""
        ...

    # Chores.

    async def prune(self, *, before: datetime, limit: int) -> int:
        """Delete history, closed imports, closed orders, resolved conditions and sent notices older than `before`.

        Returns how many rows went. Deletes at most `limit` of each kind, so that no write waits long.
        """
        ...


# -- alerts -----------------------------------------------------------------------------------------------------------


class Channel(Protocol):
    """Where people are told."""

    name: str

    async def deliver(self, message: Message) -> None:
        """Hand over one message, at least once. Raises `ChannelError`; the outbox tries again."""
        ...
