"""How a message reads, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from byokd.alerts.render import document, line
from byokd.facts.condition import Message, Notice, NoticeKind, Severity
from tests.kit.notices import KEY, SINCE, a_notice, alone

LANE = "111122223333/eu-central-1"
ENDS = datetime.fromisoformat("2026-04-01T00:00:00Z")


def a_member(number: int) -> Notice:
    """One notice of many."""
    notice = a_notice(detail=f"Key {number} is locked out.")
    return replace(notice, id=f"n-{number}", subject=f"{KEY[:-4]}{number:04}", since=SINCE + timedelta(minutes=number))


def of_many(count: int) -> Message:
    """A message about many keys, of which the last one ends first, and the first one never."""
    notices = tuple(a_member(number) for number in range(count))
    return Message(
        notices=notices,
        deadlines={each.subject: ENDS - timedelta(days=number) for number, each in enumerate(notices) if number},
        now_open=300,
    )


def test_document() -> None:
    """The document has the members of version 1, which receivers rely on."""
    message = alone(a_notice(), ENDS)
    assert document(message) == {
        "version": 1,
        "id": "n-1",
        "kind": "raised",
        "severity": "critical",
        "condition": "expiring",
        "subject": KEY,
        "detail": "The material ends in 3 days and was not renewed.",
        "since": "2026-03-01T12:00:00Z",
        "stage": "3d",
        "runbook": "docs/runbook.md#expiring",
        "line": line(message),
        "keys": 1,
        "open": None,
        "deadline": "2026-04-01T00:00:00Z",
        "first": [],
    }


def test_document_of_a_lane() -> None:
    """What is about no key has no deadline, and is about no keys."""
    told = document(alone(replace(a_notice(), subject=f"lane:{LANE}")))
    assert (told["subject"], told["keys"], told["deadline"], told["first"]) == (f"lane:{LANE}", 0, None, [])


def test_document_of_many_keys() -> None:
    """It says how many, the nearest deadline, the first few and how to see them all; its words for one key stay."""
    message = of_many(12)
    told = document(message)
    assert (told["subject"], told["keys"], told["open"]) == (f"lane:{LANE}", 12, 300)
    assert (told["since"], told["deadline"], told["stage"]) == ("2026-03-01T12:00:00Z", "2026-03-21T00:00:00Z", "3d")
    assert [each["id"] for each in told["first"]] == [f"n-{number}" for number in range(11, 1, -1)]
    assert told["first"][0] == {
        "id": "n-11",
        "subject": f"{KEY[:-4]}0011",
        "detail": "Key 11 is locked out.",
        "since": "2026-03-01T12:11:00Z",
        "deadline": "2026-03-21T00:00:00Z",
    }
    assert line(message) == (
        f"CRITICAL expiring 12 keys of {LANE} (300 in all): "
        "the nearest deadline is 2026-03-21T00:00:00Z; Key 11 is locked out.; "
        f"{KEY[:-4]}0011, {KEY[:-4]}0010, {KEY[:-4]}0009 and 9 more: `byokd keys --lane {LANE} --condition expiring` "
        "(since 2026-03-01T12:00:00Z; docs/runbook.md#expiring)"
    )


def test_document_of_keys_that_are_told_twice() -> None:
    """Keys are counted and named, each with what is newest about it, however many notices of it are in the message."""
    message = of_many(12)
    still = a_notice(detail="Still.").condition
    newest = [replace(each, id=f"{each.id}-2", condition=still) for each in message.notices]
    told = document(replace(message, notices=(*message.notices, *newest)))
    assert (told["keys"], told["since"]) == (12, "2026-03-01T12:00:00Z")
    assert [each["id"] for each in told["first"]] == [f"n-{number}-2" for number in range(11, 1, -1)]
    assert f"expiring 12 keys of {LANE} (300 in all)" in told["line"]
    assert "; Still.; " in told["detail"]
    assert "0009 and 9 more: " in told["detail"]


def test_document_of_one_key_that_is_told_often() -> None:
    """What gathered about one key while nobody could be told is a message about that key."""
    message = alone(a_notice(), ENDS)
    often = tuple(replace(a_notice(detail=f"Day {number}."), id=f"n-{number}") for number in range(5))
    told = document(replace(message, notices=often))
    assert (told["subject"], told["keys"], told["first"]) == (KEY, 1, [])
    assert (told["detail"], told["deadline"]) == ("Day 4.", "2026-04-01T00:00:00Z")
    assert told["line"].startswith(f"CRITICAL expiring {KEY}: Day 4. (since ")
    assert told["id"] != document(replace(message, notices=often[1:]))["id"]


@pytest.mark.parametrize(("left", "told"), [(300, "300 left"), (0, "none left")])
def test_recovery_of_many_keys(left: int, told: str) -> None:
    """Of what is over for many keys it is said how many still have it."""
    message = of_many(12)
    over = tuple(replace(notice, kind=NoticeKind.RESOLVED) for notice in message.notices)
    assert line(replace(message, notices=over, now_open=left)).startswith(
        f"RESOLVED expiring 12 keys of {LANE} ({told}): the nearest deadline"
    )


def test_id_of_many_keys() -> None:
    """The same notices have the same id, in any order; more of them have another, or a receiver would drop it."""
    message = of_many(5)
    again = replace(message, notices=message.notices[::-1])
    assert document(message)["id"] == document(again)["id"] != document(of_many(6))["id"]


def test_stages_of_many_keys() -> None:
    """A step that is not that of all is that of none."""
    message = of_many(5)
    other = replace(message.notices[0], condition=replace(message.notices[0].condition, stage="1d"))
    assert document(replace(message, notices=(other, *message.notices[1:])))["stage"] == ""


def test_size() -> None:
    """Ten thousand keys that have much to say make a message of kilobytes."""
    notices = tuple(
        replace(each, condition=replace(each.condition, detail="€" * 5000)) for each in of_many(10_000).notices
    )
    assert len(json.dumps(document(Message(notices=notices, deadlines={})))) < 50_000


@pytest.mark.parametrize(
    ("kind", "severity", "begins"),
    [
        (NoticeKind.RAISED, Severity.CRITICAL, f"CRITICAL expiring {KEY}: The material ends"),
        (NoticeKind.REMINDER, Severity.WARNING, f"STILL WARNING expiring {KEY}: "),
        (NoticeKind.RESOLVED, Severity.CRITICAL, f"RESOLVED expiring {KEY}: "),
    ],
)
def test_line(kind: NoticeKind, severity: Severity, begins: str) -> None:
    """A line begins with how bad it is, and ends with since when and what to do."""
    told = line(alone(a_notice(kind=kind, severity=severity)))
    assert told.startswith(begins)
    assert told.endswith("(since 2026-03-01T12:00:00Z; docs/runbook.md#expiring)")


def test_one_line() -> None:
    """A detail of several lines does not forge further log lines."""
    assert "\n" not in line(alone(a_notice(detail="first\nCRITICAL forged")))
