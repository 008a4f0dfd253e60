"""Reading a key's history again: what a thing was at a moment, and since when.

    ... ─ A → B ────────── at ───────── B → C ─ ...    the last change before `at` tells, and since when;
          pruned ───────── at ───────── B → C ─ ...    else the first one after it, backwards;
          pruned ───────── at ─────────────── now      else nothing has changed since.

All three are exact where no line after `at` was forgotten. The lines are those that `byokd.decide.transitions` writes;
one that is not of its form tells nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from byokd.decide.transitions import TO, UNSEEN
from byokd.facts.key import ABSENT, NEVER, Absent, Expiry, KeyState
from byokd.facts.ledger import HistoryEntry, HistoryEvent

Value = TypeVar("Value")

_PLACE: Final = re.compile(r"material (?P<number>[0-9]+): ", re.ASCII)
_ATTEMPT: Final = re.compile(r"attempt (?P<number>[0-9]+)(?:: )?(?P<rest>.*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Generic[Value]):
    """A change of one thing."""

    at: datetime
    before: Value
    after: Value
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Was(Generic[Value]):
    """What a thing was at a moment."""

    value: Value
    since: datetime | Absent
    """ABSENT where that is no longer on record."""
    cause: str = ""


def as_of(turns: Iterable[Turn[Value]], at: datetime, now: Value) -> Was[Value]:
    """What a thing was at `at`, if it is `now` today."""
    was = Was(value=now, since=ABSENT)
    for turn in reversed(list(turns)):
        if turn.at <= at:
            return Was(value=turn.after, since=turn.at, cause=turn.cause)
        was = Was(value=turn.before, since=ABSENT)
    return was


def in_config(history: Iterable[HistoryEntry]) -> list[Turn[bool]]:
    """The key's comings into the config and goings."""
    told = {HistoryEvent.TRACKED: True, HistoryEvent.UNTRACKED: False}
    return [
        Turn(at=each.at, before=not told[each.event], after=told[each.event], cause=each.cause)
        for each in history
        if each.event in told
    ]


def states(history: Iterable[HistoryEntry]) -> list[Turn[KeyState | Absent]]:
    """The key's states in KMS; ABSENT before the first look."""
    found = []
    for each in history:
        before, arrow, after = each.detail.partition(TO)
        if each.event is HistoryEvent.STATE_CHANGED and arrow:
            found.append(Turn(at=each.at, before=_state(before), after=_state(after), cause=each.cause))
    return found


def expiries(history: Iterable[HistoryEntry], place: int) -> list[Turn[Expiry | Absent]]:
    """The ends of life of one material."""
    found = []
    for each, detail in _of_material(history, place, HistoryEvent.EXPIRY_CHANGED):
        before, _, after = detail.partition(TO)
        try:
            turn = Turn(at=each.at, before=_expiry(before), after=_expiry(after), cause=each.cause)
        except ValueError:
            continue
        found.append(turn)
    return found


def lost(history: Sequence[HistoryEntry], place: int) -> list[Turn[datetime | Absent]]:
    """When one material was seen gone; ABSENT while it is there.

    It is back when its end of life moves, or when the key is no longer PendingImport: then it has all that it needs.
    """
    gone = [each.at for each, _ in _of_material(history, place, *_LOSSES)]
    back = [each.at for each, _ in _of_material(history, place, HistoryEvent.EXPIRY_CHANGED)]
    back += [turn.at for turn in states(history) if turn.before is KeyState.PENDING_IMPORT]
    turns: list[Turn[datetime | Absent]] = []
    # A loss and a new end at one moment: what was lost came back.
    for at, is_gone in sorted([(at, True) for at in gone] + [(at, False) for at in back], key=_gone_first):
        before = turns[-1].after if turns else ABSENT
        turns.append(Turn(at=at, before=before, after=at if is_gone else ABSENT, cause=""))
    return turns


def _gone_first(turn: tuple[datetime, bool]) -> tuple[datetime, bool]:
    at, is_gone = turn
    return at, not is_gone


def brought_by(history: Iterable[HistoryEntry], places: range) -> dict[str, int]:
    """Which material each import moved the end of, by the import's id."""
    return {
        each.cause.removeprefix("import "): place
        for place in places
        for each, _ in _of_material(history, place, HistoryEvent.EXPIRY_CHANGED)
        if each.cause.startswith("import ")
    }


def attempt(entry: HistoryEntry) -> tuple[int, str]:
    """Which attempt a line about an import speaks of, 0 for none, and what it says of it."""
    told = _ATTEMPT.search(entry.detail)
    return (int(told["number"]), told["rest"]) if told else (0, entry.detail)


_LOSSES: Final = (HistoryEvent.MATERIAL_LAPSED, HistoryEvent.MATERIAL_DELETED)


def _of_material(
    history: Iterable[HistoryEntry], place: int, *events: HistoryEvent
) -> Iterator[tuple[HistoryEntry, str]]:
    """Lines about one material, and what they say of it; a line that names none is about the first."""
    for each in history:
        if each.event in events:
            named = _PLACE.match(each.detail)
            if (int(named["number"]) - 1 if named else 0) == place:
                yield each, each.detail[named.end() :] if named else each.detail


def _state(text: str) -> KeyState | Absent:
    if text == UNSEEN:
        return ABSENT
    return KeyState(text) if text in set(KeyState) else KeyState.UNKNOWN


def _expiry(text: str) -> Expiry | Absent:
    """What `show_expiry` wrote. Raises: ValueError for anything else."""
    if text in ("never", "none"):
        return NEVER if text == "never" else ABSENT
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%SZ").replace(tzinfo=UTC)
