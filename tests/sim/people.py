"""What people do: to sources, to keys in KMS, to the config, and by orders."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from byokd.errors import KmsError
from byokd.facts.condition import Notice
from byokd.facts.key import ABSENT, KeyArn, KeyState
from byokd.facts.ledger import OrderKind
from tests.kit.fake_source import proof_of
from tests.sim.clocks import at
from tests.sim.fleet import SimKey, policy_of
from tests.sim.foreseen import look_ahead, scarce_per_second, told_of_scarcity
from tests.sim.happening import PACE_BACK_S, Happening, Undo
from tests.sim.model import ModelKms
from tests.sim.obstacles import SMALL_PACE
from tests.sim.periods import enabled_unseen, losses
from tests.sim.plan import DAY_S, HOUR_S, Event

TURN_LIMIT_S: Final = 2 * 660.0 + 60.0
"""After this a source that hangs, twice in one turn, is no longer waited for."""

ASKS: Final = "order one to have it back"
"""What byokd says of a key that it saw Disabled before it lost its material."""
MEDDLES_EVERY_S: Final = 25.0
SETTLED_S: Final = 240.0
"""After a lane began anew, its keys have been looked at again."""


class People(Happening):
    """The events that somebody means, well or not."""

    # -- sources ------------------------------------------------------------------------------------------------------

    async def _source(self, event: Event) -> Undo:
        source, mode = self.world.source, event.how["mode"]
        keys = [each for key in self._targets(event) for each in self.world.members(key.plan.root)]
        mine = {key.plan.root: self._mine(event, key.plan.root) for key in keys}
        for key in keys:
            if mode == "changed" and not all(each.life.fingerprint for each in self.world.members(key.plan.root)):
                continue  # nobody could tell: what is imported first is the truth
            source.change(key.desired.locator, mode)
            self._excuse(key.life.ref, event, f"source {mode}", after_s=TURN_LIMIT_S if mode == "hang" else 0.0)
            if mode == "hang":
                # What hangs takes up room, and there is little of it in a lane.
                self._excuse(key.life.lane, event, "a source hangs", after_s=TURN_LIMIT_S)

        async def undo() -> None:
            for key in keys:
                if mine[key.plan.root]():
                    source.change(key.desired.locator, "")

        return undo

    async def _source_gone(self, event: Event) -> Undo:
        self._excuse("*", event, "the config has no source")
        self.world.sources_gone = True
        await self.world.sync()

        async def undo() -> None:
            self.world.sources_gone = False
            await self.world.sync()

        return undo

    # -- people in KMS ------------------------------------------------------------------------------------------------

    def _people(self, event: Event, key: SimKey, why: str) -> None:
        self._excuse(f"people {key.life.ref}", event, why, after_s=self.world.rng.random())

    async def _disable(self, event: Event) -> Undo:
        key = self.world.keys[event.who]
        mine = self._mine(event, event.who)
        key.lane.put(key.arn, enabled=False)
        key.life.off_since.setdefault("disabled", self.world.now_s)
        key.life.disabled.append((self.world.now_s, self.world.now_s + event.span_s))
        self._people(event, key, "disabled")

        async def undo() -> None:
            if mine():
                key.lane.put(key.arn, enabled=True)
                key.life.off_since.pop("disabled", None)
                key.life.disabled = [(a, min(b, self.world.now_s)) for a, b in key.life.disabled]
                await self._have_back(key)

        return undo

    async def _schedule_deletion(self, event: Event) -> Undo:
        key = self.world.keys[event.who]
        mine = self._mine(event, event.who)
        key.lane.put(key.arn, deletion_at=at(self.world.now_s + 30 * DAY_S))
        key.life.off_since.setdefault("pending deletion", self.world.now_s)
        self._people(event, key, "pending deletion")

        async def undo() -> None:
            if mine():
                key.lane.put(key.arn, deletion_at=ABSENT)
                key.life.off_since.pop("pending deletion", None)

        return undo

    async def _delete_material(self, event: Event) -> None:
        key = self.world.keys[event.who]
        fingerprint = proof_of(key.material).fingerprint
        if key.lane.expiry_of(key.arn, fingerprint) is ABSENT:
            return
        materials = tuple(
            replace(each, expiry=ABSENT) if each.fingerprint == fingerprint else each
            for each in key.lane.key(key.arn).materials
        )
        key.lane.put(key.arn, materials=materials)
        key.life.deleted.append((self.world.now_s, fingerprint))
        self.world.book.tell(key.life.ref, "somebody deletes the material")

    async def _meddle(self, event: Event) -> None:
        """Somebody deletes the material again and again, and asks byokd each time to look."""
        key = self.world.keys[event.who]

        async def again() -> None:
            await self._delete_material(event)
            await self.world.order(key, OrderKind.RELEASE)

        for times in range(8):
            self.world.at(self.world.now_s + MEDDLES_EVERY_S * times, again)
        self._excuse(f"people {key.life.ref}", replace(event, span_s=8 * MEDDLES_EVERY_S), "a meddler", after_s=120.0)

    async def _import_by_hand(self, event: Event) -> None:
        key = self.world.keys[event.who]
        if key.lane.key(key.arn).deletion_at is ABSENT:
            self.world.import_by_hand(key, key.plan.life_s * event.how["life"])

    async def _delete_waiting(self, event: Event) -> None:
        """Somebody deletes what waits for a rotation: nobody misses it, and in a primary it is gone everywhere."""
        key = self.world.keys[event.who]
        if (pending := key.lane.key(key.arn).pending) is not None:
            others = (each for each in key.lane.key(key.arn).materials if each.id != pending.id)
            key.lane.put(key.arn, materials=(*others, replace(pending, expiry=ABSENT)))
            self.world.book.tell(key.life.ref, "somebody deletes what waits for the rotation")

    async def _rotate_by_hand(self, event: Event) -> None:
        """People go some steps of a rotation: new into the primary, the same into each replica, then the rotation."""
        family = self.world.members(event.who)
        known = {each.fingerprint for each in family[0].lane.key(family[0].arn).materials if each.state.permanent}
        stock = (proof_of(self.world.source.materials[each]).fingerprint for each in family[0].desired.further)
        fresh = next((each for each in stock if each not in known), "")
        if not fresh:
            return

        def step(number: int) -> Callable[[], Coroutine[Any, Any, None]]:
            async def go() -> None:
                with suppress(KmsError):
                    if number == len(family):
                        family[0].lane.turn(family[0].arn)
                    elif family[number].lane.key(family[number].arn).deletion_at is ABSENT:
                        life_s = family[number].plan.life_s * 0.9
                        self.world.import_by_hand(family[number], life_s, fingerprint=fresh, new=number == 0)

            return go

        for number in range(min(event.how["steps"], len(family) + 1)):
            self.world.at(self.world.now_s + 30.0 * number, step(number))

    async def _alias(self, event: Event) -> Undo:
        key = self.world.keys[event.who]
        alias = f"alias/key-{key.plan.number}"
        other = next((each for each in self.world.keys if each.lane is key.lane and each is not key), key)
        mine = self._mine(event, event.who)
        pinned = not key.plan.by_alias or key.life.shown is not None
        if pinned:
            key.lane.aliases[alias] = KeyArn(other.arn)
            if other is not key:
                key.moved.append((self.world.now_s, self.world.now_s + event.span_s))

        async def undo() -> None:
            if mine():
                key.moved = [(a, min(b, self.world.now_s)) for a, b in key.moved]
                key.lane.aliases[alias] = key.arn

        return undo

    # -- operators ----------------------------------------------------------------------------------------------------

    async def _hold(self, event: Event) -> Undo | None:
        key = self.world.keys[event.who]
        if not key.tracked:
            return None
        mine = self._mine(event, event.who)
        until_s = self.world.now_s + event.span_s if event.how["until"] else float("inf")
        await self.world.order(key, OrderKind.HOLD, until_s=until_s if event.how["until"] else None)
        self._people(event, key, "held")

        async def undo() -> None:
            # When the storm is over, no hold is left to end by itself; nor one that a clock made longer than was meant.
            early = self.world.now_s < max(until_s, key.life.held_until_s if mine() else 0.0) - 1.0
            if early:
                await self._take_back(key, OrderKind.RELEASE, lambda: mine() and "held" in key.life.off_since)
            if mine() or early:
                key.life.off_since.pop("held", None)

        return undo

    async def _suspend_key(self, event: Event) -> Undo | None:
        """Somebody pulls the kill switch of a key, and takes it back later."""
        key = self.world.keys[event.who]
        if not key.tracked:
            return None
        mine = self._mine(event, event.who)
        await self.world.order(key, OrderKind.SUSPEND)
        self._people(event, key, "suspended")

        async def undo() -> None:
            self.world.bring_others(key)
            if mine() and key.life.suspended:
                await self._take_back(key, OrderKind.RESUME, lambda: mine() and key.life.suspended)

        return undo

    async def _take_back(self, key: SimKey, by: OrderKind, still: Callable[[], bool]) -> None:
        """Order an end, and see from hour to hour what comes of it: in doubt byokd asks for another order."""
        ordered_s = self.world.now_s
        await self.world.order(key, by)

        async def see() -> None:
            if self.world.book.watch.is_open(key.life.ref, by):
                self.world.at(self.world.now_s + HOUR_S, see)
            elif still():
                people, now_s = f"people {key.life.ref}", self.world.now_s
                self.world.book.obstacles.add(people, ordered_s, now_s, f"its {by.value} was refused")
                await self._take_back(key, by, still)
            await self._have_back(key)

        self.world.at(self.world.now_s + HOUR_S, see)

    async def _have_back(self, key: SimKey) -> None:
        """Whoever disabled a key meant it: byokd waits for an order of its own before an import enables it again."""
        usable = key.lane.state(key.arn) is not KeyState.PENDING_IMPORT
        ordered = self.world.book.watch.is_open(key.life.ref, OrderKind.IMPORT)
        if key.life.disabled and not (usable or ordered or key.life.off_since):
            await self.world.order(key, OrderKind.IMPORT)

    def reads(self, notice: Notice) -> None:
        """After a while, people do what a notice asks them for."""
        key = next((each for each in self.world.keys if each.life.ref == notice.subject), None)
        if key is not None and ASKS in notice.condition.detail:
            self.world.at(self.world.now_s + HOUR_S, lambda: self.do_as_asked(key))

    async def do_as_asked(self, key: SimKey) -> None:
        """Order an import where byokd has a reason to ask: the key lost what it misses while it counted as Disabled."""
        now_s = self.world.now_s
        for lost_s, back_s in losses(key, now_s):
            disabled = key.life.disabled_between(lost_s, lost_s) or enabled_unseen(key, lost_s)
            if back_s == now_s and disabled:
                people, obstacles = f"people {key.life.ref}", self.world.book.obstacles
                obstacles.add(people, lost_s, now_s, "nobody has ordered it back")
                await self._have_back(key)
                if key.life.off_since:  # people want it left alone still; they order it when that is over
                    (over_s, _), *_ = obstacles.free((people, f"config {key.life.ref}"), now_s, float("inf"))
                    self.world.at(max(over_s, now_s + 60.0), lambda: self.do_as_asked(key))
                return

    async def _renew(self, event: Event) -> None:
        """An operator has a whole lane imported now."""
        lane = self.world.lanes[event.who]
        for key in self.world.keys:
            if key.lane is lane:
                await self.world.order(key, OrderKind.IMPORT)

    async def _rotate(self, event: Event) -> None:
        await self.world.order(self.world.keys[event.who], OrderKind.ROTATE)

    async def _order(self, event: Event) -> None:
        key = self.world.keys[event.who]
        await self.world.order(key, OrderKind.IMPORT)
        # Somebody cannot wait, and asks again while the turn is under way.
        for after_s in (0.1, 0.4, 1.6):
            self.world.at(self.world.now_s + after_s, lambda: self.world.order(key, OrderKind.RELEASE))

    async def _policy(self, event: Event) -> Undo:
        key = self.world.keys[event.who]
        mine = self._mine(event, event.who)
        new = policy_of(key.plan, life=event.how["life"], lead=event.how["lead"])
        await self._set_policy(key, new)

        async def undo() -> None:
            if mine():
                await self._set_policy(key, policy_of(key.plan))

        return undo

    async def _set_policy(self, key: SimKey, policy: Any) -> None:
        key.desired = replace(key.desired, policy=policy)
        key.policies.append((self.world.now_s, policy))
        await self.world.sync()

    async def _untrack(self, event: Event) -> Undo:
        key = self.world.keys[event.who]
        mine = self._mine(event, event.who)
        key.tracked = False
        key.life.left.append(self.world.now_s)
        self.world.book.watch.forgotten(key.life.ref)
        key.life.off_since.setdefault("not in the config", self.world.now_s)
        self._excuse(f"config {key.life.ref}", event, "not in the config", after_s=1.0)
        await self.world.sync()

        async def undo() -> None:
            if mine():
                key.tracked = True
                key.life.off_since.pop("not in the config", None)
                # Orders that were open when it left the config are cancelled.
                key.life.off_since.pop("held", None)
                key.life.resume(self.world.now_s, by_order=False)
                key.life.asked_s = self.world.now_s
                await self.world.sync()

        return undo

    async def _lane_settings(self, event: Event) -> Undo:
        kms = self.world.lanes[event.who]
        mine = self._mine(event, kms.plan.id)
        kms.allow(kms.plan.per_second * event.how["times"])
        if not event.how["times"]:
            kms.allow(scarce_per_second(self.world, kms))
            self._excuse(kms.plan.id, event, SMALL_PACE, after_s=PACE_BACK_S)
            self.world.at(self.world.now_s + SETTLED_S, lambda: self._told_of_scarcity(kms, mine))
        self.world.in_flight[kms.plan.id] = max(1, kms.plan.in_flight // 2)
        self.world.book.restarted(kms.plan.id, kms.allowed)
        await self.world.sync()

        async def undo() -> None:
            if mine():
                kms.allow(kms.plan.per_second)
                self.world.in_flight[kms.plan.id] = kms.plan.in_flight
                self.world.book.restarted(kms.plan.id, kms.allowed)
                await self.world.sync()
                await look_ahead(self.world)  # as byokd does soon after a reload, by a calendar that stands still here

        return undo

    async def _rush(self, event: Event) -> Undo:
        """A whole lane is to be imported, at a pace that has many wait, and some of the last turn out to be urgent."""
        kms = self.world.lanes[event.who]
        mine = self._mine(replace(event, kind="lane_settings"), kms.plan.id)
        keys = [key for key in self.world.keys if key.lane is kms]
        kms.allow(min(kms.plan.per_second, len(keys) / event.span_s), burst=kms.plan.burst)
        self._excuse(kms.plan.id, event, SMALL_PACE, after_s=PACE_BACK_S)
        self.world.book.restarted(kms.plan.id, kms.allowed)
        await self.world.sync()
        await self._renew(event)

        async def urgent() -> None:
            for key in keys[:: event.how["every"]]:
                if key.tracked and not key.life.off_since and key.lane.state(key.arn) is KeyState.ENABLED:
                    self.world.import_by_hand(key, key.plan.lead_s * 0.4)
                    await self.world.order(key, OrderKind.RELEASE)

        self.world.at(self.world.now_s + event.span_s / 5, urgent)

        async def undo() -> None:
            if mine():
                kms.allow(kms.plan.per_second)
                self.world.book.restarted(kms.plan.id, kms.allowed)
                await self.world.sync()
                await look_ahead(self.world)

        return undo

    async def _told_of_scarcity(self, kms: ModelKms, mine: Callable[[], bool]) -> None:
        if mine() and kms.allowed_per_second < kms.plan.per_second:
            await told_of_scarcity(self.world, kms)

    async def _channel(self, event: Event) -> Undo:
        channel = self.world.channel
        mine = self._mine(event, "channel")
        channel.mode = event.how["mode"]
        self._excuse("voice", event, "channel", after_s=1000.0)

        async def undo() -> None:
            if mine():
                channel.mode = ""

        return undo
