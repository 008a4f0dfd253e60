"""`byokd localkms serve`, as a process."""

from __future__ import annotations

import signal

import pytest

from byokd.cli.failures import Exit
from tests.kit.process import byokd as process
from tests.unit.cli.terminal import byokd


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve(number: signal.Signals):
    """One line says where it listens, and either signal ends it in order."""
    async with process("localkms", "serve", "--friendly", "--listen", "127.0.0.1:0") as running:
        await running.line("listening on http://127.0.0.1:")
        assert await running.end(number) == Exit.OK
    assert len(running.lines) == 1


@pytest.mark.parametrize("listen", ["8080", "localhost:", ":80", "127.0.0.1:70000"])
async def test_bad_address(listen: str):
    """What is no address is a usage error."""
    printed = await byokd("localkms", "serve", "--listen", listen)
    assert printed.code == Exit.USAGE
    assert "not HOST:PORT" in printed.err
