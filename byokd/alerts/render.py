"""A message as a line for people and as a document for programs. The same words in every channel.

The document, version 1; a member is added without a new version, and never changes its meaning::

    version    1
    id         of the message; delivery is at least once, so a receiver drops an id that it has seen
    kind       raised, reminder or resolved
    severity   info, warning or critical
    condition  what is true, a word of `ConditionKind`; the runbook has an entry of that name
    subject    the key's ref, `lane:<id>`, or `daemon`; `lane:<id>` where the message is about several keys
    detail     one sentence for a person
    since      when the condition began, RFC 3339 in UTC; of several keys, where it began first
    stage      the step of the condition, such as the threshold crossed; may be empty
    runbook    where to read what to do
    line       all of that in one line for a person
    keys       how many keys the message is about; 0 where it is about a lane as a whole, or the daemon
    open       how many keys of the lane have the condition now, as severe as the channel asks for, told or not; null
               where it is about no key, and in channels that tell of each key by itself
    deadline   when the key's material ends, RFC 3339 in UTC; of several keys, the nearest; null where there is none
    first      where the message is about several keys, the ten nearest their deadlines, each an object with the id,
               subject, detail, since and deadline that it would have had by itself; else empty

However many keys a message is about, it is no longer than some kilobytes.
"""

from __future__ import annotations

import hashlib
import heapq
from datetime import UTC, datetime
from typing import Any, Final

from byokd.facts.condition import ConditionKind, Message, Notice, NoticeKind
from byokd.facts.key import Absent

VERSION: Final = 1
NAMED: Final = 10
"""Keys of a message that are named in it."""
NAMED_IN_LINE: Final = 3
DETAIL_AT_MOST: Final = 500
"""Characters told of each key of many."""
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


def document(message: Message) -> dict[str, Any]:
    """The message as JSON members, in the order of the module's description."""
    keys = _keys(message)
    head, several = keys[0], len(keys) > 1
    stages = {notice.condition.stage for notice in keys}
    return {
        "version": VERSION,
        "id": _id(message),
        "kind": head.kind.value,
        "severity": head.condition.severity.name.lower(),
        "condition": head.condition.kind.value,
        "subject": f"lane:{head.lane}" if several else head.subject,
        "detail": detail(message),
        "since": _moment(min(notice.since for notice in message.notices)),
        "stage": stages.pop() if len(stages) == 1 else "",
        "runbook": runbook(head.condition.kind),
        "line": line(message),
        "keys": 0 if isinstance(head.lane, Absent) else len(keys),
        "open": message.now_open,
        "deadline": _deadline(message),
        "first": [_member(message, notice) for notice in _nearest(message)[:NAMED]] if several else [],
    }


def line(message: Message) -> str:
    """One line for a person: how bad, what, about which key or how many, since when, and where to read on."""
    head, *others = _keys(message)
    about = _about_many(head, 1 + len(others), message.now_open) if others else head.subject
    told = " ".join(detail(message).split())
    since = _moment(min(notice.since for notice in message.notices))
    return f"{_word(head)} {head.condition.kind} {about}: {told} (since {since}; {runbook(head.condition.kind)})"


def detail(message: Message) -> str:
    """What is to be said.

    Of several keys: the nearest deadline, what is true of that key, the first few, and how to see them all.
    """
    keys = _keys(message)
    if len(keys) == 1:
        return keys[0].condition.detail
    first, *_ = nearest = _nearest(message)
    deadline = message.deadlines.get(first.subject)
    ends = "" if deadline is None else f"the nearest deadline is {_moment(deadline)}; "
    names = ", ".join(notice.subject for notice in nearest[:NAMED_IN_LINE])
    more = len(keys) - NAMED_IN_LINE
    others = f" and {more} more" if more > 0 else ""
    see = f"`byokd keys --lane {first.lane} --condition {first.condition.kind}`"
    return f"{ends}{_cut(first.condition.detail)}; {names}{others}: {see}"


def runbook(kind: ConditionKind) -> str:
    """Where to read what to do about a condition."""
    return f"docs/runbook.md#{kind.value}"


def _keys(message: Message) -> list[Notice]:
    """What is newest about each key: of one that could not be told for long, the message may have several notices."""
    return list({notice.subject: notice for notice in message.notices}.values())


def _about_many(head: Notice, keys: int, now: int | None) -> str:
    others = f"{now or 'none'} left" if head.kind is NoticeKind.RESOLVED or not now else f"{now} in all"
    return f"{keys} keys of {head.lane} ({others})"


def _id(message: Message) -> str:
    """Of the same notices the same, and of others another, or a receiver would drop what it has not seen."""
    if len(message.notices) == 1:
        return message.notices[0].id
    return hashlib.sha256("\n".join(sorted(notice.id for notice in message.notices)).encode()).hexdigest()[:32]


def _nearest(message: Message) -> list[Notice]:
    """Those whose keys are nearest their deadlines, the nearest first."""
    ends = message.deadlines
    return heapq.nsmallest(NAMED, _keys(message), key=lambda notice: (ends.get(notice.subject, _NEVER), notice.subject))


def _member(message: Message, notice: Notice) -> dict[str, Any]:
    deadline = message.deadlines.get(notice.subject)
    return {
        "id": notice.id,
        "subject": notice.subject,
        "detail": _cut(notice.condition.detail),
        "since": _moment(notice.since),
        "deadline": None if deadline is None else _moment(deadline),
    }


def _deadline(message: Message) -> str | None:
    ends = [at for notice in message.notices if (at := message.deadlines.get(notice.subject)) is not None]
    return _moment(min(ends)) if ends else None


def _cut(text: str) -> str:
    return text if len(text) <= DETAIL_AT_MOST else f"{text[:DETAIL_AT_MOST]}…"


def _word(notice: Notice) -> str:
    match notice.kind:
        case NoticeKind.RAISED:
            return notice.condition.severity.name
        case NoticeKind.REMINDER:
            return f"STILL {notice.condition.severity.name}"
        case NoticeKind.RESOLVED:
            return "RESOLVED"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
