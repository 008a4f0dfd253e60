"""How far long work is, on a terminal; where there is none, nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Gives what is to be called with one line after the other, each in place of the last; none stays."""
    shown = sys.stderr.isatty()

    def say(line: str) -> None:
        if shown:
            sys.stderr.write(f"\r{line} ")
            sys.stderr.flush()

    try:
        yield say
    finally:
        if shown:
            sys.stderr.write("\r\033[K")
