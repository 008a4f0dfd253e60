"""What every `ports.Store` promises about fleet, leases, timers, changes: the one on SQLite, and its twin in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from byokd.errors import LeaseLost, StoreError
from byokd.facts.change import FleetChange, KeyFilter
from byokd.facts.key import ABSENT, NEVER, NEVER_LOOKED, KeyRef
from byokd.facts.ledger import (
    HistoryEvent,
    ImportState,
    Ledger,
    OrderKind,
)
from byokd.facts.policy import LearnedPace
from byokd.facts.snapshot import Snapshot
from byokd.ports import Store
from tests.kit.builders import DAY, LANE_ID, ledger, observed, order, policy, snapshot
from tests.kit.clock import LONG_AGO, START
from tests.kit.store_fleet import (
    HOUR,
    KEY,
    OTHER_LANE,
    REF,
    Fleet,
    a_key,
    condition,
    done,
    entry,
    row,
)

# -- taking over a config ---------------------------------------------------------------------------------------------


async def test_new_keys_are_due_at_once_and_known_ones_are_left_alone(store: Store) -> None:
    """A key is due when it enters the config, and a second take-over of the same config changes nothing."""
    assert await store.sync_fleet([KEY, a_key(2)], now=START) == FleetChange(added=2, changed=0, removed=0, unchanged=0)
    assert await store.due(LANE_ID, now=START, limit=9) == (REF, a_key(2).ref)
    assert await store.sync_fleet([KEY, a_key(2)], now=START + DAY) == FleetChange(
        added=0, changed=0, removed=0, unchanged=2
    )
    assert [each.event for each in await store.history(None, limit=9)] == [HistoryEvent.TRACKED] * 2


async def test_a_key_given_twice_counts_once(store: Store) -> None:
    """A config that names a key twice was refused earlier; the store does not trip over one that was not."""
    assert (await store.sync_fleet(iter([KEY, KEY]), now=START)).added == 1


async def test_a_store_knows_which_config_its_keys_are_those_of(store: Store) -> None:
    """The newest take-over counts, and one without a name makes the name unknown."""
    assert await store.taken_from() == ""
    await store.sync_fleet([KEY], now=START, digest="a")
    assert await store.taken_from() == "a"
    await store.sync_fleet([KEY, a_key(2)], now=START, digest="b")
    assert await store.taken_from() == "b"
    await store.sync_fleet([KEY], now=START)
    assert await store.taken_from() == ""


async def test_a_take_over_that_failed_leaves_the_name_of_the_one_before(store: Store) -> None:
    """The keys on record are those of the old config then."""
    await store.sync_fleet([KEY], now=START, digest="a")
    with pytest.raises(ZeroDivisionError):
        await store.sync_fleet((a_key(1 // number) for number in (1, 0)), now=START, digest="b")
    assert await store.taken_from() == "a"


async def test_a_changed_key_is_due_at_once_and_keeps_what_is_known(fleet: Fleet) -> None:
    """Another policy means another decision, over the same facts."""
    await fleet.save(view=observed(), ledger=ledger())
    changed = replace(KEY, policy=policy(valid_for=NEVER), locator="moved.key")
    assert await fleet.store.sync_fleet([changed], now=START + HOUR) == FleetChange(
        added=0, changed=1, removed=0, unchanged=0
    )
    known = await fleet.read()
    assert known.desired == changed
    assert known.view == observed()
    assert await fleet.due(now=START + HOUR) == (REF,)


async def test_a_changed_key_stays_due_from_when_it_was(fleet: Fleet) -> None:
    """Taking over a config never postpones a look."""
    await fleet.store.sync_fleet([replace(KEY, fleet="other")], now=START + DAY)
    assert await fleet.store.next_due_at(LANE_ID, after=LONG_AGO) == START


async def test_a_removed_key_is_closed_down_and_keeps_its_history(fleet: Fleet) -> None:
    """Nothing of a key that left the config is due, ready or open any more."""
    hold = order(OrderKind.HOLD, ref=REF)
    await fleet.store.add_orders([(hold, entry(HistoryEvent.ORDER_GIVEN))])
    await fleet.save(imports=(row(),), conditions=(condition(),))

    assert (await fleet.store.sync_fleet([], now=START + HOUR)).removed == 1

    assert await fleet.store.snapshots([REF]) == ()
    assert await fleet.store.next_due_at(LANE_ID, after=LONG_AGO) is ABSENT
    assert await fleet.store.next_ready_at(LANE_ID, after=LONG_AGO) is ABSENT
    assert await fleet.store.ready_imports(LANE_ID, now=START + DAY, limit=9) == ()
    (cancelled,) = await fleet.store.imports(ref=REF, only_open=False, limit=9)
    assert (cancelled.state, cancelled.finished_at) == (ImportState.CANCELLED, START + HOUR)
    assert await fleet.store.open_conditions() == ()
    assert (await fleet.store.conditions_to_tell(now=START, limit=9))[0][0].resolved_at == START + HOUR
    assert await fleet.events() == [HistoryEvent.TRACKED, HistoryEvent.ORDER_GIVEN, HistoryEvent.UNTRACKED]
    assert await fleet.store.list_keys(KeyFilter(), limit=9) == ()
    assert (await fleet.store.counts()).keys == 0


async def test_a_key_that_returns_finds_its_ledger(fleet: Fleet) -> None:
    """A fingerprint outlives a slip in the config; holds and imports that were closed do not come back."""
    await fleet.store.add_orders([(order(OrderKind.HOLD, ref=REF), entry())])
    await fleet.save(view=observed(), ledger=ledger(), imports=(row(),))
    await fleet.store.sync_fleet([], now=START + HOUR)

    assert await fleet.store.sync_fleet([KEY], now=START + DAY) == FleetChange(
        added=1, changed=0, removed=0, unchanged=0
    )

    assert await fleet.read() == Snapshot(
        desired=KEY, view=observed(), proof=snapshot().proof, ledger=ledger(open_import=ABSENT)
    )
    assert await fleet.store.next_due_at(LANE_ID, after=LONG_AGO) == START + DAY
    assert (await fleet.events())[-1] is HistoryEvent.TRACKED


async def test_many_keys_come_and_go_at_once(store: Store) -> None:
    """A fleet larger than what one query takes is compared whole."""
    many = [a_key(number) for number in range(1200)]
    assert (await store.sync_fleet(many, now=START)).added == 1200
    mixed = [*many[:700], *(replace(each, fleet="other") for each in many[700:900]), a_key(5000)]
    assert await store.sync_fleet(mixed, now=START) == FleetChange(added=1, changed=200, removed=300, unchanged=700)
    assert len(await store.snapshots([each.ref for each in many])) == 900


# -- leases -----------------------------------------------------------------------------------------------------------


async def test_each_acquisition_has_a_higher_epoch(store: Store) -> None:
    """Epochs count the owners of a lane, each lane for itself."""
    assert await store.acquire_lane(LANE_ID, node="one", now=START) == 1
    assert await store.acquire_lane(LANE_ID, node="two", now=START) == 2
    assert await store.acquire_lane(OTHER_LANE, node="two", now=START) == 1


async def test_an_owner_that_was_replaced_writes_nothing(fleet: Fleet) -> None:
    """Not a row of a change under an old epoch reaches the store."""
    await fleet.store.acquire_lane(LANE_ID, node="two", now=START)
    before = await fleet.read()
    with pytest.raises(LeaseLost):
        await fleet.save(
            view=observed(), imports=(row(),), conditions=(condition(),), history=(entry(),), due_at=START + 9 * DAY
        )
    assert await fleet.read() == before
    assert await fleet.store.imports(only_open=False, limit=9) == ()
    assert await fleet.store.open_conditions() == ()
    assert await fleet.store.next_due_at(LANE_ID, after=LONG_AGO) == START
    assert await fleet.events() == [HistoryEvent.TRACKED]


async def test_a_lane_that_nobody_acquired_takes_no_changes(store: Store) -> None:
    """Without a lease there is no epoch to be right about."""
    await store.sync_fleet([KEY], now=START)
    with pytest.raises(LeaseLost):
        await Fleet(store, 0).save()


async def test_a_new_owner_looks_at_what_was_under_way(fleet: Fleet) -> None:
    """A running import may have been applied: its key is due at once; others wait for their time."""
    waiting = a_key(2)
    await fleet.store.sync_fleet([KEY, waiting], now=START)
    await fleet.save(imports=(row(state=ImportState.RUNNING, started_at=START),))
    await fleet.save(waiting, imports=(row(2, state=ImportState.FAILED, attempts=1, ref=waiting.ref),))
    await fleet.store.acquire_lane(LANE_ID, node="two", now=START + HOUR)
    assert await fleet.due(now=START + HOUR) == (REF,)


async def test_an_owner_shows_that_it_is_there_until_it_was_replaced(fleet: Fleet) -> None:
    """Keeping a lane wakes nobody by itself, and tells an owner that does not know yet that it is none any more."""
    await fleet.save(due_at=START + DAY)
    await fleet.store.keep_lane(LANE_ID, epoch=fleet.epoch, now=START + HOUR, look_again=False, paces={})
    assert await fleet.due(now=START + HOUR) == ()
    await fleet.store.acquire_lane(LANE_ID, node="two", now=START + HOUR)
    with pytest.raises(LeaseLost):
        await fleet.store.keep_lane(LANE_ID, epoch=fleet.epoch, now=START + HOUR, look_again=True, paces={})
    assert await fleet.due(now=START + HOUR) == ()


async def test_what_a_lane_learned_is_kept(fleet: Fleet) -> None:
    """Whoever owns the lane next goes on with the pace that was found to be allowed."""
    slow = LearnedPace(share=0.5, limit=1.0, limited_at=START)
    fast = LearnedPace(share=2.25, limit=2.5, limited_at=START + HOUR, per_second=0.25)
    for paces in ({"DescribeKey": slow}, {"GetParametersForImport": fast, "ImportKeyMaterial": slow}):
        await fleet.store.keep_lane(LANE_ID, epoch=fleet.epoch, now=START, look_again=False, paces=paces)
        assert await fleet.store.learned_paces(LANE_ID) == paces
    assert await fleet.store.learned_paces(OTHER_LANE) == {}


async def test_a_lane_whose_clock_was_set_back_looks_at_all_its_keys(fleet: Fleet) -> None:
    """Asked for by the owner, or found by the next one, who sees a lease in the future."""
    await fleet.save(due_at=START + 200 * DAY)
    await fleet.store.keep_lane(LANE_ID, epoch=fleet.epoch, now=START, look_again=True, paces={})
    assert await fleet.due(now=START) == (REF,)
    await fleet.save(due_at=START + 200 * DAY)
    await fleet.store.keep_lane(LANE_ID, epoch=fleet.epoch, now=START + 100 * DAY, look_again=False, paces={})
    await fleet.store.acquire_lane(LANE_ID, node="one", now=START + HOUR)
    assert await fleet.due(now=START + HOUR) == (REF,)


# -- timers -----------------------------------------------------------------------------------------------------------


async def test_due_keys_come_earliest_first_up_to_the_limit_and_the_bound_is_inclusive(store: Store) -> None:
    """A key is due at its time, not a second before."""
    for number, hours in ((1, 3), (2, 1), (3, 2), (4, 4)):
        await store.sync_fleet([a_key(n) for n in range(1, number + 1)], now=START + hours * HOUR)
    expected = (a_key(2).ref, a_key(3).ref, REF)
    assert await store.due(LANE_ID, now=START + 3 * HOUR, limit=9) == expected
    assert await store.due(LANE_ID, now=START + 3 * HOUR - timedelta(seconds=1), limit=9) == expected[:2]
    assert await store.due(LANE_ID, now=START + DAY, limit=2) == expected[:2]
    assert await store.due(OTHER_LANE, now=START + DAY, limit=9) == ()
    assert await store.next_due_at(LANE_ID, after=LONG_AGO) == START + HOUR
    assert await store.next_due_at(LANE_ID, after=START + HOUR - timedelta(seconds=1)) == START + HOUR
    assert await store.next_due_at(LANE_ID, after=START + HOUR) == START + 2 * HOUR
    assert await store.next_due_at(OTHER_LANE, after=LONG_AGO) is ABSENT


async def test_waking_brings_a_key_forward_and_never_back(fleet: Fleet) -> None:
    """A late wake cannot postpone a look that is already due."""
    await fleet.save(due_at=START + DAY)
    await fleet.store.wake([REF, KeyRef("nobody")], at=START + 2 * DAY)
    assert await fleet.store.next_due_at(LANE_ID, after=LONG_AGO) == START + DAY
    await fleet.store.wake([REF], at=START + HOUR)
    assert await fleet.store.next_due_at(LANE_ID, after=LONG_AGO) == START + HOUR
    await fleet.store.wake([], at=START)
    assert await fleet.due(now=START + HOUR) == (REF,)


async def test_a_removed_key_does_not_wake(fleet: Fleet) -> None:
    """An event about a key that left the config is none of byokd's business."""
    await fleet.store.sync_fleet([], now=START)
    await fleet.store.wake([REF], at=START)
    assert await fleet.store.next_due_at(LANE_ID, after=LONG_AGO) is ABSENT


