"""Why a key is where it is, asked over the socket: now, and at an earlier moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from byokd.facts.change import Change
from byokd.facts.condition import Condition, ConditionKind, OpenCondition, Severity
from byokd.facts.key import Blind, KeyRef, MaterialId, MaterialState, ObservedKey, ObservedMaterial
from byokd.facts.ledger import HistoryEntry, HistoryEvent, OrderKind, Tier, Track, Unproved
from tests.kit.builders import DAY, FINGERPRINT, LANE_ID, order
from tests.kit.clock import START
from tests.unit.web.api import Api, an_api
from tests.unit.web.fleet import FRESH, LAPSED, LEDGER, decide

HOUR = timedelta(hours=1)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with an_api(tmp_path) as served:
        yield served


async def why(api: Api, name: str = FRESH, **query: str) -> Any:
    """What is answered about a key."""
    status, document = await api.get(f"/v1/keys/{quote(name, safe='')}/why", **query)
    assert status == 200, document
    return document["why"]


async def test_a_key_tells_what_is_known_and_since_when(api: Api):
    """Each thing with the line of history that tells it; what none tells has no date."""
    line = HistoryEntry(
        at=START - DAY, ref=LEDGER, event=HistoryEvent.STATE_CHANGED, detail="PendingImport → Enabled", cause="import 7"
    )
    await decide(api.store, LEDGER, Tier.URGENT, "backing_off", "tries again", history=(line,))
    known = {each["what"]: each for each in (await why(api, "alias/ledger"))["known"]}
    assert known["config"]["since"] == "2026-01-20T12:00:00Z"
    assert (known["state"]["value"], known["state"]["since"]) == ("the key is Enabled", "2026-02-28T12:00:00Z")
    assert known["state"]["cause"] == "import 7"
    assert (known["expiry"]["value"], known["expiry"]["since"]) == ("ValidTo 2026-03-02 18:00:00Z", None)
    assert (known["source"]["at"], known["material"]["at"]) == ("2026-03-01T12:00:00Z", "2026-01-30T12:00:00Z")
    assert known["import"]["cause"] == "import 000000000001: renewal_due"


async def test_a_key_tells_its_rule_and_what_would_change_it(api: Api):
    """A hold says until when, how to end it, and what it holds up; the decision has the words on record."""
    hold = order(OrderKind.HOLD, ref=LEDGER, until=START + HOUR, why="audit")
    entry = HistoryEntry(at=START, ref=LEDGER, event=HistoryEvent.ORDER_GIVEN, detail="hold")
    await api.store.add_orders([(hold, entry)])
    await decide(api.store, LEDGER, Tier.URGENT, "held", "held by operator, as it was said then")
    told = await why(api, LEDGER)
    (material,) = told["materials"]
    assert (material["rule"], material["until"]) == ("held", "2026-03-01T13:00:00Z")
    assert material["rule_says"] == "An operator's hold is obeyed in every tier."
    assert {"what": "`byokd release alias/ledger`", "at": None} in material["changed_by"]
    assert material["behind"]["reason"] == "renewal_due"
    assert told["decision"]["message"] == material["message"] == "held by operator, as it was said then"
    assert (told["replayed"], told["unknown"], told["looks_again_at"]) == (False, None, "2026-03-02T12:00:00Z")
    assert "hold by operator: audit" in [each["value"] for each in told["known"]]


async def test_a_clock_that_was_wrong_is_told(api: Api):
    """Of the lane's conditions that alone, then and now: the key was judged by the clock of KMS."""
    condition = Condition(kind=ConditionKind.CLOCK_SKEW, severity=Severity.CRITICAL, detail="reads 3600 s later")
    await api.store.save_conditions([
        OpenCondition(
            id="skew", subject=f"lane:{LANE_ID}", condition=condition, since=START - DAY, resolved_at=START - HOUR
        )
    ])  # fmt: skip
    then = {each["value"] for each in (await why(api, at="2h"))["known"]}
    now = {each["value"] for each in (await why(api))["known"]}
    assert "clock_skew: reads 3600 s later" in then - now


async def test_a_hold_that_is_over_does_not_decide(api: Api):
    """Also while the daemon is down and nobody has closed it."""
    hold = order(OrderKind.HOLD, ref=FRESH, until=START + HOUR)
    entry = HistoryEntry(at=START, ref=LEDGER, event=HistoryEvent.ORDER_GIVEN, detail="hold")
    await api.store.add_orders([(hold, entry)])
    api.clock.advance(7200)
    assert (await why(api))["materials"][0]["rule"] == "fresh"


