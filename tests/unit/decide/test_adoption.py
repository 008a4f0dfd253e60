"""Which of the keys that nobody manages come into the config."""

from __future__ import annotations

import pytest

from byokd.decide.adoption import adopted
from byokd.facts.estate import FoundKey
from byokd.facts.key import ABSENT, KeyState
from tests.kit.builders import ARN, observed

ID = ARN.rpartition("/")[2]


def found(*aliases: str, fleet=ABSENT, **seen) -> FoundKey:
    """A key with these aliases."""
    return FoundKey(seen=observed(**seen), aliases=aliases, tags=ABSENT, fleet=fleet)


@pytest.mark.parametrize(
    ("template", "locator"),
    [("", ABSENT), ("{alias}.key", "pay/eu.key"), ("keys/{id}", f"keys/{ID}"), ("{alias}-{id}", f"pay/eu-{ID}")],
)
def test_where_the_material_is_to_be_found(template, locator):
    """The first alias and the key id fill the template; an empty one leaves it to the config."""
    ((taken,), left) = adopted([found("alias/pay/eu", "alias/zoo")], template)
    assert (taken.arn, taken.material, left) == (ARN, locator, [])


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (found("alias/a", fleet="payments"), "fleet payments manages it already"),
        (found("alias/a", state=KeyState.PENDING_DELETION), "scheduled for deletion"),
        (found("alias/a", spec="SM2"), "does not renew keys of spec SM2"),
        (found(), "has no alias"),
    ],
)
def test_keys_that_stay_outside_are_told(key, why):
    """What byokd could not keep alive, or could not name, is left out with the reason."""
    taken, (left,) = adopted([key], "{alias}.key")
    assert (taken, left.arn) == ([], ARN)
    assert why in left.why


def test_a_disabled_key_is_taken_in():
    """Its material ages like any other's, and byokd tells people; it touches nothing while the key is Disabled."""
    assert len(adopted([found(state=KeyState.DISABLED)], "")[0]) == 1
