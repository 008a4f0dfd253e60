"""What every `ports.Store` promises about the keys that a forecast is made of."""

from __future__ import annotations

from dataclasses import replace

from byokd.facts.key import ABSENT, Blind, LaneId
from byokd.facts.ledger import Tier
from byokd.facts.policy import ChangeWindow
from byokd.facts.prospect import Prospect
from tests.kit.builders import DAY, LANE_ID, ledger, observed, policy
from tests.kit.clock import START
from tests.kit.store_fleet import HOUR, KEY, OTHER_LANE, Fleet, a_key


async def test_a_forecast_gets_what_is_on_record_of_each_key(fleet: Fleet) -> None:
    """Never looked at, seen, lapsed and blind: each with its policy whole, windows and priority included."""
    window = ChangeWindow(cron="0 2 * * sat", lasts=4 * HOUR, time_zone="Europe/Berlin")
    seen = a_key(2, fleet="books", policy=policy(windows=(window,), priority=7))
    gone, unseen = a_key(3), a_key(4)
    await fleet.store.sync_fleet([KEY, seen, gone, unseen], now=START)
    await fleet.save(seen, view=observed(arn=seen.arn), ledger=ledger(), tier=Tier.DUE, reason="renewal_due")
    was = observed(arn=gone.arn, valid_to=ABSENT)
    await fleet.save(gone, view=was, ledger=ledger(last_expiry=START - DAY), tier=Tier.LAPSED, reason="lapsed")
    blind = Blind(since=START, at=START, code="access_denied", message="no", failures=3, last=observed(arn=unseen.arn))
    await fleet.save(unseen, view=blind, ledger=ledger(), reason="could_not_look")

    found = await fleet.store.prospects(LANE_ID, limit=9)

    assert [each.ref for each in found] == [KEY.ref, seen.ref, gone.ref, unseen.ref]
    assert [(each.state, each.expiry, each.tier, each.reason) for each in found] == [
        ("NeverLooked", ABSENT, Tier.FRESH, "never_looked"),
        ("Enabled", START + 60 * DAY, Tier.DUE, "renewal_due"),
        ("PendingImport", START - DAY, Tier.LAPSED, "lapsed"),
        ("Blind", START + 60 * DAY, Tier.FRESH, "could_not_look"),
    ]
    assert found[1] == Prospect(
        ref=seen.ref,
        name=seen.name,
        fleet="books",
        policy=seen.policy,
        state="Enabled",
        expiry=START + 60 * DAY,
        tier=Tier.DUE,
        reason="renewal_due",
    )


async def test_a_forecast_gets_the_end_of_each_period(fleet: Fleet) -> None:
    """Of keys whose policy has one, as they were last seen; a plan reads whole snapshots of few of them."""
    rules = policy(rotate_every=90 * DAY)
    seen, blind, unseen, without = a_key(2, policy=rules), a_key(3, policy=rules), a_key(4, policy=rules), a_key(5)
    await fleet.store.sync_fleet([seen, blind, unseen, without], now=START)
    for key in (seen, without):
        await fleet.save(key, view=observed(arn=key.arn, begun_at=START - 30 * DAY), ledger=ledger())
    last = observed(arn=blind.arn, begun_at=START - 100 * DAY)
    view = Blind(since=START, at=START, code="access_denied", message="no", failures=3, last=last)
    await fleet.save(blind, view=view, ledger=ledger())

    found = await fleet.store.prospects(LANE_ID, limit=9)

    ends = {each.ref: each.period_ends for each in found}
    assert ends[seen.ref] == START + 60 * DAY
    assert ends[blind.ref] == START - 10 * DAY
    assert (ends[unseen.ref], ends[without.ref]) == (ABSENT, ABSENT)


async def test_a_lane_is_walked_page_by_page(fleet: Fleet) -> None:
    """Each key once and in the order of refs; keys of other lanes, and those that left the config, are not in it."""
    keys = [a_key(number) for number in range(1, 8)]
    elsewhere = replace(a_key(9), lane=OTHER_LANE)
    await fleet.store.sync_fleet([*keys, elsewhere], now=START)
    await fleet.store.sync_fleet([*keys[1:], elsewhere], now=START)
    walked: list[str] = []
    after = ""
    while page := await fleet.store.prospects(LANE_ID, limit=2, after=after):
        assert len(page) <= 2
        walked += [each.ref for each in page]
        after = page[-1].ref
    assert walked == [key.ref for key in keys[1:]]
    assert [each.ref for each in await fleet.store.prospects(OTHER_LANE, limit=9)] == [elsewhere.ref]
    assert await fleet.store.prospects(LaneId("999999999999/nowhere"), limit=9) == ()
