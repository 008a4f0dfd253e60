"""Questions to the API, over its socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from byokd.errors import StoreBusy
from byokd.facts.condition import OpenCondition
from byokd.facts.key import KeyRef, LaneId
from tests.kit.memory_store import MemoryStore
from tests.unit.web.api import Api, an_api
from tests.unit.web.fleet import FRESH, LAPSED, LASTING, LEDGER


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with an_api(tmp_path) as served:
        yield served


async def test_status(api: Api):
    """The status has the figures, the open conditions and the daemon's own words."""
    status, document = await api.get("/v1/status")
    assert status == 200
    assert document["at"] == "2026-03-01T12:00:00Z"
    assert document["daemon"] == {"version": "1", "ready": True}
    assert document["counts"]["by_tier"] == {"fresh": 2, "urgent": 1, "lapsed": 1}
    assert [each["kind"] for each in document["conditions"]] == ["lapsed", "clock_skew"]


async def test_keys_come_by_time_left(api: Api):
    """The least time left comes first, and a key that never ends comes last."""
    _, document = await api.get("/v1/keys")
    assert [key["ref"] for key in document["keys"]] == [LAPSED, LEDGER, FRESH, LASTING]
    assert [key["expires_at"] for key in document["keys"]][-2:] == ["2026-04-30T12:00:00Z", "never"]
    assert document["next"] is None


async def test_pages(api: Api):
    """`next` of a page asks for the following one, until there is none."""
    _, first = await api.get("/v1/keys", limit="3")
    _, second = await api.get("/v1/keys", limit="3", after=first["next"])
    assert [len(first["keys"]), len(second["keys"])] == [3, 1]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"fleet": "books"}, [LEDGER]),
        ({"tier": "lapsed"}, [LAPSED]),
        ({"text": "LEDG"}, [LEDGER]),
        ({"condition": "lapsed"}, [LAPSED]),
        ({"condition": "lapsed", "fleet": "books"}, []),
        ({"lane": "nowhere"}, []),
    ],
)
async def test_filters(api: Api, query: dict[str, str], found: list[str]):
    """Each filter leaves the keys that it names."""
    _, document = await api.get("/v1/keys", **query)
    assert [key["ref"] for key in document["keys"]] == found


@pytest.mark.parametrize("name", [LEDGER, "alias/ledger"])
async def test_a_key_by_any_name(api: Api, name: str):
    """A key is found by its ref and by its alias, slashes quoted, with what was decided and what is open."""
    _, document = await api.get(f"/v1/keys/{quote(name, safe='')}")
    key = document["key"]
    assert key["ref"] == LEDGER
    assert key["decision"]["reason"] == "backing_off"
    assert key["open_import"]["outcome"] == "throttled"
    assert key["source"]["proof"] == "proved"
    assert "fingerprint" not in str(key)


async def test_a_key_with_several_materials(api: Api):
    """What is told of the first material is told of each that follows."""
    (ledger,) = await api.store.snapshots([LEDGER])
    rotated = replace(ledger.desired, further=("ledger-2.key",))
    await api.store.sync_fleet([rotated], now=api.clock.now())
    _, document = await api.get("/v1/keys/alias%2Fledger")
    key = document["key"]
    (second,) = key["further"]
    assert (key["source"]["locator"], key["source"]["proof"]) == (rotated.locator, "proved")
    assert (second["source"]["locator"], second["source"]["proof"]) == ("ledger-2.key", "not_proved")
    assert set(second) <= set(key)


async def test_unknown_key(api: Api):
    """A name that means no key is 404, with what to do."""
    status, document = await api.get("/v1/keys/alias%2Fnone")
    assert status == 404
    assert document["code"] == "key_unknown"
    assert "byokd keys" in document["step"]


async def test_ambiguous_key(api: Api):
    """A name that several keys have is 409 and lists them."""
    (ledger,) = await api.store.snapshots([LEDGER])
    west = LaneId("999988887777/eu-west-1")
    twin = replace(ledger.desired, ref=KeyRef(f"{west}/alias/ledger"), lane=west)
    await api.store.sync_fleet([ledger.desired, twin], now=api.clock.now())
    status, document = await api.get("/v1/keys/alias%2Fledger")
    assert status == 409
    assert sorted(document["candidates"]) == [LEDGER, twin.ref]
    assert (await api.get(f"/v1/keys/{quote(twin.ref, safe='')}"))[0] == 200


async def test_history(api: Api):
    """A key's history is its own, newest first; the other one is everybody's."""
    _, mine = await api.get(f"/v1/keys/{quote(LAPSED, safe='')}/history")
    _, everybody = await api.get("/v1/history", limit="2")
    assert [entry["event"] for entry in mine["history"]] == ["material_lapsed", "tracked"]
    assert len(everybody["history"]) == 2


async def test_queue_and_conditions(api: Api):
    """The queue has the open import, and conditions can be asked for by subject."""
    _, queue = await api.get("/v1/queue", all="true")
    _, conditions = await api.get("/v1/conditions", subject="daemon")
    assert [(row["key"], row["state"], row["attempts"]) for row in queue["imports"]] == [(LEDGER, "failed", 2)]
    assert [each["kind"] for each in conditions["conditions"]] == ["clock_skew"]


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        ("/v1/keys", {"limit": "0"}, "limit"),
        ("/v1/keys", {"limit": "many"}, "limit"),
        ("/v1/keys", {"teir": "due"}, "did you mean 'tier'"),
        ("/v1/keys", {"tier": "soon"}, "fresh, due, urgent"),
        ("/v1/keys", {"condition": "laps"}, "expiring, overdue, lapsed"),
        ("/v1/keys", {"text": "x" * 3000}, "longer than"),
        ("/v1/queue", {"all": "yes"}, "true or false"),
        ("/v1/status", {"verbose": "1"}, "verbose"),
    ],
)
async def test_bad_parameters(api: Api, path: str, query: dict[str, str], says: str):
    """What cannot be understood is 400 and says why, in JSON."""
    status, document = await api.get(path, **query)
    assert status == 400
    assert says in document["error"]
    assert document["step"]


async def test_unknown_path(api: Api):
    """An unknown path is 404, and a known one with another method 405, in JSON."""
    assert (await api.get("/v2/keys"))[0] == 404
    status, document = await api.get("/v1/orders/1/cancel")
    assert status == 405
    assert document["code"] == "http"


async def test_health_and_readiness(api: Api):
    """The process is healthy while it answers; it is ready when the daemon says so."""
    assert (await api.get("/healthz"))[0] == 200
    assert (await api.get("/readyz"))[0] == 200
    api.status["ready"] = False
    assert (await api.get("/readyz"))[0] == 503


class _BusyStore(MemoryStore):
    async def open_conditions(self, subject: str = "") -> tuple[OpenCondition, ...]:
        raise StoreBusy("byokd.db is in use by another process")


class _BrokenStore(MemoryStore):
    async def open_conditions(self, subject: str = "") -> tuple[OpenCondition, ...]:
        raise LookupError("a defect")


async def test_store_trouble(tmp_path: Path):
    """Trouble with the store is 503 with its code and step."""
    async with an_api(tmp_path, _BusyStore()) as api:
        status, document = await api.get("/v1/status")
    assert status == 503
    assert (document["code"], document["step"]) == ("store_busy", StoreBusy.step)


async def test_defect(tmp_path: Path):
    """A defect is 500 and does not tell its inside."""
    async with an_api(tmp_path, _BrokenStore()) as api:
        status, document = await api.get("/v1/status")
    assert status == 500
    assert document["code"] == "internal"
    assert "defect" not in document["error"]
