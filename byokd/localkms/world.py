"""The world of one local KMS, moved from outside: time stepped forward, state reset, copied and put back.

It holds together the parts that make up the live state. Whatever it does is one step for clients: they see all of it
or nothing, and it is on disk before it is told. Time belongs to the state: a reset returns to real time, and a restore
to the lead that the clock had, so that a restored key is as old as it was when the snapshot was taken, plus what has
passed in real time since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from byokd.localkms import snapshots
from byokd.localkms.aliases import Alias
from byokd.localkms.clock import Clock, MovableClock
from byokd.localkms.errors import StateError
from byokd.localkms.grants import Grant
from byokd.localkms.hostility.losses import lose_imported_material
from byokd.localkms.keyring import Keyring
from byokd.localkms.keys import Key
from byokd.localkms.passage import Interference
from byokd.localkms.persistence import LEAD, Journal, Row, aliases_of, grants_of, keys_of, wrapping_keys_of
from byokd.localkms.wrapping import WrappingKey, WrappingKeys, restore

LEAD_MAX_S: Final = 8000 * 366 * 86_400.0
"""About as far as a clock can get ahead before the year 9999 ends it, seconds."""


class FixedClockError(Exception):
    """The server was started with a clock that cannot be moved from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """A state as it is on disk, and as it lives. The default is that of a new server."""

    key_rows: Sequence[Row] = ()
    alias_rows: Sequence[Row] = ()
    grant_rows: Sequence[Row] = ()
    keys: Sequence[Key] = field(default=(), repr=False)
    aliases: Sequence[Alias] = ()
    grants: Sequence[Grant] = ()
    pairs: Sequence[WrappingKey] = ()
    lead_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The parts of a running local KMS."""

    clock: Clock
    keyring: Keyring
    journal: Journal
    wrapping: WrappingKeys
    interference: Interference

    async def advance(self, seconds: float) -> None:
        """Step forward in time; what is due by then has happened, on disk too, when this returns.

        Raises: ValueError for a step back; FixedClockError; sqlite3.Error.
        """
        clock = self._movable()
        clock.advance(seconds)
        self.journal.save_lead(clock.lead_s)
        self.keyring.expire(clock.now())
        await self.journal.flush()

    async def reset(self) -> None:
        """Have no keys and no aliases, and the real time again. Wrapping keys stay: they are no state of KMS.

        Raises: sqlite3.Error.
        """
        self._begin_anew(_State())
        await self.journal.flush()

    async def snapshot(self) -> bytes:
        """The whole state. Raises: sqlite3.Error."""
        tables = await self.journal.copied()
        return await asyncio.to_thread(snapshots.written, tables, self.journal.seal)

    async def restore(self, snapshot: bytes) -> None:
        """Put a state back in place of this one; what has lapsed since happens at once.

        Raises: StateError, with nothing changed, when it is no snapshot, is damaged or was sealed under another key;
        sqlite3.Error.
        """
        found = await asyncio.to_thread(self._read, snapshot)
        for pair in found.pairs:
            self.wrapping.add(pair)
        self._begin_anew(found)
        await self.journal.flush()

    async def lose(self, region: str) -> int:
        """Let a Region lose all imported material, as AWS warns that one may; returns how many keys had any.

        Raises: sqlite3.Error.
        """
        struck = lose_imported_material(self.keyring, region)
        await self.journal.flush()
        return struck

    def _movable(self) -> MovableClock:
        if not isinstance(self.clock, MovableClock):
            raise FixedClockError("This server's clock cannot be moved from outside: it was handed in ready-made.")
        return self.clock

    def _begin_anew(self, state: _State) -> None:
        """Replace the live state, and note it as a whole."""
        self.journal.replace({"keys": state.key_rows, "aliases": state.alias_rows, "grants": state.grant_rows})
        self.keyring.replace(state.keys, state.aliases, state.grants)
        if isinstance(self.clock, MovableClock):
            self.clock.lead_by(state.lead_s)
            self.journal.save_lead(state.lead_s)
        self.interference.forget()
        self.keyring.expire(self.clock.now())

    def _read(self, snapshot: bytes) -> _State:
        """What a snapshot holds, every row of it proven to be readable. Runs in a thread."""
        tables = snapshots.read(snapshot, self.journal.seal)
        try:
            facts = {str(name): float(document) for name, document in tables["facts"]}
        except ValueError:
            raise StateError("The snapshot is damaged: a fact is malformed.") from None
        if not 0 <= facts.get(LEAD, 0.0) < LEAD_MAX_S:
            raise StateError("The snapshot is damaged: its clock is not to be believed.")
        return _State(
            key_rows=tables["keys"],
            alias_rows=tables["aliases"],
            grant_rows=tables["grants"],
            keys=list(keys_of(tables["keys"], self.journal.seal)),
            aliases=list(aliases_of(tables["aliases"])),
            grants=list(grants_of(tables["grants"])),
            pairs=[restore(*row) for row in wrapping_keys_of(tables["wrapping_keys"], self.journal.seal)],
            lead_s=facts.get(LEAD, 0.0),
        )
