"""`byokd why` end to end: a daemon and a local KMS over HTTP, asked now, later, and when the daemon is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from byokd import localkms
from byokd.facts.ledger import OrderKind
from byokd.store.views import cursor
from byokd.web.answers import Desk
from tests.e2e.conftest import Call
from tests.kit.builders import DAY
from tests.kit.process import ask, ask_json, byokd, write_fleet
from tests.kit.real_parts import ask as ask_kms
from tests.kit.real_parts import site
from tests.kit.world import running

pytestmark = pytest.mark.timeout(120)
KEY = "alias/payments"


async def test_a_daemon_tells_why_and_its_record_tells_why_then(
    tmp_path: Path, kms: localkms.Server, key: str, call: Call
) -> None:
    """A hold is what decides while it lasts, and is told again for that moment when the daemon is down."""
    fleet = write_fleet(tmp_path, endpoint=kms.url)

    async def told(*arguments: str) -> Any:
        return (await ask_json(fleet.config, "why", KEY, *arguments))["why"]

    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line("import_done")
        await ask(fleet.config, "hold", KEY, "--until", "1h", "--why", "audit")
        held = await told()
        while held["materials"][0]["rule"] != "held":
            held = await told()
        while (later := await told())["asked_at"] == held["asked_at"]:
            pass
        await ask(fleet.config, "release", KEY)
        await daemon.line("order_closed", times=2)
        await call("DisableKey", KeyId=key)
        await ask(fleet.config, "import", KEY)  # which makes byokd look
        await daemon.line("order_closed", times=3)
        assert await daemon.end() == 0

    assert (held["materials"][0]["until"], held["materials"][0]["rule"]) == (later["materials"][0]["until"], "held")
    assert any(f"byokd release {KEY}" in each["what"] for each in held["materials"][0]["changed_by"])

    code, text = await ask(fleet.config, "why", KEY)
    assert code == 0
    assert "showing what is on record" in text
    assert "hands_off: the key is Disabled; byokd does not touch it" in text
    then = await told_from_record(fleet.config, held["asked_at"])
    assert then["materials"][0]["rule"] == "held"
    assert then["materials"][0]["until"] == held["materials"][0]["until"]
    before = await told_from_record(fleet.config, "2026-01-01T00:00:00Z")
    assert before["decision"] is None
    assert "the history goes back to" in before["unknown"]


async def told_from_record(config: Path, at: str) -> Any:
    """What the record says of a moment, after a word of warning that it is the record that answers."""
    code, text = await ask(config, "why", KEY, "--at", at, "--json")
    assert code == 0, text
    return json.loads(text[text.index("{") :])["why"]


async def test_months_of_a_key_are_told_moment_by_moment(tmp_path: Path) -> None:
    """Renewed, suspended, lapsed meanwhile and resumed: for each of those times the rule of that time is named."""
    async with site(tmp_path) as it, running(it.world):
        clock, ref = it.world.clock, it.keys[0].ref
        desk = Desk(store=it.world.store, now=clock.now, cursor=cursor, daemon=lambda: None)

        async def rule(days: int) -> str:
            answer = await desk.why(ref, {"at": f"{days}d"} if days else {})
            return str(answer.document["why"]["materials"][0]["rule"])

        await it.world.pass_time(100 * DAY, step=4 * DAY)
        clock.advance(1)
        await it.world.order(OrderKind.SUSPEND, ref=ref)
        assert (await ask_kms(it, "describe_key", KeyId=ref))["KeyMetadata"]["KeyState"] == "PendingImport"
        await it.world.pass_time(100 * DAY, step=5 * DAY)
        assert await rule(0) == "suspended"
        clock.advance(1)
        await it.world.order(OrderKind.RESUME, ref=ref)
        await it.world.pass_time(10 * DAY, step=DAY)

        assert [await rule(days) for days in (0, 9, 50, 109, 111, 150)] == [
            "fresh",
            "fresh",
            "suspended",
            "suspended",
            "fresh",
            "fresh",
        ]
        early = (await desk.why(ref, {"at": "300d"})).document["why"]
        assert early["unknown"]
