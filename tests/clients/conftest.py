"""The local KMS in a process of its own, for clients that know nothing of it but an endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.process import byokd

from .site import Site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A friendly local KMS on a state file, as `byokd localkms serve` starts it."""
    state = str(tmp_path / "kms.db")
    async with byokd("localkms", "serve", "--listen", "127.0.0.1:0", "--state", state, "--friendly") as server:
        url = (await server.line("listening on ")).rpartition(" ")[2]
        yield Site(url=url, directory=tmp_path)
