"""What every `ports.Store` promises to people who ask: finding, listing, history, figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from byokd.facts.change import KeyFilter
from byokd.facts.condition import ConditionKind, Severity
from byokd.facts.key import ABSENT, NEVER, KeyArn, KeyRef
from byokd.facts.ledger import (
    HistoryEvent,
    ImportState,
    Ledger,
    Tier,
)
from byokd.ports import Store
from byokd.store.views import cursor
from tests.kit.builders import DAY, LANE_ID, MATERIAL, ledger, observed
from tests.kit.clock import START
from tests.kit.store_fleet import (
    ALIAS,
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


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (REF, (REF,)),
        ("0001", (REF,)),
        ("alias/orders", (ALIAS.ref,)),
        ("orders", (ALIAS.ref,)),
        (ALIAS.ref, (ALIAS.ref,)),
        ("arn:aws:kms:eu-central-1:111122223333:alias/orders", (ALIAS.ref,)),
        ("arn:aws:kms:eu-central-1:111122223333:key/pinned", (ALIAS.ref,)),
        ("pinned", (ALIAS.ref,)),
        ("000", ()),
        ("", ()),
    ],
)
async def test_a_key_is_found_by_whatever_names_it(fleet: Fleet, name: str, found: tuple[KeyRef, ...]) -> None:
    """Ref, ARN, key id, alias; a pinned alias by the key behind it, too."""
    await fleet.store.sync_fleet([KEY, ALIAS], now=START)
    pinned = KeyArn("arn:aws:kms:eu-central-1:111122223333:key/pinned")
    await fleet.save(ALIAS, ledger=Ledger(pinned_arn=pinned))
    assert await fleet.store.find(name) == found


async def test_a_removed_key_is_found_behind_those_of_the_config(fleet: Fleet) -> None:
    """Its history can still be asked for."""
    twin = replace(ALIAS, arn=KEY.arn)
    await fleet.store.sync_fleet([KEY, twin], now=START)
    await fleet.store.sync_fleet([KEY], now=START)
    assert await fleet.store.find(REF) == (REF, twin.ref)


async def test_a_name_of_many_keys_finds_ten(store: Store) -> None:
    """More would not be a choice."""
    await store.sync_fleet([replace(a_key(number), name="alias/same") for number in range(12)], now=START)
    assert len(await store.find("same")) == 10


async def test_keys_are_listed_by_time_left_page_by_page(fleet: Fleet) -> None:
    """Least time first; keys that never expire behind every deadline, keys without material last; ties by ref."""
    keys = [a_key(number) for number in range(1, 7)]
    await fleet.store.sync_fleet(keys, now=START)
    expiries = [START + 9 * DAY, NEVER, START + DAY, ABSENT, START + DAY, NEVER]
    for key, expiry in zip(keys, expiries, strict=True):
        await fleet.save(key, view=observed(valid_to=expiry), ledger=Ledger(material=MATERIAL))
    seen, after = [], ""
    for _ in range(4):
        page = await fleet.store.list_keys(KeyFilter(), limit=2, after=after)
        seen += [line.ref[-1] for line in page]
        after = cursor(page[-1]) if page else after
    assert seen == list("351264")


async def test_a_line_shows_what_a_person_needs(fleet: Fleet) -> None:
    """State, deadline, tier, the worst condition, and the import under way."""
    await fleet.save(
        view=observed(),
        ledger=ledger(),
        tier=Tier.URGENT,
        reason="renewal_due",
        message="Renewing.",
        imports=(row(state=ImportState.RUNNING, started_at=START),),
        conditions=(condition("a"), condition("b", severity=Severity.CRITICAL)),
    )
    (line,) = await fleet.store.list_keys(KeyFilter(), limit=9)
    assert (line.ref, line.name, line.fleet, line.lane, line.arn) == (REF, KEY.name, "payments", LANE_ID, KEY.arn)
    assert (line.state, line.expiry, line.started_at) == ("Enabled", START + 60 * DAY, START - 30 * DAY)
    assert (line.tier, line.reason, line.message) == (Tier.URGENT, "renewal_due", "Renewing.")
    assert (line.severity, line.import_state) == (Severity.CRITICAL, ImportState.RUNNING)
    assert (line.due_at, line.renewals) == (START + DAY, 0)


async def test_a_line_keeps_the_last_expiry_of_material_that_is_gone(fleet: Fleet) -> None:
    """A lapsed key stands at the top of the list, not among those without a deadline."""
    lapsed = ledger(last_expiry=START - DAY)
    await fleet.save(view=observed(valid_to=ABSENT), ledger=lapsed)
    (line,) = await fleet.store.list_keys(KeyFilter(), limit=9)
    assert line.expiry == START - DAY


@pytest.mark.parametrize(
    ("which", "found"),
    [
        (KeyFilter(), "12"),
        (KeyFilter(fleet="payments"), "1"),
        (KeyFilter(fleet="payment"), ""),
        (KeyFilter(lane=OTHER_LANE), "2"),
        (KeyFilter(tier="urgent"), "1"),
        (KeyFilter(text="KEY/0002"), "2"),
        (KeyFilter(text="key/"), "12"),
        (KeyFilter(text="key_"), ""),
        (KeyFilter(text="%"), ""),
        (KeyFilter(fleet="payments", tier="fresh"), ""),
        (KeyFilter(condition="expiring"), "1"),
        (KeyFilter(condition="expiring", lane=OTHER_LANE), ""),
        (KeyFilter(condition="lapsed"), ""),
        (KeyFilter(condition="overdue"), ""),
    ],
)
async def test_a_list_can_be_narrowed(fleet: Fleet, which: KeyFilter, found: str) -> None:
    """Filters join, and text means itself: no pattern characters."""
    await fleet.store.sync_fleet([KEY, a_key(2, fleet="other", lane=OTHER_LANE)], now=START)
    overdue = replace(condition().condition, kind=ConditionKind.OVERDUE)
    over = condition("c2", condition=overdue, resolved_at=START)
    await fleet.save(tier=Tier.URGENT, conditions=(condition(), over))
    assert "".join(line.ref[-1] for line in await fleet.store.list_keys(which, limit=9)) == found


async def test_history_is_read_newest_first_in_the_order_of_writing(fleet: Fleet) -> None:
    """A clock that stepped back does not turn the story round."""
    await fleet.save(history=(entry(at=START + DAY), entry(HistoryEvent.PINNED, at=START)))
    assert [each.event for each in await fleet.store.history(REF, limit=2)] == [
        HistoryEvent.PINNED,
        HistoryEvent.STATE_CHANGED,
    ]
    assert await fleet.store.history(KeyRef("nobody"), limit=9) == ()
    assert len(await fleet.store.history(None, limit=9)) == 3


async def test_figures_count_what_is_on_record(fleet: Fleet) -> None:
    """Keys by tier and state, the open queue, open conditions, unsent notices."""
    await fleet.store.sync_fleet([KEY, a_key(2)], now=START)
    await fleet.save(
        view=observed(),
        tier=Tier.DUE,
        imports=(done(1), row(2)),
        conditions=(condition("a"), condition("b"), condition("c", resolved_at=START)),
    )
    figures = await fleet.store.counts()
    assert figures.keys == 2
    assert figures.by_tier == {"due": 1, "fresh": 1}
    assert figures.by_state == {"Enabled": 1, "NeverLooked": 1}
    assert figures.queue == {"queued": 1}
    assert figures.conditions == {"warning": 2}
    assert figures.notices_waiting == 0
