"""`make bench`: run every measurement, print its figures beside their goals; exit 1 if one is missed."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from bench import fleet, imports
from bench.figure import Figure

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


async def measure() -> list[Figure]:
    """All figures, in the order of the README."""
    return [*await imports.measure(), *await fleet.measure()]


def main() -> int:
    """Measure, print, judge."""
    sys.stdout.write(machine() + "\n")
    figures = asyncio.run(measure())
    for figure in figures:
        sys.stdout.write(f"{figure}\n")
    return 0 if all(figure.met for figure in figures) else 1


sys.exit(main())
