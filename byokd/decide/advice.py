"""What a forecast means: which keys get too little slack, what pace or what lead would be enough, where the peaks are.

The least slack is a share of a key's `renew_before`: 100 % is a renewal as soon as it is due, 50 % is one when the key
becomes urgent, 0 % is its `ValidTo`. A share and not a time, so that one threshold serves a fleet that lives for a year
and one that lives for a minute.

    too little slack ─┬─ pace:   the fewest imports a second with which nobody does        (found by trying)
                      ├─ lead:   the smallest factor of every renew_before, likewise
                      └─ spread: how far apart renewals must lie so that nobody waits      (found by counting back)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from byokd.decide.forecast import (
    CALLS_PER_IMPORT,
    FARTHEST,
    NOTHING_LEARNED,
    Forecast,
    Learned,
    Renewal,
    forecast,
)
from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.key import NEVER
from byokd.facts.moment import in_words
from byokd.facts.policy import FASTEST_QUOTA, Lane, Policy
from byokd.facts.prospect import Prospect

TRIED_WITH: Final = 2_000
"""Keys that a search tries with: of a larger fleet it takes every so-many-th, at so much slower a pace."""
LADDER: Final = 8
"""Leads that a search tries, from today's to the longest that fits into the life."""
NARROWED: Final = 5
"""Halvings of a search; it answers with what is enough, a few percent above the least."""
STRETCHES: Final = tuple(timedelta(minutes=m) for m in (1, 10, 60, 360, 1440, 10_080, 40_320))
"""How long a line of the load may be: from a minute to four weeks."""
LINES: Final = 40
"""At most so many lines of the load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The load of one stretch of time."""

    starts_at: datetime
    due: int
    """Next renewals that may begin in it."""
    renewed: int
    """Renewals that the lane gets done in it, later ones of the same materials included."""
    level: int
    """Next renewals in it if those that would have to wait began earlier instead."""
    capacity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tight:
    """Keys that get too little slack because of the lane's pace."""

    renewals: tuple[Renewal, ...]
    """By the time of their renewal; of a key with several materials, perhaps several."""
    missed: tuple[Renewal, ...]
    """Those of them whose `ValidTo` passes first, by `ValidTo`."""
    least: Renewal
    """The one with the least slack for its lead."""


def slack_share(renewal: Renewal) -> float | None:
    """A renewal's slack as a share of its lead; None where there is nothing to miss."""
    return None if renewal.slack is None else renewal.slack / renewal.lead


def keys_of(renewals: Iterable[Renewal]) -> int:
    """How many keys they are of."""
    return len({each.ref for each in renewals})


def tight(ahead: Forecast, min_slack: float) -> Tight | None:
    """The keys that will get less slack than `min_slack`, a share of their lead, or none at all; None if none do.

    A key that is below it already is not the pace's doing: something else kept it, which has a condition of its own.
    """
    found: list[tuple[float, Renewal]] = []
    for each in ahead.renewals:
        share = slack_share(each)
        if share is None or not isinstance(each.valid_to, datetime):
            continue
        # A miss counts whatever the threshold: one of 0 % leaves nothing below it where a renewal never comes.
        if each.missed or (share < min_slack and each.valid_to - min_slack * each.lead > ahead.now):
            found.append((share, each))
    if not found:
        return None
    # The renewals come in order already, so that keys that end together stay in it.
    missed = sorted((each for _, each in found if each.missed), key=lambda each: f"{each.valid_to}")
    return Tight(
        renewals=tuple(each for _, each in found),
        missed=tuple(missed),
        least=min(found, key=lambda each: each[0])[1],
    )


def sustained(ahead: Forecast) -> bool:
    """Whether the lane's pace is enough in the long run, whatever the next weeks bring."""
    return ahead.demand_per_s <= ahead.per_second


def _enough(ahead: Forecast, *leasts: float) -> bool:
    """Whether nobody gets less slack than any of these, and the pace is enough in the long run."""
    return sustained(ahead) and not any(tight(ahead, least) for least in leasts)


def pace_needed(
    prospects: Sequence[Prospect],
    lane: Lane,
    now: datetime,
    min_slack: float,
    *,
    learned: Learned = NOTHING_LEARNED,
) -> float | None:
    """The imports a second with which nobody gets too little slack; None if none is enough that a lane can be given.

    Not less than the lane's quotas allow already. `quotas_needed` says what it takes.
    """

    def enough(imports: float, keys: Sequence[Prospect], every: int) -> bool:
        faster = with_quotas(lane, quotas_needed(lane, imports))
        return _enough(forecast(keys, slowed(faster, every), now, learned=learned), min_slack)

    sample, every = _sample(prospects)
    most = most_imports(lane)
    low = high = min(lane.quotas[name].per_second / calls for name, calls in CALLS_PER_IMPORT.items())
    while not enough(high, sample, every):
        if high >= most:
            return None
        low, high = high, min(high * 4, most)
    found = _narrowed(lambda imports: enough(imports, sample, every), low, high) if high > low else high
    # What is enough for a sample may be a little less than enough.
    for more in (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0):
        tried = min(found * (1 + more), most)
        if every == 1 or enough(tried, prospects, 1):
            return tried
    return None


