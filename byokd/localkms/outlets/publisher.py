"""The publisher: hears of every call and of every change that a key goes through by itself, and tells the outlets.

    Passage, answered ─▶ called ──┬─▶ tally ─▶ metrics
    expiry ─▶ expired ────────────┼─▶ trail
    rotation ─▶ changed ──────────┤
    deletion date ─▶ deleted ─────┴─▶ couriers (events)

It decides nothing. A request that was dropped before it reached the rules is counted, but never was a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import ClientSession

from byokd.localkms.clock import Clock
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.hostility.fate import KIND, Mishap
from byokd.localkms.keyring import Keyring, Watcher
from byokd.localkms.keys import Key
from byokd.localkms.outlets import events, records
from byokd.localkms.outlets.couriers import Courier, couriers
from byokd.localkms.outlets.events import Event
from byokd.localkms.outlets.metrics import Tally
from byokd.localkms.outlets.records import Record
from byokd.localkms.outlets.settings import Outlets
from byokd.localkms.outlets.trail import Trail
from byokd.localkms.passage import Passage

KEYS: Final = ("KeyId", "DestinationKeyId", "TargetKeyId")
"""The request members that name the key which a call is about."""


class Publisher(Watcher):
    """Tells the outlets. Made before anything happens to a key, and closed last."""

    def __init__(self, outlets: Outlets, keyring: Keyring, clock: Clock) -> None:
        """Raises: OSError when the trail cannot be opened."""
        self._clock = clock
        self._keyring = keyring
        self.tally = Tally()
        self._couriers: list[Courier] = couriers(outlets, self.tally.events)
        self._trail = None if outlets.trail is None else Trail(outlets.trail, outlets.trail_max_bytes)

    async def deliver(self) -> None:
        """Bring events to their destinations, until cancelled; returns at once where there are none."""
        if not self._couriers:
            return
        async with ClientSession() as session, asyncio.TaskGroup() as group:
            for courier in self._couriers:
                group.create_task(courier.deliver(session))

    def close(self) -> None:
        """Let go of the trail."""
        if self._trail is not None:
            self._trail.close()

    def called(self, passage: Passage) -> None:
        """A request is about to be answered, or dropped."""
        mishap = passage.mishap.value.removesuffix("_rate")
        fate = passage.fate
        if fate is not KIND:
            befell = {mishap: mishap, "latency": fate.latency_s, "lag": passage.behind, "skew": fate.skew_s}
            self.tally.mishaps.update((kind,) for kind, it in befell.items() if it)
        if passage.caller is None:
            return
        refusal = passage.refusal
        if passage.replaced is not None:
            refusal = Refusal(Fault.SERVICE_UNAVAILABLE)
        self.tally.requests[passage.operation, str(refusal.fault) if refusal else ""] += 1
        if self._trail is None or passage.mishap is Mishap.DROP_BEFORE:
            return
        self._trail.write(
            records.of_call(
                records.Ended(
                    operation=passage.operation,
                    caller=passage.caller,
                    access_key_id=passage.access_key_id,
                    request_id=passage.request_id,
                    at=passage.now,
                    request=passage.request,
                    answer=passage.answer,
                    refusal=refusal,
                    key_arn=self._key_of(passage),
                    source=passage.source,
                    user_agent=passage.user_agent,
                    mishap=mishap,
                )
            )
        )

    def changed(self, before: Key | None, after: Key) -> None:
        """See Watcher. A rotation shows in the current material."""
        old = None if before is None else before.current
        if old is not None and after.current is not None and old.id != after.current.id:
            now = self._clock.now()
            self._tell(records.of_rotation(after, old.id, now), events.rotation(after, old.id, now))

    def expired(self, key: Key, material_id: str, now: float) -> None:
        """See Watcher."""
        self.tally.expiries[key.owner.account, key.owner.region] += 1
        self._tell(records.of_expiry(key, material_id, now), events.expiration(key, now))

    def deleted(self, key: Key, now: float) -> None:
        """See Watcher."""
        self._tell(records.of_deletion(key, now), events.deletion(key, now))

    def _tell(self, record: Record, event: Event) -> None:
        if self._trail is not None:
            self._trail.write(record)
        for courier in self._couriers:
            courier.announce(event)

    def _key_of(self, passage: Passage) -> str | None:
        """The ARN of the key that a call was about: as answered, else as asked for, if it exists."""
        answer: Mapping[str, Any] = passage.answer or {}
        told = answer.get("KeyMetadata", {}).get("Arn", answer.get("KeyId"))
        if isinstance(told, str) and told.startswith("arn:"):
            return told
        assert passage.caller is not None, "asked only of verified calls"
        asked = (passage.request.get(member) for member in KEYS)
        key = self._keyring.named(next((each for each in asked if each), None), passage.caller)
        return None if key is None else key.arn
