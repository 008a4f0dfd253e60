"""Orders to the API, over its socket."""

from __future__ import annotations

import os
import pwd
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from byokd.facts.key import ABSENT, Blind, Family, KeyArn, KeyRef, MaterialId, MaterialState, last_seen
from byokd.facts.ledger import HistoryEvent, OrderKind, Track
from byokd.web.refusals import unfit
from tests.kit import builders
from tests.kit.builders import lane
from tests.kit.clock import START
from tests.unit.web.api import Api, an_api
from tests.unit.web.fleet import FRESH, LASTING, LEDGER

REPLICA = KeyArn("arn:aws:kms:us-east-1:111122223333:key/mrk-0a1b2c3d000040008000000000000001")
FAMILY = Family(primary=KeyArn(REPLICA.replace("us-east-1", "eu-central-1")), replicas=(REPLICA,))


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


async def test_material_is_lost_where_the_order_says_so(api: Api):
    """And only there; a suspension under way that spares it is followed by one that does not."""
    assert (await api.post({"kind": "suspend", "key": FRESH}))[0] == 201
    assert (await api.post({"kind": "suspend", "key": FRESH}))[0] == 409
    status, document = await api.post({"kind": "suspend", "key": FRESH, "lose_material": True})
    assert (status, document["order"]["lose_material"]) == (201, True)
    assert (await api.told()).detail == "suspend with all its material"
    assert (await api.post({"kind": "suspend", "key": FRESH, "lose_material": True}))[0] == 409
    assert (await api.post({"kind": "suspend", "key": LASTING, "lose_material": True}))[0] == 201
    assert (await api.post({"kind": "hold", "key": FRESH, "lose_material": True}))[0] == 400


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"kind": "import", "key": "alias/none"}, "no key named 'alias/none'"),
        ({"kind": "release", "key": FRESH}, "no hold is in force"),
        ({"kind": "hold", "key": FRESH, "until": "2026-03-01T12:00:00Z"}, "over already"),
        ({"kind": "hold", "key": FRESH, "until": "0s"}, "over already"),
        ({"kind": "resume", "key": FRESH}, "not suspended"),
        ({"kind": "suspend", "fleet": "nobody"}, "has no keys"),
        ({"kind": "suspend", "key": LASTING}, "byokd never imported it"),
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
        ({"kind": "delete", "key": FRESH}, "import, hold, release, suspend, resume"),
        ({"kind": "hold"}, "needs a key, or a fleet, or a lane"),
        ({"kind": "hold", "key": 7}, "text on one line"),
        ({"kind": "hold", "key": FRESH, "why": "two\nlines"}, "text on one line"),
        ({"kind": "hold", "key": FRESH, "why": "x" * 501}, "longer than 500"),
        ({"kind": "hold", "key": FRESH, "till": "2h"}, "no member 'till'"),
        ({"kind": "hold", "key": FRESH, "until": "soon"}, "a duration such as 2h"),
        ({"kind": "hold", "key": FRESH, "until": "2026-03-01T13:00:00"}, "a duration such as 2h"),
        ({"kind": "hold", "key": FRESH, "until": "99999999w"}, "a duration such as 2h"),
        ({"kind": "import", "key": FRESH, "until": "2h"}, "only a hold"),
        ({"kind": "hold", "key": FRESH, "valid_to": "30d"}, "only an import"),
        ({"kind": "import", "key": FRESH, "valid_to": "366d"}, "within the next 365 days"),
        ({"kind": "import", "key": FRESH, "valid_to": "2026-03-01T12:00:00Z"}, "within the next 365 days"),
        ({"kind": "import", "key": FRESH, "valid_to": "later"}, "a duration such as 2h"),
        ({"kind": "import", "key": FRESH, "fleet": "f"}, "a key, or a fleet, or a lane"),
        ({"kind": "import", "key": FRESH, "dry_run": "yes"}, "true or false"),
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


