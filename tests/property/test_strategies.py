"""What the properties draw: no more than the config takes, and all that can be decided."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from fractions import Fraction
from typing import get_args

from hypothesis import Phase, given, settings

from byokd.config.inherit import whole_policy
from byokd.config.policy import PolicySettings
from byokd.decide.decide import decide
from byokd.facts.policy import Policy
from byokd.facts.snapshot import Action, Reason
from tests.kit.situations import LOOKS, Look
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


DRAWS = 50
"""Of each kind."""


def test_every_reason_and_every_action_is_drawn() -> None:
    """Laws of rules that wait held nothing: of 4,000 keys at random not one was to be probed or rotated."""
    reached: Counter[object] = Counter()
    always = settings(derandomize=True, database=None, deadline=None, max_examples=DRAWS, phases=[Phase.generate])

    def count(look: Look) -> None:
        decision = decide(*look)
        reached.update({each.reason for each in decision.parts or (decision,)})
        reached.update([type(decision.action)])

    for kind in LOOKS.values():
        always(given(kind)(count))()
    seldom = [each.value for each in Reason if not reached[each]]
    seldom += [each.__name__ for each in get_args(Action) if not reached[each]]
    assert not seldom, f"draw more keys that come to {', '.join(seldom)}"
