"""Orders to the API, over its socket."""

from __future__ import annotations

import os
import pwd
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from byokd.facts.ledger import HistoryEvent, OrderKind
from tests.kit.clock import START
from tests.unit.web.api import Api, an_api
from tests.unit.web.fleet import FRESH, LEDGER


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with an_api(tmp_path) as served:
        yield served


async def test_import(api: Api):
    """An order is a row with the Unix user at the other end, a line of history, and a nudge to the engine."""
    status, document = await api.post({"kind": "import", "key": "alias/ledger", "why": "audit"})
    me = pwd.getpwuid(os.getuid()).pw_name
    assert status == 201
    (order,) = await api.orders(LEDGER)
    assert (order.ref, order.kind, order.by, order.why) == (LEDGER, OrderKind.IMPORT, me, "audit")
    assert document["order"]["id"] == order.id
    entry = await api.told()
    assert (entry.event, entry.detail, entry.cause) == (HistoryEvent.ORDER_GIVEN, "import: audit", f"order of {me}")
    assert api.wakes == ["woken"]
    assert [line["event"] for line in api.logged] == ["order_given"]


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("2h", START + timedelta(hours=2)),
        ("2026-03-01T12:00:01Z", START + timedelta(seconds=1)),
        ("2026-03-01T14:00:00+01:00", START + timedelta(hours=1)),
    ],
)
async def test_hold_until(api: Api, until: str, end: Any):
    """A hold ends after a duration from now, or at a time with a zone."""
    status, _ = await api.post({"kind": "hold", "key": FRESH, "until": until})
    assert status == 201
    assert (await api.orders(FRESH))[0].until == end


async def test_release(api: Api):
    """A hold in force can be released."""
    await api.post({"kind": "hold", "key": FRESH})
    status, document = await api.post({"kind": "release", "key": FRESH})
    assert (status, document["order"]["kind"]) == (201, "release")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"kind": "import", "key": "alias/none"}, "no key named 'alias/none'"),
        ({"kind": "release", "key": FRESH}, "no hold is in force"),
        ({"kind": "hold", "key": FRESH, "until": "2026-03-01T12:00:00Z"}, "over already"),
        ({"kind": "hold", "key": FRESH, "until": "0s"}, "over already"),
    ],
)
async def test_refused(api: Api, body: dict[str, str], says: str):
    """An order that cannot be is 409, and leaves nothing behind."""
    status, document = await api.post(body)
    assert (status, document["code"]) == (409, "order_refused")
    assert says in document["error"]
    assert (await api.orders(FRESH), api.wakes) == ((), [])


async def test_release_of_a_hold_that_is_over(api: Api):
    """A hold whose end has come is no longer in force, even where nobody has closed it yet."""
    await api.post({"kind": "hold", "key": FRESH, "until": "1h"})
    api.clock.advance(3600)
    status, _ = await api.post({"kind": "release", "key": FRESH})
    assert status == 409


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "JSON object"),
        ({}, "kind"),
        ({"kind": "delete", "key": FRESH}, "import, hold, release"),
        ({"kind": "hold"}, "needs a key"),
        ({"kind": "hold", "key": 7}, "text on one line"),
        ({"kind": "hold", "key": FRESH, "why": "two\nlines"}, "text on one line"),
        ({"kind": "hold", "key": FRESH, "why": "x" * 501}, "longer than 500"),
        ({"kind": "hold", "key": FRESH, "till": "2h"}, "no member 'till'"),
        ({"kind": "hold", "key": FRESH, "until": "soon"}, "a duration such as 2h"),
        ({"kind": "hold", "key": FRESH, "until": "2026-03-01T13:00:00"}, "a duration such as 2h"),
        ({"kind": "hold", "key": FRESH, "until": "99999999w"}, "a duration such as 2h"),
        ({"kind": "import", "key": FRESH, "until": "2h"}, "only a hold"),
    ],
)
async def test_malformed(api: Api, body: object, says: str):
    """What is no order is 400 and says what is wrong with it."""
    status, document = await api.post(body)
    assert status == 400
    assert says in document["error"]


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b"[" * 50_000], ids=["cut", "no-text", "deep"])
async def test_no_json(api: Api, data: bytes):
    """A body that is not JSON is 400."""
    status, document = await api.post(None, data=data)
    assert (status, document["error"]) == (400, "the body is not JSON")


async def test_too_large(api: Api):
    """A body over the limit is 413, in JSON."""
    status, document = await api.post(None, data=b" " * (64 * 1024 + 1))
    assert (status, document["code"]) == (413, "http")
