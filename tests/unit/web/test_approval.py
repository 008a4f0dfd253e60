"""Orders that need a second person: proposed by one, in force only when another has approved them."""

from __future__ import annotations

import os
import pwd
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from byokd.facts.ledger import HistoryEvent, OrderKind, OrderState
from byokd.store.views import cursor
from byokd.web.orders import Counter, Given
from byokd.web.requests import read
from tests.unit.web.api import Api, an_api
from tests.unit.web.fleet import FRESH, LEDGER

SUSPEND = {"kind": "suspend", "key": FRESH}
APPROVALS = "/v1/approvals"
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with an_api(tmp_path) as served:
        served.approval = (OrderKind.SUSPEND, OrderKind.ROTATE)
        yield served


async def proposed(api: Api, body: dict[str, str], *, by: str = "ann") -> Given:
    """An order that somebody else at the socket has given."""
    counter = Counter(
        store=api.store,
        now=api.clock.now,
        new_id=lambda: f"of {by}",
        wake=lambda: None,
        cursor=cursor,
        approval=lambda: api.approval,
        lanes=tuple,
    )
    return await counter.give(read(body, api.clock.now()), by=by)


async def test_an_order_is_proposed_and_not_in_force(api: Api) -> None:
    """It is on record, listed and told, and byokd does nothing about it."""
    status, document = await api.post(SUSPEND | {"why": "leaked"})
    assert (status, document["order"]["state"]) == (201, "proposed")
    assert await api.orders(FRESH) == ()
    entry = await api.told()
    assert (entry.event, entry.detail) == (HistoryEvent.ORDER_PROPOSED, "suspend: leaked")
    _, listed = await api.get("/v1/orders")
    assert [(order["state"], order["by"]) for order in listed["orders"]] == [("proposed", ME)]
    assert [line["event"] for line in api.logged] == ["order_proposed"]


async def test_other_kinds_need_nobody(api: Api) -> None:
    """The config names the kinds that do."""
    await api.post({"kind": "hold", "key": FRESH})
    assert [order.state for order in await api.orders(FRESH)] == [OrderState.OPEN]


async def test_nobody_approves_their_own(api: Api) -> None:
    """Two people are two Unix users."""
    await api.post(SUSPEND)
    status, document = await api.post(SUSPEND, path=APPROVALS)
    assert (status, document["code"]) == (409, "order_refused")
    assert "another person" in document["error"]
    assert await api.orders(FRESH) == ()


async def test_another_person_puts_it_in_force(api: Api) -> None:
    """As if it were given now, with both names; the engine is nudged."""
    await proposed(api, SUSPEND | {"why": "leaked"})
    api.clock.advance(3600)
    status, document = await api.post(SUSPEND, path=APPROVALS)
    assert (status, document["ordered"]) == (200, 1)
    (order,) = await api.orders(FRESH)
    both = f"ann, approved by {ME}"
    assert (order.by, order.why, order.created_at) == (both, "leaked", api.clock.now())
    entry = await api.told()
    assert (entry.event, entry.cause) == (HistoryEvent.ORDER_GIVEN, f"order of {both}")
    assert api.wakes == ["woken"]
    assert (await api.post(SUSPEND, path=APPROVALS))[0] == 409


async def test_a_fleet_is_approved_where_it_was_proposed(api: Api) -> None:
    """Keys without a proposal are left as they are, and one's own is refused by name."""
    await proposed(api, SUSPEND)
    await api.post({"kind": "suspend", "key": LEDGER})
    (snapshot,) = await api.store.snapshots(await api.store.find(FRESH))
    status, document = await api.post({"kind": "suspend", "lane": snapshot.desired.lane}, path=APPROVALS)
    assert (status, document["ordered"], document["refused"]) == (200, 1, 1)
    assert [order["key"] for order in document["orders"]] == [FRESH]


async def test_a_dry_run_approves_nothing(api: Api) -> None:
    """It tells what would be in force."""
    await proposed(api, SUSPEND)
    status, document = await api.post(SUSPEND | {"dry_run": True}, path=APPROVALS)
    assert (status, document["ordered"]) == (200, 1)
    assert await api.orders(FRESH) == ()


async def test_what_makes_no_sense_any_more_is_not_approved(api: Api) -> None:
    """A release was proposed, and the hold has ended meanwhile."""
    api.approval = (OrderKind.RELEASE,)
    await api.post({"kind": "hold", "key": FRESH, "until": "1h"})
    release = {"kind": "release", "key": FRESH}
    await proposed(api, release)
    api.clock.advance(3600)
    status, document = await api.post(release, path=APPROVALS)
    assert (status, document["code"]) == (409, "order_refused")
    assert "no hold is in force" in document["error"]


async def test_a_second_proposal_is_refused(api: Api) -> None:
    """Whoever approves must know which of them it is."""
    await proposed(api, SUSPEND)
    status, document = await api.post(SUSPEND)
    assert status == 409
    assert "ann has proposed it already" in document["error"]


async def test_a_proposal_is_taken_back(api: Api) -> None:
    """A suspension in force is not cancelled but resumed; a proposed one is."""
    _, document = await api.post(SUSPEND)
    status, answered = await api.post({}, path=f"/v1/orders/{document['order']['id']}/cancel")
    assert (status, answered["order"]["state"]) == (200, "cancelled")
    assert (await api.get("/v1/orders"))[1]["orders"] == []


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (SUSPEND, 409, "no suspend is proposed"),
        (SUSPEND | {"why": "because"}, 400, "changes nothing of the order"),
        ({"kind": "suspend"}, 400, "needs a key"),
        ({"kind": "everything", "key": FRESH}, 400, "must be one of"),
        ({"kind": "suspend", "key": "alias/none"}, 409, "no key named"),
    ],
)
async def test_a_bad_approval(api: Api, body: dict[str, str], status: int, says: str) -> None:
    """What is wrong with it is told, and nothing is in force."""
    found, document = await api.post(body, path=APPROVALS)
    assert found == status
    assert says in document["error"]
    assert await api.orders(FRESH) == ()
