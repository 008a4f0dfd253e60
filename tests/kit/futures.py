"""Lanes and their keys for forecasts: at random for properties, and one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from byokd.facts.key import KeyRef
from byokd.facts.ledger import Tier
from byokd.facts.policy import Lane, LearnedPace, Quota
from byokd.facts.prospect import Prospect
from byokd.facts.snapshot import Reason
from tests.kit.builders import DAY, OPERATIONS, lane, policy
from tests.kit.clock import START
from tests.kit.strategies import expiries, moments, policies_of, with_others

quotas = st.builds(
    Quota,
    per_second=st.floats(min_value=0.0005, max_value=50),
    burst=st.floats(min_value=1, max_value=30),
    ceiling=st.floats(min_value=0, max_value=100),
)


def _lane(quota: Quota, reserve: float, least: float, **others: float) -> Lane:
    plenty = Quota(per_second=1000.0, burst=1000.0)
    slower = {name: Quota(per_second=rate, burst=1.0) for name, rate in others.items()}
    return lane(
        quotas=dict.fromkeys(OPERATIONS, plenty) | slower | {"GetParametersForImport": quota},
        reserve=reserve,
        min_slack=least,
    )


lanes = st.builds(
    _lane,
    quotas,
    st.floats(0, 0.99),
    st.floats(0, 0.99),
    DescribeKey=st.one_of(st.just(1000.0), st.floats(0.01, 10)),
)
learned = st.dictionaries(
    st.sampled_from(["GetParametersForImport", "DescribeKey", "ListKeyRotations"]),
    st.builds(LearnedPace, share=st.floats(1 / 16, 4), limit=st.floats(1, 4), limited_at=moments),
)
prospects = st.lists(
    st.builds(
        lambda rules, expiry, tier, reason, state, further: Prospect(
            ref=KeyRef("k"),
            name="k",
            fleet="payments",
            policy=rules,
            state=state,
            expiry=expiry,
            tier=tier,
            reason=reason,
            further=tuple(expiry + each for each in sorted(further)) if isinstance(expiry, datetime) else (),
        ),
        # Shorter lives make a year of renewals, for which a property has no time.
        with_others(policies_of(20 * 86_400)),
        expiries,
        st.sampled_from(Tier),
        st.one_of(st.just("fresh"), st.sampled_from(Reason).map(str)),
        st.sampled_from(["Enabled", "PendingImport", "NeverLooked", "Blind"]),
        st.one_of(st.just([]), st.lists(st.integers(0, 90).map(lambda days: timedelta(days=days)), max_size=3)),
    ),
    max_size=12,
).map(lambda them: tuple(replace(each, ref=KeyRef(f"key {n:02}"), name=f"alias/{n}") for n, each in enumerate(them)))


def hourly(imports: float = 1.0, **changes: Any) -> Lane:
    """A lane that admits so many imports an hour."""
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=imports / 3600 / 0.985, burst=1)
    return lane(quotas=quotas, **changes)


def key(number: int, *, left: timedelta = 60 * DAY, **changes: Any) -> Prospect:
    """A key of ninety days of which so much is left."""
    base = Prospect(
        ref=KeyRef(f"key {number:05}"),
        name=f"alias/{number}",
        fleet="payments",
        policy=policy(),
        state="Enabled",
        expiry=START + left,
        tier=Tier.FRESH,
        reason="fresh",
    )
    return replace(base, **changes)


@st.composite
def peaks(draw: st.DrawFn) -> tuple[tuple[Prospect, ...], Lane, float]:
    """Keys that end within the hour, in a lane too slow to leave each of them the share of its lead that is asked for.

    In the long run the lane is fast enough, and their lives have room for longer leads and wider spreads.
    """
    lead = draw(st.integers(1, 30)) * DAY
    rules = policy(valid_for=lead * draw(st.integers(6, 12)), renew_before=lead)
    many, least = draw(st.integers(4, 12)), draw(st.floats(0.1, 0.8))
    left = lead * draw(st.floats(1.05, 5))
    keys = tuple(
        key(number, left=left + timedelta(seconds=each), policy=rules)
        for number, each in enumerate(draw(st.lists(st.integers(0, 3600), min_size=many, max_size=many)))
    )
    too_slow = draw(st.floats(1.1, 3))
    return keys, hourly(many * 3600 / ((1 - least) * lead.total_seconds() * too_slow)), least


@st.composite
def fleets(draw: st.DrawFn) -> tuple[tuple[Prospect, ...], Lane, float]:
    """Keys, their lane, and the least slack that is asked for: mostly such as ask for advice."""
    if draw(st.sampled_from([True, True, True, False])):
        return draw(peaks())
    return draw(prospects), draw(lanes), draw(st.floats(0, 0.99))
