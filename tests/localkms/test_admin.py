"""The admin endpoint and the clock that it moves: steps, rates, restarts, resets, snapshots and restores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from byokd.localkms import FRIENDLY, Options, WallClock, serve
from byokd.localkms.clock import real_now
from byokd.localkms.persistence import open_journal
from byokd.localkms.wrapping import WrappingKeys

from .kit import DAY, MATERIAL, OTHER_MATERIAL, REGION, Kms, ManualClock


@dataclass(frozen=True)
class Admin:
    """A client of the admin endpoint."""

    url: str

    async def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and answer; the answer of a snapshot and of metrics stays bytes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        async with (
            ClientSession() as session,
            session.request(method, f"{self.url}{path}", data=data, headers=headers) as answer,
        ):
            content = await answer.read()
            raw = answer.status == 200 and path in ("/snapshot", "/metrics")
            return answer.status, content if raw else json.loads(content)

    async def do(self, method: str, path: str, body: object = None) -> Any:
        """The answer of a request that must succeed."""
        status, answer = await self.ask(method, path, body)
        assert status == 200, answer
        return answer


Opened = Callable[..., Any]


@pytest.fixture
def opened(wrapping_keys: WrappingKeys) -> Opened:
    """Serves with an admin endpoint; gives a client of each."""

    @asynccontextmanager
    async def serving(state: Path | None = None, rate: float = 1.0) -> AsyncIterator[tuple[Kms, Admin]]:
        options = Options(
            admin=("127.0.0.1", 0), state=state, clock=WallClock(rate), pool=wrapping_keys, hostility=FRIENDLY
        )
        async with serve(options) as server:
            assert server.admin_url is not None
            yield Kms(server.url, ManualClock(real_now())), Admin(server.admin_url)

    return serving


async def test_a_step_forward_expires_what_is_due(opened: Opened) -> None:
    """One request makes ninety days pass: the material is gone when it is answered, and clients sign on as before."""
    async with opened() as (kms, admin):
        key = await kms.create_key()
        await kms.import_material(key, valid_for=89 * DAY)
        before = await admin.do("GET", "/time")
        after = await admin.do("POST", "/time", {"advance_s": 90 * DAY})
        assert 90 * DAY <= after["now"] - before["now"] < 90 * DAY + 60
        assert after["ahead_s"] == 90 * DAY
        assert await kms.state(key) == "PendingImport"
        reached = await admin.do("POST", "/time", {"to": "2200-01-01T00:00:00Z"})
        assert reached["utc"].startswith("2200-01-01T00:00:0")


NO_STEPS: dict[str, object] = {
    "back": {"advance_s": -1},
    "to the past": {"to": 0},
    "beyond the year 9999": {"advance_s": 1e12},
    "an infinity": b'{"advance_s": Infinity}',
    "not a number": b'{"advance_s": NaN}',
    "too many digits": b'{"advance_s": 1' + b"0" * 400 + b"}",
    "two ways at once": {"advance_s": 1, "to": 1},
    "a truth value": {"advance_s": True},
    "no date": {"to": "tomorrow"},
    "nothing": {},
    "no object": [],
    "no JSON": b"{",
}


@pytest.mark.parametrize("case", NO_STEPS)
async def test_time_only_steps_forward(case: str, opened: Opened) -> None:
    """What is no step forward is refused with a sentence, and time goes on as it did."""
    async with opened() as (_, admin):
        status, answer = await admin.ask("POST", "/time", NO_STEPS[case])
        assert (status, set(answer)) == (400, {"error"})
        assert (await admin.do("GET", "/time"))["ahead_s"] == 0


async def test_at_a_rate_material_expires_with_nobody_asking(opened: Opened) -> None:
    """At ten hours a second a day is soon over: the metrics, which ask for nothing, tell that the material expired."""
    async with opened(rate=36_000) as (kms, admin):
        key = await kms.create_key()
        terms = await kms.import_terms(key)
        now = (await admin.do("GET", "/time"))["now"]
        await kms.call("import_key_material", **terms, ValidTo=now + DAY)
        async with asyncio.timeout(20):
            while b"localkms_expiries_total{" not in await admin.do("GET", "/metrics"):
                await asyncio.sleep(0)
        assert await kms.state(key) == "PendingImport"


async def test_a_restart_does_not_turn_time_back(opened: Opened, tmp_path: Path) -> None:
    """A server that was ahead of real time goes on from there, also at another rate."""
    state = tmp_path / "kms.db"
    async with opened(state) as (_, admin):
        await admin.do("POST", "/time", {"advance_s": 400 * DAY})
    async with opened(state, rate=86_400) as (_, admin):
        assert (await admin.do("GET", "/time"))["ahead_s"] >= 400 * DAY
        rated = await admin.do("GET", "/time")
    async with opened(state) as (_, admin):
        assert rated["now"] - 1 < (await admin.do("GET", "/time"))["now"]


@pytest.mark.parametrize("on_disk", [False, True], ids=["in memory", "on disk"])
async def test_a_restore_brings_the_whole_state_back(on_disk: bool, opened: Opened, tmp_path: Path) -> None:
    """Keys, materials, aliases, tokens and the time are as they were; what came since is gone, and stays so on disk."""
    state = tmp_path / "kms.db" if on_disk else None
    async with opened(state) as (kms, admin):
        key = await kms.create_key()
        await kms.import_material(key, valid_for=30 * DAY)
        blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"secret"))["CiphertextBlob"]
        await kms.call("create_alias", AliasName="alias/kept", TargetKeyId=key)
        terms = await kms.import_terms(key)
        taken = await admin.do("POST", "/snapshot")
        before = await kms.describe("alias/kept")
        await kms.create_key()
        await kms.call("delete_alias", AliasName="alias/kept")
        await admin.do("POST", "/time", {"advance_s": 31 * DAY})
        assert await kms.state(key) == "PendingImport"
        await admin.do("POST", "/restore", taken)
        assert await kms.describe("alias/kept") == before
        assert (await admin.do("GET", "/time"))["ahead_s"] == 0
        assert (await kms.call("decrypt", CiphertextBlob=blob))["Plaintext"] == b"secret"
        await kms.call("import_key_material", **terms, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
        assert len((await kms.call("list_keys"))["Keys"]) == 1
    if state is not None:
        journal = open_journal(state)
        assert [kept.arn for kept in journal.all_keys()] == [key]
        await journal.close()


async def test_what_lapsed_since_a_snapshot_lapses_at_the_restore(opened: Opened) -> None:
    """A snapshot taken ahead of real time is restored at its own time, and its deadlines are kept from then on."""
    async with opened() as (kms, admin):
        key = await kms.create_key()
        await kms.import_material(key, valid_for=30 * DAY)
        await admin.do("POST", "/time", {"advance_s": 20 * DAY})
        taken = await admin.do("POST", "/snapshot")
        await admin.do("POST", "/reset")
        await admin.do("POST", "/restore", taken)
        assert await kms.state(key) == "Enabled"
        await admin.do("POST", "/time", {"advance_s": 11 * DAY})
        assert await kms.state(key) == "PendingImport"


async def test_a_reset_leaves_nothing(opened: Opened, tmp_path: Path) -> None:
    """No keys, no aliases, real time; on disk as well."""
    state = tmp_path / "kms.db"
    async with opened(state) as (kms, admin):
        key = await kms.create_key(Origin="AWS_KMS")
        await kms.call("create_alias", AliasName="alias/gone", TargetKeyId=key)
        await admin.do("POST", "/time", {"advance_s": 400 * DAY})
        await admin.do("POST", "/reset")
        assert (await kms.call("list_keys"))["Keys"] == (await kms.call("list_aliases"))["Aliases"] == []
        assert (await admin.do("GET", "/time"))["ahead_s"] == 0
        assert await admin.do("GET", "/health") == {"status": "ok", "keys": 0}
    journal = open_journal(state)
    assert (list(journal.all_keys()), list(journal.all_aliases()), journal.lead_s) == ([], [], 0)
    await journal.close()


async def test_a_snapshot_tells_no_secret_and_fits_one_key_file(opened: Opened, tmp_path: Path) -> None:
    """Material in it is sealed, and another server refuses it with nothing changed."""
    async with opened(tmp_path / "one.db") as (kms, admin):
        await kms.import_material(await kms.create_key(), MATERIAL)
        taken = await admin.do("POST", "/snapshot")
    assert MATERIAL not in taken
    assert MATERIAL.hex().encode() not in taken
    async with opened(tmp_path / "two.db") as (kms, admin):
        key = await kms.create_key()
        status, answer = await admin.ask("POST", "/restore", taken)
        assert (status, "another key file" in answer["error"]) == (400, True)
        assert [kept["KeyArn"] for kept in (await kms.call("list_keys"))["Keys"]] == [key]


Damage = Callable[[dict[str, Any]], object]
DAMAGED: dict[str, Damage] = {
    "no JSON": lambda _: b"{",
    "another document": lambda _: {"format": "something else"},
    "another version": lambda taken: taken | {"schema": 1},
    "no proof": lambda taken: {name: value for name, value in taken.items() if name != "proof"},
    "a proof of nothing": lambda taken: taken | {"proof": 7},
    "no tables": lambda taken: taken | {"tables": []},
    "no keys": lambda taken: taken | {"tables": taken["tables"] | {"keys": None}},
    "a row too short": lambda taken: taken | {"tables": taken["tables"] | {"keys": [["arn"]]}},
    "a row of numbers": lambda taken: taken | {"tables": taken["tables"] | {"aliases": [[1, 2]]}},
    "a key that is none": lambda taken: taken | {"tables": taken["tables"] | {"keys": [["arn", "[]"]]}},
    "a moved material": lambda taken: (
        taken
        | {"tables": taken["tables"] | {"keys": [[arn, doc.replace("-", "0")] for arn, doc in taken["tables"]["keys"]]}}
    ),
    "a wrapping key that is none": lambda taken: (
        taken | {"tables": taken["tables"] | {"wrapping_keys": [["id", "RSA_2048", "text"]]}}
    ),
    "a time that is none": lambda taken: taken | {"tables": taken["tables"] | {"facts": [["clock", "x"]]}},
    "a time without end": lambda taken: taken | {"tables": taken["tables"] | {"facts": [["clock", "inf"]]}},
}


@pytest.mark.parametrize("case", DAMAGED)
async def test_a_damaged_snapshot_changes_nothing(case: str, opened: Opened) -> None:
    """It is refused with a sentence, whatever is wrong with it, and the state is as it was."""
    async with opened() as (kms, admin):
        key = await kms.create_key()
        await kms.import_material(key, OTHER_MATERIAL)
        taken = json.loads(await admin.do("POST", "/snapshot"))
        status, answer = await admin.ask("POST", "/restore", DAMAGED[case](taken))
        assert (status, set(answer)) == (400, {"error"})
        assert await kms.state(key) == "Enabled"


async def test_a_region_can_be_made_to_lose_its_material(opened: Opened) -> None:
    """As AWS warns that one may; a key of another Region keeps its own."""
    async with opened() as (kms, admin):
        elsewhere = Kms(kms.url, kms.clock, region="us-east-1")
        keys = await kms.create_key(), await elsewhere.create_key()
        await kms.import_material(keys[0])
        await elsewhere.import_material(keys[1])
        assert await admin.do("POST", "/loss", {"region": REGION}) == {"keys": 1}
        assert (await kms.state(keys[0]), await elsewhere.state(keys[1])) == ("PendingImport", "Enabled")
        assert (await admin.ask("POST", "/loss", {}))[0] == 400


async def test_metrics_are_served_in_both_forms(opened: Opened) -> None:
    """OpenMetrics for whoever asks for it, else the older format; only the first has an end mark."""
    async with opened() as (kms, admin):
        await kms.import_material(await kms.create_key(), valid_for=DAY)
        accepting = {"Accept": "application/openmetrics-text; version=1.0.0"}
        _, page = await admin.ask("GET", "/metrics", headers=accepting)
        assert page.endswith(b"# EOF\n")
        assert b"\naws_kms_seconds_until_key_material_expiration{" in page
        assert not (await admin.do("GET", "/metrics")).endswith(b"# EOF\n")


REFUSED: dict[str, tuple[str, str, dict[str, str], int]] = {
    "a web page": ("POST", "/reset", {"Origin": "https://example.com"}, 403),
    "another path": ("GET", "/nothing", {}, 404),
    "another method": ("GET", "/reset", {}, 405),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_the_endpoint_does_not_do_is_refused(case: str, opened: Opened) -> None:
    """Every refusal is JSON with a sentence."""
    method, path, headers, code = REFUSED[case]
    async with opened() as (_, admin):
        status, answer = await admin.ask(method, path, headers=headers)
        assert (status, set(answer)) == (code, {"error"})


async def test_a_clock_that_was_handed_in_is_not_moved(clock: ManualClock, wrapping_keys: WrappingKeys) -> None:
    """A test's own clock stays the test's: the endpoint tells its time, and refuses to step it."""
    options = Options(admin=("127.0.0.1", 0), clock=clock, pool=wrapping_keys, hostility=FRIENDLY)
    async with serve(options) as server:
        assert server.admin_url is not None
        admin = Admin(server.admin_url)
        assert (await admin.do("GET", "/time"))["now"] == clock.now()
        assert (await admin.ask("POST", "/time", {"advance_s": 1}))[0] == 409


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_the_endpoint_binds_loopback_only(host: str) -> None:
    """It authenticates nobody, so it is nobody else's."""
    with pytest.raises(ValueError, match="not a loopback address"):
        Options(admin=(host, 0))


async def test_a_sleeper_is_woken_by_a_step() -> None:
    """Whoever sleeps until a moment looks again when time is stepped, and not only a minute later."""
    clock = WallClock()
    sleeper = asyncio.create_task(clock.sleep_until(clock.now() + 30 * DAY))
    await asyncio.sleep(0)
    clock.advance(30 * DAY)
    async with asyncio.timeout(5):
        await sleeper


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_clock_runs_forward(rate: float) -> None:
    """A rate is above 0, and a number."""
    with pytest.raises(ValueError, match="rate"):
        WallClock(rate)
