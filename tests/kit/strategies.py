"""Facts at random, for properties: all that the config, the record and KMS could come to, likely or not.

Times lie around `START`. What the config would have refused (a lead longer than the life, say) is not drawn.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.key import (
    ABSENT,
    NEVER,
    NEVER_LOOKED,
    SYMMETRIC,
    Blind,
    KeyState,
    MaterialId,
    MaterialState,
    ObservedKey,
    ObservedMaterial,
    WrappingAlgorithm,
    WrappingKeySpec,
)
from byokd.facts.kinds import AUTO, KINDS, MaterialKind
from byokd.facts.ledger import (
    NOT_PROVED,
    ImportState,
    Ledger,
    Order,
    OrderKind,
    Proved,
    Remembered,
    Tier,
    Track,
    Unproved,
)
from byokd.facts.policy import ChangeWindow, OnLoss, Policy
from byokd.facts.snapshot import Snapshot
from tests.kit.builders import FINGERPRINT, MATERIAL, desired, observed, order, policy, queued
from tests.kit.clock import START


def often(usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual in most cases: rules at the end of a long list are reached by keys that nothing is wrong with."""
    return st.sampled_from([usual, usual, usual, other]).flatmap(lambda each: each)


MATERIALS: Final = tuple(MaterialId(digit * 64) for digit in "1234")

# -- time -------------------------------------------------------------------------------------------------------------

seconds = st.one_of(
    st.integers(min_value=-400 * 86_400, max_value=400 * 86_400),
    st.integers(min_value=-30, max_value=30).map(lambda days: days * 86_400),
    st.integers(min_value=-2 * 86_400, max_value=2 * 86_400),
    st.integers(min_value=-60, max_value=60),
).map(lambda n: timedelta(seconds=n))
"""Up to 400 days to either side; often few, so that two of them meet."""
spans = st.integers(min_value=0, max_value=400 * 86_400).map(lambda n: timedelta(seconds=n))
"""From nothing to more than a year."""
moments = seconds.map(lambda delta: START + delta)
maybe_moments = st.one_of(moments, st.just(ABSENT))
expiries = st.one_of(moments, st.just(NEVER), st.just(ABSENT))

# -- policy -----------------------------------------------------------------------------------------------------------

TIME_ZONES: Final = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Antarctica/Troll",  # two hours
    "Pacific/Apia",  # skipped a whole day in 2011
    "America/Santiago",  # changes at midnight
)

_minutes = st.one_of(st.just("*"), st.integers(0, 59).map(str), st.sampled_from(["*/20", "0,30", "15-45/10"]))
_hours = st.one_of(st.just("*"), st.integers(0, 23).map(str), st.sampled_from(["2,3", "*/6", "22-23", "0-4"]))
_days = st.one_of(st.just("*"), st.integers(1, 31).map(str), st.sampled_from(["*/10", "29", "1-7"]))
_months = st.one_of(st.just("*"), st.integers(1, 12).map(str), st.sampled_from(["feb", "mar,oct"]))
_weekdays = st.one_of(
    st.just("*"), st.integers(0, 7).map(str), st.sampled_from(["sat", "mon-fri", "fri-sun", "sun,wed"])
)
crons = st.tuples(_minutes, _hours, _days, _months, _weekdays).map(" ".join)

change_windows = st.builds(
    ChangeWindow,
    cron=crons,
    lasts=st.integers(60, 7 * 86_400).map(lambda n: timedelta(seconds=n)),
    time_zone=st.sampled_from(TIME_ZONES),
)
windows = st.lists(change_windows, max_size=3).map(tuple)


_YEAR: Final = 365 * 86_400


def _policy(
    life: int, lead: float, spread: float, floor: int, emergency: float, alerts: set[float], **others: Any
) -> Policy:
    """A policy whose times are shares of its life, so that they fit into it."""
    renew_before = max(3, int(life * lead))
    room = life - renew_before - 2
    spread_s = int(min(renew_before, room) * spread)
    told = {min(_YEAR, max(1, int(life * lead * each))) for each in alerts}
    return policy(
        valid_for=timedelta(seconds=life),
        renew_before=timedelta(seconds=renew_before),
        spread=timedelta(seconds=spread_s),
        renewal_floor=timedelta(seconds=min(floor, room - spread_s + 1)),
        emergency_share=max(0.001, emergency * renew_before / life),
        alert_before=tuple(timedelta(seconds=each) for each in sorted(told, reverse=True)),
        **others,
    )


def _every(usual: timedelta, longest: timedelta) -> st.SearchStrategy[timedelta]:
    """A setting of time that most leave as it is."""
    return st.one_of(st.just(usual), st.integers(1, int(longest.total_seconds())).map(lambda n: timedelta(seconds=n)))


