"""Laws of what is wrapped how, of keys that nobody manages, and of those that are taken into the config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from byokd.decide.adoption import ALIAS, ID, adopted, dying, locator
from byokd.decide.decide import decide
from byokd.decide.unmanaged import failing_condition, hidden_condition, still_unmanaged, unmanaged_condition
from byokd.decide.wrapping import chosen, importable, kind_of_key, refusal, wrapping
from byokd.facts.condition import ConditionKind, Severity
from byokd.facts.estate import Found, FoundKey, Managed, Unseen
from byokd.facts.key import ABSENT, KeyArn, KeyState, ObservedKey
from byokd.facts.kinds import AUTO, KINDS, KINDS_IN_CHINA, KeyKind, Wrapping, ways
from byokd.facts.policy import Policy
from byokd.facts.snapshot import ImportWanted, Snapshot
from tests.kit.builders import ARN
from tests.kit.clock import START
from tests.kit.strategies import any_snapshots, moments, policies, some_readings

# -- wrapping ---------------------------------------------------------------------------------------------------------

kinds = st.sampled_from([*KINDS.values(), *KINDS_IN_CHINA.values()]).filter(ways)


@given(some_readings, st.sampled_from(["aws", "aws-cn", "aws-us-gov"]))
def test_a_kind_is_known_by_its_spec_or_not_at_all(seen: ObservedKey, partition: str) -> None:
    """A key that byokd has no row for, or could not bring material into, has no kind; any other has ways."""
    kind = kind_of_key(replace(seen, arn=KeyArn(seen.arn.replace(":aws:", f":{partition}:"))))

    assert kind == importable(seen.spec, partition)
    assert kind is None or ways(kind)
    assert kind is None or seen.spec in KINDS


def allowed(way: Wrapping, rules: Policy) -> bool:
    """Whether the policy leaves a way."""
    return rules.wrapping_algorithm in (AUTO, way.algorithm) and rules.wrapping_key_spec in (AUTO, way.key_spec)


@given(kinds, policies)
def test_the_wrapping_is_the_best_that_policy_and_aws_leave(kind: KeyKind, rules: Policy) -> None:
    """It is allowed by both; none that is better is; and where there is none, it is said what would do."""
    way = wrapping(kind, rules)
    if way is None:
        assert not any(allowed(each, rules) for each in ways(kind))
        assert f"{ways(kind)[0].algorithm}" in refusal("RSA_2048", kind, rules)
    else:
        assert allowed(way, rules)
        better = ways(kind)[: ways(kind).index(way)]
        assert not any(allowed(each, rules) for each in better)


@given(kinds, policies)
def test_a_policy_that_fixes_nothing_refuses_nothing(kind: KeyKind, rules: Policy) -> None:
    """`auto` finds a way for every kind in the table."""
    assert wrapping(kind, replace(rules, wrapping_algorithm=AUTO, wrapping_key_spec=AUTO)) == ways(kind)[0]


@given(any_snapshots, moments)
def test_whatever_is_to_be_imported_can_be_wrapped(it: Snapshot, now: datetime) -> None:
    """Nothing is decided for which a token would be spent in vain."""
    decision = decide(it, now)
    if isinstance(decision.action, ImportWanted):
        assert allowed(chosen(it.turned_to(decision.place)), it.desired.policy)


# -- keys that nobody manages -----------------------------------------------------------------------------------------

aliases = st.lists(
    st.text("abc/_-", min_size=1, max_size=5).map(lambda text: f"alias/{text}"), max_size=2, unique=True
).map(tuple)
found_keys = st.lists(
    st.builds(
        lambda seen, names, fleet: FoundKey(seen=seen, aliases=names, tags=ABSENT, fleet=fleet),
        some_readings,
        aliases,
        st.sampled_from([ABSENT, ABSENT, "payments"]),
    ),
    max_size=6,
).map(
    lambda them: [
        replace(each, seen=replace(each.seen, arn=KeyArn(f"{ARN[:-2]}{number:02}"))) for number, each in enumerate(them)
    ]
)
unseen = st.lists(st.just(Unseen(arn=ARN, why="denied")), max_size=3).map(tuple)


def found(keys: Sequence[FoundKey], hidden: tuple[Unseen, ...] = ()) -> Found:
    return Found(at=START, looked_at=len(keys), keys=tuple(keys), unseen=hidden, missing=())


@given(found_keys, st.sampled_from(["", "material.key", f"keys/{ALIAS}.key", f"{ID}.pem", f"{ALIAS}/{ID}"]))
def test_every_key_is_adopted_or_left_out_with_a_reason(keys: list[FoundKey], template: str) -> None:
    """Each once, in order; what is taken in is nobody's, lives, and has its place filled in."""
    taken, left = adopted(keys, template)

    assert sorted([each.arn for each in taken] + [each.arn for each in left]) == [key.seen.arn for key in keys]
    assert all(each.why for each in left)
    by_arn = {key.seen.arn: key for key in keys}
    for each in taken:
        key = by_arn[each.arn]
        assert key.fleet is ABSENT
        assert not dying(key)
        assert kind_of_key(key.seen) is not None
        assert each.material == locator(each.arn, key.aliases, template)
        if each.material is not ABSENT:
            assert ALIAS not in each.material
            assert ID not in each.material


@given(found_keys, moments, moments)
def test_keys_that_nobody_manages_only_get_louder(keys: list[FoundKey], now: datetime, then: datetime) -> None:
    """A condition where there are any, none where there are none, and never quieter for the passing of time."""
    left = still_unmanaged(found(keys), Managed())
    first, second = (unmanaged_condition(left, at) for at in sorted((now, then)))

    assert (first is None) is (second is None) is (not left)
    if first is not None and second is not None:
        assert first.severity <= second.severity
        assert first.kind is ConditionKind.UNMANAGED_KEYS
        assert f"{len(left)} key" in first.detail


@given(found_keys)
def test_what_the_config_names_by_now_is_managed(keys: list[FoundKey]) -> None:
    """By ARN or by alias; keys about to be deleted are nobody's business."""
    left = still_unmanaged(found(keys), Managed())
    assert all(key.seen.state not in (KeyState.PENDING_DELETION, KeyState.PENDING_REPLICA_DELETION) for key in left)
    assert still_unmanaged(found(keys), Managed(by_arn={key.seen.arn: "f" for key in keys})) == []
    named = {name: "f" for key in keys for name in key.aliases}
    assert [key for key in left if not key.aliases] == still_unmanaged(found(keys), Managed(by_alias=named))


@given(found_keys, unseen, st.text(min_size=1))
def test_what_may_not_be_looked_at_is_told(keys: list[FoundKey], hidden: tuple[Unseen, ...], why: str) -> None:
    """A condition if and only if something stayed hidden, or a search failed."""
    told = hidden_condition(found(keys, hidden))

    assert (told is None) is (not hidden)
    assert told is None or ARN in told.detail
    assert failing_condition(why).severity is Severity.WARNING
    assert why in failing_condition(why).detail
