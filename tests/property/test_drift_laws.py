"""Laws of drift: which conditions are differences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from byokd.decide.drift import DIFFERENCES, NOT_COMPARED, differences, not_compared
from byokd.facts.condition import Condition, OpenCondition
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