def policies_of(shortest_s: int, longest_s: int = _YEAR) -> st.SearchStrategy[Policy]:
    """Policies of lives of so many seconds, 30 at least, without change windows."""
    return st.builds(
        _policy,
        st.integers(min_value=shortest_s, max_value=longest_s),
        st.floats(min_value=0.05, max_value=0.9),
        st.floats(min_value=0, max_value=0.3),
        st.one_of(st.just(3600), st.integers(1, 30 * 86_400)),
        st.floats(min_value=0.01, max_value=0.8),
        st.sets(st.sampled_from([0.05, 0.2, 0.5, 0.9, 1.5]), min_size=1),
        on_lapse=st.sampled_from(OnLoss),
        on_foreign_delete=st.sampled_from(OnLoss),
        wrapping_algorithm=often(st.just(AUTO), st.sampled_from(WrappingAlgorithm)),
        wrapping_key_spec=often(st.just(AUTO), st.sampled_from(WrappingKeySpec)),
        look_every=_every(timedelta(hours=6), timedelta(days=7)),
        drill_every=_every(timedelta(days=1), timedelta(days=30)),
        settle_for=_every(timedelta(minutes=2), timedelta(hours=1)),
        priority=st.integers(-100, 100),
        probe=st.booleans(),
        rotate_every=often(st.just(NEVER), st.integers(1, 400).map(lambda days: timedelta(days=days))),
    )


def _never_ending(rules: Policy) -> Policy:
    """The policy without an end of life, of which the emergency is a share of three leads."""
    return replace(rules, valid_for=NEVER, emergency_share=min(rules.emergency_share, 0.25))


def with_others(some: st.SearchStrategy[Policy]) -> st.SearchStrategy[Policy]:
    """The same, and such as never expire or have change windows."""
    windowed = st.builds(lambda each, w: replace(each, windows=w), some, windows)
    return st.one_of(some, some.map(_never_ending), windowed)


policies = policies_of(30)
all_policies = with_others(policies)

# -- what KMS shows ---------------------------------------------------------------------------------------------------

SPECS: Final = (*KINDS, "ML_DSA_44", "SM2")


def _reading(at: datetime, expiry: Any, state: KeyState, spec: str, origin: str, disabled: bool) -> ObservedKey:
    found = observed(at=at, valid_to=expiry, state=state)
    if spec != SYMMETRIC:
        found = replace(found, spec=spec, current_material=ABSENT, materials=())
    return replace(found, origin=origin, was_disabled=disabled)


def _virgin(seen: ObservedKey) -> ObservedKey:
    return replace(seen, state=KeyState.PENDING_IMPORT, expiry=ABSENT, current_material=ABSENT, materials=())


any_readings = st.builds(
    _reading,
    moments,
    expiries,
    st.sampled_from(KeyState),
    st.sampled_from(SPECS),
    st.sampled_from(["EXTERNAL", "EXTERNAL", "AWS_KMS"]),
    st.booleans(),
)
fit_readings = st.builds(
    _reading,
    moments,
    expiries,
    st.sampled_from([KeyState.ENABLED, KeyState.PENDING_IMPORT]),
    st.just(SYMMETRIC),
    st.just("EXTERNAL"),
    st.just(False),
)
"""Those that most rules are about: what everything else is refused for is not true of them."""
readings = often(fit_readings, any_readings)
some_readings = often(readings, readings.map(_virgin))


def blind(of: st.SearchStrategy[ObservedKey]) -> st.SearchStrategy[Blind]:
    """Failed looks, after such a reading or none."""
    return st.builds(
        lambda at, code, failures, last: Blind(since=at, at=at, code=code, message="m", failures=failures, last=last),
        moments,
        st.sampled_from(["key_not_found", "access_denied", "kms_unreachable", "duplicate_key", "throttled"]),
        st.integers(min_value=1, max_value=10**6),
        st.one_of(of, st.just(NEVER_LOOKED)),
    )


views = often(some_readings, st.one_of(st.just(NEVER_LOOKED), blind(some_readings)))

# -- what byokd knows -------------------------------------------------------------------------------------------------

proofs = often(
    st.builds(lambda at: Proved(at=at, fingerprint=FINGERPRINT, length=32), moments),
    st.one_of(
        st.just(NOT_PROVED),
        st.builds(
            lambda at, length, kind: Proved(at=at, fingerprint=FINGERPRINT, length=length, kind=kind),
            moments,
            st.sampled_from([16, 32, 64]),
            st.sampled_from(MaterialKind),
        ),
        st.builds(
            lambda at, code, failures: Unproved(since=at, at=at, code=code, message="m", failures=failures),
            moments,
            st.sampled_from(["source_unreadable", "source_unsafe", "material_invalid", "material_changed"]),
            st.integers(min_value=1, max_value=10**6),
        ),
    ),
)
rows = st.builds(
    lambda state, at, again, attempts, answered, tier, expiry, outcome: queued(
        state=state,
        not_before=again,
        started_at=at,
        created_at=at,
        attempts=attempts,
        answered=answered,
        tier=tier,
        expiry=expiry,
        outcome=outcome,
    ),
    st.sampled_from([ImportState.QUEUED, ImportState.RUNNING, ImportState.FAILED]),
    moments,
    moments,
    st.integers(min_value=0, max_value=10**6),
    st.booleans(),
    st.sampled_from(Tier),
    st.one_of(moments, st.just(NEVER)),
    st.sampled_from(["", "not_seen", "throttled"]),
)
refusals = st.builds(
    lambda at, outcome: queued(state=ImportState.REFUSED, finished_at=at, detail="d", outcome=outcome),
    moments,
    st.sampled_from(["material_changed", "access_denied"]),
)
orders = st.lists(
    st.builds(
        lambda kind, made, until, end, at: order(
            kind,
            created_at=made,
            until=until if kind is OrderKind.HOLD else ABSENT,
            valid_to=end if kind is OrderKind.IMPORT else ABSENT,
            effective_at=at,
        ),
        st.sampled_from(OrderKind),
        moments,
        maybe_moments,
        expiries,
        maybe_moments,
    ),
    max_size=3,
).map(lambda them: _named(sorted(them, key=lambda each: each.created_at)))


