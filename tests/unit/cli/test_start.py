"""How byokd starts: fast, and with all that its help promises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from byokd import __version__
from byokd.cli.failures import MEANINGS
from byokd.cli.main import app
from tests.unit.cli.terminal import byokd

HEAVY = ("aiobotocore", "aiohttp", "alembic", "asyncio", "cryptography", "pydantic", "rich.table", "sqlalchemy")

PROBE = """
import atexit, sys
atexit.register(lambda: print(*sorted(set(sys.argv.pop().split()) & set(sys.modules)), file=sys.stderr))
heavy = sys.argv[-1]
from byokd.cli.main import app
app(sys.argv[1:-1])
"""


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_nothing_heavy_is_loaded(argument: str):
    """`byokd --version` and `--help` load none of the libraries that take the daemon a second."""
    command = [sys.executable, "-c", PROBE, argument, " ".join(HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert done.stderr.strip() == ""


async def test_every_command_is_documented():
    """Each command, and each of its options, stands in docs/reference/cli.md."""
    page = (Path(__file__).parents[3] / "docs/reference/cli.md").read_text(encoding="utf-8")
    for path, command in _commands(get_command(app)):
        assert f"`{path}" in page, path
        for parameter in command.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                assert not option.startswith("--") or f"`{option}" in page, f"{path} {option}"


def _commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


async def test_version():
    """The version is printed alone on its line."""
    printed = await byokd("--version")
    assert printed.out == f"byokd {__version__}\n"


async def test_help_tells_the_exit_codes():
    """Every exit code and its meaning stands in `byokd --help`."""
    printed = await byokd("--help")
    said = " ".join(printed.out.split())
    for code, meaning in MEANINGS.items():
        assert f"{code.value} {meaning}" in said
