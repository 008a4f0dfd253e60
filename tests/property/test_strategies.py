"""What the properties draw: no more than the config takes."""

from __future__ import annotations

from dataclasses import asdict, replace
from fractions import Fraction

from hypothesis import given

from byokd.config.inherit import whole_policy
from byokd.config.policy import PolicySettings
from byokd.facts.policy import Policy
from tests.kit.strategies import all_policies


@given(all_policies)
def test_the_config_takes_what_is_drawn(rules: Policy) -> None:
    """A property that fails for a policy which nobody can have says nothing of byokd.

    But for change windows, which may be closed for longer than the config allows: time zones change.
    """
    rules = replace(rules, windows=())
    said = asdict(rules) | {"windows": (), "emergency_share": Fraction(rules.emergency_share)}
    taken, complaints = whole_policy([PolicySettings.model_construct(**said)])

    assert complaints == ()
    assert taken == rules