async def test_a_fleet(api: Api):
    """An order for a fleet is a row for each of its keys, all or none; those that it makes no sense for are named."""
    await api.post({"kind": "suspend", "key": FRESH})
    status, document = await api.post({"kind": "suspend", "fleet": "payments", "why": "breach"})
    refs = {line["key"] for line in document["orders"]}
    assert (status, document["dry_run"], document["refused"]) == (201, False, 2)
    refusal = document["refusals"][0]
    assert (refusal["key"], refusal["why"]) == (FRESH, "it is being suspended already")
    assert refusal["step"] == f"`byokd orders {FRESH}` tells how far that is."
    assert document["refusals"][1]["key"] == LASTING
    assert document["ordered"] == len(refs) >= 1
    assert FRESH not in refs
    for ref in refs:
        assert [order.why for order in await api.orders(ref)] == ["breach"]


async def test_a_dry_run(api: Api):
    """It says what would be ordered; nothing is written, nobody woken."""
    status, document = await api.post({"kind": "suspend", "fleet": "payments", "dry_run": True})
    assert (status, document["dry_run"]) == (200, True)
    assert document["ordered"] > 1
    assert (await api.orders(FRESH), api.wakes) == ((), [])


async def test_orders_that_contradict_a_suspension(api: Api):
    """A suspended key is not imported into, and not resumed under a hold: each is refused with the way out."""
    await api.post({"kind": "suspend", "key": FRESH})
    status, document = await api.post({"kind": "import", "key": FRESH})
    assert (status, f"byokd resume {FRESH}" in document["step"]) == (409, True)
    await api.post({"kind": "hold", "key": FRESH})
    status, document = await api.post({"kind": "resume", "key": FRESH})
    assert (status, f"byokd release {FRESH}" in document["step"]) == (409, True)


@pytest.mark.parametrize("kind", ["import", "rotate"])
async def test_a_held_key_is_not_imported_into(api: Api, kind: str):
    """The order was taken, and refused a second later, where only `byokd orders --all` told so.

    A hold is over at its end also where nobody can look at the key: it refused the order that was to be next.
    """
    hold = builders.order(OrderKind.HOLD, by="ann", why="audit", created_at=api.clock.now())
    (snapshot,) = await api.store.snapshots([KeyRef(FRESH)])
    for until, refused in ((ABSENT, True), (START, False)):
        held = replace(snapshot.ledger, open_orders=(replace(hold, until=until),))
        for view in (
            snapshot.view,
            Blind(since=START, at=START, code="denied", message="no", failures=1, last=last_seen(snapshot.view)),
        ):
            said = unfit(OrderKind(kind), replace(snapshot, view=view, ledger=held), api.clock.now())
            assert (said is not None and said.why == "it is held by ann: audit") is refused


@pytest.mark.parametrize("kind", ["import", "rotate"])
@pytest.mark.parametrize(("force", "undo"), [("hold", "release"), ("suspend", "resume")])
async def test_what_was_just_undone_refuses_nothing(api: Api, kind: str, force: str, undo: str):
    """An order right after a release was refused, to be given after a release; so it was after a resumption."""
    (snapshot,) = await api.store.snapshots([KeyRef(FRESH)])
    given = builders.order(OrderKind(force), id="1", by="ann", created_at=START - timedelta(hours=1))
    undone = builders.order(OrderKind(undo), id="2", by="ann", created_at=START)
    again = builders.order(OrderKind(force), id="3", by="ann", created_at=START + timedelta(seconds=1))
    for orders, refused in (((given,), True), ((given, undone), False), ((given, undone, again), True)):
        ledger = replace(snapshot.ledger, open_orders=orders)
        said = unfit(OrderKind(kind), replace(snapshot, ledger=ledger), START + timedelta(seconds=2))
        assert (said is not None and "by ann" in said.why) is refused


def test_a_key_without_a_next_material_is_not_rotated():
    """That is plain from the last look; the order was taken, and refused a second later."""
    rotated = replace(builders.observed().materials[0], material_id=MaterialId("cd" * 32), state=MaterialState.CURRENT)
    first = replace(builders.observed().materials[0], state=MaterialState.NON_CURRENT)
    stocked = builders.desired(further=("2.key",))
    one = builders.snapshot(
        desired=stocked,
        view=builders.observed(materials=(first, rotated)),
        others=(Track(material=rotated.material_id),),
    )
    said = unfit(OrderKind.ROTATE, one, START)
    assert said is not None
    assert ("no further material" in said.why, "end of `materials`" in said.step) == (True, True)
    assert unfit(OrderKind.ROTATE, builders.snapshot(desired=stocked, others=(Track(),)), START) is None


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256", "HMAC_256"])
def test_a_key_that_is_never_rotated_is_not_told_to_have_further_material(spec: str):
    """It was told to list the next one in `materials`, as if it could then be rotated."""
    said = unfit(OrderKind.ROTATE, builders.snapshot(view=builders.observed(spec=spec)), START)
    assert said is not None
    assert ("are not rotated" in said.why, "byokd show" in said.step) == (True, True)


