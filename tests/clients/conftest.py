"""The local KMS in a process of its own, for clients that know nothing of it but an endpoint."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.process import byokd

from .site import Site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A friendly local KMS on a state file, as `byokd localkms serve` starts it."""
    state, anywhere = str(tmp_path / "kms.db"), "127.0.0.1:0"
    words = ("--listen", anywhere, "--admin", anywhere, "--state", state, "--friendly", "--json")
    async with byokd("localkms", "serve", *words) as server:
        told = json.loads(await server.line("admin_url"))
        yield Site(url=told["url"], admin_url=told["admin_url"], directory=tmp_path)
