"""byokd's command line, run in this process against an API on a real socket, with what it printed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from byokd.cli.main import app

PLAIN = {"BYOKD_CONFIG": "/nonexistent/byokd.toml", "FORCE_COLOR": None, "TTY_COMPATIBLE": None, "COLUMNS": "80"}
TRANSCRIPTS = Path(__file__).parent / "transcripts"


@dataclass(frozen=True)
class Printed:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What was printed, as JSON."""
        return json.loads(self.out)


async def byokd(*arguments: str, socket: Path | None = None, types: str = "") -> Printed:
    """Run a command in a thread, while this loop serves; `types` is what the person types."""
    given = [*(["--socket", str(socket)] if socket else []), *arguments]
    result = await asyncio.to_thread(CliRunner().invoke, app, given, env=PLAIN, input=types)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Printed(result.exit_code, result.stdout, result.stderr)


def transcript(name: str) -> str:
    """What a command is expected to print."""
    return (TRANSCRIPTS / f"{name}.txt").read_text(encoding="utf-8")
