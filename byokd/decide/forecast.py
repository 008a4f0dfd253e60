"""When each key of a lane will be renewed at the present pace, and how much time it will have left then.

    prospects ─▶ QueueAhead (window, change windows, rank, admit) ─▶ Forecast ─▶ advice, plan, the condition

The forecast asks the code that admits work in the engine: `window` for the tiers, `windows` for the change windows,
`ledger.rank` for the order, `admit` for the tokens. What it cannot know it leaves out: failures, other users of the
quota, how long a call takes. Keys that byokd leaves alone take no part. Keys of which no look has told anything, and
those that KMS does not know, are counted, since nothing else is known of them. A key that was seen before and cannot be
looked at now is forecast by what was seen, and counted as well: byokd renews it only once it can.

Each material of a key is followed through its next renewal, and renewals after that take part up to `until`: a fleet
that lives for days must not be overlooked by one that lives for a year. The work is bounded (`STEPS`); `until` says how
far it went.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import fsum
from types import MappingProxyType
from typing import Final

from byokd.decide.admit import IMPORT_PARAMETERS, Bucket, full, kept, take
from byokd.decide.ahead import Course, QueueAhead
from byokd.decide.case import LONGEST
from byokd.facts.key import ABSENT, NEVER, Absent, KeyRef
from byokd.facts.ledger import Tier
from byokd.facts.policy import Lane, LearnedPace, Policy, Quota
from byokd.facts.prospect import Prospect
from byokd.facts.snapshot import Reason

STEPS: Final = 50_000
"""Renewals that one forecast works through, or twice the keys where that is more."""
FARTHEST: Final = timedelta(days=400)
"""No forecast looks farther ahead: KMS allows a material 365 days."""
CALLS_PER_IMPORT: Final = {IMPORT_PARAMETERS: 1, "ImportKeyMaterial": 1, "DescribeKey": 2, "ListKeyRotations": 2}
"""What one import of a symmetric key asks of KMS: a look before and one after, and the import itself."""
LEFT_ALONE: Final = frozenset(
    {
        Reason.HELD,
        Reason.HANDS_OFF,
        Reason.WRONG_ORIGIN,
        Reason.UNSUPPORTED_SPEC,
        Reason.WRAPPING_REFUSED,
        Reason.REPORT_ONLY,
        Reason.SUSPENDING,
        Reason.SUSPENDED,
    }
)
"""Reasons for which byokd does not renew a key, until a person changes something; each has a condition of its own."""
Learned = Mapping[str, LearnedPace]
"""By KMS operation; those that are at their quota are left out."""
NOTHING_LEARNED: Final[Learned] = MappingProxyType({})
BLIND: Final = "Blind"
"""The `state` of a prospect that cannot be looked at at present."""
_UNSEEN: Final = frozenset({"NeverLooked", BLIND})


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """The next renewal of one material of a key, as it is to be expected."""

    ref: KeyRef
    name: str
    fleet: str
    due_at: datetime
    """When it may begin; the time of the forecast where that has passed."""
    renewed_at: datetime | Absent
    """When the lane gets to it; ABSENT if not within the forecast, or never."""
    valid_to: datetime | Absent
    """ABSENT for a first import, on which nothing depends yet."""
    lead: timedelta
    """The policy's `renew_before`."""
    lapsed: bool
    """Whether the material is gone already: nothing to miss, but work."""
    beyond: bool
    """Whether its `ValidTo` lies beyond the forecast, so that nothing is known where it is not renewed within."""
    blind: bool
    """Whether the key cannot be looked at at present: it is not renewed before it can."""

    @property
    def slack(self) -> timedelta | None:
        """The time left at the renewal, negative where it comes too late; None where there is nothing to miss.

        A material that ends within the forecast, and is never renewed in it, has none left.
        """
        if isinstance(self.valid_to, Absent) or self.lapsed:
            return None
        if isinstance(self.renewed_at, datetime):
            return self.valid_to - self.renewed_at
        return None if self.beyond else timedelta(0)

    @property
    def missed(self) -> bool:
        """Whether `ValidTo` passes before the renewal."""
        return self.slack is not None and self.slack <= timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is to be expected of one lane."""

    now: datetime
    until: datetime
    """How far it looked."""
    renewals: tuple[Renewal, ...]
    """The next one of each material, in the order in which they happen; at the end, those that do not happen."""
    times: tuple[datetime, ...]
    """When the lane renews anything up to `until`, later renewals of the same materials included."""
    per_second: float
    """Imports a second that the lane keeps up; one that was throttled, when it has come back to its quota."""
    present_share: float
    """Of that, what it does at present: below 1 for some minutes after KMS refused requests for their rate."""
    bottleneck: str
    """The KMS operation that sets this pace."""
    demand_per_s: float
    """Imports a second that these keys ask for in the long run, one for each of their materials."""
    recovery: timedelta
    """How long it takes to bring every key of the lane back from nothing."""
    keys: int
    never_expire: int
    left_alone: int
    blind: int
    """Of the keys with a renewal ahead, those that cannot be looked at at present."""
    unknown: int
    """Keys of which no look has told when their material ends, or that KMS does not know."""


def forecast(
    prospects: Iterable[Prospect], lane: Lane, now: datetime, *, learned: Learned = NOTHING_LEARNED
) -> Forecast:
    """Work the lane's queue off in advance, from `now` (whole seconds) on.

    `learned` is what the lane found out about its quotas. Total: no prospect makes it raise.
    """
    bucket, bottleneck = lane_bucket(lane, learned)
    queue = QueueAhead(now=now, farthest=FARTHEST)
    counts = dict.fromkeys(("keys", "never_expire", "left_alone", "blind", "unknown"), 0)
    imports = 0
    for each in prospects:
        counts["keys"] += 1
        if each.reason in LEFT_ALONE:
            counts["left_alone"] += 1
            continue
        imports += 1 + len(each.further)
        if _unknown(each):
            counts["unknown"] += 1
        elif each.expiry is NEVER:
            counts["never_expire"] += 1
        else:
            counts["blind"] += each.state == BLIND
            for material in each.materials:
                if material.expiry is not NEVER:
                    queue.add(material)

    keep = {tier: min(kept(lane, tier), bucket.quota.burst - 1.0) for tier in Tier}

    def token(left: Bucket, at: float, tier: Tier) -> tuple[Bucket, float]:
        return take(left, at, keep=keep[tier])

    steady = replace(bucket, share=1.0).per_second
    until = queue.work_off(bucket, token, steps=max(STEPS, 2 * len(queue.courses)))
    renewals = [_renewal(course, now, until) for course in queue.courses]
    return Forecast(
        now=now,
        until=_moment(now, until),
        renewals=tuple(sorted(renewals, key=lambda each: (_when(each, now), each.valid_to is ABSENT, each.ref))),
        times=tuple(_moment(now, each) for each in queue.served),
        per_second=steady,
        present_share=bucket.per_second / steady,
        bottleneck=bottleneck,
        # fsum: the same keys in another order ask for the same.
        demand_per_s=fsum(1 / round_s(course.prospect.policy) for course in queue.courses),
        recovery=recovery(imports, steady),
        **counts,
    )


def steps_ahead(prospects: Iterable[Prospect], now: datetime) -> int:
    """About how many renewals a forecast of these keys goes through, were the lane fast enough: what it costs.

    One of each material, and those that come again before the last of today's deadlines.
    """
    ahead, last = [], now
    for key in prospects:
        for expiry in (key.expiry, *key.further):
            if expiry is not NEVER and key.reason not in LEFT_ALONE:
                due = now
                if isinstance(expiry, datetime):
                    last, due = max(last, expiry), max(now, expiry - key.policy.renew_before)
                ahead.append((due, round_s(key.policy)))
    last = min(last, now + FARTHEST)
    again = sum(int((last - due).total_seconds() / each) for due, each in ahead if due < last)
    return min(len(ahead) + again, max(STEPS, 2 * len(ahead)))


def lane_bucket(lane: Lane, learned: Learned = NOTHING_LEARNED) -> tuple[Bucket, str]:
    """A full bucket that admits whole imports at the present pace, and the operation that sets it in the long run.

    No more at once than the scarcest of them allows: tokens for GetParametersForImport are of no use to who waits for
    another operation.

    A lane that was throttled a moment ago comes back to its quota as the bucket does: what slows it down today says
    nothing about next month.

    Of what was learned, it counts on what was too much, and not on what was tried beyond the quota: that may be refused
    the next time, and whoever was told that the pace is enough would hear of it too late.
    """
    shares = {name: min(learned[name].share, 1.0) if name in learned else 1.0 for name in CALLS_PER_IMPORT}
    paces = {name: lane.quotas[name].per_second / calls for name, calls in CALLS_PER_IMPORT.items()}
    bottleneck = min(paces, key=paces.__getitem__)
    share = min(paces[name] * shares[name] for name in paces) / paces[bottleneck]
    bursts = (lane.quotas[name].burst / CALLS_PER_IMPORT[name] for name in (IMPORT_PARAMETERS, bottleneck))
    bucket = full(Quota(per_second=paces[bottleneck], burst=max(1.0, min(bursts))), 0.0)
    return replace(bucket, share=share), bottleneck


def recovery(imports: int, per_second: float) -> timedelta:
    """How long so many imports take from nothing: all else waits, and not even a burst is there to begin with."""
    return timedelta(seconds=round(imports / per_second))


def round_s(policy: Policy) -> float:
    """Seconds from one renewal of a key to its next, on average; infinite where its material never expires."""
    if policy.valid_for is NEVER:
        return float("inf")
    free = min(policy.valid_for, LONGEST) - policy.renew_before - policy.spread / 2
    return max(1.0, free.total_seconds(), policy.renewal_floor.total_seconds())


def _unknown(key: Prospect) -> bool:
    return key.state in _UNSEEN and (key.expiry is ABSENT or key.reason == Reason.KEY_NOT_FOUND)


def _renewal(course: Course, now: datetime, until: float) -> Renewal:
    key = course.prospect
    return Renewal(
        ref=key.ref,
        name=key.name,
        fleet=key.fleet,
        due_at=_moment(now, course.first_due),
        renewed_at=ABSENT if course.renewed is None else _moment(now, course.renewed),
        valid_to=key.expiry if isinstance(key.expiry, datetime) else ABSENT,
        lead=key.policy.renew_before,
        lapsed=course.lapsed,
        beyond=course.first_end is not None and course.first_end > until,
        blind=key.state == BLIND,
    )


def _when(renewal: Renewal, now: datetime) -> datetime:
    return renewal.renewed_at if isinstance(renewal.renewed_at, datetime) else now + 2 * FARTHEST


def _moment(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=int(seconds))
