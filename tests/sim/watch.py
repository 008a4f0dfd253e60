"""What byokd is seen to do beside its imports: looks, orders, rows, notices, rotations. Some laws are held at once.

The book hands on to here what it sees; what takes hindsight is in `promises`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from byokd.facts.change import Change
from byokd.facts.condition import ConditionKind, Notice, NoticeKind
from byokd.facts.key import Absent
from byokd.facts.ledger import ImportState, Order, OrderKind, OrderState, Proved, Unproved
from byokd.facts.policy import Quota
from byokd.facts.snapshot import Reason
from tests.sim.clocks import seconds
from tests.sim.plan import span
from tests.sim.traffic import TRIED_PER_S

TRIES_AGAIN: Final = frozenset(
    (
        Reason.COULD_NOT_LOOK,
        Reason.KEY_NOT_FOUND,
        Reason.BACKING_OFF,
        Reason.SOURCE_UNPROVED,
        Reason.MATERIAL_CHANGED,
        Reason.MATERIAL_INVALID,
    )
)
"""What byokd waits for by itself after a failure."""
LONGEST_WAIT_S: Final = 3600.0
"""How long news may wait to be told with others."""
SOON_S: Final = 30.0
"""However near the deadline is, a source need not be asked again sooner."""
PUT_RIGHT_S: Final = 5.0
"""A clock that is put right by less is not seen to be; a wait may be worked out before that, and written after it."""
HANDED_OVER_S: Final = 30.0
"""How long a channel is given messages that were read together, with one that is slow."""
OF_A_SOURCE: Final = frozenset(
    (
        ConditionKind.SOURCE_UNREADABLE,
        ConditionKind.SOURCE_UNSAFE,
        ConditionKind.MATERIAL_CHANGED,
        ConditionKind.MATERIAL_INVALID,
    )
)
RECALLED_S: Final = 120.0
"""For so long after a restart a lane's pace is held against what it had learned."""
REGAINED_PER_S: Final = 1 / 500 + TRIED_PER_S
"""Of its quota, so much a second comes back to a lane that was slowed down, and is tried while requests wait."""
Broken = Callable[[str, str, str], None]


@dataclass(slots=True)
class Asked:
    """An order, in true time."""

    order: Order
    at_s: float
    closed_s: float | None = None
    off_by_s: float = 0.0
    """How wrong byokd's clock was when it was given."""


@dataclass(slots=True)
class Sent:
    """An import that was on record as running, in true time."""

    ref: str
    attempt: int
    begin_s: float
    end_s: float | None = None