def _named(them: list[Order]) -> tuple[Order, ...]:
    return tuple(replace(each, id=f"order {number}") for number, each in enumerate(them))


def _memories(of: type[Remembered], materials: st.SearchStrategy[Any], **others: Any) -> st.SearchStrategy[Any]:
    return st.builds(
        of,
        last_expiry=expiries,
        last_success_at=maybe_moments,
        lost_at=maybe_moments,
        open_import=often(st.just(ABSENT), rows),
        refused_import=often(st.just(ABSENT), refusals),
        material=materials,
        fingerprint=often(st.just(FINGERPRINT), st.just(ABSENT)),
        **others,
    )


ledgers = _memories(Ledger, st.sampled_from([MATERIAL, ABSENT]), open_orders=often(st.just(()), orders))
snapshots = st.builds(
    lambda rules, view, proof, book: Snapshot(desired=desired(policy=rules), view=view, proof=proof, ledger=book),
    all_policies,
    views,
    proofs,
    ledgers,
)
"""Keys with one material."""


# -- keys with several materials --------------------------------------------------------------------------------------


@st.composite
def rotated_readings(draw: st.DrawFn) -> ObservedKey:
    """A symmetric key with several materials: one current, older ones, perhaps one that waits for its rotation."""
    listed = []
    for number in range(draw(st.integers(1, 4))):
        imported = draw(st.booleans())
        listed.append(
            ObservedMaterial(
                material_id=MATERIALS[number],
                state=MaterialState.NON_CURRENT,
                imported=imported,
                expiry=draw(st.one_of(moments, st.just(NEVER))) if imported else ABSENT,
                rotated_at=draw(maybe_moments) if number else ABSENT,
            )
        )
    last = draw(st.sampled_from([*(each for each in MaterialState if not each.permanent), MaterialState.CURRENT]))
    if last is not MaterialState.CURRENT and len(listed) > 1:
        listed[-2] = replace(listed[-2], state=MaterialState.CURRENT)
        listed[-1] = replace(listed[-1], state=last, rotated_at=ABSENT)
        current = listed[-2]
    else:
        listed[-1] = current = replace(listed[-1], state=MaterialState.CURRENT)
    known = draw(often(st.just(True), st.just(False)))
    return replace(
        draw(fit_readings),
        spec=SYMMETRIC,
        current_material=current.material_id,
        materials=tuple(listed) if known else (),
        materials_known=known,
    )


tracks = _memories(Track, st.sampled_from([*MATERIALS, ABSENT]), proof=proofs)


@st.composite
def rotated(draw: st.DrawFn) -> Snapshot:
    """A key whose config has several materials, whatever KMS has of them, with any of them at hand."""
    some = draw(st.lists(tracks, min_size=1, max_size=3))
    # No two materials of the record bear one name.
    names: set[Any] = set()
    for number, each in enumerate(some):
        if each.material in names:
            some[number] = replace(each, material=ABSENT)
        names.add(each.material)
    seen = often(rotated_readings(), readings.map(_virgin))
    place = draw(st.integers(0, len(some)))
    locators = tuple(f"{number}.key" for number in range(1, len(some) + 1))
    book = draw(ledgers)
    return Snapshot(
        desired=desired(policy=draw(all_policies), further=locators),
        view=draw(often(seen, st.one_of(st.just(NEVER_LOOKED), blind(seen)))),
        proof=draw(proofs),
        ledger=replace(book, material=ABSENT),
        place=place,
        others=tuple(some),
    )


any_snapshots = st.one_of(snapshots, rotated())

# -- conditions -------------------------------------------------------------------------------------------------------

conditions = st.builds(
    lambda kind, severity, detail, stage: Condition(kind=kind, severity=severity, detail=detail, stage=stage),
    st.sampled_from(ConditionKind),
    st.sampled_from(Severity),
    st.sampled_from(["d", "e"]),
    st.sampled_from(["", "a", "b"]),
)
statements = st.lists(conditions, max_size=6, unique_by=lambda each: each.kind)