@pytest.mark.parametrize("further", [(), ("2.key",)], ids=["one material", "one more in stock"])
def test_a_replica_is_not_told_to_have_further_material(further: tuple[str, ...]):
    """It is rotated with its primary, and that is what is to be ordered, however many materials the config has."""
    desired = builders.desired(arn=REPLICA, further=further)
    replica = builders.snapshot(
        desired=desired,
        view=builders.observed(arn=REPLICA, family=FAMILY),
        others=tuple(Track() for _ in further),
    )
    said = unfit(OrderKind.ROTATE, replica, START)
    assert said is not None
    assert f"order it for {FAMILY.primary}" in said.why
    assert "materials" not in said.why + said.step


async def test_a_lane_is_meant_by_its_name(api: Api):
    """An order for it, and a list of its keys; one that the config does not have is told with those that it has."""
    api.lanes = (lane(),)
    _, document = await api.post({"kind": "import", "lane": lane().name, "dry_run": True})
    assert document["ordered"] > 1
    _, document = await api.get("/v1/keys", lane=lane().name)
    assert document["keys"]
    status, document = await api.post({"kind": "import", "lane": "nowhere"})
    assert (status, document["error"]) == (400, "no lane is called 'nowhere': there are prod")


async def test_cancelling(api: Api):
    """An order that has not begun is taken back, with a line of history, and only once."""
    _, given = await api.post({"kind": "import", "key": FRESH, "valid_to": "never"})
    path = f"/v1/orders/{given['order']['id']}/cancel"
    status, document = await api.post(None, path=path)
    assert (status, document["order"]["state"]) == (200, "cancelled")
    assert await api.orders(FRESH) == ()
    assert (await api.told()).detail == "import: cancelled"
    status, document = await api.post(None, path=path)
    assert (status, "it is cancelled already" in document["error"]) == (409, True)


@pytest.mark.parametrize(("kind", "undo"), [("hold", "release"), ("suspend", "resume")])
async def test_what_is_in_force_is_not_cancelled(api: Api, kind: str, undo: str):
    """A hold and a suspension have an order of their own that ends them."""
    _, given = await api.post({"kind": kind, "key": FRESH})
    status, document = await api.post(None, path=f"/v1/orders/{given['order']['id']}/cancel")
    assert (status, document["step"]) == (409, f"`byokd {undo} {FRESH}` ends it.")


async def test_listing(api: Api):
    """Open orders, newest first; of one key, if asked."""
    await api.post({"kind": "hold", "key": FRESH})
    await api.post({"kind": "import", "key": LEDGER})
    _, document = await api.get("/v1/orders")
    assert [(each["kind"], each["key"]) for each in document["orders"]] == [("import", LEDGER), ("hold", FRESH)]
    _, document = await api.get("/v1/orders", key=FRESH)
    assert [each["kind"] for each in document["orders"]] == ["hold"]
    status, _ = await api.get("/v1/orders", key="alias/none")
    assert status == 404


@pytest.mark.parametrize("kind", ["import", "suspend", "rotate"])
async def test_a_key_that_is_gone_takes_no_orders(api: Api, kind: str):
    """Deleted in AWS, say: nobody could carry them out. Of a new key KMS may say so for minutes, and it takes them."""
    (snapshot,) = await api.store.snapshots([KeyRef(FRESH)])
    seen = last_seen(snapshot.view)
    for hours, gone in ((2, True), (0, False)):
        since = api.clock.now() - timedelta(hours=hours)
        view = Blind(last=seen, since=since, at=since, code="key_not_found", message="gone", failures=9)
        said = unfit(OrderKind(kind), replace(snapshot, view=view), api.clock.now())
        assert (said is not None and "KMS has known no such key" in said.why) is gone
