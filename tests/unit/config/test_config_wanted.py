"""What a person types to say which keys are meant."""

from __future__ import annotations

import pytest

from byokd.config.wanted import wanted_in
from byokd.errors import OperatorError
from byokd.facts.estate import Wanted
from byokd.facts.key import ABSENT, KeyArn
from tests.kit.lanes import ACCOUNT, REGION, a_lane

ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = KeyArn(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ID}")


def test_nothing_said_means_everything():
    """No names and no tags: the whole lane."""
    assert wanted_in(a_lane(), (), ()) == Wanted()
    assert Wanted().everything


@pytest.mark.parametrize("name", [ARN, ID])
def test_a_key_is_named_by_arn_or_id(name):
    """Both come to the ARN."""
    assert wanted_in(a_lane(), [name], ()) == Wanted(arns=frozenset({ARN}))


def test_an_arn_of_another_lane_is_for_that_lane():
    """With nothing else named, this lane need not be searched at all."""
    elsewhere = ARN.replace(REGION, "us-east-1")
    assert wanted_in(a_lane(), [elsewhere], ()) is None
    assert wanted_in(a_lane(), [elsewhere, "alias/a"], ()) == Wanted(aliases=("alias/a",))


def test_aliases_may_be_patterns():
    """As in a shell: `*`, `?`, and sets of characters."""
    assert wanted_in(a_lane(), ["alias/pay-*", "alias/x[12]"], ()) == Wanted(aliases=("alias/pay-*", "alias/x[12]"))


def test_a_tag_has_a_value_or_any():
    """Only the first `=` divides; a value may be empty."""
    assert wanted_in(a_lane(), (), ["team=a=b", "env", "x="]) == Wanted(tags={"team": "a=b", "env": ABSENT, "x": ""})


@pytest.mark.parametrize(
    ("names", "tags", "told"),
    [
        (["payments"], [], "did you mean alias/payments"),
        (["pay*"], [], "is not a key's name"),
        (["alias/no space"], [], "is not an alias"),
        (["alias/aws/s3"], [], "AWS manages"),
        ([], ["=x"], "is not a tag"),
    ],
)
def test_what_is_no_name_is_refused(names, tags, told):
    """With the way out."""
    with pytest.raises(OperatorError, match=told):
        wanted_in(a_lane(), names, tags)
