"""Records the README's picture: what the terminal view shows of a running daemon, as SVG.

make run                                                     # in one terminal
.venv/bin/python docs/pictures/record.py SOCKET OUT.svg      # in another, at a moment worth showing
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.console import Console

from byokd.cli import client
from byokd.cli.view import BELOW, KEYS, Picture, render

WIDTH, HEIGHT = 128, 34


def main(socket: Path, out: Path) -> None:
    """Ask the daemon what the view would read from its store, and draw it."""
    _, keys = client.call(socket, "GET", "/v1/keys", {"limit": str(KEYS)})
    _, status = client.call(socket, "GET", "/v1/status", {})
    _, queue = client.call(socket, "GET", "/v1/queue", {"limit": str(BELOW)})
    _, history = client.call(socket, "GET", "/v1/history", {"limit": str(BELOW)})
    picture = Picture(
        lines=keys["keys"],
        counts=status["counts"],
        queue=queue["imports"],
        history=history["history"],
        now=keys["at"],
    )
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, height=HEIGHT, file=nowhere, markup=False, highlight=False)
        console.print(render(picture), height=HEIGHT)
        out.write_text(without_fonts(console.export_svg(title="make run")), encoding="utf-8")


def without_fonts(svg: str) -> str:
    """The picture without Rich's fonts from the network: a reader's own monospace has to do."""
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
