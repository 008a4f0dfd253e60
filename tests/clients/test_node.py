"""AWS's JavaScript client, bare: what `node/story.mjs` asserts, it asserts in its own language."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from .site import VALID_FOR, Site

pytestmark = pytest.mark.timeout(120)

NODE = Path(__file__).parent / "node"


@pytest.fixture
def story() -> Path:
    """The script, when what it imports is installed."""
    assert (NODE / "node_modules" / "@aws-sdk" / "client-kms").is_dir(), (
        "The JavaScript client is not installed: run `make test`, or `npm ci` in tests/clients/node."
    )
    return NODE / "story.mjs"


async def test_the_javascript_client_from_import_to_rotation(site: Site, story: Path) -> None:
    """KMSClient with its own commands imports, uses, loses, reimports and rotates a key's material."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(story),
        str(int(VALID_FOR.total_seconds() * 1000)),
        env=site.environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    said = ""
    async for raw in process.stdout:
        said = raw.decode().strip()
        if said.startswith("time has to pass for "):
            await site.lapse(said.rpartition(" ")[2])
            process.stdin.write(b"it has\n")
    complaint = (await process.stderr.read()).decode()
    assert (await process.wait(), said) == (0, "done"), complaint
