"""The terminal view."""

from __future__ import annotations

import asyncio
import io

from rich.console import Console, RenderableType

from byokd.cli.rows import keys
from byokd.cli.view import REFRESH_S, look, render, watch
from byokd.errors import StoreBusy
from byokd.facts.change import FleetCounts
from tests.kit import builders
from tests.kit.clock import START, ManualClock
from tests.kit.memory_store import MemoryStore
from tests.unit.cli.terminal import transcript
from tests.unit.web.fleet import furnished

WIDTH, HEIGHT = 120, 26


def _drawn(what: RenderableType, height: int | None = None) -> str:
    console = Console(width=WIDTH, height=HEIGHT, file=io.StringIO(), record=True, markup=False, highlight=False)
    console.print(what, height=height)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines()) + "\n"


async def test_picture():
    """The view of a small fleet, line by line."""
    picture = await look(await furnished(), ManualClock())
    assert _drawn(render(picture), HEIGHT) == transcript("view")


async def test_table_on_a_terminal():
    """`byokd keys` on a narrow terminal cuts the name and keeps the reason readable."""
    picture = await look(await furnished(), ManualClock())
    assert _drawn(keys(picture.lines, picture.now, bar_width=12).as_table(WIDTH)) == transcript("keys_terminal")


async def test_no_keys():
    """An empty fleet has a picture too."""
    assert "no keys yet" in _drawn(render(await look(MemoryStore(), ManualClock())), HEIGHT)


async def test_keys_that_nobody_has_seen():
    """The bar of the view counts their tier, and says that nobody knows: it called them fresh, in green."""
    store = MemoryStore()
    await store.sync_fleet([builders.desired()], now=START)
    assert "1 of them not seen at present" in _drawn(render(await look(store, ManualClock())), HEIGHT)


class _Watched(MemoryStore):
    """Ends the watching after some looks, the second of which fails."""

    def until(self, looks: int, stop: asyncio.Event, clock: ManualClock) -> None:
        self.left, self.stop, self.clock = looks, stop, clock

    async def counts(self) -> FleetCounts:
        self.left -= 1
        if self.left == 0:
            self.stop.set()
        asyncio.get_running_loop().call_soon(self.clock.advance, REFRESH_S)
        if self.left == 1:
            raise StoreBusy("byokd.db is in use")
        return await super().counts()


class _OnTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_watch():
    """The view draws again and again, survives trouble with the store, and gives the screen back when told to stop."""
    store, clock, stop, screen = _Watched(), ManualClock(), asyncio.Event(), _OnTerminal()
    store.until(3, stop, clock)
    console = Console(file=screen, width=80, height=24, force_terminal=True, markup=False, legacy_windows=False)
    await watch(store, clock, stop, console=console)
    shown = screen.getvalue()
    assert "no keys yet" in shown
    assert "byokd.db is in use" in shown
    assert shown.rstrip().endswith("\x1b[?25h") or "\x1b[?1049l" in shown
