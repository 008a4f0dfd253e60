"""Making keys that take imported material, in a KMS that is there to be tried out.

byokd creates keys only where the config switches it on, which it allows for the local KMS alone; a key that exists is
never touched. The local KMS may be hostile: it throttles, and loses answers to what it did. So each alias is looked at
again after trouble that passes; at worst a key is left behind that no alias names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from byokd.errors import AnswerLost, BadAnswer, KeyNotFound, KmsInternal, KmsUnreachable, RequestRefused, Throttled
from byokd.facts.policy import Lane
from byokd.kms.client import LaneClient
from byokd.kms.identity import Identity, Session
from byokd.ports import Clock

WAITS_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""How long to wait after each failure for one alias, seconds; the failure after the last is final."""
PASSING: Final = (Throttled, KmsUnreachable, KmsInternal, BadAnswer, AnswerLost)


async def create_missing_keys(
    lane: Lane, aliases: Iterable[str], *, clock: Clock, session: Session, identity: Identity
) -> int:
    """Create a symmetric key with Origin EXTERNAL for each alias that names none; returns how many.

    Raises: KmsError for what does not pass within a minute.
    """
    client = LaneClient(lane, clock=clock, shared=session, identity=identity)
    try:
        return sum([await _Missing(client, alias).made(clock) for alias in aliases])
    finally:
        await client.close()


class _Missing:
    """One alias on its way to a key; remembers over failures what it has made."""

    def __init__(self, client: LaneClient, alias: str) -> None:
        self._client = client
        self._alias = alias
        self._key_id: str | None = None
        self._unsure = False
        """Whether the alias may have been made by a call whose answer was lost."""

    async def made(self, clock: Clock) -> bool:
        """Whether a key had to be made for the alias."""
        for wait_s in WAITS_S:
            try:
                return await self._try()
            except PASSING:
                await clock.sleep(wait_s)
        return await self._try()

    async def _try(self) -> bool:
        try:
            await self._call("DescribeKey", KeyId=self._alias)
        except KeyNotFound:
            if self._key_id is None:
                answer = await self._call("CreateKey", Origin="EXTERNAL", Description=f"made for {self._alias}")
                self._key_id = answer["KeyMetadata"]["KeyId"]
            await self._name(self._key_id)
        return self._key_id is not None

    async def _name(self, key_id: str) -> None:
        try:
            await self._call("CreateAlias", AliasName=self._alias, TargetKeyId=key_id)
        except AnswerLost:
            self._unsure = True
            raise
        except RequestRefused as refused:
            # The alias may be there by now, of a key that a look does not find yet.
            if not self._unsure or "AlreadyExistsException" not in str(refused):
                raise

    async def _call(self, operation: str, **members: Any) -> dict[str, Any]:
        return await self._client.call(operation, members, changes=operation != "DescribeKey")
