"""The forecast of a lane as a document, with what would help in words.

The work is arithmetic over every key of the lane: large fleets take seconds, so whoever serves others meanwhile calls
`lane_plan` in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import nsmallest
from itertools import islice
from operator import itemgetter
from typing import Final

from byokd.decide.admit import RECOVERY_PER_S
from byokd.decide.advice import (
    Levelled,
    Stretch,
    Tight,
    keys_of,
    lead_needed,
    level,
    load,
    most_imports,
    pace_needed,
    quotas_needed,
    slack_share,
    slowed,
    spread_helps,
    sustained,
    tight,
)
from byokd.decide.case import Case, case
from byokd.decide.forecast import NOTHING_LEARNED, Forecast, Learned, Renewal, forecast
from byokd.decide.period import in_the_way, period_ends, rotates_at
from byokd.decide.rules import held
from byokd.facts.key import Absent, KeyRef
from byokd.facts.ledger import OrderKind
from byokd.facts.policy import FASTEST_QUOTA, Lane
from byokd.facts.prospect import Prospect
from byokd.facts.snapshot import Snapshot
from byokd.web.documents import Document, stamp

DOCUMENTED_PER_S: Final = {
    "GetParametersForImport": 0.25,
    "ImportKeyMaterial": 5.0,
    "DescribeKey": 2000.0,
    "ListKeyRotations": 100.0,
}
"""The lowest quotas in AWS's documents: more may have to be asked for."""


def lane_plan(
    prospects: Sequence[Prospect],
    lane: Lane,
    now: datetime,
    *,
    limit: int,
    learned: Learned = NOTHING_LEARNED,
    rotations: Iterable[Document] = (),
    only: KeyRef | None = None,
    every: float = 1.0,
) -> Document:
    """All that the forecast of a lane has to say; at most `limit` renewals, and rotations, in each list.

    With `only`, the next renewals are those of that key. Where the keys are every so-many-th of the lane's, it is
    reckoned with as many times slower a pace, and told of the whole lane.
    """
    slow = slowed(lane, every)
    ahead = forecast(prospects, slow, now, learned=learned)
    found = tight(ahead, lane.min_slack)
    length, stretches = load(ahead)
    listed = (each for each in ahead.renewals if only in (None, each.ref))
    even = level(ahead)
    helps: Document = {"pace_per_s": None, "quotas_per_s": None, "renew_before_factor": None, "spread_s": None}
    enough = found is None and sustained(ahead)
    if not enough:
        pace = pace_needed(prospects, slow, now, lane.min_slack, learned=learned)
        if pace is not None and pace * every <= most_imports(lane):
            helps["pace_per_s"] = pace * every
            helps["quotas_per_s"] = _whole(lane, quotas_needed(lane, pace * every))
        helps["renew_before_factor"] = lead_needed(prospects, slow, now, lane.min_slack, learned=learned)
    if _worth_spreading(ahead, even, enough=enough) and spread_helps(
        prospects, slow, now, lane.min_slack, even.spread, learned=learned
    ):
        helps["spread_s"] = round(even.spread.total_seconds())
    ahead = _of_all(ahead, every)
    return {
        "lane": lane.id,
        "name": lane.name,
        "keys": ahead.keys,
        "never_expire": ahead.never_expire,
        "left_alone": ahead.left_alone,
        "blind": ahead.blind,
        "unknown": ahead.unknown,
        "until": stamp(ahead.until),
        "per_second": ahead.per_second,
        "present_share": ahead.present_share,
        "bottleneck": ahead.bottleneck,
        "demand_per_s": ahead.demand_per_s,
        "sustained": sustained(ahead),
        "min_slack": lane.min_slack,
        "enough": enough if _seen(ahead) else None,
        "recovery_s": int(ahead.recovery.total_seconds()),
        "stretch_s": int(length.total_seconds()),
        "load": [_stretch(each, int(length.total_seconds() * ahead.per_second), every) for each in stretches]
        if ahead.renewals
        else [],
        "renewals": [_renewal(each) for each in islice(listed, limit)],
        "rotations": nsmallest(limit, rotations, key=itemgetter("rotates_at")),
        "tight": None if found is None else _tight(found, limit, every),
        "helps": helps,
        "says": list(_says(ahead, found, lane, helps, every)),
    }


def _of_all(ahead: Forecast, every: float) -> Forecast:
    """With the counts and the pace of all keys; what it says of single ones is of every so-many-th."""
    return replace(
        ahead,
        per_second=ahead.per_second * every,
        demand_per_s=ahead.demand_per_s * every,
        keys=round(ahead.keys * every),
        never_expire=round(ahead.never_expire * every),
        left_alone=round(ahead.left_alone * every),
        blind=round(ahead.blind * every),
        unknown=round(ahead.unknown * every),
    )


