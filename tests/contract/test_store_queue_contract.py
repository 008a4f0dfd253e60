"""What every `ports.Store` promises about the import queue and orders."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from byokd.errors import OrderRefused, StoreError
from byokd.facts.change import KeyFilter
from byokd.facts.key import ABSENT, NEVER_LOOKED, KeyRef, MaterialId
from byokd.facts.ledger import (
    BY_PERIOD,
    HistoryEvent,
    ImportState,
    OrderKind,
    OrderState,
    Tier,
)
from tests.kit.builders import DAY, LANE_ID, ledger, observed, order
from tests.kit.clock import LONG_AGO, START
from tests.kit.store_fleet import (
    HOUR,
    KEY,
    OTHER_LANE,
    REF,
    Fleet,
    a_key,
    done,
    entry,
    row,
)

# -- the import queue -------------------------------------------------------------------------------------------------


async def test_ready_rows_come_by_deadline_and_only_waiting_ones(fleet: Fleet) -> None:
    """The lane serves the earliest deadline first; rows under way or backing off are not offered."""
    keys = [a_key(number) for number in range(1, 7)]
    await fleet.store.sync_fleet(keys, now=START)
    rows = [
        row(1, deadline=START + 3 * DAY),
        row(2, deadline=START + DAY, state=ImportState.FAILED, attempts=1),
        row(3, deadline=START + 3 * DAY, not_before=START + HOUR),
        row(4, deadline=START + 2 * DAY, not_before=START + 2 * HOUR),
        row(5, deadline=START, state=ImportState.RUNNING, started_at=START),
        row(6, deadline=START, state=ImportState.REFUSED, finished_at=START),
    ]
    for key, each in zip(keys, rows, strict=True):
        await fleet.save(key, imports=(replace(each, ref=key.ref),))
    assert [each.id[-1] for each in await fleet.store.ready_imports(LANE_ID, now=START + HOUR, limit=9)] == list("213")
    assert [each.id[-1] for each in await fleet.store.ready_imports(LANE_ID, now=START + HOUR, limit=1)] == ["2"]
    assert await fleet.store.ready_imports(OTHER_LANE, now=START + DAY, limit=9) == ()
    assert await fleet.store.next_ready_at(LANE_ID, after=LONG_AGO) == START
    assert await fleet.store.next_ready_at(LANE_ID, after=START) == START + HOUR
    await fleet.save(keys[0], imports=(replace(done(1), ref=keys[0].ref),))
    await fleet.save(keys[1], imports=(replace(done(2), ref=keys[1].ref),))
    assert await fleet.store.next_ready_at(LANE_ID, after=LONG_AGO) == START + HOUR
    assert await fleet.store.next_ready_at(OTHER_LANE, after=LONG_AGO) is ABSENT


async def test_rank_comes_before_the_deadline(fleet: Fleet) -> None:
    """Lapsed keys, then what is near its deadline, then routine; a priority counts among the first and the last."""
    rows = [
        row(1, tier=Tier.DUE, deadline=START + DAY),
        row(2, tier=Tier.DUE, deadline=START + 9 * DAY, priority=5),
        row(3, tier=Tier.URGENT, deadline=START + 9 * DAY, priority=-5),
        row(4, tier=Tier.EMERGENCY, deadline=START + 10 * DAY, priority=100),
        row(5, tier=Tier.LAPSED, deadline=START - DAY),
        row(6, tier=Tier.LAPSED, deadline=START, priority=1),
    ]
    keys = [a_key(number) for number in range(1, 7)]
    await fleet.store.sync_fleet(keys, now=START)
    for key, each in zip(keys, rows, strict=True):
        await fleet.save(key, imports=(replace(each, ref=key.ref),))
    assert [each.id[-1] for each in await fleet.store.ready_imports(LANE_ID, now=START, limit=9)] == list("653421")
    await fleet.save(keys[0], imports=(replace(rows[0], ref=keys[0].ref, tier=Tier.URGENT),))
    assert [each.id[-1] for each in await fleet.store.ready_imports(LANE_ID, now=START, limit=9)] == list("651342")


async def test_one_material_has_one_open_row(fleet: Fleet) -> None:
    """A second open import of the same material is refused, with all that came with it."""
    await fleet.save(imports=(row(1),))
    with pytest.raises(StoreError):
        await fleet.save(view=observed(), imports=(row(2),))
    assert await fleet.store.imports(only_open=False, limit=9) == (row(1),)
    assert (await fleet.read()).view is NEVER_LOOKED


async def test_a_key_without_a_named_material_has_one_open_row_too(fleet: Fleet) -> None:
    """Before KMS has named the material, the rule holds all the same."""
    await fleet.save(imports=(row(1, material=ABSENT),))
    with pytest.raises(StoreError):
        await fleet.save(imports=(row(2, material=ABSENT),))


async def test_another_material_may_have_its_own_row(fleet: Fleet) -> None:
    """A key with several materials can need several imports; the ledger shows that of the managed one."""
    other = row(2, material=MaterialId("ef" * 32))
    await fleet.save(ledger=ledger(), imports=(row(1), other))
    assert (await fleet.read()).ledger.open_import == row(1)


async def test_one_change_closes_a_row_and_opens_the_next(fleet: Fleet) -> None:
    """In whatever order the rows of a change stand, the closed one makes room."""
    await fleet.save(imports=(row(1),))
    cancelled = row(1, state=ImportState.CANCELLED, finished_at=START)
    await fleet.save(imports=(row(2), cancelled))
    assert (await fleet.read()).ledger.open_import == row(2)
    assert await fleet.store.imports(ref=REF, only_open=False, limit=9) == (row(2), cancelled)


async def test_a_closed_row_stays_as_it_is(fleet: Fleet) -> None:
    """A row leaves the open states once: an old copy of it, saved late, reopens nothing."""
    await fleet.save(imports=(done(),))
    await fleet.save(imports=(row(state=ImportState.RUNNING, started_at=START),))
    assert await fleet.store.imports(only_open=False, limit=9) == (done(),)


async def test_renewals_count_each_done_row_once(fleet: Fleet) -> None:
    """Saving the outcome of an import twice is one renewal; failures and refusals are none."""
    await fleet.save(imports=(row(1),))
    await asyncio.gather(fleet.save(imports=(done(1),)), fleet.save(imports=(done(1),)))
    await fleet.save(imports=(row(2, state=ImportState.REFUSED, finished_at=START),))
    await fleet.save(imports=(done(3),))
    (line,) = await fleet.store.list_keys(KeyFilter(), limit=9)
    assert line.renewals == 2


async def test_the_newest_refusal_stands_until_a_later_row_is_done(fleet: Fleet) -> None:
    """What KMS refused is remembered, so that byokd does not ask the same again for ever."""
    refused = [row(number, state=ImportState.REFUSED, finished_at=START, outcome="x") for number in range(5)]
    await fleet.save(imports=(done(1),))
    assert (await fleet.read()).ledger.refused_import is ABSENT
    await fleet.save(imports=(refused[2],))
    await fleet.save(imports=(refused[3],))
    assert (await fleet.read()).ledger.refused_import == refused[3]
    await fleet.save(imports=(done(4),))
    assert (await fleet.read()).ledger.refused_import is ABSENT


async def test_open_rows_are_listed_as_the_lane_serves_them(fleet: Fleet) -> None:
    """What people read of the queue is the order in which it is worked off, also of rows that wait for another try."""
    rows = [
        row(1, tier=Tier.DUE, deadline=START + DAY),
        row(2, tier=Tier.DUE, deadline=START + 9 * DAY, priority=5),
        row(3, tier=Tier.EMERGENCY, deadline=START + 9 * DAY, priority=-5),
        row(4, tier=Tier.LAPSED, deadline=START + 10 * DAY),
    ]
    keys = [a_key(number) for number in range(1, 5)]
    await fleet.store.sync_fleet(keys, now=START)
    for key, each in zip(keys, rows, strict=True):
        await fleet.save(key, imports=(replace(each, ref=key.ref),))
    listed = await fleet.store.imports(only_open=True, limit=9)
    assert [each.id[-1] for each in listed] == list("4321")
    assert listed == await fleet.store.ready_imports(LANE_ID, now=START + DAY, limit=9)


async def test_rows_are_listed_in_turn_while_open_and_newest_first_otherwise(fleet: Fleet) -> None:
    """People ask what comes next, or what happened last."""
    other = a_key(2)
    await fleet.store.sync_fleet([KEY, other], now=START)
    await fleet.save(imports=(done(1), row(2, deadline=START + 2 * DAY)))
    await fleet.save(other, imports=(row(3, deadline=START + DAY, ref=other.ref),))
    assert [each.id[-1] for each in await fleet.store.imports(only_open=True, limit=9)] == list("32")
    assert [each.id[-1] for each in await fleet.store.imports(only_open=False, limit=2)] == list("32")
    assert [each.id[-1] for each in await fleet.store.imports(ref=REF, only_open=False, limit=9)] == list("21")
    assert [each.id[-1] for each in await fleet.store.imports(ref=REF, only_open=True, limit=9)] == ["2"]
    assert await fleet.store.imports(ref=KeyRef("nobody"), only_open=False, limit=9) == ()


# -- orders -----------------------------------------------------------------------------------------------------------


async def test_an_order_is_open_until_a_change_closes_it_and_wakes_its_key(fleet: Fleet) -> None:
    """Orders are read oldest first, and each makes its key due when it was given, which a change may correct."""
    await fleet.save(due_at=START + DAY)
    first, second = (
        order(kind, id=f"o{number}", ref=REF, created_at=START + number * HOUR)
        for number, kind in ((1, OrderKind.HOLD), (2, OrderKind.IMPORT))
    )
    await fleet.store.add_orders([(second, entry(HistoryEvent.ORDER_GIVEN))])
    await fleet.store.add_orders([(first, entry(HistoryEvent.ORDER_GIVEN))])
    assert await fleet.store.next_due_at(LANE_ID, after=LONG_AGO) == START + HOUR
    assert (await fleet.read()).ledger.open_orders == (first, second)
    assert (await fleet.read()).ledger.hold == first
    first = replace(first, created_at=START)
    await fleet.save(orders=(first,))
    assert (await fleet.read()).ledger.open_orders == (first, second)
    closed = replace(first, state=OrderState.DONE, closed_at=START + DAY, outcome="released")
    await fleet.save(orders=(closed,))
    assert (await fleet.read()).ledger.open_orders == (second,)
    assert (await fleet.events())[1:] == [HistoryEvent.ORDER_GIVEN] * 2


async def test_an_order_that_a_change_gives_is_open_and_no_other_is_touched(fleet: Fleet) -> None:
    """byokd's own: inserted with the change, once, and closed by a later one; at once where the key has left."""
    given = order(OrderKind.ROTATE, ref=REF, by=BY_PERIOD)
    for _ in range(2):
        await fleet.save(given=(given,))
        assert (await fleet.read()).ledger.open_orders == (given,)
    closed = replace(given, state=OrderState.DONE, closed_at=START)
    await fleet.save(orders=(closed,))
    await fleet.save(given=(given,))
    assert await fleet.store.orders(only_open=False, limit=9) == (closed,)

    change = fleet.change(given=(replace(given, id="later"),))
    await fleet.store.sync_fleet([], now=START + HOUR)
    await fleet.store.save(change)
    assert await fleet.store.orders(only_open=True, limit=9) == ()


