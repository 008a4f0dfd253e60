"""Commands against a running daemon's API: what they print, and how they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from byokd.cli.failures import Exit
from byokd.facts.ledger import OrderKind, Tier
from tests.kit.clock import START
from tests.unit.cli.terminal import byokd, transcript
from tests.unit.web.api import Api, an_api
from tests.unit.web.fleet import CLOCK_SKEW, FRESH, HAS_LAPSED, LEDGER, decide


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with an_api(tmp_path) as served:
        yield served


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("status", ["status"]),
        ("keys", ["keys"]),
        ("show", ["show", "alias/ledger"]),
        ("history", ["history", "--limit", "3"]),
        ("queue", ["queue"]),
    ],
)
async def test_transcript(api: Api, name: str, arguments: list[str]):
    """Off a terminal a command prints plain lines: no colours, nothing cut, however narrow the terminal was."""
    printed = await byokd(*arguments, socket=api.socket)
    assert (printed.out, printed.err, printed.code) == (transcript(name), "", Exit.OK)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["status"], "/v1/status"),
        (["keys"], "/v1/keys"),
        (["show", FRESH], f"/v1/keys/{FRESH.replace('/', '%2F')}"),
        (["history"], "/v1/history"),
        (["history", FRESH], f"/v1/keys/{FRESH.replace('/', '%2F')}/history"),
        (["queue"], "/v1/queue"),
    ],
)
async def test_json_is_what_the_api_answers(api: Api, arguments: list[str], path: str):
    """`--json` prints the document of the API and nothing else."""
    printed = await byokd(*arguments, "--json", socket=api.socket)
    async with api.client.get(f"http://byokd{path}") as response:
        assert printed.document == await response.json()


async def test_keys_over_pages(api: Api):
    """A limit is kept, and that there is more is said on stderr."""
    printed = await byokd("keys", "--limit", "3", socket=api.socket)
    assert len(printed.out.splitlines()) == 1 + 3
    assert "there are more keys" in printed.err


async def test_orders(api: Api):
    """import, hold and release become orders, with reason and end."""
    assert (await byokd("import", "alias/ledger", socket=api.socket)).out == f"import ordered for {LEDGER}\n"
    held = await byokd("hold", FRESH, "--until", "2h", "--why", "audit", socket=api.socket)
    assert held.out == f"hold until 2026-03-01T14:00:00Z ordered for {FRESH}\n"
    released = await byokd("release", FRESH, "--json", socket=api.socket)
    assert released.document["order"]["kind"] == "release"
    assert [order.kind for order in await api.orders(LEDGER)] == [OrderKind.IMPORT]
    assert [order.kind for order in await api.orders(FRESH)] == [OrderKind.HOLD, OrderKind.RELEASE]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["show", "alias/none"], Exit.REFUSED, "byokd manages no key named 'alias/none'"),
        (["release", FRESH], Exit.REFUSED, "no hold is in force"),
        (["hold", FRESH, "--until", "soon"], Exit.USAGE, "a duration such as 2h"),
        (["keys", "--tier", "soon"], Exit.USAGE, "no tier is called 'soon'"),
        (["keys", "--limit", "0"], Exit.USAGE, "--limit"),
        (["kys"], Exit.USAGE, "kys"),
    ],
)
async def test_failure(api: Api, arguments: list[str], code: int, says: str):
    """A failure is told on stderr with its own exit code, and nothing is on stdout."""
    printed = await byokd(*arguments, socket=api.socket)
    assert (printed.code, printed.out) == (code, "")
    assert says in printed.err


async def test_failure_names_the_next_step(api: Api):
    """Below what failed stands what to do."""
    printed = await byokd("show", "alias/none", socket=api.socket)
    first, second = printed.err.splitlines()
    assert first.startswith("byokd: ")
    assert second.startswith("  → ")


async def test_check(api: Api):
    """`status --check` ends with 6 while a warning or worse is open, and with 0 when none is."""
    assert (await byokd("status", "--check", socket=api.socket)).code == Exit.ATTENTION
    await api.store.save_conditions([replace(each, resolved_at=START) for each in (CLOCK_SKEW, HAS_LAPSED)])
    assert (await byokd("status", "--check", socket=api.socket)).code == Exit.OK
    api.status["stalled"] = ["lane"]
    assert (await byokd("status", "--check", socket=api.socket)).code == Exit.ATTENTION


async def test_control_characters(api: Api):
    """What others wrote cannot drive the terminal."""
    await decide(api.store, FRESH, Tier.FRESH, "fresh", "\x1b[2Jgone")
    printed = await byokd("keys", socket=api.socket)
    assert "\x1b" not in printed.out
    assert "\N{REPLACEMENT CHARACTER}[2Jgone" in printed.out
