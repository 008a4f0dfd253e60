"""Laws of `decide` that no snapshot may break."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from byokd.decide.admit import full, take, throttled
from byokd.decide.backoff import retry_at
from byokd.decide.decide import decide
from byokd.decide.why import why
from byokd.decide.window import window
from byokd.facts.key import ABSENT, NEVER, NEVER_LOOKED, Blind, KeyRef, KeyState
from byokd.facts.ledger import NOT_PROVED, ImportState, Ledger, OrderKind, Proved, Tier, Unproved
from byokd.facts.policy import OnLoss, Quota
from byokd.facts.snapshot import DeletionWanted, ImportWanted, Snapshot
from tests.kit.builders import DAY, FINGERPRINT, MATERIAL, desired, observed, order, policy, queued, virgin
from tests.kit.clock import START

seconds = st.integers(min_value=-400 * 86400, max_value=400 * 86400).map(lambda n: timedelta(seconds=n))
moments = seconds.map(lambda delta: START + delta)
policies = st.builds(
    lambda life, share, spread, lapse, delete: policy(
        valid_for=timedelta(seconds=life),
        renew_before=timedelta(seconds=max(1, int(life * share))),
        spread=timedelta(seconds=int(life * share * spread)),
        on_lapse=lapse,
        on_foreign_delete=delete,
    ),
    st.integers(min_value=30, max_value=365 * 86400),
    st.floats(min_value=0.05, max_value=0.9),
    st.floats(min_value=0, max_value=0.3),
    st.sampled_from(OnLoss),
    st.sampled_from(OnLoss),
)
readings = st.one_of(
    st.builds(
        lambda at, valid_to, state: observed(at=at, valid_to=valid_to, state=state),
        moments,
        st.one_of(moments, st.just(NEVER), st.just(ABSENT)),
        st.sampled_from(KeyState),
    ),
    st.just(virgin()),
)
views = st.one_of(
    readings,
    st.just(NEVER_LOOKED),
    st.builds(
        lambda at, code, failures, last: Blind(since=at, at=at, code=code, message="m", failures=failures, last=last),
        moments,
        st.sampled_from(["key_not_found", "access_denied", "kms_unreachable", "duplicate_key", "throttled"]),
        st.integers(min_value=1, max_value=10**6),
        st.one_of(readings, st.just(NEVER_LOOKED)),
    ),
)
proofs = st.one_of(
    st.just(NOT_PROVED),
    st.builds(
        lambda at, length: Proved(at=at, fingerprint=FINGERPRINT, length=length), moments, st.sampled_from([16, 32])
    ),
    st.builds(
        lambda at, code, failures: Unproved(since=at, at=at, code=code, message="m", failures=failures),
        moments,
        st.sampled_from(["source_unreadable", "source_unsafe", "material_invalid", "material_changed"]),
        st.integers(min_value=1, max_value=10**6),
    ),
)
rows = st.builds(
    lambda state, at, attempts, answered, tier: queued(
        state=state, not_before=at, started_at=at, created_at=at, attempts=attempts, answered=answered, tier=tier
    ),
    st.sampled_from([ImportState.QUEUED, ImportState.RUNNING, ImportState.FAILED]),
    moments,
    st.integers(min_value=0, max_value=10**6),
    st.booleans(),
    st.sampled_from(Tier),
)
orders = st.lists(
    st.builds(
        lambda kind, until, end, at: order(kind, until=until, valid_to=end, effective_at=at),
        st.sampled_from(OrderKind),
        st.one_of(moments, st.just(ABSENT)),
        st.one_of(moments, st.just(NEVER), st.just(ABSENT)),
        st.one_of(moments, st.just(ABSENT)),
    ),
    max_size=3,
).map(tuple)
ledgers = st.builds(
    lambda expiry, success, row, refused, them, material: Ledger(
        last_expiry=expiry,
        last_success_at=success,
        open_import=row,
        refused_import=refused,
        open_orders=them,
        material=material,
    ),
    st.one_of(moments, st.just(NEVER), st.just(ABSENT)),
    st.one_of(moments, st.just(ABSENT)),
    st.one_of(rows, st.just(ABSENT)),
    st.one_of(moments.map(lambda at: queued(state=ImportState.REFUSED, finished_at=at, detail="d")), st.just(ABSENT)),
    orders,
    st.sampled_from([MATERIAL, ABSENT]),
)
snapshots = st.builds(
    lambda rules, view, proof, book: Snapshot(desired=desired(policy=rules), view=view, proof=proof, ledger=book),
    policies,
    views,
    proofs,
    ledgers,
)


@given(snapshots, moments)
def test_decide_is_total_and_wakes_later(it: Snapshot, now: Any) -> None:
    """No snapshot makes it raise, and it always wakes again, later than now and within `look_every`."""
    decision = decide(it, now)

    assert now < decision.wake_at <= now + max(it.desired.policy.look_every, timedelta(seconds=1))
    assert decision.message


@given(snapshots, moments)
def test_decide_is_a_function(it: Snapshot, now: Any) -> None:
    """The same facts give the same decision."""
    assert decide(it, now) == decide(it, now)


@given(snapshots, moments)
def test_every_decision_can_be_explained(it: Snapshot, now: Any) -> None:
    """Whatever is decided, what is told of it is the same decision, and something would change it."""
    told = why(it, now)
    assert told.decision == decide(it, now)
    assert all(each.mind.ways for each in told.materials)


@given(snapshots, moments)
def test_what_people_did_on_purpose_is_never_imported_into(it: Snapshot, now: Any) -> None:
    """Only keys seen Enabled or PendingImport, and not held, are ever imported into."""
    decision = decide(it, now)

    if isinstance(decision.action, ImportWanted):
        assert getattr(it.view, "state", None) in (KeyState.ENABLED, KeyState.PENDING_IMPORT)
        holds = [each for each in it.ledger.open_orders if each.kind is OrderKind.HOLD]
        if holds:
            assert holds[0].until is not ABSENT
            assert holds[0].until <= now


@given(snapshots, moments)
def test_only_a_suspension_deletes_and_nothing_imports_under_one(it: Snapshot, now: Any) -> None:
    """byokd deletes for one reason, which an operator gave, and imports nothing while it is in force."""
    action = decide(it, now).action

    if it.ledger.suspension is ABSENT:
        assert not isinstance(action, DeletionWanted)
    else:
        assert not isinstance(action, ImportWanted)


@given(snapshots, moments)
def test_no_due_time_lies_beyond_the_deadline(it: Snapshot, now: Any) -> None:
    """Whatever is decided before ValidTo, somebody is awake at ValidTo."""
    expiry = getattr(it.view, "expiry", None)
    present = getattr(it.view, "state", None) is not KeyState.PENDING_IMPORT
    if present and isinstance(expiry, type(START)) and expiry > now and it.ledger.material == MATERIAL:
        assert decide(it, now).wake_at <= expiry


@given(snapshots, moments)
def test_an_import_reaches_into_the_future_and_shortens_nothing(it: Snapshot, now: Any) -> None:
    """The ValidTo asked for is later than now, at most 365 days away, and not before the present one."""
    action = decide(it, now).action

    if isinstance(action, ImportWanted) and action.expiry is not NEVER:
        assert action.expiry > now
        shown = getattr(it.view, "expiry", now)
        assert action.expiry <= max(now + 365 * DAY, shown if isinstance(shown, type(now)) else now)


@given(policies, moments, seconds)
def test_tiers_only_move_forward(rules: Any, valid_to: Any, step: timedelta) -> None:
    """Time never makes a deadline look farther away, and the boundaries keep their order."""
    frame = window(KeyRef("k"), rules, valid_to)
    ladder = list(Tier)
    assert frame.renew_at <= frame.valid_to
    assert frame.urgent_at <= frame.emergency_at <= frame.valid_to
    first, second = sorted((START, START + step))
    assert ladder.index(frame.tier(first)) <= ladder.index(frame.tier(second))


@given(st.integers(min_value=1, max_value=10**6), seconds, st.booleans())
def test_backoff_leaves_time_for_another_try(failures: int, left: timedelta, emergency: bool) -> None:
    """The wait is at least a second and never more than an eighth of the time left."""
    deadline = START + left
    again = retry_at(who="k", failures=failures, now=START, deadline=deadline, emergency=emergency)

    assert again >= START + timedelta(seconds=1)
    if left > timedelta(seconds=8):
        assert again - START <= left / 8 + timedelta(seconds=1)


@given(
    st.floats(min_value=0.05, max_value=100), st.lists(st.floats(min_value=0, max_value=30), min_size=1, max_size=40)
)
def test_a_bucket_never_gives_more_than_its_quota(rate: float, gaps: list[float]) -> None:
    """Over any span, requests sent stay within burst plus rate times the span."""
    bucket, at, sent = full(Quota(per_second=rate, burst=1), 0.0), 0.0, []
    for gap in gaps:
        at += gap
        bucket, wait = take(bucket, at)
        sent.append(at + wait)
    for first, start in enumerate(sent):
        for last in range(first, len(sent)):
            assert last - first + 1 <= 1 + rate * (sent[last] - start) + 1e-6


@given(st.integers(min_value=1, max_value=20))
def test_a_throttled_bucket_slows_down_but_never_stops(times: int) -> None:
    """However often KMS refuses, the wait stays finite and the share positive."""
    bucket = full(Quota(per_second=1, burst=1), 0.0)
    for at in range(times):
        bucket = throttled(bucket, float(at))
    after, wait = take(replace(bucket), float(times))

    assert 0 < after.share <= 1
    assert 0 < wait <= 40