# -- changes ----------------------------------------------------------------------------------------------------------


async def test_a_new_key_is_a_blank(fleet: Fleet) -> None:
    """Before the first look everything about a key is known to be unknown."""
    known = await fleet.read()
    assert (known.view, known.ledger, known.conditions) == (NEVER_LOOKED, Ledger(), ())
    assert known.desired == KEY


async def test_a_change_is_read_back_whole(fleet: Fleet) -> None:
    """View, proof and ledger come back as they were saved, with the open rows beside them."""
    await fleet.save(view=observed(), ledger=ledger(), imports=(row(),), conditions=(condition(),))
    assert await fleet.read() == Snapshot(
        desired=KEY,
        view=observed(),
        proof=snapshot().proof,
        ledger=ledger(open_import=row()),
        conditions=(condition(),),
    )


async def test_snapshots_of_many_keys_hold_each_its_own(fleet: Fleet) -> None:
    """Reading keys together mixes nothing up, and leaves out those that nobody knows."""
    other = a_key(2)
    await fleet.store.sync_fleet([KEY, other], now=START)
    await fleet.save(imports=(row(),))
    await fleet.save(other, conditions=(condition(subject=other.ref),))
    found = {each.ref: each for each in await fleet.store.snapshots([other.ref, KeyRef("nobody"), REF])}
    assert set(found) == {REF, other.ref}
    assert found[REF].ledger.open_import == row()
    assert found[REF].conditions == ()
    assert found[other.ref].ledger.open_import is ABSENT
    assert found[other.ref].conditions == (condition(subject=other.ref),)


