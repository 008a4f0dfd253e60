"""The life of a key's materials, cut where they were imported, deleted or ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tests.sim.clocks import seconds
from tests.sim.fleet import SimKey
from tests.sim.life import Imported


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The time under one ValidTo: from an import until the next, a deletion, or the end of the world."""

    began: Imported
    ends_s: float
    """Its ValidTo."""
    until_s: float
    next: Imported | None
    deleted: bool

    @property
    def lapsed(self) -> bool:
        """Whether its ValidTo passed."""
        return self.ends_s <= self.until_s


def periods(key: SimKey, end_s: float) -> Iterator[Period]:
    """The periods of the life of each material that a key needs, oldest first; none from before it needed it."""
    for fingerprint in dict.fromkeys(each.fingerprint for each in key.life.imports):
        deleted_s = [at_s for at_s, of in key.life.deleted if of == fingerprint]
        needed_s = key.life.needed.get(fingerprint, float("inf"))
        for period in _periods_of(key.life.imports_of(fingerprint), deleted_s, end_s):
            if min(period.ends_s, period.until_s) > needed_s or period.began.at_s >= needed_s:
                yield period


def losses(key: SimKey, end_s: float) -> Iterator[tuple[float, float]]:
    """When the key lost one of its materials, and when it had that back."""
    for period in periods(key, end_s):
        if period.lapsed or period.deleted:
            lost_s = min(period.ends_s, period.until_s)
            later = [each.at_s for each in key.life.imports_of(period.began.fingerprint) if each.at_s > lost_s]
            yield lost_s, min(later, default=end_s)


def enabled_unseen(key: SimKey, lost_s: float) -> bool:
    """Whether a key was enabled again, and byokd saw nothing of it before the material was gone.

    KMS calls either PendingImport then, and an import would enable a key that people may want disabled.
    """
    back_s = max((until_s for _, until_s in key.life.disabled if until_s <= lost_s), default=None)
    return back_s is not None and not any(back_s < at_s < lost_s for at_s in key.life.seen_enabled)


def _periods_of(imports: list[Imported], deleted_s: list[float], end_s: float) -> Iterator[Period]:
    for each, after in zip(imports, [*imports[1:], *([None] if imports else [])], strict=True):
        until_s = after.at_s if after else end_s
        deleted = [at_s for at_s in deleted_s if each.at_s <= at_s < until_s]
        yield Period(
            began=each,
            ends_s=seconds(each.expiry) if isinstance(each.expiry, datetime) else float("inf"),
            until_s=min([until_s, *deleted]),
            next=None if deleted else after,
            deleted=bool(deleted),
        )
