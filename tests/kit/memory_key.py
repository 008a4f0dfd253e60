"""A key in the store in dictionaries, with its rows of the queue and its orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from byokd.errors import StoreError
from byokd.facts.key import ABSENT, Absent, MaterialId
from byokd.facts.ledger import Import, ImportState, Order, Tier
from byokd.facts.snapshot import Snapshot
from byokd.store.tracks import open_import_of
from byokd.store.views import FIRST_MESSAGE, FIRST_REASON, FIRST_TIER


@dataclass
class Key:
    """A key on record. `known` holds what was saved; its rows (imports, orders, conditions) live elsewhere."""

    known: Snapshot
    due_at: datetime | Absent
    managed: bool = True
    tier: Tier = FIRST_TIER
    reason: str = FIRST_REASON
    message: str = FIRST_MESSAGE
    renewals: int = 0
    imports: dict[str, Import] = field(default_factory=dict)
    opened: dict[str, Import] = field(default_factory=dict)
    """The open ones among them."""
    refused: dict[str, Import] = field(default_factory=dict)
    newest_done: dict[MaterialId | Absent, str] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)

    @property
    def open_import(self) -> Import | Absent:
        """That of the managed material where there are several, else the newest."""
        return open_import_of(self.opened.values(), self.known.ledger.material)

    @property
    def in_force(self) -> tuple[Import, ...]:
        """Refused rows, until a later row of the material is done."""
        return tuple([row for row in self.refused.values() if self._stands(row)])

    def _stands(self, row: Import) -> bool:
        done = self.newest_done.values() if row.material is ABSENT else (self.newest_done.get(row.material, ""),)
        return row.id >= max(done, default="")

    def put(self, row: Import) -> None:
        """Insert a row, or replace an open one."""
        self.imports[row.id] = row
        self.opened.pop(row.id, None)
        if row.state.open:
            self.opened[row.id] = row
        elif row.state is ImportState.REFUSED:
            self.refused[row.id] = row
        elif row.state is ImportState.DONE:
            self.renewals += 1
            self.newest_done[row.material] = max(self.newest_done.get(row.material, ""), row.id)

    def check_unique(self, rows: Sequence[Import]) -> None:
        """Raises: StoreError where there would be two open rows of one material."""
        after = dict(self.opened)
        for row in rows:
            after.pop(row.id, None)
            if row.state.open and (row.id in self.opened or row.id not in self.imports):
                after[row.id] = row
        if len({row.material for row in after.values()}) < len(after):
            raise StoreError("There would be two open imports of one material.")