def next_rotation(snapshot: Snapshot, now: datetime) -> Document | None:
    """When a key will be rotated by period, and what is in the way today; None where its policy asks for nothing."""
    the, ends = case(snapshot, now), period_ends(snapshot)
    if the.seen is None or ends is None:
        return None
    return {
        "key": snapshot.ref,
        "name": snapshot.desired.name,
        "fleet": snapshot.desired.fleet,
        "period_ends_at": stamp(ends),
        "rotates_at": stamp(rotates_at(the)),
        "ordered": the.rotation is not None,
        "hindered": _hindered(the) or None,
    }


def _hindered(the: Case) -> str | None:
    """What keeps a key from being rotated by period: what people did with it comes first."""
    assert the.seen is not None, "asked of a key that was seen"
    if (order := the.suspended_by) is not None:
        done = "suspended" if order.kind is OrderKind.SUSPEND else "not resumed yet"
        return f"the key is {done} (ordered by {order.by})"
    if (hold := held(the)) is not None and not (isinstance(hold.wake_at, datetime) and hold.wake_at <= rotates_at(the)):
        return hold.message
    if the.rotation is not None:
        return the.rotation.outcome
    return in_the_way(the) if the.enabled else f"the key is {the.seen.state.value}"


def _whole(lane: Lane, per_second: Mapping[str, float]) -> dict[str, float]:
    """Quotas as the config has them and AWS gives them, the lane's share not taken off."""
    return {name: rate / lane.quota_share for name, rate in per_second.items()}


def _stretch(each: Stretch, capacity: int, every: float) -> Document:
    return {
        "starts_at": stamp(each.starts_at),
        "due": round(each.due * every),
        "renewed": round(each.renewed * every),
        "level": round(each.level * every),
        "capacity": capacity,
    }


def _tight(found: Tight, limit: int, every: float) -> Document:
    others = (each for each in found.renewals if not each.missed)
    return {
        "keys": round(keys_of(found.renewals) * every),
        "missed": round(keys_of(found.missed) * every),
        "first_missed": _renewal(found.missed[0]) if found.missed else None,
        "least": _renewal(found.least),
        "renewals": [_renewal(each) for each in islice((*found.missed, *others), limit)],
    }


def _renewal(each: Renewal) -> Document:
    share = slack_share(each)
    return {
        "key": each.ref,
        "name": each.name,
        "fleet": each.fleet,
        "due_at": stamp(each.due_at),
        "renewed_at": stamp(each.renewed_at) if isinstance(each.renewed_at, datetime) else None,
        "expires_at": None if isinstance(each.valid_to, Absent) else stamp(each.valid_to),
        "slack_s": None if each.slack is None else int(each.slack.total_seconds()),
        "slack_share": None if share is None else round(share, 3),
        "lapsed": each.lapsed,
        "blind": each.blind,
    }


# -- in words ---------------------------------------------------------------------------------------------------------


def _says(ahead: Forecast, found: Tight | None, lane: Lane, helps: Document, every: float) -> Iterator[str]:
    """What a person should know, and what would help, most important first."""

    def many(renewals: Iterable[Renewal]) -> str:
        return _count(round(keys_of(renewals) * every))

    if every > 1:
        yield (
            f"Reckoned with {round(ahead.keys / every)} keys in place of {ahead.keys}, at as much slower a pace; the "
            "figures are of all."
        )
    if not ahead.keys:
        yield "The lane has no keys: there is nothing to plan."
        return
    yield from _unseen(ahead)
    if not ahead.renewals:
        yield "No key of the lane has a renewal to plan for."
        return
    if found is not None and found.missed:
        first = found.missed[0]
        yield (
            f"{many(found.missed)} would not be renewed before the material ends, the first one {first.name} "
            f"({first.fleet}), which ends at {_time(first.valid_to)}."
        )
    elif found is not None:
        yield (
            f"{many(found.renewals)} would be renewed with less than {lane.min_slack:.0%} of the lead left, the "
            f"tightest one {found.least.name} ({found.least.fleet}) at {_time(found.least.renewed_at)}."
        )
    if without := [each for each in ahead.renewals if _stays_without(each)]:
        yield f"{many(without)} without material would get none, as far as this looks: others go first."
    if not sustained(ahead):
        yield (
            f"In the long run the keys ask for {_rate(ahead.demand_per_s)} imports a second and the lane gives "
            f"{_rate(ahead.per_second)}: a longer life, a shorter lead or a narrower spread asks for less."
        )
    if ahead.present_share < 1:
        back_s = (1 - ahead.present_share) / RECOVERY_PER_S
        yield (
            f"KMS has refused requests for their rate: at present the lane goes at {ahead.present_share:.0%} of its "
            f"pace, and is back at that within {_span(int(back_s))} if no more are refused."
        )
    if found is None and sustained(ahead):
        if not _seen(ahead):
            return
        low = ((each, slack_share(each)) for each in ahead.renewals)
        below = [each for each, share in low if share is not None and share < lane.min_slack]
        apart = f", but for {many(below)} with less already, which is not the pace's doing" if below else ""
        who = "every key that byokd can look at" if ahead.blind or ahead.unknown else "every key"
        yield f"The pace is enough: {who} keeps at least {lane.min_slack:.0%} of its lead{apart}."
        if helps["spread_s"]:
            yield f"A spread of {_span(helps['spread_s'])} would take the peaks apart."
        return
    yield from _ways(ahead, found, lane, helps)


