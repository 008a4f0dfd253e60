"""What holds of a family of multi-Region keys whatever is done to it, found by random histories of the rules alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from byokd.localkms import families
from byokd.localkms.errors import Refusal
from byokd.localkms.keyring import Keyring
from byokd.localkms.keys import Key, KeyState, MaterialState, MultiRegion, Origin, Transition
from byokd.localkms.materials import Import
from byokd.localkms.persistence import open_journal
from byokd.localkms.signatures import Caller

from .kit import ACCOUNT, DAY, START

REGIONS = ("eu-central-1", "us-east-1", "us-west-2")
SECRETS = tuple(bytes((number,)) * 32 for number in range(4))

regions = st.sampled_from(REGIONS)


class Family(RuleBasedStateMachine):
    """A family of EXTERNAL keys, changed as the operations change it but for what the key-state table would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.keyring = Keyring(open_journal(None))
        owner = Caller(ACCOUNT, REGIONS[0])
        family = MultiRegion(REGIONS[0])
        self.born = Key(id="mrk-1", owner=owner, origin=Origin.EXTERNAL, created_at=START, multi_region=family)
        self.keyring.put(self.born)
        self.bring(REGIONS[0], self.given(SECRETS[0], True))

    def key(self, region: str) -> Key | None:
        return self.keyring.key(replace(self.born, owner=Caller(ACCOUNT, region)).arn)

    def keys(self) -> list[Key]:
        return [key for region in REGIONS if (key := self.key(region)) is not None]

    def given(self, secret: bytes, new: bool | None, days: int | None = None) -> Import:
        return Import(secret=secret, expires_at=None if days is None else self.now + days * DAY, new=new)

    def change(self, region: str, act: Callable[[Key, list[Key]], Iterable[Key]]) -> None:
        """Do something to the key of a Region, if there is one; what the rules refuse changes nothing."""
        key = self.key(region)
        if key is not None and key.deletion_at is None:
            try:
                changed = act(key, self.keyring.relatives(key))
            except Refusal:
                return
            self.keyring.put(*changed)

    def bring(self, region: str, given: Import) -> None:
        """Import into the key of a Region."""
        self.change(region, lambda key, rest: families.take_import(key, rest, given)[0])

    @rule(
        region=regions,
        secret=st.sampled_from(SECRETS),
        new=st.sampled_from((True, False, None)),
        days=st.none() | st.integers(1, 9),
    )
    def import_material(self, region: str, secret: bytes, new: bool | None, days: int | None) -> None:
        self.bring(region, self.given(secret, new, days))

    @rule(secret=st.sampled_from(SECRETS), days=st.none() | st.integers(3, 9))
    def import_new_material(self, secret: bytes, days: int | None) -> None:
        self.bring(self.primary().owner.region, self.given(secret, True, days))

    @rule(region=regions)
    def import_what_the_primary_has(self, region: str) -> None:
        for material in self.primary().materials:
            if material.secret is not None:
                self.bring(region, self.given(material.secret, None))

    @rule(region=regions, index=st.integers(0, 3))
    def delete_material(self, region: str, index: int) -> None:
        self.change(
            region,
            lambda key, rest: families.drop_material(key, rest, key.materials[index % len(key.materials)].id),
        )

    @rule(region=regions)
    def rotate(self, region: str) -> None:
        self.change(
            region, lambda key, rest: families.begin_rotation(key, rest, now=self.now, done_at=self.now + DAY / 2)
        )

    @rule(region=regions)
    def replicate(self, region: str) -> None:
        def act(key: Key, rest: list[Key]) -> list[Key]:
            own = replace(key, owner=families.replica_of(key, region), materials=(), rotation=None)
            creating = replace(own, transition=Transition(KeyState.CREATING, self.now + DAY / 2))
            return families.replicate(key, rest, creating)

        self.change(self.primary().owner.region, act)

    @rule(region=regions)
    def move(self, region: str) -> None:
        primary = self.primary()
        assert primary.multi_region is not None
        target = self.key(region)
        if region in primary.multi_region.replicas and target is not None and target.deletion_at is None:
            self.change(
                primary.owner.region, lambda key, rest: families.move_primary(key, rest, region, self.now + DAY / 2)
            )

    @rule(region=regions, days=st.integers(1, 9))
    def schedule_deletion_of_a_replica(self, region: str, days: int) -> None:
        self.change(region, lambda key, _: [replace(key, deletion_at=self.now + days * DAY)] if key.replica else [])

    @rule(half_days=st.integers(1, 20))
    def pass_time(self, half_days: int) -> None:
        self.now += half_days * DAY / 2
        self.keyring.expire(self.now)

    def primary(self) -> Key:
        (primary,) = (key for key in self.keys() if key.primary)
        return primary

    @invariant()
    def its_keys_agree_who_they_are(self) -> None:
        """Every key of the family, and no other, is named by the one relation that they share."""
        (family,) = {key.multi_region for key in self.keys()}
        assert family is not None
        assert {family.primary, *family.replicas} == {key.owner.region for key in self.keys()}
        assert family.primary not in family.replicas

    @invariant()
    def replicas_depend_on_what_the_primary_depends_on(self) -> None:
        """The permanent materials are the same in all keys, and the same one is current."""
        assert len({frozenset(each.id for each in key.materials if each.permanent) for key in self.keys()}) == 1
        assert len({key.current.id for key in self.keys() if key.current is not None}) == 1
        for key in self.keys():
            assert sum(each.state is MaterialState.CURRENT for each in key.materials) == 1

    @invariant()
    def what_is_pending_comes_from_the_primary(self) -> None:
        """At most one material is pending, a replica's is the primary's, and it rotates only if it is everywhere."""
        pending = self.primary().pending
        for key in self.keys():
            assert sum(not each.permanent for each in key.materials) <= 1
            assert key.pending is None or (pending is not None and key.pending.id == pending.id)
            assert key.pending is None or key.pending.secret is not None
            assert key.replica or key.pending is pending
        awaited = pending is not None and pending.state is MaterialState.PENDING_MULTI_REGION
        assert not awaited or any(key.pending is None for key in self.keys())

    @invariant()
    def the_budget_is_the_familys(self) -> None:
        """Rotations are counted for all keys together, and only the primary has one in progress."""
        assert len({key.rotations for key in self.keys()}) == 1
        assert not any(key.rotation for key in self.keys() if key.replica)


def test_a_family_stays_one_whatever_is_done_to_it() -> None:
    """Relation, materials, what is pending and the budget agree in all keys after every step of random histories."""
    run_state_machine_as_test(
        Family, settings=settings(max_examples=80, stateful_step_count=40, deadline=None, derandomize=True)
    )