async def test_a_proposed_order_is_in_force_once_it_is_approved(fleet: Fleet) -> None:
    """Until then the key's record does not have it; then it counts as given when it was approved, once."""
    await fleet.save(due_at=START + DAY)
    asked = order(OrderKind.SUSPEND, ref=REF, state=OrderState.PROPOSED, by="ann", created_at=START)
    await fleet.store.add_orders([(asked, entry(HistoryEvent.ORDER_PROPOSED))])
    assert (await fleet.read()).ledger.open_orders == ()
    assert await fleet.store.orders(only_open=True, limit=9) == (asked,)
    await fleet.save(due_at=START + DAY)
    given = replace(asked, state=OrderState.OPEN, by="ann, approved by bob", created_at=START + HOUR)
    await fleet.store.approve_orders([(given, entry(HistoryEvent.ORDER_GIVEN))])
    assert (await fleet.read()).ledger.open_orders == (given,)
    assert await fleet.store.next_due_at(LANE_ID, after=LONG_AGO) == START + HOUR
    with pytest.raises(OrderRefused):
        await fleet.store.approve_orders([(given, entry(HistoryEvent.ORDER_GIVEN))])
    assert (await fleet.events())[1:] == [HistoryEvent.ORDER_PROPOSED, HistoryEvent.ORDER_GIVEN]


