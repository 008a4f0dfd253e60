"""Why a decision came out as it did: which rule spoke for each material, and which material spoke for the key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from byokd.decide.case import Case, case
from byokd.decide.decide import decided, ruling
from byokd.decide.minds import MINDS, Mind
from byokd.decide.rules import RULES, Rule
from byokd.decide.several import Precedence, leading, merged, precedence
from byokd.decide.verdict import Verdict
from byokd.facts.key import Absent
from byokd.facts.snapshot import Decision, Snapshot

GOES_FIRST: Final[Mapping[Precedence, str]] = {
    Precedence.DELETION: "a suspension goes before everything else",
    Precedence.ORDER: "an order is given before anything is done, since it is done with the rest then",
    Precedence.IMPORT: "of the materials that are to be imported it is the most urgent, or has the nearest deadline",
    Precedence.ROTATION: "a rotation goes before what only waits",
    Precedence.PROBE: "the key is to be tried before its sources are asked for anything",
    Precedence.PROOF: "nothing is to be done but to ask sources, and it is the nearest to its end",
    Precedence.WAITING: "its import or its rotation waits, and nothing is to be done for the other materials",
    Precedence.NOTHING: "nothing is to be done, and it is the nearest to its end",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one material was decided on as it was."""

    the: Case
    rule: str
    """The name of the rule that decided, of `byokd.decide.rules`."""
    says: str
    """The rule in one sentence."""
    verdict: Verdict
    mind: Mind
    behind: Verdict | None
    """What would decide if that rule passed; None where it wants something done, or nothing would."""
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The decision about a key, and where it comes from."""

    decision: Decision
    goes_first: str
    """Why the decision about this material is the whole key's; empty where the key has one only."""
    materials: tuple[Explanation, ...]
    """One for each, in order."""


def why(snapshot: Snapshot, now: datetime) -> Why:
    """What `decide` says of a key at `now`, explained."""
    materials = tuple(explained(case(snapshot.turned_to(place), now)) for place in snapshot.places)
    decisions = [each.decision for each in materials]
    first = leading(decisions)
    return Why(
        decision=merged(decisions),
        goes_first=GOES_FIRST[precedence(first)] if snapshot.others else "",
        materials=materials,
    )


def explained(the: Case) -> Explanation:
    """The decision about one material, explained."""
    rule, verdict = ruling(the)
    later = RULES[RULES.index(rule) + 1 :] if isinstance(verdict.action, Absent) else ()
    return Explanation(
        the=the,
        rule=rule.__name__,
        says=_sentence(rule),
        verdict=verdict,
        mind=MINDS[rule](the, verdict),
        behind=next((said for each in later if (said := each(the)) is not None), None),
        decision=decided(the),
    )


def _sentence(rule: Rule) -> str:
    """The first paragraph of a rule's docstring, which is the policy in words; empty where Python left it out."""
    first = (rule.__doc__ or "").strip().partition("\n\n")[0]
    return " ".join(first.split())
