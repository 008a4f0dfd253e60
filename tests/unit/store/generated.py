"""Facts of every shape, made by hypothesis: whatever a rule, KMS or an operator could put into the store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from byokd.facts import condition, key, ledger, policy
from byokd.facts.key import ABSENT, NEVER, NEVER_LOOKED
from byokd.facts.kinds import AUTO, MaterialKind
from byokd.facts.ledger import NOT_PROVED
from byokd.facts.snapshot import Snapshot

# Half of a surrogate pair is no text, and PostgreSQL takes no NUL.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = st.text("0123456789abcdef-", min_size=1, max_size=12)
instants = st.integers(0, 253_402_300_799).map(lambda second: datetime.fromtimestamp(second, UTC))
counts = st.integers(0, 10_000)
spans = st.timedeltas(timedelta(0), timedelta(days=3650))


def maybe(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.one_of(st.just(ABSENT), strategy)


expiries = st.one_of(st.just(NEVER), instants)

materials = st.builds(
    key.ObservedMaterial,
    material_id=names,
    state=st.sampled_from(key.MaterialState),
    imported=st.booleans(),
    expiry=maybe(expiries),
)

families = st.builds(
    key.Family, primary=texts, replicas=st.lists(texts, max_size=3).map(lambda arns: tuple(sorted(arns)))
)

observed = st.builds(
    key.ObservedKey,
    at=instants,
    arn=texts,
    state=st.sampled_from(key.KeyState),
    origin=texts,
    spec=texts,
    expiry=maybe(expiries),
    current_material=maybe(names),
    materials=st.lists(materials, max_size=3, unique_by=lambda each: each.material_id).map(tuple),
    materials_known=st.booleans(),
    deletion_at=maybe(instants),
    was_disabled=st.booleans(),
    alias_target=maybe(texts),
    family=maybe(families),
    begun_at=maybe(instants),
)

blind = st.builds(
    key.Blind,
    since=instants,
    at=instants,
    code=texts,
    message=texts,
    failures=counts,
    last=st.one_of(st.just(NEVER_LOOKED), observed),
)

views = st.one_of(st.just(NEVER_LOOKED), observed, blind)

proofs = st.one_of(
    st.just(NOT_PROVED),
    st.builds(ledger.Proved, at=instants, fingerprint=names, length=counts, kind=st.sampled_from(MaterialKind)),
    st.builds(ledger.Unproved, since=instants, at=instants, code=texts, message=texts, failures=counts),
)

policies = st.builds(
    policy.Policy,
    valid_for=st.one_of(st.just(NEVER), spans),
    renew_before=spans,
    emergency_share=st.floats(0.001, 0.999),
    spread=spans,
    renewal_floor=spans,
    on_lapse=st.sampled_from(policy.OnLoss),
    on_foreign_delete=st.sampled_from(policy.OnLoss),
    wrapping_algorithm=st.sampled_from([*key.WrappingAlgorithm, AUTO]),
    wrapping_key_spec=st.sampled_from([*key.WrappingKeySpec, AUTO]),
    alert_before=st.lists(spans, max_size=3).map(tuple),
    look_every=spans,
    drill_every=spans,
    settle_for=spans,
    windows=st.lists(st.builds(policy.ChangeWindow, cron=texts, lasts=spans, time_zone=texts), max_size=2).map(tuple),
    priority=st.integers(-100, 100),
    probe=st.booleans(),
    rotate_every=st.one_of(st.just(NEVER), spans),
)

probes = st.builds(ledger.Probe, of=instants, at=instants, failures=counts, code=texts, message=texts)

conditions = st.builds(
    condition.Condition,
    kind=st.sampled_from(condition.ConditionKind),
    severity=st.sampled_from(condition.Severity),
    detail=texts,
    stage=texts,
)


def _orders(ref: key.KeyRef) -> SearchStrategy[ledger.Order]:
    return st.builds(
        ledger.Order,
        id=names,
        ref=st.just(ref),
        kind=st.sampled_from(ledger.OrderKind),
        state=st.just(ledger.OrderState.OPEN),
        by=texts,
        why=texts,
        created_at=instants,
        until=maybe(instants),
        valid_to=maybe(expiries),
        effective_at=maybe(instants),
        outcome=texts,
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """A snapshot such as the store may hold: at most one open and one refused import, orders and conditions sorted."""
    ref, lane = key.KeyRef(draw(names)), key.LaneId(draw(names))
    imports = st.builds(
        ledger.Import,
        id=names,
        ref=st.just(ref),
        lane=st.just(lane),
        material=maybe(names),
        state=st.sampled_from([state for state in ledger.ImportState if state.open]),
        reason=texts,
        tier=st.sampled_from(ledger.Tier),
        expiry=expiries,
        deadline=instants,
        not_before=instants,
        attempts=counts,
        created_at=instants,
        started_at=maybe(instants),
        answered=st.booleans(),
        finished_at=maybe(instants),
        outcome=texts,
        detail=texts,
        order_id=maybe(names),
        priority=st.integers(-100, 100),
    )
    refused = imports.map(lambda row: replace(row, id=f"refused-{row.id}", state=ledger.ImportState.REFUSED))
    opened = st.builds(condition.OpenCondition, id=names, subject=st.just(ref), condition=conditions, since=instants)
    known = st.builds(
        ledger.Ledger,
        pinned_arn=maybe(texts),
        fingerprint=maybe(names),
        material=maybe(names),
        last_expiry=maybe(expiries),
        last_success_at=maybe(instants),
        lost_at=maybe(instants),
        open_import=maybe(imports),
        refused_import=maybe(refused),
        probe=maybe(probes),
        open_orders=_in_order(_orders(ref), lambda each: (each.created_at, each.id)),
    )
    desired = st.builds(
        policy.DesiredKey,
        ref=st.just(ref),
        lane=st.just(lane),
        name=texts,
        arn=maybe(texts),
        fleet=texts,
        source=texts,
        locator=texts,
        policy=policies,
    )
    return Snapshot(
        desired=draw(desired),
        view=draw(views),
        proof=draw(proofs),
        ledger=draw(known),
        conditions=draw(_in_order(opened, lambda each: (-each.condition.severity, each.since, each.id))),
    )


def _in_order(strategy: SearchStrategy[Any], order: Any) -> SearchStrategy[tuple[Any, ...]]:
    rows = st.lists(strategy, max_size=3, unique_by=lambda each: each.id)
    return rows.map(lambda each: tuple(sorted(each, key=order)))
