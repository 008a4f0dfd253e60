"""Laws of drift: which conditions are differences."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from byokd.decide.drift import (
    DIFFERENCES,
    NOT_COMPARED,
    differences,
    from_manifest,
    not_compared,
    not_read,
    same_policy,
)
from byokd.facts.condition import Condition, OpenCondition
from byokd.facts.estate import Attributes, FoundKey, NewKey
from byokd.facts.key import ABSENT
from tests.kit.builders import observed
from tests.kit.clock import START
from tests.kit.strategies import conditions


def _open(condition: Condition) -> OpenCondition:
    return OpenCondition(id=condition.kind, subject="x", condition=condition, since=START)


@given(st.lists(conditions.map(_open)))
def test_each_condition_is_told_once_at_most(open_: list[OpenCondition]) -> None:
    """As a difference or as what was not compared, as it is and in its order; what is neither is left out."""
    found = [each.condition for each in differences(open_)]
    hidden = list(not_compared(open_))
    assert found == [each for each in open_ if each.condition.kind in DIFFERENCES]
    assert hidden == [each for each in open_ if each.condition.kind in NOT_COMPARED]
    assert not {each.condition.kind for each in found} & {each.condition.kind for each in hidden}


_tags = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"))
_specs = st.sampled_from(["SYMMETRIC_DEFAULT", "HMAC_256"])


@given(_tags, _tags, _specs, _specs)
def test_a_key_that_is_as_its_manifest_says_differs_in_nothing(
    wanted: dict[str, str], shown: dict[str, str], spec: str, other: str
) -> None:
    """Whatever else it has; and each thing in which it is otherwise is told once."""
    key = NewKey(alias="alias/a", spec=spec, tags=wanted)
    same = FoundKey(seen=observed(spec=spec), aliases=("alias/a",), tags=shown | wanted, fleet=ABSENT)
    assert from_manifest(key, same, Attributes(tags=same.tags)) == ()
    differs = FoundKey(seen=observed(spec=other), aliases=("alias/a",), tags=shown, fleet=ABSENT)
    told = from_manifest(key, differs, Attributes(tags=shown))
    assert len(told) == (spec != other) + sum(shown.get(name) != value for name, value in wanted.items())
    assert len(set(told)) == len(told)


_words = st.lists(st.sampled_from(["kms:Sign", "kms:Verify", "kms:*"]), min_size=1, max_size=3, unique=True)
_statements = st.lists(_words.map(lambda words: {"Effect": "Allow", "Action": words}), min_size=1, max_size=3)


@given(_statements, st.randoms(use_true_random=False))
def test_a_policy_written_otherwise_is_the_same(statements: list[dict[str, Any]], chance: random.Random) -> None:
    """Order, and one word in a list or alone; one action more makes another policy of it."""
    policy = {"Version": "2012-10-17", "Statement": statements}
    shuffled = [
        {"Action": chance.sample(each["Action"], len(each["Action"])), "Effect": "Allow"} for each in statements
    ]
    chance.shuffle(shuffled)
    for each in shuffled:
        if len(each["Action"]) == 1:
            each["Action"] = each["Action"][0]
    other = {"Statement": shuffled if len(shuffled) > 1 else shuffled[0], "Version": "2012-10-17"}
    assert same_policy(json.dumps(policy), json.dumps(other))
    more = {**policy, "Statement": [*statements, {"Effect": "Deny", "Action": "kms:Decrypt"}]}
    assert not same_policy(json.dumps(policy), json.dumps(more))


@given(_tags, st.lists(st.sampled_from(["kms:ListResourceTags", "kms:GetKeyPolicy", "kms:DescribeKey"]), unique=True))
def test_what_may_not_be_read_is_said_once(tags: dict[str, str], denied: list[str]) -> None:
    """But for tags of which the manifest says nothing."""
    said = not_read(NewKey(alias="alias/a", tags=tags), Attributes(denied=tuple(denied)))
    assert len(said) == len([each for each in denied if tags or each != "kms:ListResourceTags"])
    assert all(any(each in line for line in said) for each in denied if tags)