async def test_approvals_are_all_or_none(fleet: Fleet) -> None:
    """One that was taken back meanwhile leaves the others proposed."""
    first, second = (order(OrderKind.SUSPEND, id=each, ref=REF, state=OrderState.PROPOSED) for each in ("o1", "o2"))
    await fleet.store.add_orders([(first, entry()), (second, entry())])
    back = replace(second, state=OrderState.CANCELLED, closed_at=START + HOUR, outcome="cancelled by ann")
    await fleet.store.cancel_order(back, entry())
    with pytest.raises(OrderRefused):
        await fleet.store.approve_orders([(replace(each, state=OrderState.OPEN), entry()) for each in (first, second)])
    assert (await fleet.read()).ledger.open_orders == ()


async def test_proposals_for_a_key_that_leaves_the_config_are_taken_back(fleet: Fleet) -> None:
    """Nobody could approve them any more."""
    asked = order(OrderKind.SUSPEND, ref=REF, state=OrderState.PROPOSED)
    await fleet.store.add_orders([(asked, entry())])
    await fleet.store.sync_fleet([], now=START)
    assert await fleet.store.orders(only_open=True, limit=9) == ()


async def test_an_order_for_a_key_outside_the_config_is_refused(fleet: Fleet) -> None:
    """Nobody would ever carry it out, so nobody may think that it stands."""
    with pytest.raises(OrderRefused):
        await fleet.store.add_orders([(order(OrderKind.HOLD, ref=KeyRef("nobody")), entry())])
    await fleet.store.sync_fleet([], now=START)
    with pytest.raises(OrderRefused):
        await fleet.store.add_orders([(order(OrderKind.HOLD, ref=REF), entry())])
    assert await fleet.events() == [HistoryEvent.TRACKED, HistoryEvent.UNTRACKED]
