"""The keys of a simulated world: in KMS, in the source and in the config."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta

from byokd.facts.key import (
    ABSENT,
    NEVER,
    SYMMETRIC,
    KeyArn,
    KeyRef,
    LaneId,
    MaterialId,
    MaterialState,
    WrappingAlgorithm,
    WrappingKeySpec,
)
from byokd.facts.policy import DesiredKey, OnLoss, Policy
from tests.kit.builders import policy as base_policy
from tests.kit.fake_keys import Material
from tests.kit.fake_source import proof_of
from tests.sim.book import Book
from tests.sim.clocks import Times, at
from tests.sim.doors import SimSource
from tests.sim.life import Imported, Life
from tests.sim.model import ModelKms
from tests.sim.plan import KeyPlan, Plan


@dataclass(slots=True)
class SimKey:
    """One key of the world."""

    plan: KeyPlan
    lane: ModelKms
    desired: DesiredKey
    arn: KeyArn
    material: bytes
    life: Life
    tracked: bool = True
    policies: list[tuple[float, Policy]] = field(default_factory=list)
    """What the config said, and since when."""
    moved: list[tuple[float, float]] = field(default_factory=list)
    """When its alias named another key, after byokd had seen it name this one."""


class Fleet:
    """Makes the keys of a plan, and lets people import into them."""

    plan: Plan
    rng: random.Random
    times: Times
    book: Book
    source: SimSource
    lanes: list[ModelKms]
    keys: list[SimKey]

    @property
    def now_s(self) -> float:
        """True time."""
        return self.times.true_s

    def members(self, root: int) -> list[SimKey]:
        """The keys that have the material of one: a whole family, its primary first, or the key alone."""
        return [key for key in self.keys if key.plan.root == root]

    def _make_keys(self) -> None:
        """Primaries come before their replicas, as they do in the plan."""
        for each in self.plan.keys:
            key = self._key(each)
            self.keys.append(key)
            if each.imported:
                self.import_by_hand(key, each.life_s * self.rng.uniform(0.05, 1.0))
            self.bring_others(key)

    def _key(self, plan: KeyPlan) -> SimKey:
        kms = self.lanes[plan.lane]
        lane, alias = LaneId(kms.plan.id), f"alias/key-{plan.number}"
        arn = self._made(plan, kms, alias)
        ref = KeyRef(f"{lane}/{alias}") if plan.by_alias else KeyRef(arn)
        locators = self._materials(plan)
        key = SimKey(
            plan=plan,
            lane=kms,
            desired=DesiredKey(
                ref=ref,
                lane=lane,
                name=alias if plan.by_alias else arn,
                arn=ABSENT if plan.by_alias else arn,
                fleet="sim",
                source="files",
                locator=locators[0],
                policy=policy_of(plan),
                further=locators[1:],
            ),
            arn=arn,
            material=self.source.materials[locators[0]],
            life=self.book.follow(ref, arn, kms.plan.id),
            policies=[(0.0, policy_of(plan))],
        )
        key.life.versions = [(self.now_s, kms.key(arn))]
        key.life.several = plan.other_material
        key.life.replica = plan.is_replica
        key.life.stock = frozenset(proof_of(self.source.materials[each]).fingerprint for each in locators[1:])
        return key

    def _made(self, plan: KeyPlan, kms: ModelKms, alias: str) -> KeyArn:
        """A key in KMS, without material."""
        if plan.is_replica:
            primary = self.keys[plan.root]
            return primary.lane.replicate(primary.arn, kms.plan.region, alias=alias)
        number, family = f"{plan.number:08d}", plan.primary is not None
        named = f"mrk-{number:0>32}" if family else f"{number}-0000-4000-8000-{0:012d}"
        arn = f"arn:aws:kms:{kms.plan.region}:{kms.plan.account}:key/{named}"
        return kms.create(arn, spec="HMAC_256" if plan.hmac else SYMMETRIC, alias=alias, multi_region=family)

    def _materials(self, plan: KeyPlan) -> tuple[str, ...]:
        """Where the source has the key's materials, and those of its whole family: the first, and the stock."""
        locators = (f"{plan.root}.key", *(f"{plan.root}-{place + 1}.key" for place in range(plan.stock)))
        for each in locators:
            self.source.materials[each] = random.Random(f"{self.plan.seed} material {each}").randbytes(32)
        return locators

    def bring_others(self, key: SimKey) -> None:
        """Somebody imports what byokd has no source for, and a suspension takes away like all the rest."""
        if key.plan.other_material:
            other = Material(
                id=MaterialId("0" * 64), fingerprint="other", expiry=NEVER, state=MaterialState.NON_CURRENT
            )
            known = (each for each in key.lane.key(key.arn).materials if each.id != other.id)
            key.lane.put(key.arn, materials=(*known, other))

    def import_by_hand(self, key: SimKey, life_s: float, *, fingerprint: str = "", new: bool = False) -> None:
        """Somebody imports the key's own material with another ValidTo, or another one of its materials.

        Raises: as ImportKeyMaterial is refused.
        """
        kms, arn = key.lane, key.arn
        fingerprint = fingerprint or proof_of(key.material).fingerprint
        before = kms.expiry_of(arn, fingerprint)
        expiry = at(self.now_s + max(30.0, life_s))
        kms.take(arn, fingerprint, expiry, new=new)
        done = Imported(at_s=self.now_s, expiry=expiry, before=before, by_hand=True, visible_s=kms._visible_s(arn))
        self.book.imported(arn, fingerprint, done)


def policy_of(plan: KeyPlan, *, life: float = 1.0, lead: float | None = None) -> Policy:
    """A key's policy; `life` shortens what was planned, `lead` is a share of it."""
    life_s = int(plan.life_s * life)
    lead_s = int(plan.lead_s * life if lead is None else life_s * lead)
    return base_policy(
        valid_for=NEVER if plan.never else timedelta(seconds=life_s),
        renew_before=timedelta(seconds=lead_s),
        emergency_share=plan.emergency_share,
        spread=timedelta(seconds=plan.spread_s),
        renewal_floor=timedelta(seconds=plan.floor_s),
        on_lapse=OnLoss.HEAL if plan.heals_lapse else OnLoss.REPORT,
        on_foreign_delete=OnLoss.HEAL if plan.heals_delete else OnLoss.REPORT,
        wrapping_algorithm=WrappingAlgorithm.OAEP_SHA_256,
        wrapping_key_spec=WrappingKeySpec.RSA_2048,
        alert_before=tuple(timedelta(seconds=each) for each in plan.alerts_s),
        look_every=timedelta(seconds=plan.look_s),
        drill_every=timedelta(seconds=plan.drill_s),
        settle_for=timedelta(seconds=plan.settle_s),
        windows=() if plan.window is None else (plan.window.of_config,),
        priority=plan.priority,
        probe=plan.probe,
        rotate_every=timedelta(seconds=plan.rotate_every_s) if plan.rotate_every_s else NEVER,
    )
