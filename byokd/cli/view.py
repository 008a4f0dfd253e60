"""The terminal view: the fleet alive, for whoever watches `byokd run`.

    ┌ header: counts by tier, conditions, lanes, clock ┐
    │ keys, the nearest deadline first, with bars      │
    ├ queue ───────────┬ what happened ────────────────┤

`watch` reads the store a few times in a second and draws; `render` turns documents (those of the API) into the
picture and nothing else, so that a test, or the picture in the README, is drawn from the same code. The view never
touches a key: when the store cannot be read, it says so and tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from byokd.cli import rows
from byokd.cli.durations import humane
from byokd.cli.listing import short, text
from byokd.errors import ByokdError
from byokd.facts.change import KeyFilter
from byokd.ports import Clock, Store
from byokd.web import documents

Document = dict[str, Any]

REFRESH_S: Final = 0.5
"""Seconds between two pictures."""
KEYS: Final = 60
"""Keys drawn at most; a taller terminal has room left."""
BELOW: Final = 10
"""Lines of queue and events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What one picture is drawn from: documents of the API."""

    lines: Sequence[Document]
    counts: Document
    queue: Sequence[Document]
    history: Sequence[Document]
    now: str


async def watch(store: Store, clock: Clock, stop: asyncio.Event, *, console: Console) -> None:
    """Draw until `stop` is set, on the terminal's other screen, which gives the first one back at the end."""
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        while not stop.is_set():
            live.update(await _next(store, clock), refresh=True)
            await clock.wait(stop, until=clock.now() + timedelta(seconds=60), cap_s=REFRESH_S)


async def _next(store: Store, clock: Clock) -> RenderableType:
    try:
        return render(await look(store, clock))
    except ByokdError as problem:
        return Panel(text(f"{problem}\n{problem.step}", "bold red"), title="the store cannot be read")


async def look(store: Store, clock: Clock) -> Picture:
    """Read everything that is drawn. Raises `StoreError`."""
    return Picture(
        lines=[documents.key_line(line) for line in await store.list_keys(KeyFilter(), limit=KEYS)],
        counts=documents.counts(await store.counts()),
        queue=[documents.import_row(row) for row in await store.imports(only_open=True, limit=BELOW)],
        history=[documents.history_entry(entry) for entry in await store.history(None, limit=BELOW)],
        now=documents.stamp(clock.now()),
    )


def render(picture: Picture) -> RenderableType:
    """The picture; fills the console that it is printed on."""
    layout = Layout()
    below = Layout(name="below", size=BELOW + 2)
    below.split_row(
        Layout(_panel("queue", _queue(picture), picture.counts["queue"]), ratio=4),
        Layout(_panel("what happened", _events(picture)), ratio=5),
    )
    layout.split_column(Layout(_header(picture), size=4), Layout(_keys(picture), name="keys"), below)
    return layout


def _panel(title: str, content: RenderableType, figures: dict[str, int] | None = None) -> Panel:
    said = "  ".join(f"{count} {name}" for name, count in (figures or {}).items() if count)
    return Panel(content, title=f"{title}  {said}" if said else title, title_align="left", border_style="bright_black")


def _header(picture: Picture) -> RenderableType:
    counts = picture.counts
    known = [
        text(f" {counts['by_tier'].get(tier, 0)} {tier} ", f"reverse {style}")
        for tier, style in rows.TIER_STYLES.items()
        if counts["by_tier"].get(tier, 0)
    ]
    if unseen := rows.unseen(counts["by_state"]):
        known.append(text(f"{unseen} of them not seen at present", "yellow"))
    tiers = Text("  ").join(known)
    worst = Text("  ").join(
        text(f"● {count} {severity}", rows.SEVERITY_STYLES.get(severity, ""))
        for severity, count in counts["conditions"].items()
        if count
    )
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(justify="right")
    lanes = sorted({line["lane"] for line in picture.lines})
    where = ", ".join(lanes[:3]) + (f" and {len(lanes) - 3} lanes more" if len(lanes) > 3 else "")
    grid.add_row(Text.assemble(("byokd", "bold"), f"  {counts['keys']} keys   ", tiers), text(picture.now, "bold"))
    grid.add_row(worst if worst.plain else text("● all is well", "green"), text(where, "bright_black"))
    return Panel(grid, border_style="bright_black")


def _keys(picture: Picture) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, header_style="bright_black")
    table.add_column("key", ratio=3, no_wrap=True)
    table.add_column("fleet", max_width=14, no_wrap=True)
    table.add_column("state", max_width=13, no_wrap=True)
    table.add_column("time left", ratio=4)
    table.add_column("", min_width=13, no_wrap=True)
    table.add_column("imports", justify="right", min_width=7)
    table.add_column("now", ratio=5, no_wrap=True)
    for line in picture.lines:
        style = rows.tier_style(line)
        table.add_row(
            text(short(line["name"]), "bold"),
            text(line["fleet"]),
            text(line["state"], "" if line["state"] == "Enabled" else "red"),
            _Bar(rows.share_left(line, picture.now), style),
            text(rows.time_left(line, picture.now), style),
            text(line["renewals"]),
            _doing(line),
        )
    if not picture.lines:
        return Group(table, text("no keys yet", "bright_black"))
    return table


def _doing(line: Document) -> Text:
    if line["import_state"] is not None:
        return text(
            f"import {line['import_state']}: {line['message']}", rows.IMPORT_STYLES.get(line["import_state"], "")
        )
    return text(line["message"], rows.SEVERITY_STYLES.get(line["severity"], "bright_black"))


class _Bar:
    """A bar as wide as its column."""

    def __init__(self, share: float, style: str) -> None:
        self._share = share
        self._style = style

    def __rich_console__(self, _: Console, options: Any) -> Any:
        yield rows.bar(self._share, options.max_width, self._style.replace("bold white on ", ""))


def _queue(picture: Picture) -> RenderableType:
    if not picture.queue:
        return text("empty", "bright_black")
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for width in (7, 10, None, 9):
        grid.add_column(no_wrap=True, min_width=width, ratio=None if width else 1)
    for row in picture.queue:
        left = rows.seconds_until(row["deadline"], picture.now) or 0
        grid.add_row(
            text(row["state"], rows.IMPORT_STYLES.get(row["state"], "")),
            text(_tail(row["key"])),
            text(row["reason"]),
            text(humane(left) if left > 0 else "too late", rows.TIER_STYLES.get(row["tier"], "")),
        )
    return grid


_EVENT_STYLES: Final = {
    "import_done": "green",
    "import_adopted": "green",
    "material_lapsed": "bold red",
    "material_deleted": "bold red",
    "import_failed": "yellow",
    "import_refused": "red",
}


def _events(picture: Picture) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for width in (8, 12, 15, None):
        grid.add_column(no_wrap=True, min_width=width, ratio=None if width else 1)
    for entry in picture.history:
        grid.add_row(
            text(entry["at"][11:19], "bright_black"),
            text(_tail(entry["key"])),
            text(entry["event"].replace("_", " "), _EVENT_STYLES.get(entry["event"], "")),
            text(entry["detail"], "bright_black"),
        )
    return grid


def _tail(ref: str) -> str:
    """A ref in little room: the alias, or the start of the key id."""
    name = short(ref)
    return name.removeprefix("alias/") if name.startswith("alias/") else name[:8]