async def test_a_change_does_not_write_what_the_config_says(fleet: Fleet) -> None:
    """A reload while a key is being worked on is not undone by the change that follows."""
    reloaded = replace(KEY, locator="moved.key")
    await fleet.store.sync_fleet([reloaded], now=START)
    await fleet.save(KEY, view=observed())
    assert (await fleet.read()).desired == reloaded


async def test_a_change_to_a_key_nobody_knows_is_an_error(fleet: Fleet) -> None:
    """A write that would go nowhere does not pass for written."""
    with pytest.raises(StoreError):
        await fleet.save(a_key(2))


async def test_changes_made_at_once_are_all_kept_in_order(fleet: Fleet) -> None:
    """Of two changes to one key, made at the same moment, the later one is what is read."""
    running = row(state=ImportState.RUNNING, started_at=START)
    await asyncio.gather(
        fleet.save(due_at=START + 3 * DAY, imports=(row(),), history=(entry(HistoryEvent.IMPORT_QUEUED),)),
        fleet.save(due_at=START + 2 * DAY, imports=(running,), history=(entry(HistoryEvent.IMPORT_STARTED),)),
        fleet.save(view=observed(), imports=(done(),), history=(entry(HistoryEvent.IMPORT_DONE),)),
    )
    assert (await fleet.read()).view == observed()
    assert await fleet.store.next_due_at(LANE_ID, after=LONG_AGO) == START + DAY
    assert await fleet.store.imports(only_open=False, limit=9) == (done(),)
    assert (await fleet.events())[1:] == [
        HistoryEvent.IMPORT_QUEUED,
        HistoryEvent.IMPORT_STARTED,
        HistoryEvent.IMPORT_DONE,
    ]


