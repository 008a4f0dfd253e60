"""What a lane does beside its keys: it says that it is owned, keeps what it learned, and looks at clocks and quotas.

None of it is on the way of a renewal. Where something here fails, keys are looked at all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog

from byokd.engine.pace import OF_AN_IMPORT, Pace
from byokd.engine.standing import Standing
from byokd.engine.time import BELIEVED_UP_TO, EngineClock
from byokd.errors import ByokdError, LeaseLost, StoreError
from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.key import ABSENT, Absent
from byokd.facts.policy import FASTEST_QUOTA, SLOWEST_QUOTA, Lane
from byokd.ports import Kms, NewId, Skew, Store

log = structlog.get_logger("byokd.engine")

KEEP_EVERY: Final = timedelta(minutes=10)
"""How often a lane says in the store that it is owned."""
ASK_QUOTAS_EVERY_S: Final = 86_400.0
ASK_AGAIN_AFTER_S: Final = 900.0
"""Where Service Quotas could not be read: at boot the network may be late."""


class Upkeep:
    """Of one lane."""

    def __init__(
        self,
        lane: Lane,
        *,
        store: Store,
        pace: Pace,
        clock: EngineClock,
        new_id: NewId,
        threshold: timedelta,
        told: Callable[[], None],
    ) -> None:
        """`threshold` is the difference of clocks that is left alone; `told` as for `Standing`."""
        self._lane = lane
        self._store = store
        self._pace = pace
        self._clock = clock
        self._threshold = threshold
        self._standing = Standing(f"lane:{lane.id}", store=store, clock=clock, new_id=new_id, told=told)
        self._kept_at = clock.now()
        self._steps_back = clock.steps_back
        self._ask_at = clock.monotonic()
        self._skew: Skew | Absent = ABSENT
        """The measurement that was told last."""

    async def begin(self) -> None:
        """Go on with the pace that was learned before."""
        try:
            self._pace.recall(await self._store.learned_paces(self._lane.id))
        except ByokdError as error:
            log.warning("pace_forgotten", lane=self._lane.name, why=str(error))

    async def keep(self, epoch: int) -> None:
        """Show that the lane is still owned, and look at every key again where the clock was set back.

        What was written under the clock as it was lies in the future now, due times too. Raises: StoreError.
        """
        now = self._clock.now()
        back = self._set_back
        if back or not self._kept_at <= now < self._kept_at + KEEP_EVERY:
            await self._store.keep_lane(self._lane.id, epoch=epoch, now=now, look_again=back, paces=self._pace.known())
            self._kept_at, self._steps_back = now, self._clock.steps_back

    async def leave(self, epoch: int) -> None:
        """The lane's work ends in order: what was learned since `keep` is kept too, and a step of the clock acted on.

        The next owner cannot see that step: what it would show by, a lease in the future, is written over here.
        Raises: LeaseLost.
        """
        now, paces = self._clock.now(), self._pace.known()
        try:
            await self._store.keep_lane(self._lane.id, epoch=epoch, now=now, look_again=self._set_back, paces=paces)
        except LeaseLost:
            raise
        except StoreError as error:
            log.warning("pace_forgotten", lane=self._lane.name, why=str(error))

    @property
    def _set_back(self) -> bool:
        """Whether the clock was set back since the lane was kept, as far as its last reading told."""
        return self._clock.steps_back != self._steps_back

    def measure(self, kms: Kms) -> None:
        """Tell the engine's clock how far KMS's is from the host's, as far as KMS has answered."""
        skew = kms.skew()
        if not isinstance(skew, Absent) and not self._clock.knows(self._lane.id, skew):
            self._clock.learn(self._lane.id, skew, threshold=self._threshold)

    async def check_clock(self, kms: Kms) -> None:
        """The same, and tell people. Raises: StoreError."""
        skew = kms.skew()
        if isinstance(skew, Absent) or skew == self._skew:
            return  # KMS has answered nothing since
        if self._clock.learn(self._lane.id, skew, threshold=self._threshold):
            off = abs(skew.by) > self._threshold
            await self._standing.state(_skewed(self._lane.region, skew.by) if off else ConditionKind.CLOCK_SKEW)
        self._skew = skew

    @property
    def quotas_due(self) -> bool:
        """Whether Service Quotas are to be asked; not again while they are."""
        return self._lane.read_quotas and self._clock.monotonic() >= self._ask_at

    async def ask_quotas(self, kms: Kms) -> bool:
        """Go by what Service Quotas tells; returns whether that is something else than before."""
        # Until there is an answer: a lost lease breaks the question off.
        self._ask_at = self._clock.monotonic() + ASK_AGAIN_AFTER_S
        try:
            told = await kms.request_quotas()
        except ByokdError as error:
            # The configured pace is there for this; keys must not wait for a figure.
            log.warning("quotas_unread", lane=self._lane.name, error=error.code, why=str(error), step=error.step)
            return False
        changed = self._pace.allow(told)
        for operation in OF_AN_IMPORT:
            if operation in told and not SLOWEST_QUOTA <= told[operation] <= FASTEST_QUOTA:
                log.warning(
                    "quota_not_believed",
                    lane=self._lane.name,
                    operation=operation,
                    told=str(told[operation]),
                    per_second=self._pace.quotas[operation].per_second,
                    step="Look at the quota in the console of Service Quotas, or set `read_quotas = false`.",
                )
        self._ask_at = self._clock.monotonic() + ASK_QUOTAS_EVERY_S
        if changed:
            self._kept_at = self._clock.now() - KEEP_EVERY  # what is on record as learned is of another quota
        return changed


def _skewed(region: str, skew: timedelta) -> Condition:
    seconds = int(skew.total_seconds())
    text = (
        f"the clock of KMS in {region} reads {abs(seconds)} s {'later' if seconds > 0 else 'earlier'} than this host's"
    )
    if abs(skew) > BELIEVED_UP_TO:
        text += ", which is too much to be believed: deadlines are judged by the host's clock, wrongly if that is off"
    else:
        text += ": deadlines are judged by KMS's clock until the host's is right"
    return Condition(kind=ConditionKind.CLOCK_SKEW, severity=Severity.CRITICAL, detail=text)
