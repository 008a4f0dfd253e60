"""What befalls KMS, the network and byokd's host."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tests.sim.clocks import SIGNATURES_S
from tests.sim.happening import PACE_BACK_S, Happening, Undo
from tests.sim.loop import stand_still
from tests.sim.model import LATE_S, OPERATIONS, Trouble
from tests.sim.plan import Event

CLOCK_MATTERS_S: Final = 30.0
"""A clock that is off by less is no excuse."""


class Troubles(Happening):
    """The events that nobody means."""

    # -- KMS and the network ------------------------------------------------------------------------------------------

    async def _outage(self, event: Event) -> Undo:
        kms, how = self.world.lanes[event.who], event.how
        trouble = Trouble(mode=how["mode"], share=how["share"], operations=OPERATIONS[how["of"]])
        kms.weather.troubles.append(trouble)
        if how["of"] != "rotations" or how["mode"] not in ("denied", "refused"):
            self._excuse(kms.plan.id, event, how["mode"], after_s=PACE_BACK_S)
        if how["mode"] == "refused":
            # An import that is refused is not tried again before the next drill.
            self._excuse(f"refusals {kms.plan.id}", event, "imports are refused")

        async def undo() -> None:
            kms.weather.troubles.remove(trouble)

        return undo

    async def _answers(self, event: Event) -> Undo:
        kms, how = self.world.lanes[event.who], event.how
        trouble = Trouble(mode=how["mode"], share=how["share"], operations=("ImportKeyMaterial",))
        kms.weather.troubles.append(trouble)
        if how["mode"] != "slow":
            self._excuse(kms.plan.id, event, how["mode"], after_s=60.0 + max(LATE_S.get(how["mode"], (0.0,))))

        async def undo() -> None:
            kms.weather.troubles.remove(trouble)

        return undo

    async def _others(self, event: Event) -> Undo:
        kms = self.world.lanes[event.who]
        mine = self._mine(event, kms.plan.id)
        kms.weather.others = event.how["share"]
        self._excuse(kms.plan.id, event, "others use the quota", after_s=PACE_BACK_S)

        async def undo() -> None:
            if mine():
                kms.weather.others = 0.0

        return undo

    async def _quota(self, event: Event) -> Undo:
        kms = self.world.lanes[event.who]
        mine = self._mine(event, kms.plan.id)
        kms.weather.quota = event.how["times"]
        if event.how["times"] < 1:
            self._excuse(kms.plan.id, event, "AWS lowered the quota", after_s=PACE_BACK_S)

        async def undo() -> None:
            if mine():
                kms.weather.quota = 1.0

        return undo

    async def _stale(self, event: Event) -> Undo:
        kms, lag_s = self.world.lanes[event.who], event.how["lag_s"]
        mine = self._mine(event, kms.plan.id)
        kms.weather.lag_s = lag_s
        if lag_s > 100:
            self._excuse(kms.plan.id, event, "readings are stale", after_s=lag_s)

        async def undo() -> None:
            if mine():
                kms.weather.lag_s = 0.0

        return undo

    async def _impostor(self, event: Event) -> Undo:
        """The key takes imports, and does not do what it is for."""
        key = self.world.keys[event.who]
        key.lane.impostors.add(key.arn)

        async def undo() -> None:
            key.lane.impostors.discard(key.arn)

        return undo

    # -- byokd's host -------------------------------------------------------------------------------------------------

    async def _store(self, event: Event) -> Undo:
        trouble = self.world.trouble
        mine = self._mine(event, "store")
        trouble.share, trouble.full = event.how["share"], event.how["full"]
        self._excuse("*", event, "store", after_s=60.0)
        self._excuse("voice", event, "store", after_s=60.0)

        async def undo() -> None:
            if mine():
                trouble.share = 0.0

        return undo

    async def _crash(self, event: Event) -> None:
        self.world.comeback_s, self.world.again = event.span_s, event.how["again"]
        if self.world.engine is not None:
            self.world.door.crash_after(event.how["calls"], of=event.how["of"])

    async def _stop(self, event: Event) -> Undo:
        self.world.book.tell("*", "byokd is stopped")
        await self.world.stop()
        return self.world.start

    async def _step(self, event: Event) -> Undo:
        host, by_s = self.world.host, float(event.how["by_s"])
        mine = self._mine(event, "clock")
        host.set_off(host.off_by_s + by_s)
        self.world.book.clock_shows(self.world.now_s + host.off_by_s)
        # Two steps that AWS lets pass may together be more than that.
        worst_s = max(by_s, host.off_by_s, key=abs)
        if abs(worst_s) > CLOCK_MATTERS_S:
            self._clock_is_wrong(event, worst_s)

        async def undo() -> None:
            if mine():
                host.set_off(0.0)

        return undo

    async def _drift(self, event: Event) -> Undo:
        host, rate = self.world.host, event.how["rate"]
        mine = self._mine(event, "clock")
        host.drift(rate)
        worst_s = max(rate * event.span_s, host.off_by_s + rate * event.span_s, key=abs)
        if abs(worst_s) > CLOCK_MATTERS_S:
            self._clock_is_wrong(event, worst_s)

        async def undo() -> None:
            self.world.book.clock_shows(self.world.now_s + host.off_by_s)
            host.drift(0.0)
            if mine():
                host.set_off(0.0)

        return undo

    def _clock_is_wrong(self, event: Event, by_s: float) -> None:
        after_s = self._until_noticed_s() + 120.0
        for scope in ("*", "voice"):
            if abs(by_s) > SIGNATURES_S:
                self._excuse(scope, event, f"the clock is off by {by_s:.0f} s", after_s=after_s)
                continue
            # byokd corrects what it can measure, so the moments of change alone are an excuse.
            now_s, why = self.world.now_s, f"#{event.number} the clock was set by {by_s:.0f} s"
            for at_s in (now_s, now_s + event.span_s):
                self.world.book.obstacles.add(scope, at_s, at_s + after_s, why)

    def _until_noticed_s(self) -> float:
        return 5.0 if self.world.plan.notices_steps else self.world.plan.safety_wake_s + 5.0

    async def _suspend(self, event: Event) -> None:
        for scope in ("*", "voice"):
            self._excuse(scope, event, "suspended", after_s=self._until_noticed_s())
        self.world.times.suspended_s += event.span_s
        self.world.host.moved()

    async def _freeze(self, event: Event) -> None:
        for scope in ("*", "voice"):
            self._excuse(scope, event, "byokd's process is stopped", after_s=60.0)
        stand_still(event.span_s)

    async def _prune(self, event: Event) -> None:
        if self.world.engine is not None and self.world.engine._chores is not None:
            await self.world.chore(self.world.engine._chores.prune())

    async def _lease(self, event: Event) -> None:
        lane = self.world.lanes[event.who]
        await self.world.memory.acquire_lane(lane.plan.id, node="another", now=self.world.host.now())
        self._excuse(lane.plan.id, replace(event, span_s=30.0), "another node took the lane")
