"""What really happened in a world, written down as it happens, and the laws that can be held at that very moment.

The book is kept apart from what it judges: it sees requests as they reach KMS, changes as the store takes them and
notices as the channel gets them, and asks `decide` nothing. What takes hindsight is in `laws`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from byokd.facts.change import Change
from byokd.facts.condition import ConditionKind, Notice, OpenCondition
from byokd.facts.key import Absent, Expiry, KeyState, MaterialState, ObservedKey
from byokd.facts.ledger import HistoryEvent, ImportState, Order, OrderKind, OrderState
from byokd.facts.policy import Quota
from tests.kit.fake_keys import Key
from tests.sim.clocks import SIGNATURES_S, at, seconds
from tests.sim.hands import OF_ANY_KEY, STORM_S, disobeyed
from tests.sim.life import Imported, Life
from tests.sim.obstacles import Obstacles
from tests.sim.plan import span
from tests.sim.traffic import PARAMETERS, Traffic
from tests.sim.watch import Watch, one_expiry_s

AGAIN: Final = "order it once more"
"""What byokd says of an order that ends nothing, for want of a stamp that is newer for certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A law was broken."""

    at_s: float
    law: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{span(self.at_s)} {self.law}: {self.subject}: {self.text}"


@dataclass(slots=True)
class Told:
    """One condition as it was on record, and the notices of it that arrived."""

    condition: OpenCondition
    since_s: float
    resolved_s: float | None = None
    heard: list[tuple[float, Notice]] = field(default_factory=list)


class Book:
    """The record of one world."""

    def __init__(self, now_s: Callable[[], float], off_by_s: Callable[[], float]) -> None:
        self.now_s = now_s
        self.off_by_s = off_by_s
        self.obstacles = Obstacles()
        self.watch = Watch(now_s, off_by_s, self.broken)
        self.traffic = Traffic(now_s, self.broken)
        self.lives: dict[str, Life] = {}
        self.by_arn: dict[str, Life] = {}
        self.told: dict[str, Told] = {}
        self.violations: list[Violation] = []
        self.story: list[tuple[float, str, str]] = []
        """What people see of the world: (when, about whom, what)."""
        self.imports = 0
        self.requests = 0
        self.turns = 0
        self._tokens: dict[bytes, str] = {}
        self._spent: set[bytes] = set()
        self.lawful_until_s = float("inf")
        """No law is held before a world runs, nor after it was torn down."""
        self.at_once: Callable[[], None] | None = None
        """Called when a law was broken, by whoever wants to know no more."""

    # -- what happens -------------------------------------------------------------------------------------------------

    def broken(self, law: str, subject: str, text: str, *, at_s: float | None = None) -> None:
        """A law was broken, now or at `at_s`."""
        self.violations.append(
            Violation(at_s=self.now_s() if at_s is None else at_s, law=law, subject=subject, text=text)
        )
        if self.at_once is not None:
            self.at_once()

    def tell(self, who: str, what: str) -> None:
        """A line of the story."""
        self.story.append((self.now_s(), who, what))

    def follow(self, ref: str, arn: str, lane: str) -> Life:
        """A key of the world."""
        life = Life(ref=ref, arn=arn, lane=lane)
        self.lives[ref] = self.by_arn[arn] = life
        return life

    def blurred(self, life: Life, at_s: float) -> bool:
        """Whether a key's materials could not be told apart: then its earliest deadline counts for each of them."""
        return bool(life.stock) and any(
            each.condition.subject == life.ref
            and each.condition.condition.kind is ConditionKind.DEADLINES_HIDDEN
            and each.since_s - 60 <= at_s <= (at_s if each.resolved_s is None else each.resolved_s + 60)
            for each in self.told.values()
        )

    def scopes(self, life: Life) -> tuple[str, ...]:
        """Whatever can be in the way of a key."""
        return "*", life.lane, life.ref, f"people {life.ref}", f"config {life.ref}"

    # -- KMS ----------------------------------------------------------------------------------------------------------

    def requested(self, lane: str, operation: str, arn: str, state: str, quota: Quota) -> None:
        """byokd sends a request: within its own quota, and of a key that it may touch."""
        self.requests += 1
        self.traffic.requested(lane, operation, arn, quota)
        if operation == PARAMETERS:
            self.watch.paced(lane, quota)
        if operation in OF_ANY_KEY or arn not in self.by_arn:
            return  # what is not there, KMS will say
        life = self.by_arn[arn]
        for why in disobeyed(life, state, self.obstacles, self.now_s()):
            self.broken("hands off", life.ref, f"{operation} though {why}")

    def restarted(self, lane: str, quotas: dict[str, Quota]) -> None:
        """A lane begins anew, with these quotas."""
        self.traffic.restarted(lane, quotas)
        self.watch.recalled.pop(lane, None)

    def issued(self, token: bytes, arn: str) -> None:
        """KMS gave a token for a key."""
        self._tokens[token] = arn

    def importing(self, arn: str, token: bytes, fingerprint: str, expiry: Expiry) -> None:
        """byokd sends ImportKeyMaterial."""
        if arn not in self.by_arn:
            return
        life = self.by_arn[arn]
        if self._tokens.get(token) != arn:
            self.broken("one token, one key", life.ref, "the token was issued for another key")
        if token in self._spent:
            self.broken("one token, one import", life.ref, "the token was sent before")
        self._spent.add(token)
        if life.fingerprint not in ("", fingerprint) and fingerprint not in life.stock:
            self.broken("never other material", life.ref, "other bytes than byokd imported before were sent")
        if life.intent != expiry:
            self.broken("intent before call", life.ref, f"no running row on disk wants {expiry}")

    def imported(self, arn: str, fingerprint: str, done: Imported) -> None:
        """Material went into a key."""
        life = self.by_arn[arn]
        done.fingerprint = fingerprint
        last_s = max((each.began_s for each in life.imports_of(fingerprint) if not each.by_hand), default=float("-inf"))
        life.imports.append(done)
        if not done.by_hand:
            self.imports += 1
            if fingerprint not in life.stock:
                life.fingerprint = life.fingerprint or fingerprint
            began = (at_s for at_s, event, _ in reversed(life.entries) if event is HistoryEvent.IMPORT_STARTED)
            done.began_s = next(began, self.now_s())
            done.ordered = life.asked_s > last_s  # an order that comes while one is on its way is for another
        # An import enables its key again, whoever sends it (where AWS's texts differ, the one that makes more trouble).
        life.off_since.pop("disabled", None)
        who = "somebody" if done.by_hand else "byokd"
        self.tell(life.ref, f"{who} imports until {done.expiry} (was {done.before})")

    def is_now(self, key: Key) -> None:
        """What a key is from now on; what is current or was needs to be there."""
        if (life := self.by_arn.get(key.arn)) is not None:
            life.versions.append((self.now_s(), key))
            for each in key.materials:
                if each.state.permanent:
                    life.needed.setdefault(each.fingerprint, self.now_s())

    def rotating(self, arn: str, waits: MaterialState | None) -> None:
        """byokd sends RotateKeyOnDemand of a key, the state of whose further material is `waits`."""
        if (life := self.by_arn.get(arn)) is None:
            return
        self.tell(life.ref, f"byokd asks to rotate ({waits})")
        life.rotation_asks.append(self.now_s())
        if life.replica:
            self.broken("primary rotates", life.ref, "RotateKeyOnDemand of a replica")
        if not life.rotations:
            self.broken("rotates when ordered", life.ref, "RotateKeyOnDemand, and nobody ordered it")
        if waits is MaterialState.PENDING_MULTI_REGION:
            self.broken("replicas first", life.ref, "RotateKeyOnDemand before every replica has the material")

    def probing(self, arn: str) -> None:
        """byokd uses a key."""
        if (life := self.by_arn.get(arn)) is not None:
            life.probes.append(self.now_s())

    def deleting(self, arn: str) -> None:
        """byokd sends DeleteImportedKeyMaterial."""
        if arn not in self.by_arn:
            return
        life = self.by_arn[arn]
        if not life.suspended and self.now_s() > life.resumed_s + STORM_S:
            self.broken("deletes when ordered", life.ref, "DeleteImportedKeyMaterial, and nobody suspended the key")

    def deleted(self, arn: str, fingerprint: str) -> None:
        """byokd deleted material that was there."""
        life = self.by_arn[arn]
        life.emptied_s = self.now_s()
        life.deleted.append((life.emptied_s, fingerprint))
        self.tell(life.ref, "byokd deletes the material")

    # -- the store ----------------------------------------------------------------------------------------------------

    def saved(self, change: Change) -> None:
        """byokd wrote about a key."""
        self.turns += 1
        life = self.lives[change.snapshot.ref]
        now_s = self.now_s()
        if any(row.state is not ImportState.QUEUED for row in change.imports):
            running = [row.expiry for row in change.imports if row.state is ImportState.RUNNING]
            life.intent = running[0] if running else None
        for entry in change.history:
            life.entries.append((now_s, entry.event, entry.detail))
            if entry.event is not HistoryEvent.IMPORT_QUEUED:
                self.tell(life.ref, f"history {entry.event.value}: {entry.detail}")
        for each in (*change.conditions, *change.reworded):
            self.stated(each)
        if life.read is not None:
            life.shown = life.read
            view = change.snapshot.view
            if isinstance(view, ObservedKey) and view.state is KeyState.ENABLED:
                life.seen_enabled.append(now_s)
        shown = life.shown
        self.watch.due(change, shown)
        plain = not (life.stock or life.several)
        life.rotations += len(change.given)
        self.watch.saved(change, one_expiry_s(shown) if plain else None, life.fingerprint if plain else "")
        for order in change.orders:
            if order.state is OrderState.REFUSED and AGAIN in order.outcome:
                life.refused(order.kind, self.watch.orders[order.id].at_s, now_s)

    def stated(self, each: OpenCondition) -> None:
        """byokd raised, changed or resolved a condition."""
        now_s = self.now_s()
        told = self.told.get(each.id)
        if told is None:
            told = self.told[each.id] = Told(each, now_s)
            self.tell(each.subject, f"condition {each.condition.kind.value}: {each.condition.detail}")
        told.condition = each
        if not isinstance(each.resolved_at, Absent) and told.resolved_s is None:
            told.resolved_s = now_s
            self.tell(each.subject, f"resolved {each.condition.kind.value}")

    # -- people -------------------------------------------------------------------------------------------------------

    def heard(self, notice: Notice) -> None:
        """A notice arrived."""
        told = self.told.get(notice.condition_id)
        if told is None:
            self.broken("alerts are on record", notice.subject, f"a notice of no condition: {notice.condition.detail}")
            return
        told.heard.append((self.now_s(), notice))
        self.watch.heard(notice)

    def ordered(self, order: Order, *, empty: bool) -> None:
        """An operator gave an order; the key was `empty` of its material, or not."""
        self.tell(order.ref, f"order {order.kind.value}")
        self.watch.ordered(order)
        if order.kind in (OrderKind.IMPORT, OrderKind.RESUME):
            self.lives[order.ref].asked_s = self.now_s()
        if order.kind is OrderKind.ROTATE:
            self.lives[order.ref].rotations += 1
        if order.kind is OrderKind.SUSPEND:
            self.lives[order.ref].suspend(self.now_s(), empty=empty)
        if order.kind is OrderKind.RESUME:
            self.lives[order.ref].resume(self.now_s())
        if order.kind is OrderKind.RELEASE:
            self.lives[order.ref].off_since.pop("held", None)
        if order.kind is OrderKind.HOLD:
            until_s = float("inf") if isinstance(order.until, Absent) else seconds(order.until)
            self.lives[order.ref].held_until_s = until_s
            if until_s > self.now_s():
                self.lives[order.ref].off_since.setdefault("held", self.now_s())

    def clock_shows(self, clock_s: float) -> None:
        """The host's clock is set, or was fast: holds that were to end by a time that KMS takes are over for good."""
        clock_s = min(clock_s, self.now_s() + SIGNATURES_S)
        for life in self.lives.values():
            if clock_s >= life.held_until_s:
                life.off_since.pop("held", None)


def moment(true_s: float) -> str:
    """A true time, for a story."""
    return f"{span(true_s):>14} {at(true_s):%Y-%m-%d %H:%M:%S}"