async def test_each_material_is_explained(api: Api):
    """The one that speaks for the key says why."""
    (known,) = await api.store.snapshots([KeyRef(FRESH)])
    name = MaterialId("ef" * 32)
    assert isinstance(known.view, ObservedKey)
    older = ObservedMaterial(material_id=name, state=MaterialState.NON_CURRENT, imported=True, expiry=START + DAY)
    view = replace(known.view, materials=(older, *known.view.materials))
    await api.store.sync_fleet([replace(known.desired, further=("2.key",))], now=START)
    track = Track(proof=known.proof, fingerprint=FINGERPRINT, material=name, last_expiry=START + DAY)
    several = replace(known, desired=replace(known.desired, further=("2.key",)), view=view, others=(track,))
    epoch = await api.store.acquire_lane(known.desired.lane, node="test", now=START)
    change = Change(epoch=epoch, snapshot=several, tier=Tier.DUE, reason="x", message="", due_at=START + DAY)
    await api.store.save(change)
    told = await why(api)
    assert told["decision"]["material"] == 2
    assert "nearest deadline" in told["decision"]["goes_first"]
    assert [each["locator"] for each in told["materials"]] == ["payments.key", "2.key"]
    assert [each["material"] for each in told["known"] if each["what"] == "source"] == [1, 2]


async def test_an_earlier_moment_is_replayed(api: Api):
    """By a time or by how long ago; what is assumed is said, and no time is given that nobody knows."""
    open_ = OpenCondition(
        id="c9",
        subject=FRESH,
        condition=Condition(kind=ConditionKind.COULD_NOT_LOOK, severity=Severity.WARNING, detail="no route"),
        since=START - DAY,
        resolved_at=START - HOUR,
    )
    await api.store.save_conditions([open_])
    for asked in ("2h", "2026-03-01T10:00:00Z", "2026-03-01T11:00:00+01:00"):
        told = await why(api, at=asked)
        assert (told["asked_at"], told["replayed"]) == ("2026-03-01T10:00:00Z", True)
        (material,) = told["materials"]
        assert (material["rule"], material["until"], material["message"]) == ("could_not_look", None, "no route")
        assert told["looks_again_at"] is None
        assert any("today's config" in each for each in told["assumed"])
    assert (await why(api, at="30m"))["materials"][0]["rule"] == "fresh"


async def test_what_is_not_on_record_is_said(api: Api):
    """Not an error: the question was a good one."""
    told = await why(api, at="2026-01-01T00:00:00Z")
    assert told["decision"] is None
    assert told["unknown"] == "the history goes back to 2026-01-20 12:00:00Z, and not to then"
    assert (told["known"], told["materials"]) == ([], [])


async def test_a_key_that_left_the_config_tells_its_past_only(api: Api):
    """What it was then can be asked; what it is now nobody decides."""
    await api.store.sync_fleet([], now=START)
    api.clock.advance(7200)
    assert (await api.get(f"/v1/keys/{quote(FRESH, safe='')}/why"))[0] == 404
    assert (await why(api, at="3h"))["materials"][0]["rule"] == "fresh"
    assert "it left at 2026-03-01 12:00:00Z" in (await why(api, at="1h"))["unknown"]


@pytest.mark.parametrize(
    ("name", "query", "status", "says"),
    [
        ("alias/none", {}, 404, "no key named"),
        (FRESH, {"at": "soon"}, 400, "write 2026-03-01T12:00:00Z, or how long ago"),
        (FRESH, {"at": "2026-03-01T12:00:00"}, 400, "write 2026-03-01T12:00:00Z"),
        (FRESH, {"at": "2026-03-02T12:00:00Z"}, 400, "lies in the future"),
        (FRESH, {"when": "2h"}, 400, "unknown parameter"),
    ],
)
async def test_a_question_that_makes_no_sense(api: Api, name: str, query: dict[str, str], status: int, says: str):
    """It is told what is wrong with it."""
    found, document = await api.get(f"/v1/keys/{quote(name, safe='')}/why", **query)
    assert (found, says in document["error"]) == (status, True)


async def test_what_fails_is_told_since_when(api: Api):
    """A source and a KMS that do not answer, and material that is gone, with the moment each began."""
    (known,) = await api.store.snapshots([KeyRef(LAPSED)])
    proof = Unproved(since=START - DAY, at=START, code="source_unreadable", message="no such file", failures=9)
    assert isinstance(known.view, ObservedKey)
    view = Blind(since=START - HOUR, at=START, code="throttled", message="too many", failures=2, last=known.view)
    lost = replace(known.ledger, lost_at=START - 2 * HOUR)
    epoch = await api.store.acquire_lane(known.desired.lane, node="test", now=START)
    snapshot = replace(known, proof=proof, view=view, ledger=lost)
    change = Change(epoch=epoch, snapshot=snapshot, tier=Tier.LAPSED, reason="x", message="", due_at=START + DAY)
    await api.store.save(change)
    known_of = {(each["what"], each["value"]): each["since"] for each in (await why(api, LAPSED))["known"]}
    assert known_of["look", "could not look: too many"] == "2026-03-01T11:00:00Z"
    assert known_of["material", "gone"] == "2026-03-01T10:00:00Z"
    assert known_of["source", "source files: payments.key, source_unreadable: no such file"] == "2026-02-28T12:00:00Z"
