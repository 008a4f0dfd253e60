"""Lists for people: a table on a terminal; elsewhere plain lines, uncoloured and uncut, for grep and for mail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


WIDE: Final = 20
"""Columns of the terminal that text of any length has at least."""
SHORTEST: Final = 12
"""To how many columns a name may be cut."""
GAP: Final = 3
"""Between two columns."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Columns and rows, before it is known where they are shown."""

    headers: Sequence[str]
    rows: Sequence[Sequence[Text]]
    wide: Sequence[str] = ()
    """Headers of the columns of running text, broken over lines where the terminal is narrow."""
    names: Sequence[str] = ()
    """Headers of the columns that name keys: shortened on a terminal, whole elsewhere."""

    def as_table(self, width: int) -> Table:
        """For a terminal of so many columns, which it fills."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, header_style="bold")
        for header, most in zip(self.headers, self._most(width), strict=True):
            if header in self.wide:
                table.add_column(header, ratio=1, overflow="fold")
            else:
                table.add_column(header, no_wrap=True, max_width=most)
        for row in self._shortened():
            table.add_row(*row)
        return table

    def _shortened(self) -> list[list[Text]]:
        named = [header in self.names for header in self.headers]
        return [
            [Text(short(cell.plain)) if name else cell for name, cell in zip(named, row, strict=True)]
            for row in self.rows
        ]

    def _most(self, width: int) -> list[int]:
        """How wide each column may be: where room is short, the widest one is cut, so that the wide ones are read."""
        natural = [max(map(len, column)) for column in zip(self.headers, *self._shortened(), strict=True)]
        kept = [WIDE if header in self.wide else most for header, most in zip(self.headers, natural, strict=True)]
        lacking = sum(kept) + GAP * len(kept) - width
        if lacking > 0:
            longest = kept.index(max(kept))
            kept[longest] = max(SHORTEST, kept[longest] - lacking)
        return kept

    def as_lines(self) -> str:
        """For everything else: columns as wide as they need to be."""
        texts = [list(self.headers), *([cell.plain for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in texts)
        return "\n".join(line.rstrip() for line in lines)


def text(value: object, style: str = "") -> Text:
    """A cell. Control characters become visible: what KMS or an operator wrote must not drive the terminal."""
    plain = "-" if value is None else str(value)
    return Text("".join(each if each.isprintable() else "�" for each in plain), style=style)


def short(name: str) -> str:
    """A key's name or ref without what all of its lane have in common."""
    return name.rpartition(":key/")[2] if ":key/" in name else name[max(0, name.find("alias/")) :]


def stdout() -> Console:
    """The console that commands write to. Nothing that is printed is read as markup."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


def show(listing: Listing, *, empty: str) -> None:
    """Print a list on stdout; `empty` is said where it has no rows."""
    console = stdout()
    if not listing.rows:
        print(empty)
    elif console.is_terminal:
        console.print(listing.as_table(console.width))
    else:
        print(listing.as_lines())


def show_json(document: dict[str, Any]) -> None:
    """Print a document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False))
