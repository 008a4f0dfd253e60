"""`make bench`: run every measurement, print its figures beside their goals; exit 1 if one is missed.

`make bench PARTS="sim lanes"` runs those alone; each is a module of this package.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Final

from bench import estate, fleet, imports, lanes, localkms, many, scale, sim
from byokd import logs

PARTS: Final = {
    part.__name__.rpartition(".")[2]: part for part in (sim, localkms, imports, many, fleet, scale, lanes, estate)
}
LIBRARIES = ("aiobotocore", "aiohttp", "cryptography", "SQLAlchemy", "aiosqlite")


def machine() -> str:
    """What the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, CPython {platform.python_version()}; {libraries}"


async def measure(parts: Sequence[ModuleType]) -> bool:
    """Measure and print; whether every goal was met."""
    met = True
    for part in parts:
        for figure in await part.measure():
            sys.stdout.write(f"{figure}\n")
            met = met and figure.met
        sys.stdout.flush()
    return met


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"all, if none is named: {', '.join(PARTS)}")
    chosen = parser.parse_args().parts or PARTS
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    sys.stdout.write(machine() + "\n")
    # The engine's lines are written as systemd would get them, and are part of the cost.
    logs.configure(format="json", stream=Path(os.devnull).open("w"))  # noqa: SIM115 -- for the life of the process
    return 0 if asyncio.run(measure([PARTS[name] for name in chosen])) else 1


sys.exit(main())
