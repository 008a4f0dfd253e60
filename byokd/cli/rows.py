"""Documents as cells: time left, tiers, bars and ages, in one place for the tables and for the view."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from rich.text import Text

from byokd.cli.durations import ago, humane
from byokd.cli.listing import Listing, text

Document = dict[str, Any]

TIER_STYLES: Final = {
    "fresh": "green",
    "due": "cyan",
    "urgent": "yellow",
    "emergency": "red",
    "lapsed": "bold white on red",
    "suspended": "magenta",
}
"""By how near the deadline is."""
GONE: Final = ("lapsed", "suspended")
"""Tiers of keys that are without a material, whatever its ValidTo was."""
SEVERITY_STYLES: Final = {"info": "blue", "warning": "yellow", "critical": "bold red"}
IMPORT_STYLES: Final = {"queued": "cyan", "running": "bold cyan", "failed": "yellow", "done": "green", "refused": "red"}

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


def unseen(by_state: dict[str, int]) -> int:
    """How many keys no look has seen, or sees at present: their tier is the last known, or fresh where none is."""
    return by_state.get("Blind", 0) + by_state.get("NeverLooked", 0)


def seconds_until(stamp: str | None, at: str) -> int | None:
    """Seconds from `at` to a time of a document, negative once it has passed; None for `never` and for null."""
    if stamp is None or stamp == "never":
        return None
    return int((datetime.fromisoformat(stamp) - datetime.fromisoformat(at)).total_seconds())


def time_left(key: Document, at: str) -> str:
    """How long the material still lives: a key of a list, of a page, or as AWS has it, which has no tier."""
    left, tier = seconds_until(key["expires_at"], at), key.get("tier")
    if tier in GONE and (left is None or left > 0 or tier == "suspended"):
        return "gone"
    if left is None:
        return "never ends" if key["expires_at"] == "never" else "-"
    return humane(left) if left > 0 else f"ended {ago(-left)}"


def share_left(key: Document, at: str) -> float:
    """The share of the material's life that is left, 0 to 1: 1 where it never ends, 0 where it is gone or unknown."""
    if key["tier"] in GONE:
        return 0.0
    if key["expires_at"] == "never":
        return 1.0
    left, life = seconds_until(key["expires_at"], at), seconds_until(key["expires_at"], key["imported_at"] or at)
    if left is None or not life or life <= 0:
        return 0.0
    return min(1.0, max(0.0, left / life))


def bar(share: float, width: int, style: str) -> Text:
    """A bar, an eighth of a cell fine."""
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    filled = "█" * full + (_EIGHTHS[rest] if rest else "")
    return Text.assemble((filled, style), ("·" * (width - len(filled)), "bright_black"))


def tier_style(key: Document) -> str:
    """The colour of a key."""
    return TIER_STYLES.get(key["tier"], "")


def keys(lines: Sequence[Document], at: str, *, bar_width: int = 0) -> Listing:
    """Keys, with a bar in front of the time left where `bar_width` is not 0."""
    headers = ("KEY", "FLEET", "STATE", "TIME LEFT", "TIER", "QUEUE", "WORST", "NEXT")
    return Listing(headers, [_key(line, at, bar_width) for line in lines], wide=("NEXT",), names=("KEY",))


def _key(line: Document, at: str, bar_width: int) -> list[Text]:
    style = tier_style(line)
    left = text(time_left(line, at), style)
    if bar_width:
        left = Text.assemble(bar(share_left(line, at), bar_width, style), " ", left)
    return [
        text(line["name"]),
        text(line["fleet"]),
        text(line["state"] + (f", {line['multi_region']}" if line["multi_region"] else "")),
        left,
        text(line["tier"], style),
        text(line["import_state"], IMPORT_STYLES.get(line["import_state"], "")),
        text(line["severity"], SEVERITY_STYLES.get(line["severity"], "")),
        text(f"{line['reason']}: {line['message']}"),
    ]


def imports(rows: Sequence[Document], at: str) -> Listing:
    """Rows of the import queue."""
    headers = ("KEY", "STATE", "REASON", "TIER", "DEADLINE", "TRY", "ATTEMPTS", "OUTCOME")
    return Listing(headers, [_import(row, at) for row in rows], wide=("OUTCOME",), names=("KEY",))


def _import(row: Document, at: str) -> list[Text]:
    deadline = seconds_until(row["deadline"], at) or 0
    wait = seconds_until(row["not_before"], at) or 0
    closed = row["finished_at"] is not None
    return [
        text(row["key"]),
        text(row["state"], IMPORT_STYLES.get(row["state"], "")),
        text(row["reason"]),
        text(row["tier"], TIER_STYLES.get(row["tier"], "")),
        text(row["deadline"] if closed else ago(-deadline)),
        text("-" if closed else ("now" if wait <= 0 else ago(-wait))),
        text(row["attempts"]),
        text(": ".join(part for part in (row["outcome"], row["detail"]) if part)),
    ]


