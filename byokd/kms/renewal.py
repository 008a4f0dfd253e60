"""Credentials that end, and are renewed before they do.

The SDK does so inside a call: it asks for new ones from a quarter of an hour before the end, and fails the call without
them in the last ten minutes. An answer that does not come uses up the call's time, in every call. Here the old ones
serve until their last minute, and it is now and then one call that asks, for a part of its time::

    ─────── signs ───────┬─ asks once a minute, for half of a call's time, ─┬─ asks, and fails without ─┐
                         │  and signs with what it has                      │                           │
                    15 min left                                      1 min left                     they end
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from aiobotocore.credentials import AioCredentials, AioRefreshableCredentials

from byokd.facts.policy import Lane
from byokd.ports import Clock

log = structlog.get_logger("byokd.kms")

_LAST_S: Final = 60
"""With less left, a request may arrive too late to be taken."""
_AGAIN_S: Final = 60


def renewed(credentials: Any, lane: Lane, clock: Clock) -> Any:
    """The same credentials, renewed as above; those that do not end, or are none, are left as they are."""
    ending = isinstance(credentials, AioRefreshableCredentials)
    return _Renewed(credentials, lane, clock) if ending else credentials


class _Renewed(AioCredentials):  # type: ignore[misc]  # untyped upstream
    """Others' credentials, which the SDK's clients ask for here; they look at nothing else of them."""

    def __init__(self, credentials: AioRefreshableCredentials, lane: Lane, clock: Clock) -> None:
        super().__init__("", "", method=credentials.method)
        self._credentials = credentials
        self._lane = lane
        self._clock = clock
        self._again_at = clock.monotonic()

    async def get_frozen_credentials(self) -> Any:
        """See the SDK."""
        if self._credentials.refresh_needed(_LAST_S):
            return await self._credentials.get_frozen_credentials()
        if self._credentials.refresh_needed() and self._again_at <= self._clock.monotonic():
            self._again_at = self._clock.monotonic() + _AGAIN_S
            await self._ask()
        # The SDK has no public way to them that does not renew; it is pinned to one minor version, and tests show it.
        return self._credentials._frozen_credentials  # noqa: SLF001

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(self._lane.call_timeout.total_seconds() / 2):
                await self._credentials.get_frozen_credentials()
        except Exception as error:  # noqa: BLE001  # whatever it is, what is at hand is good
            log.warning("credentials_not_renewed", lane=self._lane.name, error=type(error).__name__)
