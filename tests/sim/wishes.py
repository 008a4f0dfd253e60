"""The laws about what people want of single keys: change windows, suspensions, material without end.

Like those of `laws` they are held when a world is over, against the book alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from byokd.facts.condition import ConditionKind
from byokd.facts.key import NEVER
from byokd.facts.ledger import Order, OrderKind, OrderState
from tests.sim.clocks import seconds
from tests.sim.fleet import SimKey
from tests.sim.laws import BASE_S, CLOCK_S, HEAL_S, Laws
from tests.sim.life import Imported
from tests.sim.periods import losses, periods
from tests.sim.plan import HOUR_S, span
from tests.sim.world import World

TURN_S: Final = 120.0
"""A turn that began while a window was open may send its import so much later."""


WEEK_S: Final = 8 * 24 * HOUR_S
"""No change window is closed for longer."""


class Wishes(Laws):
    """Judges a world that is over."""

    def hold(self) -> None:
        """Write every breach into the book."""
        for key in self.world.keys:
            self._obeys_windows(key)
            self._suspended(key)
            self._resumed(key)
            self._probed(key)
            for period in periods(key, self.end_s):
                if period.next is not None and not period.next.by_hand:
                    self._endless(key, period.began, period.next)

    def _obeys_windows(self, key: SimKey) -> None:
        """A routine renewal begins while a change window is open; what is urgent does not wait for one."""
        window = key.plan.window
        if window is None:
            return
        for each in key.life.imports:
            if each.by_hand or each.ordered or each.late or not isinstance(each.before, datetime):
                continue
            policies = self._policies(key, each.at_s - key.plan.look_s, each.at_s)
            life_s = max(self._life_s(policy) for policy in policies)
            half_s = max(policy.renew_before.total_seconds() / 2 for policy in policies)
            urgent_s = max(half_s, life_s * key.plan.emergency_share)
            left_s = seconds(each.before) - each.at_s
            scopes = ("*", key.life.lane, key.life.ref)
            calm = self.book.obstacles.calm(scopes, each.at_s - 3600, each.at_s)
            if not calm or left_s <= urgent_s + self._clock_s(each) + 60:
                continue
            slack_s = TURN_S + self._clock_s(each)
            if not window.open(each.at_s) and window.opens_s(each.at_s - slack_s) > each.at_s + slack_s:
                self._broken(key, "window", each.at_s, f"renewed with {span(left_s)} left while no window was open")

    def _suspended(self, key: SimKey) -> None:
        """A suspension is carried out: the material goes, as soon as the world allows."""
        limit_s = HEAL_S + key.plan.look_s
        scopes = ("*", key.life.lane, f"config {key.life.ref}")
        for begin_s, end_s in key.life.all_suspensions:
            for a, b in self.book.obstacles.free(scopes, begin_s, min(end_s, self.end_s)):
                gone = any(begin_s <= at_s <= a + limit_s for at_s, _ in key.life.deleted)
                lapsed = any(p.lapsed and p.ends_s <= a + limit_s <= p.until_s for p in periods(key, self.end_s))
                never_there = not any(each.at_s <= a + limit_s for each in key.life.imports)
                if b - a > limit_s and not (gone or lapsed or never_there or begin_s in key.life.suspended_empty):
                    self._broken(key, "suspended", a + limit_s, f"ordered at {span(begin_s)}, and has its material")
                    break

    def _resumed(self, key: SimKey) -> None:
        """What was suspended and is resumed comes back, whatever the policy says of losses."""
        for begin_s, end_s in key.life.suspensions:
            if end_s > self.end_s or key.life.disabled_between(begin_s, self.end_s):
                continue
            # With its key, an order to resume that waits still leaves the config for good.
            over = (*(each.at_s for each in key.life.imports), *key.life.left, *self._resumptions_refused(key))
            over_s = min((at_s for at_s in over if at_s > end_s), default=self.end_s)
            limit_s = HEAL_S + self._queue_s(key) + key.plan.look_s + BASE_S
            untouched = not any(begin_s <= at_s <= end_s for at_s, _ in key.life.deleted)
            if untouched:
                continue
            for a, b in self.book.obstacles.free(self.book.scopes(key.life), end_s, over_s):
                if b - a > limit_s:
                    self._broken(key, "resumed", a + limit_s, f"resumed at {span(end_s)}, and not imported since")
                    break

    def _resumptions_refused(self, key: SimKey) -> list[float]:
        """When KMS refused for good what an order to resume took: from then on the policy says whether it is healed."""
        if key.plan.heals_lapse and key.plan.heals_delete:
            return []
        orders = (each for each in self.book.watch.orders.values() if each.order.ref == key.life.ref)
        refused = (each for each in orders if each.order.state is OrderState.REFUSED)
        return [each.closed_s for each in refused if each.order.kind is OrderKind.RESUME and each.closed_s is not None]

    def _probed(self, key: SimKey) -> None:
        """A key is used only where its policy wants it, and people hear of one that does not do what it is for."""
        if key.life.probes and not key.plan.probe:
            self._broken(key, "probes when asked", key.life.probes[0], "used, and its policy does not want it")
        for event in self.world.plan.events:
            if event.kind != "impostor" or event.who != key.plan.number:
                continue
            over_s = min(event.at_s + event.span_s, self.world.plan.stormy_s)  # all is put right then
            for each in key.life.imports:
                until_s = each.visible_s + HEAL_S + key.plan.look_s
                shown = event.at_s < each.at_s and until_s < over_s
                scopes = ("voice", *self.book.scopes(key.life))
                calm = self.book.obstacles.calm(scopes, each.at_s - HEAL_S, until_s)
                told = self._heard_of(key, (ConditionKind.PROBE_FAILED,), event.at_s, until_s)
                # A key that has lost another of its materials cannot be used.
                lost = any(lost_s < until_s and each.at_s < back_s for lost_s, back_s in losses(key, self.end_s))
                if shown and calm and not (each.by_hand or told or lost):
                    self._broken(
                        key, "a failed probe is told", until_s, f"imported at {span(each.at_s)}, fails {event}"
                    )

    def _endless(self, key: SimKey, last: Imported, each: Imported) -> None:
        """Material that was imported never to end is not imported again without being asked for."""
        if last.expiry is NEVER and each.before is NEVER and not (each.ordered or self._doubtful(key, last, each)):
            self._broken(key, "not too early", each.at_s, "imported again, though it never ends")

    def rotates_by_period(self, key: SimKey, orders: Sequence[Order]) -> None:
        """Not before the end of a period, and not much later where nothing was in the way all the time."""
        every_s, life = key.plan.rotate_every_s, key.life
        done = [each for each in orders if each.kind is OrderKind.ROTATE and each.state is OrderState.DONE]
        by_people = {each.outcome for each in done if not each.by_period}
        turned = any(event.kind in ("step", "drift") for event in self.world.plan.events)
        steady = key.plan.heals_lapse and key.plan.heals_delete and not (life.disabled or life.suspensions)
        first_s = min((each.at_s for each in life.imports), default=self.end_s)
        # KMS keeps the day of the key's making for its first material, and byokd the look that showed it.
        earliest_s, latest_s = float(every_s), first_s + key.plan.look_s + every_s
        for name, at_s in [*_rotations(key), ("", self.end_s)]:
            if name and not turned and f"rotated to {name}" not in by_people and at_s < earliest_s - CLOCK_S:
                self._broken(key, "period", at_s, f"rotated, and its period ends at {span(earliest_s)}")
            limit_s = 4 * HOUR_S + HEAL_S + self._queue_s(key) + 2 * key.plan.drill_s + key.plan.look_s
            limit_s += 0 if key.plan.window is None else WEEK_S
            for a, b in self.book.obstacles.free(self.book.scopes(life), latest_s, at_s):
                if b - a > limit_s and steady and (name or len(_rotations(key)) < key.plan.stock):
                    self._broken(key, "period", a + limit_s, f"its period ended at {span(latest_s)}, and not rotated")
                    return
            earliest_s = latest_s = at_s + every_s


def _rotations(key: SimKey) -> list[tuple[str, float]]:
    """When the key was rotated, and to which material, oldest first."""
    materials = key.lane.key(key.arn).materials
    rotated = [(each.id, seconds(each.rotated_at)) for each in materials if isinstance(each.rotated_at, datetime)]
    return sorted(rotated, key=lambda each: each[1])


async def orders_are_answered(world: World) -> None:
    """Long after all was put right no order is left over, and each says what became of it: so do rotations."""
    for key in world.keys:
        rotated = any(isinstance(each.rotated_at, datetime) for each in key.lane.key(key.arn).materials)
        orders = await world.memory.orders(ref=key.life.ref, only_open=False, limit=1000)
        if key.plan.rotate_every_s:
            Wishes(world).rotates_by_period(key, orders)
        for order in orders:
            if order.state is OrderState.OPEN and not order.by_period:  # those may be given at any time
                world.book.broken("orders end", key.life.ref, f"{order.kind.value} is open: {order.outcome}")
            elif order.state is OrderState.REFUSED and not order.outcome:
                world.book.broken("orders end", key.life.ref, f"{order.kind.value} was refused, and nobody knows why")
            elif order.kind is OrderKind.ROTATE and order.state is OrderState.DONE and not rotated:
                world.book.broken("rotates", key.life.ref, f"ordered at {order.created_at}, done, and never rotated")
