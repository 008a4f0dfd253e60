"""Inheritance: from what defaults, fleet and key say to one whole policy in which every relation holds.

    time of life   0 ......................... renew_at - spread ... renew_at ......... emergency_at ... valid_for
                   |--- renewal_floor ---|          |-- spread --|------------ renew_before -----------|

A renewal may start `renew_before + spread` ahead, and not within `renewal_floor` of the last one. If these do not fit
into `valid_for`, a key would be due as soon as it is renewed, and the floor alone would set the pace: refused. So is an
emergency that begins before the normal renewal.

A complaint is laid at the innermost layer that had a say in it, because that is where somebody wrote the odd value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

from byokd.config.policy import BUILT_IN, NEVER_COUNTS_AS, PolicySettings
from byokd.config.quantities import format_duration, round_seconds, write
from byokd.decide.windows import longest_closed
from byokd.facts.key import NEVER, WrappingAlgorithm, WrappingKeySpec
from byokd.facts.kinds import AUTO
from byokd.facts.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Something wrong with one setting of one layer."""

    layer: int
    """Index of the layer, outermost first; -1 where it is built in."""
    setting: str
    what: str
    hint: str


def chosen(layers: Sequence[PolicySettings], setting: str) -> tuple[Any, int]:
    """A setting's value and the layer that says it; the built-in value, or None, and -1 where none does."""
    for index in range(len(layers) - 1, -1, -1):
        if (value := getattr(layers[index], setting)) is not None:
            return value, index
    return getattr(BUILT_IN, setting), -1


def whole_policy(layers: Sequence[PolicySettings]) -> tuple[Policy, tuple[Complaint, ...]]:
    """The policy that the layers (outermost first) come to. It may be used only where there are no complaints."""
    said = {setting: chosen(layers, setting) for setting in PolicySettings.model_fields}
    value = {setting: each for setting, (each, _) in said.items()}
    life = NEVER_COUNTS_AS if value["valid_for"] is NEVER else value["valid_for"]
    renew_before = max(timedelta(seconds=1), _of(value["renew_before"], life))
    policy = Policy(
        valid_for=value["valid_for"],
        renew_before=renew_before,
        emergency_share=float(value["emergency_share"]),
        spread=_of(value["spread"], renew_before),
        renewal_floor=value["renewal_floor"],
        on_lapse=value["on_lapse"],
        on_foreign_delete=value["on_foreign_delete"],
        wrapping_algorithm=AUTO if (algorithm := value["wrapping_algorithm"]) == AUTO else WrappingAlgorithm(algorithm),
        wrapping_key_spec=AUTO if (key_spec := value["wrapping_key_spec"]) == AUTO else WrappingKeySpec(key_spec),
        alert_before=tuple(sorted(set(value["alert_before"]), reverse=True)),
        look_every=value["look_every"],
        drill_every=value["drill_every"],
        settle_for=value["settle_for"],
        windows=tuple(window.window() for window in value["windows"] or ()),
        priority=value["priority"],
        probe=value["probe"],
        rotate_every=value["rotate_every"],
    )
    layer = {setting: index for setting, (_, index) in said.items()}
    return policy, tuple(_complaints(policy, value["emergency_share"], layer))


def _of(value: timedelta | Fraction, whole: timedelta) -> timedelta:
    return round_seconds(whole, value) if isinstance(value, Fraction) else value


def _complaints(policy: Policy, emergency_share: Fraction, layer: dict[str, int]) -> list[Complaint]:
    def blame(settings: Sequence[str], what: str, hint: str) -> Complaint:
        innermost = max(settings, key=lambda setting: layer[setting])
        return Complaint(layer=layer[innermost], setting=innermost, what=what, hint=hint)

    found = []
    before = format_duration(policy.renew_before)
    if policy.valid_for is not NEVER:
        life = format_duration(policy.valid_for)
        left = policy.valid_for - policy.renew_before - policy.spread
        if policy.renew_before >= policy.valid_for:
            what = f"renew_before ({before}) must be shorter than valid_for ({life})"
            found.append(blame(("renew_before", "valid_for"), what, "a share such as 1/3 always is"))
        elif policy.renewal_floor >= left:
            what = (
                f"renew_before ({before}), spread ({format_duration(policy.spread)}) and "
                f"renewal_floor ({format_duration(policy.renewal_floor)}) do not fit into valid_for ({life})"
            )
            hint = "shorten renew_before or spread" if left <= timedelta(seconds=1) else ""
            hint = hint or f"a renewal_floor below {format_duration(left)} would fit"
            found.append(blame(("renewal_floor", "renew_before", "spread", "valid_for"), what, hint))
    # Where material never expires, the tiers are laid out as if renew_before were the last third of a life.
    life_s = 3 * policy.renew_before if policy.valid_for is NEVER else policy.valid_for
    emergency = max(timedelta(seconds=1), round_seconds(life_s, emergency_share))
    if emergency >= policy.renew_before and not found:
        what = (
            f"emergency_share ({write(emergency_share)}, {format_duration(emergency)}) "
            f"must begin after renew_before ({before})"
        )
        hint = "lower emergency_share, or renew earlier"
        found.append(blame(("emergency_share", "renew_before", "valid_for"), what, hint))
    # Where material never expires, windows are for rotations by period, which can wait for a year.
    if policy.windows and policy.valid_for is not NEVER and not found:
        closed, or_more = longest_closed(policy.windows)
        routine = policy.renew_before - max(policy.renew_before / 2, emergency)
        if closed >= routine:
            time = format_duration(closed)
            what = (
                f"windows are closed for {f'{time} and more' if or_more else f'up to {time}'}, and a renewal is "
                f"routine for only {format_duration(routine)} (from renew_before, {before}, until it is urgent)"
            )
            hint = "open them more often, or renew earlier"
            found.append(blame(("windows", "renew_before", "valid_for"), what, hint))
    return found