class Watch:
    """Of one world."""

    def __init__(self, now_s: Callable[[], float], off_by_s: Callable[[], float], broken: Broken) -> None:
        self._now_s = now_s
        self._off_by_s = off_by_s
        self._broken = broken
        self.looks: defaultdict[str, list[float]] = defaultdict(list)
        """By ref, when DescribeKey was sent."""
        self.orders: dict[str, Asked] = {}
        self.sent: list[Sent] = []
        self._running: dict[str, Sent] = {}
        """By id of the row."""
        self.notices: dict[str, float] = {}
        """When each notice that was put into the outbox is to be told."""
        self._made: dict[str, int] = {}
        """By id of a notice, its place among all that were put into the outbox."""
        self._untold: defaultdict[tuple[str, ConditionKind], dict[str, Notice]] = defaultdict(dict)
        """By thread, what did not arrive yet, in the order in which it was made."""
        self.overtaken: dict[str, float] = {}
        """When notices were overtaken by what is worse: they need not arrive any more."""
        self.over_untold: set[str] = set()
        """Conditions whose end was overtaken so."""
        self._gave_way: dict[tuple[str, ConditionKind], float] = {}
        """By thread, when something was overtaken last."""
        self._heard: dict[tuple[str, ConditionKind], int] = {}
        """Likewise, of the latest that arrived about a subject."""
        self.rotations: defaultdict[str, list[float]] = defaultdict(list)
        self.recalled: dict[str, tuple[float, float, int]] = {}
        """By lane: since when it runs, at which share of its quota it began, and what it has sent since."""

    def looked(self, ref: str) -> None:
        """byokd asks KMS about a key."""
        self.looks[ref].append(self._now_s())

    def is_open(self, ref: str, kind: OrderKind) -> bool:
        """Whether an order of that kind about a key has no answer yet."""
        about = (each.order for each in self.orders.values() if each.closed_s is None)
        return any((order.ref, order.kind) == (ref, kind) for order in about)

    def rotated(self, ref: str) -> None:
        """KMS rotated a key, as byokd had asked."""
        self.rotations[ref].append(self._now_s())

    def recalls(self, lane: str, share: float) -> None:
        """A process begins whose record has a share of the lane's quota, learned from what KMS refused."""
        self.recalled[lane] = (self._now_s(), share, 0)

    def paced(self, lane: str, quota: Quota) -> None:
        """byokd asks for a token: after a restart at the pace that the lane had learned, and regains by degrees."""
        if lane not in self.recalled:
            return
        (since_s, share, sent), per_second = self.recalled[lane], quota.per_second
        passed_s = self._now_s() - since_s
        if passed_s > RECALLED_S:
            del self.recalled[lane]
            return
        self.recalled[lane] = (since_s, share, sent + 1)
        if sent > quota.burst + 0.05 + per_second * passed_s * (share + passed_s * REGAINED_PER_S / 2):
            text = f"{sent + 1} requests in {passed_s:.0f} s, at {share:.0%} of {per_second}/s as it had learned"
            self._broken("as learned", lane, text)

    def ordered(self, order: Order) -> None:
        """Somebody gave an order, or byokd itself."""
        self.orders[order.id] = Asked(order, self._now_s(), off_by_s=self._off_by_s())

    def noticed(self, notice: Notice) -> None:
        """A notice is in the outbox, to be told at once or with others."""
        waits_s = (notice.not_before - notice.created_at).total_seconds()
        self.notices.setdefault(notice.id, self._now_s() + waits_s)
        if notice.id not in self._made:
            self._made[notice.id] = len(self._made)
            self._untold[notice.thread][notice.id] = notice
        if waits_s > LONGEST_WAIT_S and notice.kind is NoticeKind.RAISED:
            self._broken("told in time", notice.subject, f"waits {waits_s:.0f} s to be told with others")

    def heard(self, notice: Notice) -> None:
        """A notice arrives, maybe again; never after one that is newer, or people believe what is over."""
        about, place = notice.thread, self._made.get(notice.id)
        if place is None:
            self._broken("alerts are on record", notice.subject, f"{notice.condition.kind.value}: never seen written")
            return
        if place < self._heard.get(about, 0):
            what = f"{notice.kind.value} {notice.condition.kind.value}"
            self._broken("told in order", notice.subject, f"{what} arrives after what is newer")
        self._heard[about] = max(place, self._heard.get(about, 0))
        self._overtakes(notice, [each for each in self._untold[about].values() if self._made[each.id] < place])
        self._untold[about].pop(notice.id, None)

    def _overtakes(self, notice: Notice, older: list[Notice]) -> None:
        """What arrives before what is older is worse than the oldest of that, and says of nothing that it is over."""
        if not older:
            return
        # What was refused may have given way to the message before, of the same handing-over.
        since_s = self._now_s() - self._gave_way.get(notice.thread, float("-inf"))
        worse = since_s <= HANDED_OVER_S or notice.condition.severity > older[0].condition.severity
        if notice.kind is NoticeKind.RESOLVED or not worse:
            what = f"{notice.kind.value} {notice.condition.kind.value}"
            self._broken("told in order", notice.subject, f"{what} arrives before what is older")
        for each in older:
            self._gave_way[notice.thread] = self.overtaken[each.id] = self._now_s()
            if each.kind is NoticeKind.RESOLVED:
                self.over_untold.add(each.condition_id)
            del self._untold[notice.thread][each.id]

    def forgotten(self, ref: str) -> None:
        """A key leaves the config: what is open of it is cancelled."""
        for asked in self.orders.values():
            if asked.order.ref == ref and asked.closed_s is None:
                asked.closed_s = self._now_s()
        for row, sent in list(self._running.items()):
            if sent.ref == ref:
                sent.end_s = self._now_s()
                del self._running[row]

    def saved(self, change: Change, shown_s: float | None, fingerprint: str) -> None:
        """byokd wrote about a key.

        `shown_s` is the one ValidTo that it was shown last, None where there is not one; `fingerprint` that of its
        material, empty where it has none or several.
        """
        now_s = self._now_s()
        for order in change.given:
            self.ordered(order)
        for order in change.orders:
            if order.id in self.orders:
                asked = self.orders[order.id]
                asked.order = order
                if order.state is not OrderState.OPEN and asked.closed_s is None:
                    asked.closed_s = now_s
        for row in change.imports:
            known = self._running.get(row.id)
            if known is not None and not (row.state is ImportState.RUNNING and row.attempts == known.attempt):
                known.end_s = now_s
                del self._running[row.id]
            if row.state is ImportState.RUNNING and row.id not in self._running:
                self._running[row.id] = Sent(change.snapshot.ref, row.attempts, now_s)
                self.sent.append(self._running[row.id])
        self._waits(change, shown_s)
        self._proved(change, fingerprint)
        self._drilled(change)

    def due(self, change: Change, shown: object) -> None:
        """No `due_at` lies beyond the ValidTo that byokd was shown."""
        if not isinstance(shown, datetime):
            return
        off_s = self._off_by_s()
        ahead_s = max(0.0, off_s) + 2  # to a clock that is ahead the last seconds have passed already
        late = change.due_at - shown - timedelta(seconds=ahead_s)
        if seconds(shown) - self._now_s() > ahead_s and off_s > -2 and late > timedelta(0):
            text = f"due {change.due_at}, ends {shown}: {change.message}"
            self._broken("due by the deadline", change.snapshot.ref, text)

    def _waits(self, change: Change, shown_s: float | None) -> None:
        """No wait after a failure is longer than an eighth of the time left."""
        now_s = self._now_s()
        if shown_s is None or abs(self._off_by_s()) > 2 or change.reason not in TRIES_AGAIN:
            return
        left_s, wait_s = shown_s - now_s, seconds(change.due_at) - now_s
        if left_s > 2 and wait_s > max(left_s / 8, SOON_S) + PUT_RIGHT_S:
            text = f"{change.reason}: waits {span(wait_s)} with {span(left_s)} left: {change.message}"
            self._broken("waits an eighth", change.snapshot.ref, text)

    def _proved(self, change: Change, fingerprint: str) -> None:
        """Whatever a source gives is held against the material of the key, and what it does not give is told."""
        proof, known = change.snapshot.proof, change.snapshot.ledger.fingerprint
        if (
            isinstance(proof, Proved)
            and fingerprint
            and not isinstance(known, Absent)
            and proof.fingerprint != fingerprint
        ):
            self._broken("never other material", change.snapshot.ref, "other material counts as proved")
        if isinstance(proof, Unproved):
            open_now = {each.id: each for each in (*change.snapshot.conditions, *change.conditions)}.values()
            kinds = {each.condition.kind for each in open_now if isinstance(each.resolved_at, Absent)}
            if not kinds & OF_A_SOURCE:
                self._broken("told in time", change.snapshot.ref, f"nobody hears of the source: {proof.message}")

    def _drilled(self, change: Change) -> None:
        """What byokd calls fresh, its source has proved within `drill_every`, or is asked to prove at once."""
        snapshot, now_s = change.snapshot, self._now_s()
        if change.reason != Reason.FRESH or abs(self._off_by_s()) > 2 or seconds(change.due_at) <= now_s + SOON_S:
            return
        for place, track in enumerate(snapshot.tracks):
            proof = track.proof
            since_s = now_s - seconds(proof.at) if isinstance(proof, Proved) else 0.0
            if since_s > snapshot.desired.policy.drill_every.total_seconds() + SOON_S:
                text = f"material {place + 1} is fresh, and its source was last asked {span(since_s)} ago"
                self._broken("drilled", snapshot.ref, text)


def one_expiry_s(shown: object) -> float | None:
    """A reading's ValidTo, in true seconds; None where there is none."""
    return seconds(shown) if isinstance(shown, datetime) else None