async def test_a_bad_change_spoils_no_other(fleet: Fleet) -> None:
    """Callers that happen to write at the same moment fail each for themselves."""
    stranger, stale = fleet.change(a_key(2)), fleet.change(view=observed(), epoch=0)
    outcomes = await asyncio.gather(
        fleet.store.save(stranger), fleet.save(imports=(row(),)), fleet.store.save(stale), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [StoreError, type(None), LeaseLost]
    assert (await fleet.read()).ledger.open_import == row()
    assert (await fleet.read()).view is NEVER_LOOKED


async def test_work_on_a_key_that_was_removed_meanwhile_leaves_nothing_open(fleet: Fleet) -> None:
    """A cycle that ends after its key left the config records what it saw, and asks for nothing more."""
    await fleet.store.sync_fleet([], now=START)
    await fleet.save(imports=(row(),), conditions=(condition(),), history=(entry(),))
    assert await fleet.store.next_due_at(LANE_ID, after=LONG_AGO) is ABSENT
    assert await fleet.store.ready_imports(LANE_ID, now=START + DAY, limit=9) == ()
    assert await fleet.store.imports(only_open=True, limit=9) == ()
    assert await fleet.store.open_conditions() == ()
    assert (await fleet.events())[-1] is HistoryEvent.STATE_CHANGED
