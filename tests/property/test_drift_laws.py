"""Laws of drift: which conditions are differences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from byokd.decide.drift import DIFFERENCES, NOT_COMPARED, differences, from_manifest, not_compared
from byokd.facts.condition import Condition, OpenCondition
from byokd.facts.estate import FoundKey, NewKey
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
    assert from_manifest(key, same) == ()
    differs = FoundKey(seen=observed(spec=other), aliases=("alias/a",), tags=shown, fleet=ABSENT)
    told = from_manifest(key, differs)
    assert len(told) == (spec != other) + sum(shown.get(name) != value for name, value in wanted.items())
    assert len(set(told)) == len(told)
