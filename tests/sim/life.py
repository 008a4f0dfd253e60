"""The true life of one key of a world: what went into it, what it lost, and what people wanted of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from byokd.facts.key import Absent, Expiry
from byokd.facts.ledger import HistoryEvent, OrderKind
from tests.kit.fake_keys import Key


@dataclass(slots=True, kw_only=True)
class Imported:
    """Material went into a key."""

    at_s: float
    expiry: Expiry
    before: Expiry | Absent
    """The expiry that it replaced; ABSENT where the material was not there."""
    by_hand: bool
    visible_s: float
    fingerprint: str = ""
    """Of the material."""
    late: bool = False
    """Whether the request had been given up when it was carried out."""
    off_by_s: float = 0.0
    """How wrong byokd's clock was."""
    began_s: float = 0.0
    """When byokd wrote down that it begins; of one by hand, nothing."""
    ordered: bool = False
    """Whether an operator had asked for an import since the one before."""


@dataclass(slots=True)
class Life:
    """The true life of one key."""

    ref: str
    arn: str
    lane: str
    imports: list[Imported] = field(default_factory=list)
    deleted: list[tuple[float, str]] = field(default_factory=list)
    """When somebody deleted which material, by fingerprint."""
    off_since: dict[str, float] = field(default_factory=dict)
    """Why nobody may touch it, and since when: disabled, pending deletion, held, not in the config."""
    fingerprint: str = ""
    """Of the material that byokd imported first."""
    stock: frozenset[str] = frozenset()
    """Fingerprints of the materials that its rotations bring in."""
    several: bool = False
    """Whether it owns material that byokd has no source for."""
    read: Expiry | Absent | None = None
    """The reading that the turn under way got."""
    shown: Expiry | Absent | None = None
    """The last reading that byokd got since it was started, and could write down."""
    intent: Expiry | None = None
    """The expiry of the running row on disk."""
    entries: list[tuple[float, HistoryEvent, str]] = field(default_factory=list)
    held_until_s: float = float("inf")
    """When the newest hold ends by itself."""
    asked_s: float = float("-inf")
    """When an import was ordered last."""
    suspensions: list[tuple[float, float]] = field(default_factory=list)
    """When it was suspended, and until when."""
    let_go: list[tuple[float, float]] = field(default_factory=list)
    """Of what was suspended, that which left the config so: nobody asked for it to come back."""
    resumed_s: float = float("-inf")
    emptied_s: float = float("-inf")
    """When byokd deleted its material last."""
    suspended_empty: set[float] = field(default_factory=set)
    """Those suspensions that found no material."""
    disabled: list[tuple[float, float]] = field(default_factory=list)
    seen_enabled: list[float] = field(default_factory=list)
    """When byokd had a reading that shows it Enabled, and could write it down."""
    left: list[float] = field(default_factory=list)
    """When it left the config, and its orders were cancelled."""
    replica: bool = False
    """Of a multi-Region key: whether another key is its primary."""
    needed: dict[str, float] = field(default_factory=dict)
    """By fingerprint: since when the key needs this material. What waits for its rotation, it does not."""
    rotations: int = 0
    """How many were ordered."""
    rotation_asks: list[float] = field(default_factory=list)
    """When byokd asked KMS to rotate it."""
    probes: list[float] = field(default_factory=list)
    """When byokd used the key."""
    versions: list[tuple[float, Key]] = field(default_factory=list)
    """What it was in KMS, and since when; that its materials end besides is their own affair."""

    def imports_of(self, fingerprint: str) -> list[Imported]:
        """Those of one material."""
        return [each for each in self.imports if each.fingerprint == fingerprint]

    def visible_before_s(self, each: Imported) -> float:
        """From when on readers could see what an import found of its material."""
        before = (other for other in self.imports_of(each.fingerprint) if other.at_s < each.at_s)
        return max((other.visible_s for other in before), default=0.0)

    def disabled_between(self, begin_s: float, end_s: float) -> bool:
        """Whether it was disabled at some time of a span: then byokd waits for an order before it enables the key."""
        return any(a < end_s and b > begin_s for a, b in self.disabled)

    @property
    def suspended(self) -> bool:
        """Whether a suspension is in force."""
        return "suspended" in self.off_since

    @property
    def all_suspensions(self) -> list[tuple[float, float]]:
        """When it was suspended, and until it was resumed or left the config."""
        return [*self.suspensions, *self.let_go]

    def suspend(self, now_s: float, *, empty: bool) -> None:
        """Somebody suspends it, `empty` of its material or not."""
        self.off_since.setdefault("suspended", now_s)
        self.suspensions.append((now_s, float("inf")))
        if empty:
            self.suspended_empty.add(now_s)

    def resume(self, now_s: float, *, by_order: bool = True) -> None:
        """Its suspensions are over, by order or since it left the config."""
        self.off_since.pop("suspended", None)
        self.resumed_s = now_s
        open_since = [begin_s for begin_s, end_s in self.suspensions if end_s > now_s]
        self.suspensions = [each for each in self.suspensions if each[0] not in open_since]
        if by_order:
            self.suspensions += [(begin_s, now_s) for begin_s in open_since]
        else:
            self.let_go += [(begin_s, min(at_s for at_s in self.left if at_s >= begin_s)) for begin_s in open_since]

    def refused(self, order: OrderKind, ordered_s: float, now_s: float) -> None:
        """What was ordered then ended nothing, though people believe so: in doubt byokd asks for another order."""
        stands = [begin_s for begin_s, end_s in self.suspensions if end_s == ordered_s]
        if order is OrderKind.RELEASE and now_s < self.held_until_s:
            self.off_since.setdefault("held", now_s)
        if order is OrderKind.RESUME and stands:
            self.off_since.setdefault("suspended", min(stands))
            self.suspensions = [(a, float("inf") if a in stands else b) for a, b in self.suspensions]