def orders(rows: Sequence[Document], at: str) -> Listing:
    """What operators asked for, and how far that is."""
    headers = ("ORDER", "KEY", "KIND", "STATE", "BY", "GIVEN", "WHY", "OUTCOME")
    return Listing(headers, [_order(row, at) for row in rows], wide=("WHY", "OUTCOME"), names=("KEY",))


def asked(order: Document) -> str:
    """What an order asks for, in the words of the history: its kind, and whether it may lose material for good."""
    return f"{order['kind']} with all its material" if order["lose_material"] else str(order["kind"])


def _order(row: Document, at: str) -> list[Text]:
    given = seconds_until(row["created_at"], at) or 0
    state = "in force" if row["effective_at"] and row["state"] == "open" else row["state"]
    return [
        text(row["id"]),
        text(row["key"]),
        text(asked(row)),
        text(state),
        text(row["by"]),
        text(ago(-given)),
        text(row["why"]),
        text(row["outcome"]),
    ]


def history(entries: Sequence[Document]) -> Listing:
    """Lines of life."""
    return Listing(
        ("AT", "KEY", "EVENT", "DETAIL", "CAUSE"),
        [[text(each["at"]), text(each["key"]), *map(text, _told(each))] for each in entries],
        wide=("DETAIL", "CAUSE"),
        names=("KEY",),
    )


def _told(entry: Document) -> tuple[str, str, str]:
    return entry["event"], entry["detail"], entry["cause"]


def conditions(open_: Sequence[Document], at: str) -> Listing:
    """What a person may need to know."""
    return Listing(
        ("SEVERITY", "CONDITION", "SUBJECT", "SINCE", "DETAIL"),
        [
            [
                text(each["severity"], SEVERITY_STYLES.get(each["severity"], "")),
                text(each["kind"]),
                text(each["subject"]),
                text(ago(-(seconds_until(each["since"], at) or 0))),
                text(each["detail"]),
            ]
            for each in open_
        ],
        wide=("DETAIL",),
        names=("SUBJECT",),
    )


def drift(differences: Sequence[Document], at: str) -> Listing:
    """Where config, AWS and journal differ."""
    return Listing(
        ("BETWEEN", "WHAT", "SUBJECT", "SINCE", "DETAIL"),
        [
            [
                text(each["between"]),
                text(each["kind"], SEVERITY_STYLES.get(each["severity"], "")),
                text(each["subject"]),
                text(None if each["since"] is None else ago(-(seconds_until(each["since"], at) or 0))),
                text(each["detail"]),
            ]
            for each in differences
        ],
        wide=("DETAIL",),
        names=("SUBJECT",),
    )


def load(lines: Sequence[Document], *, bar_width: int = 0) -> Listing:
    """The load of a lane over time, with a bar of what gets done against what could be where `bar_width` is not 0."""
    headers = ("FROM", "DUE", "DONE", "LEVEL", "CAPACITY", "LOAD")
    return Listing(headers, [_load(line, bar_width) for line in lines])


def _load(line: Document, bar_width: int) -> list[Text]:
    share = line["renewed"] / line["capacity"] if line["capacity"] else float(line["renewed"] > 0)
    style = "red" if share >= 0.97 else "yellow" if share >= 0.75 else "green"
    said = text(f"{share:4.0%}", style)
    if bar_width:
        said = Text.assemble(bar(min(1.0, share), bar_width, style), " ", said)
    return [text(line["starts_at"]), *(text(line[name]) for name in ("due", "renewed", "level", "capacity")), said]


def renewals(lines: Sequence[Document]) -> Listing:
    """Renewals that are to be expected."""
    headers = ("KEY", "FLEET", "DUE", "RENEWED", "ENDS", "TIME LEFT THEN", "OF THE LEAD")
    return Listing(headers, [_renewal(line) for line in lines], names=("KEY",))


def rotations(lines: Sequence[Document]) -> Listing:
    """Rotations by period that are to be expected."""
    headers = ("KEY", "FLEET", "ROTATES", "HINDERED BY")
    return Listing(headers, [_by_period(line) for line in lines], wide=("HINDERED BY",), names=("KEY",))


def _by_period(line: Document) -> list[Text]:
    rotates = "ordered" if line["ordered"] else line["rotates_at"]
    return [text(line["name"]), text(line["fleet"]), text(rotates), text(line["hindered"] or "-")]


def _renewal(line: Document) -> list[Text]:
    slack, share = line["slack_s"], line["slack_share"]
    late = slack is not None and slack <= 0
    style = "" if share is None else "bold red" if late else "yellow" if share < 0.5 else "green"
    left = "-" if slack is None else (f"{humane(-slack)} too late" if late else humane(slack))
    return [
        text(line["name"]),
        text(line["fleet"]),
        text(line["due_at"]),
        text(f"{line['renewed_at'] or 'never'}{', if seen by then' if line['blind'] else ''}"),
        text("ended" if line["lapsed"] else line["expires_at"]),
        text(left, style),
        text("-" if share is None else f"{share:z.0%}", style),
    ]