def quotas_needed(lane: Lane, imports: float) -> dict[str, float]:
    """What so many imports a second ask of KMS, requests a second by operation, where it is more than the lane has."""
    asked = {name: imports * calls for name, calls in CALLS_PER_IMPORT.items()}
    return {name: per_second for name, per_second in asked.items() if per_second > lane.quotas[name].per_second}


def with_quotas(lane: Lane, per_second: Mapping[str, float]) -> Lane:
    """The lane with these quotas in place of its own; bursts stay."""
    quotas = {name: replace(lane.quotas[name], per_second=rate) for name, rate in per_second.items()}
    return replace(lane, quotas=lane.quotas | quotas)


def most_imports(lane: Lane) -> float:
    """The most imports a second that a lane like this can be given, every quota being `FASTEST_QUOTA`.

    Of which the lane's share of the account's quotas is taken off.
    """
    most = FASTEST_QUOTA * lane.quota_share
    return min(max(most, lane.quotas[name].per_second) / calls for name, calls in CALLS_PER_IMPORT.items())


def lead_needed(
    prospects: Sequence[Prospect],
    lane: Lane,
    now: datetime,
    min_slack: float,
    *,
    learned: Learned = NOTHING_LEARNED,
) -> float | None:
    """By which factor every `renew_before` would have to grow so that the present pace is enough; None if none is.

    The slack is held against the longer leads, by which the next forecast goes, and against those of today: a key that
    a longer lead makes late already is not to be counted out.
    """
    sample, every = _sample(prospects)
    slower = slowed(lane, every)

    def enough(factor: float) -> bool:
        longer = _with_policies(sample, lambda policy: with_lead(policy, factor))
        return _enough(forecast(longer, slower, now, learned=learned), min_slack, min_slack / factor)

    # Upwards: a lead near the whole life is no answer, since the keys would be renewed all the time.
    most = min((_most_lead(policy) for policy in {each.policy for each in sample}), default=1.0)
    low = 1.0
    for high in (1 + (most - 1) * part / LADDER for part in range(1, LADDER + 1)):
        if most > 1 and enough(high):
            return _narrowed(enough, low, high)
        low = high
    return None


def with_lead(policy: Policy, factor: float) -> Policy:
    """The policy with a lead that is so much longer, in whole seconds."""
    return replace(policy, renew_before=timedelta(seconds=round(policy.renew_before.total_seconds() * factor)))


def spread_helps(
    prospects: Sequence[Prospect],
    lane: Lane,
    now: datetime,
    min_slack: float,
    spread: timedelta,
    *,
    learned: Learned = NOTHING_LEARNED,
) -> bool:
    """Whether the present pace is enough where every `spread` is that wide at least, and whether each fits its life.

    A wider spread is paid for: on average keys are renewed earlier, and ask for more in the long run.
    """
    sample, every = _sample(prospects)
    wider = tuple(_with_policies(sample, lambda policy: with_spread(policy, spread)))
    fits = all(_most_lead(policy) >= 1 for policy in {each.policy for each in wider})
    return fits and _enough(forecast(wider, slowed(lane, every), now, learned=learned), min_slack)


def with_spread(policy: Policy, spread: timedelta) -> Policy:
    """The policy with a spread that is at least as wide, in whole seconds."""
    return replace(policy, spread=max(policy.spread, timedelta(seconds=round(spread.total_seconds()))))


def _with_policies(keys: Iterable[Prospect], change: Callable[[Policy], Policy]) -> Iterator[Prospect]:
    """The keys with other policies; many have the same one."""
    changed: dict[Policy, Policy] = {}
    for each in keys:
        if each.policy not in changed:
            changed[each.policy] = change(each.policy)
        yield replace(each, policy=changed[each.policy])


def _most_lead(policy: Policy) -> float:
    """The factor up to which a lead fits into the life, with spread and floor, or into a forecast where none ends."""
    if policy.valid_for is NEVER:
        return FARTHEST / policy.renew_before
    room = policy.valid_for - policy.spread - policy.renewal_floor - timedelta(seconds=1)
    return room / policy.renew_before


