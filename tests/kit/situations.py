"""Keys for properties that are in the middle of something: at random, a rule that waits is reached once in a thousand.

Each strategy is one kind of situation, as it is at `START`; the rest of the key is as healthy as can be.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from byokd.decide.window import window
from byokd.facts.key import (
    ABSENT,
    NEVER,
    NEVER_LOOKED,
    Absent,
    KeyRef,
    KeyState,
    MaterialState,
    ObservedKey,
    ObservedMaterial,
    View,
)
from byokd.facts.kinds import AUTO
from byokd.facts.ledger import (
    BY_PERIOD,
    NOT_PROVED,
    Fingerprint,
    Import,
    ImportState,
    Ledger,
    Order,
    OrderKind,
    Probe,
    Proved,
    Tier,
    Track,
    Unproved,
)
from byokd.facts.policy import ChangeWindow, Policy
from byokd.facts.snapshot import Snapshot
from tests.kit.builders import ARN, FINGERPRINT, desired, ledger, observed, order, queued, snapshot, virgin
from tests.kit.clock import START
from tests.kit.strategies import (
    MATERIALS,
    TIME_ZONES,
    any_readings,
    any_snapshots,
    blind,
    expiries,
    fit_readings,
    moments,
    often,
    policies_of,
    windows,
)

_SECOND: Final = timedelta(seconds=1)
LADDER: Final = (Tier.FRESH, Tier.DUE, Tier.URGENT, Tier.EMERGENCY, Tier.LAPSED)
NEXT: Final = Fingerprint("ee" * 32)
"""Of the material that a key with two of them is to be rotated to."""

waits = st.one_of(st.integers(0, 60), st.integers(0, 2 * 3600), st.integers(0, 3 * 86_400)).map(
    lambda n: timedelta(seconds=n)
)
"""From nothing to days, often short."""
ago = waits.map(lambda each: START - each)
just_now = st.integers(0, 299).map(lambda n: START - timedelta(seconds=n))
ahead = waits.map(lambda each: START + each + _SECOND)
lasting = policies_of(86_400).map(lambda each: replace(each, wrapping_algorithm=AUTO, wrapping_key_spec=AUTO))
"""With lives of days at least, whatever the wrapping."""


def ends_in(rules: Policy, tier: Tier, share: float) -> datetime:
    """The `ValidTo` of a material that is in this tier at `START`, so far on the way from its end to its beginning."""
    frame = window(KeyRef(ARN), replace(rules, spread=timedelta(0)), START)
    life = 3 * rules.renew_before if rules.valid_for is NEVER else rules.valid_for
    begins = [START - life, frame.renew_at - rules.spread, frame.urgent_at, frame.emergency_at, START, START + life]
    number = LADDER.index(tier)
    shortest, longest = START - begins[number + 1], START - begins[number]
    return START + timedelta(seconds=round((shortest + share * (longest - shortest - _SECOND)).total_seconds()) + 1)


def _key(rules: Policy, tier: Tier, share: float, drilled: float, imported: bool, order: Order | None) -> Snapshot:
    end = ends_in(rules, tier, share)
    begun = end - (3 * rules.renew_before if rules.valid_for is NEVER else rules.valid_for)
    return snapshot(
        desired=desired(policy=rules),
        view=observed(valid_to=end),
        proof=Proved(at=START - drilled * rules.drill_every, fingerprint=FINGERPRINT, length=32),
        ledger=ledger(
            last_expiry=end,
            last_success_at=begun if imported else ABSENT,
            open_orders=() if order is None else (order,),
        ),
    )


holds = st.builds(lambda end: order(OrderKind.HOLD, until=end), st.one_of(ahead, st.just(ABSENT)))


def healthy(
    *tiers: Tier, rules: st.SearchStrategy[Policy] = lasting, held: bool = False
) -> st.SearchStrategy[Snapshot]:
    """Keys with one material in one of these tiers, whose source has it; some of them `held`."""
    return st.builds(
        _key,
        rules,
        st.sampled_from(tiers),
        st.floats(0, 1),
        st.floats(0, 1),
        st.booleans(),
        often(st.none(), holds) if held else st.none(),
    )


def _remembering(it: Snapshot, **changes: Any) -> Snapshot:
    return replace(it, ledger=replace(it.ledger, **changes))


# -- what one material waits for --------------------------------------------------------------------------------------

nightly = st.builds(
    lambda hour, hours, zone: (ChangeWindow(cron=f"0 {hour} * * *", lasts=timedelta(hours=hours), time_zone=zone),),
    st.integers(0, 23),
    st.integers(1, 6),
    st.sampled_from(TIME_ZONES),
)
"""Change windows that are closed mostly, and open soon."""
windowed = st.builds(
    lambda rules, some: replace(rules, windows=some, look_every=timedelta(days=7), drill_every=timedelta(days=30)),
    lasting,
    often(nightly, windows),
)
"""Nothing else wakes a key before its window does."""
before_windows = healthy(Tier.DUE, rules=windowed)
"""Due, and often in no change window."""
near = healthy(Tier.FRESH, Tier.DUE, Tier.URGENT, Tier.EMERGENCY, rules=policies_of(30, 7 * 86_400), held=True)
"""Hours are left at most, so that each threshold is crossed; some are held."""


def _failed(it: Snapshot, again: datetime, attempts: int, outcome: str, sent: datetime, state: ImportState) -> Snapshot:
    row = queued(
        state=state,
        not_before=again,
        attempts=attempts,
        outcome=outcome,
        detail="d",
        created_at=sent,
        started_at=sent,
        answered=outcome == "not_seen",
        deadline=it.ledger.last_expiry,
        tier=Tier.DUE,
    )
    return _remembering(it, open_import=row)


importing = st.builds(
    _failed,
    healthy(Tier.DUE, Tier.URGENT, Tier.EMERGENCY, Tier.LAPSED),
    st.integers(1, 3600).map(lambda n: START + timedelta(seconds=n)),
    st.integers(1, 20),
    st.sampled_from(["throttled", "not_seen"]),
    ago,
    st.sampled_from([ImportState.FAILED, ImportState.FAILED, ImportState.RUNNING]),
)
"""An import failed and waits for its next attempt, or was sent and is not seen yet."""


def _refused_at(it: Snapshot, at: datetime, outcome: str) -> Snapshot:
    return _remembering(
        it, refused_import=queued(state=ImportState.REFUSED, finished_at=at, detail="d", outcome=outcome)
    )


refused = st.builds(
    _refused_at,
    healthy(Tier.DUE, Tier.URGENT, Tier.LAPSED),
    ago,
    st.sampled_from(["access_denied", "material_changed"]),
)
just_imported = st.builds(
    lambda it, at: _remembering(it, last_success_at=at), healthy(Tier.DUE, Tier.URGENT, Tier.LAPSED), ago
)
"""Due again so soon that the floor may count."""


def _unproved(it: Snapshot, proof: Any) -> Snapshot:
    return replace(it, proof=proof)


without_source = st.builds(
    _unproved,
    healthy(*LADDER, held=True),
    st.one_of(
        st.just(NOT_PROVED),
        st.builds(
            lambda at, code, failures: Unproved(since=at, at=at, code=code, message="m", failures=failures),
            ago,
            st.sampled_from(["source_unreadable", "material_invalid", "material_changed"]),
            st.integers(1, 20),
        ),
    ),
)


def _probed(it: Snapshot, imported: datetime, tried: datetime | Absent, code: str, failures: int) -> Snapshot:
    rules = replace(it.desired.policy, probe=True)
    probe: Any = ABSENT
    if isinstance(tried, datetime):
        probe = Probe(of=imported, at=tried, failures=failures if code else 0, code=code, message=code)
    it = replace(it, desired=replace(it.desired, policy=rules))
    return _remembering(it, last_success_at=imported, probe=probe)


probed = st.builds(
    _probed,
    healthy(Tier.FRESH, held=True),
    ago,
    often(ago, st.just(ABSENT)),
    st.sampled_from(["", "probe_failed", "access_denied", "kms_unreachable"]),
    st.integers(1, 12),
)
"""Imported into, and perhaps tried since."""


def _cut_off(it: Snapshot, made: datetime, done: datetime | Absent, outcome: str, sent: Import | None) -> Snapshot:
    suspension = order(OrderKind.SUSPEND, created_at=made, effective_at=done, outcome=outcome)
    it = _remembering(it, open_orders=(*it.ledger.open_orders, suspension))
    return it if sent is None else _remembering(it, open_import=sent)


suspensions = st.builds(
    _cut_off,
    healthy(*LADDER, held=True),
    ago,
    st.one_of(st.just(ABSENT), ago),
    st.sampled_from(["", "access_denied"]),
    st.one_of(st.none(), ago.map(lambda at: queued(state=ImportState.RUNNING, started_at=at))),
)

ordered = st.builds(
    lambda it, kind, made, end: _remembering(
        it, open_orders=(order(kind, created_at=made, valid_to=end if kind is OrderKind.IMPORT else ABSENT),)
    ),
    healthy(*LADDER),
    st.sampled_from([OrderKind.IMPORT, OrderKind.RESUME, OrderKind.ROTATE, OrderKind.ROTATE]),
    ago,
    expiries,
)


def _seen(it: Snapshot, view: View, lost: datetime) -> Snapshot:
    """The key as such a look shows it; where its material is gone, since when."""
    gone = isinstance(view, ObservedKey) and view.current_material is not ABSENT and view.expiry is ABSENT
    return _remembering(replace(it, view=view), lost_at=lost if gone else ABSENT)


unseen = st.builds(_seen, healthy(*LADDER, held=True), st.one_of(st.just(NEVER_LOOKED), blind(fit_readings)), ago)
missing = st.builds(_seen, healthy(*LADDER, held=True), st.just(observed(valid_to=ABSENT)), ago)
"""Gone: lapsed, or deleted by somebody."""
put_aside = st.builds(
    _seen,
    healthy(*LADDER),
    st.sampled_from([KeyState.DISABLED, KeyState.PENDING_DELETION, KeyState.CREATING]).map(
        lambda each: observed(state=each)
    ),
    ago,
)
unfit = st.builds(
    _seen,
    healthy(*LADDER, rules=policies_of(86_400)),
    often(
        st.sampled_from(
            [observed(origin="AWS_KMS")] + [observed(spec=each, materials=()) for each in ("RSA_2048", "ML_DSA_44")]
        ),
        any_readings,
    ),
    ago,
)
"""Of an origin, a spec or a wrapping that byokd can do nothing about, or of whatever state."""
endless = st.builds(_seen, healthy(Tier.FRESH, held=True), st.just(observed(valid_to=NEVER)), ago)
first_imports = healthy(Tier.FRESH, held=True).map(
    lambda it: replace(it, view=virgin(), ledger=Ledger(open_orders=it.ledger.open_orders))
)

# -- rotations --------------------------------------------------------------------------------------------------------


def _following(
    draw: st.DrawFn, rules: Policy, waiting: MaterialState | None
) -> tuple[Track, tuple[ObservedMaterial, ...]]:
    """The next material as byokd knows it, and as KMS lists it: not at all where it is in stock."""
    proof = Proved(at=draw(ago), fingerprint=NEXT, length=32)
    if waiting is None:
        return Track(proof=proof), ()
    end = ends_in(rules, draw(often(st.just(Tier.FRESH), st.just(Tier.DUE))), draw(st.floats(0, 1)))
    known = Track(proof=proof, fingerprint=NEXT, material=MATERIALS[0], last_expiry=end, last_success_at=draw(ago))
    return known, (ObservedMaterial(material_id=MATERIALS[0], state=waiting, imported=True, expiry=end),)


@st.composite
def rotations(draw: st.DrawFn, *waits_as: MaterialState | None, ordered: bool) -> Snapshot:
    """A key that is to be rotated, `ordered` or by period, to a material in stock (None) or in KMS already."""
    it = draw(often(healthy(Tier.FRESH, held=True), healthy(Tier.DUE, Tier.URGENT, held=True)))
    seen, rules, orders = it.view, it.desired.policy, it.ledger.open_orders
    assert isinstance(seen, ObservedKey)
    if ordered:
        given = order(
            OrderKind.ROTATE,
            by=draw(st.sampled_from(["operator", BY_PERIOD])),
            created_at=draw(ago) - timedelta(minutes=5),
            effective_at=draw(st.one_of(st.just(ABSENT), ago, just_now)),
            outcome=draw(st.sampled_from(["", "refused"])),
        )
        orders = (*orders, given)
    else:
        every = draw(st.integers(1, 400)) * timedelta(days=1)
        rules = replace(rules, rotate_every=every, windows=draw(st.one_of(st.just(()), nightly)))
        seen = replace(seen, begun_at=draw(st.one_of(ago, ahead)) - every)
    following, listed = _following(draw, rules, draw(st.sampled_from(waits_as)))
    turned: Snapshot = replace(
        it,
        desired=desired(policy=rules, further=("2.key",)),
        view=replace(seen, materials=(*seen.materials, *listed)),
        ledger=replace(it.ledger, open_orders=orders),
        others=(following,),
    )
    return turned


Look = tuple[Snapshot, datetime]
"""A key, and when it is decided upon."""

SITUATIONS: Final[dict[str, st.SearchStrategy[Snapshot]]] = {
    "fresh": healthy(Tier.FRESH, held=True),
    "near its end": near,
    "before a window": before_windows,
    "importing": importing,
    "refused": refused,
    "just imported": just_imported,
    "without its source": without_source,
    "probed": probed,
    "suspended": suspensions,
    "ordered": ordered,
    "unseen": unseen,
    "missing": missing,
    "put aside": put_aside,
    "unfit": unfit,
    "endless": endless,
    "to be imported for the first time": first_imports,
    "to be rotated by period": rotations(None, MaterialState.PENDING_ROTATION, ordered=False),
    "to be given its next material": rotations(None, ordered=True),
    "to be rotated": rotations(MaterialState.PENDING_ROTATION, ordered=True),
    "to be rotated with its replicas": rotations(MaterialState.PENDING_MULTI_REGION, ordered=True),
}
LOOKS: Final[dict[str, st.SearchStrategy[Look]]] = {
    "anything at any time": st.tuples(any_snapshots, moments),
    **{name: st.tuples(some, st.just(START)) for name, some in SITUATIONS.items()},
}


@st.composite
def looks(draw: st.DrawFn) -> Look:
    """One of them, in a third anything; who needs each kind in each run asks for `LOOKS` one by one."""
    kinds = list(LOOKS.values())
    return draw(kinds[max(0, draw(st.integers(-len(kinds) // 2, len(kinds) - 1)))])
