"""What time alone does to keys: transitions end, material expires, rotations finish, scheduled ones happen.

A key knows its next moment (`Key.due_at`), and the keyring calls `aged` for each key when its moment has come, earliest
first, so that a long jump of the clock has the same effect as many short ones. The end of a waiting period, which
leaves no key, is the keyring's own.

This file must not read a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from byokd.localkms.families import drop_material, finish_rotation, rotate_on_schedule
from byokd.localkms.keys import Key, KeyState


def aged(key: Key, relatives: Sequence[Key], now: float) -> list[Key]:
    """All keys that change because `now` (epoch seconds) has come for one of them: itself and perhaps its relatives."""
    family = {each.arn: each for each in (key, *relatives)}
    changed: dict[str, Key] = {}

    def keep(keys: Iterable[Key]) -> None:
        for each in keys:
            family[each.arn] = changed[each.arn] = each

    def others() -> list[Key]:
        return [each for arn, each in family.items() if arn != key.arn]

    if key.transition is not None and key.transition.until <= now:
        keep([replace(key, transition=None)])
    for material in key.materials:
        if material.expires_at is not None and material.expires_at <= now:
            keep(drop_material(family[key.arn], others(), material.id))
    key = family[key.arn]
    if key.rotation is not None and key.rotation.done_at <= now:
        keep(finish_rotation(key, others(), key.rotation.done_at))
        key = family[key.arn]
    if key.schedule is not None and key.schedule.next_at <= now and not key.replica and key.state is KeyState.ENABLED:
        keep(rotate_on_schedule(key, others()))
    return list(changed.values())