def _narrowed(enough: Callable[[float], bool], low: float, high: float) -> float:
    """Of what is enough, nearly the least: `high` is enough, `low` is not, or is nothing at all."""
    for _ in range(NARROWED):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _sample(prospects: Sequence[Prospect]) -> tuple[Sequence[Prospect], int]:
    every = max(1, -(-len(prospects) // TRIED_WITH))
    return prospects[::every], every


def slowed(lane: Lane, by: float) -> Lane:
    """The lane for a sample of its keys, every `by`-th of them: so much slower, it serves them at the same times.

    A burst serves as many keys at once, and so as much less of a sample; never less than one, which a bucket has to
    hold.
    """
    quotas = {
        name: replace(quota, per_second=quota.per_second / by, burst=max(1.0, quota.burst / by))
        for name, quota in lane.quotas.items()
    }
    return replace(lane, quotas=quotas)


# -- the load ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Levelled:
    """The next renewals with the peaks taken apart."""

    times: tuple[datetime, ...]
    moved: timedelta
    """The longest that one of them moved. Those that are too late do not count."""
    spread: timedelta
    """How long before `ValidTo` less its lead one that moved begins at the earliest: the `spread` in which the peak has
    room."""
    too_late: int
    """How many would have to have begun before now; by more than a forecast's length is not counted."""


def level(ahead: Forecast) -> Levelled:
    """The next renewals, moved earlier so that at this pace none has to wait; never later than they are due.

    Counted back from the last: each begins when it is due, or one token before the one after it.
    """
    earliest = ahead.now - FARTHEST
    step = min(timedelta(seconds=1 / ahead.per_second), FARTHEST)
    moved, spread, too_late = timedelta(0), timedelta(0), 0
    times: list[datetime] = []
    for each in sorted(ahead.renewals, key=lambda each: each.due_at, reverse=True):
        at = each.due_at if not times else max(earliest, min(each.due_at, times[-1] - step))
        times.append(at)
        if at < ahead.now:
            too_late += 1
        elif at < each.due_at and isinstance(each.valid_to, datetime):
            moved = max(moved, each.due_at - at)
            spread = max(spread, each.valid_to - each.lead - at)
    return Levelled(times=tuple(reversed(times)), moved=moved, spread=spread, too_late=too_late)


def load(ahead: Forecast) -> tuple[timedelta, tuple[Stretch, ...]]:
    """The load from now to `until` in lines of one length, and that length: the shortest with no more than `LINES`."""
    whole = max(ahead.until - ahead.now, timedelta(seconds=1))
    length = next((each for each in STRETCHES if whole <= LINES * each), STRETCHES[-1])
    lines = -(-whole // length)
    due, renewed, even = [0] * lines, [0] * lines, [0] * lines
    for counted, times in (
        (due, [each.due_at for each in ahead.renewals]),
        (renewed, ahead.times),
        (even, level(ahead).times),
    ):
        for at in times:
            counted[min(lines - 1, max(0, (at - ahead.now) // length))] += 1
    capacity = int(length.total_seconds() * ahead.per_second)
    return length, tuple(
        Stretch(
            starts_at=ahead.now + number * length,
            due=due[number],
            renewed=renewed[number],
            level=even[number],
            capacity=capacity,
        )
        for number in range(lines)
    )


# -- the condition ----------------------------------------------------------------------------------------------------


def slack_condition(ahead: Forecast, min_slack: float, *, every: int = 1) -> Condition | None:
    """What a person must know about a lane's forecast, if anything.

    `every`: it was made of every so-many-th key, in the lane `slowed` as much.
    """
    found = tight(ahead, min_slack)
    if found is None and sustained(ahead):
        return None
    ways = "`byokd plan` says which, and what would help"
    if found is None:
        asked, given = ahead.demand_per_s * every, ahead.per_second * every
        text = (
            f"its keys ask for {asked:.3g} imports a second in the long run, and {ahead.bottleneck} allows "
            f"{given:.3g}: sooner or later all will be late; {ways}"
        )
        return Condition(kind=ConditionKind.SLACK_LOW, severity=Severity.WARNING, detail=text, stage="not sustained")
    if found.missed:
        first, many = found.missed[0], _keys(keys_of(found.missed), every)
        text = (
            f"at the present pace {many} will not be renewed in time, the first one {first.name} of fleet "
            f"{first.fleet}, whose material ends at {in_words(first.valid_to)}; {ways}"
        )
        return Condition(kind=ConditionKind.SLACK_LOW, severity=Severity.CRITICAL, detail=text, stage="missed")
    # Nobody misses, so that the tightest one has its time.
    least, many = found.least, _keys(keys_of(found.renewals), every)
    text = (
        f"at the present pace {many} will be renewed with less than {min_slack:.0%} of the lead left, the tightest one "
        f"{least.name} of fleet {least.fleet} at {in_words(least.renewed_at)}, whose material ends at "
        f"{in_words(least.valid_to)}; {ways}"
    )
    return Condition(kind=ConditionKind.SLACK_LOW, severity=Severity.WARNING, detail=text, stage="late")


def _keys(count: int, every: int) -> str:
    if every > 1:
        return f"about {count * every} keys"
    return "1 key" if count == 1 else f"{count} keys"
