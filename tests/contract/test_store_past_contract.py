"""What every `ports.Store` promises of a key's past."""

from __future__ import annotations

from dataclasses import replace

from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.key import ABSENT, NEVER, KeyRef, KeyState
from byokd.facts.ledger import HistoryEvent, ImportState, Ledger, OrderKind, OrderState
from byokd.ports import Store
from tests.kit.builders import DAY, LANE_ID, MATERIAL, observed, order
from tests.kit.clock import START
from tests.kit.store_fleet import HOUR, KEY, REF, Fleet, a_key, condition, done, entry, row


async def test_the_past_has_rows_open_and_closed_in_their_order(fleet: Fleet) -> None:
    """History as it was written, imports and orders the oldest first, beside what is on record now."""
    hold = order(OrderKind.HOLD, ref=REF)
    await fleet.store.add_orders([(hold, entry(HistoryEvent.ORDER_GIVEN))])
    await fleet.save(
        view=observed(),
        imports=(done(1), row(2)),
        orders=(replace(hold, state=OrderState.DONE, closed_at=START + HOUR),),
        history=(entry(at=START + DAY), entry(HistoryEvent.PINNED, at=START)),
        reason="held",
    )
    past = await fleet.store.past(REF, at=START)
    assert past is not None
    assert [each.event for each in past.history] == [
        HistoryEvent.TRACKED,
        HistoryEvent.ORDER_GIVEN,
        HistoryEvent.STATE_CHANGED,
        HistoryEvent.PINNED,
    ]
    assert [(each.id[-1], each.state) for each in past.imports] == [("1", ImportState.DONE), ("2", ImportState.QUEUED)]
    assert [each.state for each in past.orders] == [OrderState.DONE]
    assert past.snapshot == await fleet.read()
    assert past.line is not ABSENT
    assert past.line.reason == "held"
    assert past.known_from == START


async def test_the_past_has_the_conditions_that_were_open_then(fleet: Fleet) -> None:
    """Neither those raised later nor those resolved by then; a moment of resolution is one without it."""
    await fleet.save(
        conditions=(
            condition("open"),
            condition("later", since=START + 2 * HOUR),
            condition("over", resolved_at=START + HOUR),
            condition("still", resolved_at=START + 2 * HOUR),
        ),
    )
    past = await fleet.store.past(REF, at=START + HOUR)
    assert past is not None
    assert [each.id for each in past.conditions] == ["open", "still"]


async def test_the_past_has_what_was_told_of_the_clock_then(fleet: Fleet) -> None:
    """By the key's own lane, whose other conditions are no matter of the key."""
    skewed = Condition(kind=ConditionKind.CLOCK_SKEW, severity=Severity.CRITICAL, detail="an hour")
    tight = replace(skewed, kind=ConditionKind.SLACK_LOW)
    told = [
        replace(condition("skewed", resolved_at=START + 2 * HOUR), subject=f"lane:{LANE_ID}", condition=skewed),
        replace(condition("tight"), subject=f"lane:{LANE_ID}", condition=tight),
        replace(condition("elsewhere"), subject="lane:other", condition=skewed),
    ]
    await fleet.store.save_conditions(told)
    for at, found in ((START + HOUR, told[:1]), (START + 2 * HOUR, [])):
        past = await fleet.store.past(REF, at=at)
        assert past is not None
        assert (list(past.skews), past.conditions) == (found, ())


async def test_a_key_that_left_the_config_keeps_its_past(fleet: Fleet) -> None:
    """There is no decision about it any more."""
    await fleet.save(view=observed())
    await fleet.store.sync_fleet([], now=START + DAY)
    past = await fleet.store.past(REF, at=START)
    assert past is not None
    assert past.line is ABSENT
    assert past.snapshot.desired == KEY
    assert past.snapshot.view == observed()
    assert past.history[-1].event is HistoryEvent.UNTRACKED


async def test_the_past_is_whole_from_a_moment_on(fleet: Fleet) -> None:
    """That of the oldest line of any key; and of the oldest row that was read, where there are more than asked for."""
    await fleet.store.sync_fleet([KEY, a_key(2)], now=START + HOUR)
    await fleet.save(history=(entry(at=START + DAY), entry(at=START + 2 * DAY)))
    other = await fleet.store.past(a_key(2).ref, at=START)
    assert other is not None
    assert other.known_from == START
    few = await fleet.store.past(REF, at=START, limit=2)
    assert few is not None
    assert (len(few.history), few.known_from) == (2, START + DAY)
    await fleet.store.prune(before=START + HOUR, limit=9)
    left = await fleet.store.past(REF, at=START)
    assert left is not None
    assert left.known_from == START + HOUR


async def test_keys_that_left_the_config_while_their_material_lives(fleet: Fleet) -> None:
    """The nearest end first: none that ended, was never imported, is Disabled, or is back under another name."""
    keys = {number: a_key(number) for number in range(1, 8)}
    await fleet.store.sync_fleet(keys.values(), now=START)
    ends = {1: START + 9 * DAY, 2: NEVER, 3: START + DAY, 4: START, 5: ABSENT, 6: START + 2 * DAY, 7: START + 3 * DAY}
    for number, end in ends.items():
        view = observed(valid_to=end)
        if number == 6:
            view = replace(view, state=KeyState.DISABLED)
        await fleet.save(keys[number], view=view, ledger=Ledger(material=MATERIAL))
    back = replace(keys[7], ref=KeyRef(f"{LANE_ID}/alias/back"), name="alias/back")
    await fleet.store.sync_fleet([back], now=START + HOUR)
    found = await fleet.store.left_behind(now=START, limit=9)
    assert [each.ref[-1] for each in found] == list("312")
    first = found[0]
    assert (first.expiry, first.left_at, first.fleet, first.lane) == (ends[3], START + HOUR, "payments", LANE_ID)
    assert len(await fleet.store.left_behind(now=START, limit=1)) == 1
    await fleet.store.sync_fleet(keys.values(), now=START + HOUR)
    assert await fleet.store.left_behind(now=START, limit=9) == ()


async def test_a_key_that_was_never_on_record_has_no_past(store: Store) -> None:
    """Nor is that an error."""
    assert await store.past(KeyRef("nobody"), at=START) is None
