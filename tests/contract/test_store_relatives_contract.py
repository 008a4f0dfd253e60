"""What every `ports.Store` promises about the keys of a multi-Region key."""

from __future__ import annotations

from dataclasses import replace

from byokd.facts.change import KeyFilter
from byokd.facts.key import ABSENT, Family, KeyArn, KeyRef, LaneId
from byokd.facts.ledger import HistoryEntry, HistoryEvent, OrderKind
from byokd.facts.policy import DesiredKey
from byokd.ports import Store
from tests.kit.builders import DAY, LANE_ID, desired, ledger, observed, order
from tests.kit.clock import START
from tests.kit.store_fleet import KEY, Fleet


def in_region(region: str, key_id: str = "mrk-0a1b", account: str = "111122223333") -> DesiredKey:
    """What the config says of one key of the family."""
    arn = KeyArn(f"arn:aws:kms:{region}:{account}:key/{key_id}")
    return desired(arn=arn, lane=LaneId(f"{account}/{region}"))


HOME, AWAY = in_region("eu-central-1"), in_region("us-east-1")
STRANGERS = (KEY, in_region("us-east-1", "mrk-ffff"), in_region("eu-west-1", account="444455556666"))


async def a_family(store: Store, *others: DesiredKey) -> Fleet:
    """A primary, a replica and keys that are no relatives of theirs."""
    await store.sync_fleet([HOME, AWAY, *STRANGERS, *others], now=START)
    return Fleet(store, await store.acquire_lane(LANE_ID, node="one", now=START))


async def test_relatives_are_the_other_keys_of_the_same_id(store: Store) -> None:
    """In another Region of the same account; neither the key itself nor a stranger."""
    fleet = await a_family(store)
    assert [each.ref for each in (await fleet.read(HOME.ref)).relatives] == [AWAY.ref]
    assert [each.ref for each in (await fleet.read(AWAY.ref)).relatives] == [HOME.ref]
    for stranger in STRANGERS:
        assert (await fleet.read(stranger.ref)).relatives == ()
    (relative,) = await store.relatives(KeyArn(AWAY.ref), AWAY.ref)
    assert (relative.lane, relative.name, relative.arn, relative.region) == (
        LANE_ID,
        HOME.name,
        HOME.arn,
        "eu-central-1",
    )


async def test_a_relative_shows_what_is_on_record_of_it(store: Store) -> None:
    """The reading and the decision of its own last turn, and whether it is to be rotated."""
    fleet = await a_family(store)
    seen = observed(arn=HOME.arn, family=Family(primary=KeyArn(HOME.ref), replicas=(KeyArn(AWAY.ref),)))
    await fleet.save(HOME, view=seen, message="renews at noon")
    (relative,) = (await fleet.read(AWAY.ref)).relatives
    assert (relative.view, relative.message, relative.rotates) == (seen, "renews at noon", False)

    given = order(OrderKind.ROTATE, ref=HOME.ref)
    await store.add_orders(
        [(given, HistoryEntry(at=START, ref=HOME.ref, event=HistoryEvent.ORDER_GIVEN, detail="rotate"))]
    )
    (relative,) = (await fleet.read(AWAY.ref)).relatives
    assert relative.rotates


async def test_a_key_named_by_alias_is_a_relative_once_it_is_pinned(store: Store) -> None:
    """Before its first look nobody knows which key it is."""
    named = replace(
        in_region("ap-south-1"), ref=KeyRef(f"{LANE_ID}/alias/orders"), lane=LANE_ID, name="alias/orders", arn=ABSENT
    )
    fleet = await a_family(store, named)
    assert (await fleet.read(named.ref)).relatives == ()
    await fleet.save(named, ledger=ledger(pinned_arn=in_region("ap-south-1").arn))
    assert [each.ref for each in (await fleet.read(named.ref)).relatives] == [HOME.ref, AWAY.ref]
    assert [each.name for each in (await fleet.read(AWAY.ref)).relatives] == ["alias/orders", HOME.name]


async def test_a_key_that_left_the_config_is_nobodys_relative(store: Store) -> None:
    """Nobody looks at it any more."""
    fleet = await a_family(store)
    await store.sync_fleet([HOME], now=START + DAY)
    assert (await fleet.read(HOME.ref)).relatives == ()


async def test_the_list_of_keys_tells_primaries_and_replicas(store: Store) -> None:
    """As last seen; nothing for a single-Region key, nor before the first look."""
    fleet = await a_family(store)
    family = Family(primary=KeyArn(HOME.ref), replicas=(KeyArn(AWAY.ref),))
    await fleet.save(HOME, view=observed(arn=HOME.arn, family=family))
    await fleet.save(KEY, view=observed(arn=KEY.arn))
    roles = {line.ref: line.role for line in await store.list_keys(KeyFilter(), limit=9)}
    assert (roles[HOME.ref], roles[KEY.ref], roles[AWAY.ref]) == ("primary", "", "")