def _stays_without(each: Renewal) -> bool:
    """Whether the key has no material to lose, and the lane does not get to it."""
    gone = each.lapsed or isinstance(each.valid_to, Absent)
    return gone and isinstance(each.renewed_at, Absent) and not each.blind


def _worth_spreading(ahead: Forecast, even: Levelled, *, enough: bool) -> bool:
    """Whether renewals wait for one another, longer than by chance, and it is not too late to take them apart."""
    if even.too_late or not even.moved:
        return False
    return not enough or even.moved > min(each.lead for each in ahead.renewals) / 100


def _seen(ahead: Forecast) -> bool:
    """Whether anything is known of the keys of today: of a lane that is cut off nobody can say that all is well."""
    return any(not each.blind for each in ahead.renewals) or not (ahead.blind or ahead.unknown)


def _unseen(ahead: Forecast) -> Iterator[str]:
    see = "`byokd status` and `byokd why KEY` say what is in the way"
    if ahead.blind:
        them = "it is" if ahead.blind == 1 else "they are"
        yield (
            f"{_count(ahead.blind)} cannot be looked at at present, so that {them} not renewed until byokd can, "
            f"whatever the pace: {see}."
        )
    if ahead.unknown:
        them = "it" if ahead.unknown == 1 else "them"
        yield f"Of {_count(ahead.unknown)} nothing is known, and nothing is promised for {them}: {see}."


def _ways(ahead: Forecast, found: Tight | None, lane: Lane, helps: Document) -> Iterator[str]:
    factor, spread = helps["renew_before_factor"], helps["spread_s"]
    if helps["pace_per_s"] is None:
        way = "Renew earlier" if sustained(ahead) else "Give the lane fewer keys"
        yield (
            f"No pace is enough: even {_rate(most_imports(lane))} imports a second would be late. {way}, or let "
            "material live longer."
        )
    else:
        yield f"Enough would be: {_quotas(lane, helps['quotas_per_s'])}."
    if factor is not None and found is not None:
        lead = found.least.lead
        where = f" where {found.least.name} is" if any(each.lead != lead for each in ahead.renewals) else ""
        yield (
            f"Or: renew_before longer by {factor - 1:.0%}, so {_span(int(factor * lead.total_seconds()))} in place of "
            f"{_span(int(lead.total_seconds()))}{where}."
        )
    if spread:
        yield f"Or: a spread of {_span(spread)}, which takes the peaks apart."


def _quotas(lane: Lane, needed: Mapping[str, float]) -> str:
    """What each quota would have to be, and is."""
    present = _whole(lane, {name: lane.quotas[name].per_second for name in needed})
    said = " and ".join(
        f"{name} at {_pace(rate)} a second in place of {_rate(present[name])}" for name, rate in needed.items()
    )
    said += " (the lane's `quotas`)"
    share = f", of which quota_share leaves {lane.quota_share:.0%} to byokd" if lane.quota_share < 1 else ""
    asks = any(rate > DOCUMENTED_PER_S[name] for name, rate in needed.items())
    return said + share + (", which may have to be asked of AWS (Service Quotas)" if asks else "")


def _pace(per_second: float) -> str:
    """With three digits, and rounded up, so that what is said is enough."""
    return _rate(min(per_second * 1.005, FASTEST_QUOTA))


def _rate(per_second: float) -> str:
    return f"{per_second:.3g}" if per_second < 1000 else f"{per_second:,.0f}"


def _count(keys: int) -> str:
    return "1 key" if keys == 1 else f"{keys} keys"


def _time(moment: datetime | Absent) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z" if isinstance(moment, datetime) else "no time within the forecast"


def _span(seconds: int) -> str:
    """As it would be written in the config, rounded up by a tenth at most: what is far more may not be enough again."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 10 * size or (seconds >= size and seconds % size == 0):
            return f"{-(-seconds // size)}{unit}"
    return f"{seconds}s"
