"""What the body of an order must look like: anything else is an `OperatorError` that says what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from byokd.config.problems import Unfit
from byokd.config.quantities import parse_duration
from byokd.errors import OperatorError, OrderRefused
from byokd.facts.key import ABSENT, NEVER, Absent, Expiry
from byokd.facts.ledger import OrderKind
from byokd.web import documents
from byokd.web.answers import MAX_TEXT

TEXTS: Final = ("kind", "key", "fleet", "lane", "why", "until", "valid_to")
FLAGS: Final = ("dry_run", "lose_material")
MEMBERS: Final = (*TEXTS, *FLAGS)
MAX_WHY: Final = 500
"""Characters of a reason: it is shown whole in every history."""
LONGEST: Final = timedelta(days=365)
"""The longest life of material (API model, ImportKeyMaterial.ValidTo)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An order as it was asked for, well-formed. One of `key`, `fleet` and `lane` is not empty."""

    kind: OrderKind
    key: str
    fleet: str
    lane: str
    why: str
    until: datetime | Absent
    """When a hold ends."""
    valid_to: Expiry | Absent
    """The end of life that an import is to have."""
    dry_run: bool
    """Only say what would be ordered."""
    lose: bool
    """Whether a suspension also deletes what byokd could not bring back."""

    @property
    def meant(self) -> str:
        """What the order is for."""
        return self.key or (f"the fleet {self.fleet!r}" if self.fleet else f"the lane {self.lane!r}")


def read(body: object, now: datetime) -> Request:
    """The order that a decoded JSON body asks for.

    Raises:
        OperatorError: it is not a well-formed order.
        OrderRefused: it would be over before it began.
    """
    texts, flags = _members(body)
    if texts["kind"] not in set(OrderKind):
        raise OperatorError(f"kind is {texts['kind']!r}: it must be one of {', '.join(OrderKind)}")
    if sum(bool(texts[name]) for name in ("key", "fleet", "lane")) != 1:
        raise OperatorError("an order needs a key, or a fleet, or a lane")
    kind = OrderKind(texts["kind"])
    if texts["until"] and kind is not OrderKind.HOLD:
        raise OperatorError("only a hold has an end (until)")
    if texts["valid_to"] and kind is not OrderKind.IMPORT:
        raise OperatorError("only an import has an end of life (valid_to)")
    if flags["lose_material"] and kind is not OrderKind.SUSPEND:
        raise OperatorError("only a suspension may lose material (lose_material)")
    return Request(
        kind=kind,
        key=texts["key"],
        fleet=texts["fleet"],
        lane=texts["lane"],
        why=texts["why"],
        until=_end(texts["until"], now),
        valid_to=_valid_to(texts["valid_to"], now),
        dry_run=flags["dry_run"],
        lose=flags["lose_material"],
    )


def read_approval(body: object, now: datetime) -> Request:
    """The approval that a decoded JSON body asks for. Raises: OperatorError where it is not well-formed."""
    asked = read(body, now)
    if asked.why or asked.until is not ABSENT or asked.valid_to is not ABSENT or asked.lose:
        raise OperatorError("an approval changes nothing of the order: it has no why, until, valid_to or lose_material")
    return asked


def _members(body: object) -> tuple[dict[str, str], dict[str, bool]]:
    if not isinstance(body, dict):
        raise OperatorError(f"an order is a JSON object with the members {', '.join(MEMBERS)}")
    for name, value in body.items():
        if name not in MEMBERS:
            raise OperatorError(f"an order has no member {name!r}: there are {', '.join(MEMBERS)}")
        if name in TEXTS and value is not None and not (isinstance(value, str) and value.isprintable()):
            raise OperatorError(f"{name} must be text on one line")
    flags = {name: body.get(name) or False for name in FLAGS}
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise OperatorError(f"{name} must be true or false")
    texts = {name: body.get(name) or "" for name in TEXTS}
    for name, text in texts.items():
        most = MAX_WHY if name == "why" else MAX_TEXT
        if len(text) > most:
            raise OperatorError(f"{name} is longer than {most} characters")
    return texts, flags


def _end(text: str, now: datetime) -> datetime | Absent:
    """When a hold ends: strictly after `now`."""
    if not text:
        return ABSENT
    end = _moment("until", text, now)
    if end <= now:
        why = f"the hold would be over already: {documents.stamp(end)} is not after {documents.stamp(now)}"
        raise OrderRefused(why, "Give a time to come, or how long from now, such as 2h.")
    return end


def _valid_to(text: str, now: datetime) -> Expiry | Absent:
    """When imported material is to end: after `now`, within what KMS allows, or never."""
    if not text:
        return ABSENT
    if text == NEVER.value:
        return NEVER
    end = _moment("valid_to", text, now)
    if not now < end <= now + LONGEST:
        raise OperatorError(f"valid_to is {documents.stamp(end)}: it must lie within the next {LONGEST.days} days")
    return end


def _moment(name: str, text: str, now: datetime) -> datetime:
    try:
        if text[:4].isdigit() and "-" in text:
            return documents.moment(text).astimezone(UTC).replace(microsecond=0)
        return now + parse_duration(text)
    except (Unfit, ValueError, OverflowError):
        raise OperatorError(f"{name} is {text!r}: write a duration such as 2h, or 2026-03-01T12:00:00Z") from None
