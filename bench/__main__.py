"""`make bench`: run every measurement, print its figures beside their goals; exit 1 if one is missed."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from bench import estate, fleet, imports, lanes, localkms, many, scale, sim

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


async def measure() -> bool:
    """Measure and print; whether every goal was met."""
    met = True
    for part in (sim, localkms, imports, many, fleet, scale, lanes, estate):
        for figure in await part.measure():
            sys.stdout.write(f"{figure}\n")
            met = met and figure.met
        sys.stdout.flush()
    return met


def main() -> int:
    """Measure, print, judge."""
    sys.stdout.write(machine() + "\n")
    return 0 if asyncio.run(measure()) else 1


sys.exit(main())
