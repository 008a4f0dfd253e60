"""New keys in bulk, put together for the command line: manifest, journal and lane; nothing of it needs the daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from byokd.clock import SystemClock
from byokd.config.load import Config
from byokd.config.manifest import ManifestRow, read_manifest
from byokd.config.problems import Problem, Problems
from byokd.daemon.estate import reachable
from byokd.engine.calls import Calls
from byokd.engine.creation import Created, Creation
from byokd.engine.pace import Pace
from byokd.errors import ManifestInvalid
from byokd.facts.policy import Lane
from byokd.kms.estate import open_estate
from byokd.kms.identity import shared_session
from byokd.ports.estate import Journal
from byokd.store.journal import Sketch, open_journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody wants made."""

    manifest: Path
    journal: Path
    lane: Lane
    only_valid: bool
    """Whether wrong rows are left out; else one of them is enough to make nothing."""
    dry_run: bool
    settle_for: timedelta
    """How long a key that KMS made may stay invisible."""


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    rows: Sequence[ManifestRow]
    """Those that can be made."""
    wrong: tuple[Problem, ...]
    created: Created = field(default_factory=Created)


async def create(
    config: Config, order: Order, *, fits: Callable[[Sequence[ManifestRow]], None], named: Callable[[int], None]
) -> Outcome:
    """Make the keys of a manifest that are not made yet. `fits` may refuse the rows before anything is done.

    Raises: ManifestInvalid with every wrong row; KmsError; StoreError; what `fits` raises.
    """
    problems = Problems()
    rows = read_manifest(order.manifest, problems)
    if not rows:
        raise ManifestInvalid(problems.by_place())
    lane, identity = reachable(config, order.lane)
    clock = SystemClock()
    with _journal(order) as journal:
        async with open_estate(lane, clock=clock, session=shared_session(), identity=identity) as estate:
            creation = Creation(
                estate,
                Calls(Pace(lane, clock), clock),
                journal,
                clock,
                in_flight=lane.max_in_flight,
                settle_for=order.settle_for,
                named=named,
            )
            clashes = await creation.taken([row.key for row in rows])
            for row in rows:
                if why := clashes.get(row.key.alias):
                    problems.add(row.place, "alias", f"{row.key.alias} {why}", "take another alias, or adopt that key")
            if problems and not order.only_valid:
                raise ManifestInvalid(problems.by_place())
            outcome = Outcome([row for row in rows if row.key.alias not in clashes], problems.by_place())
            fits(outcome.rows)
            if not order.dry_run:
                outcome.created = await creation.make([row.key for row in outcome.rows])
            return outcome


@contextmanager
def _journal(order: Order) -> Iterator[Journal]:
    """The manifest's journal; for a dry run, what it says, and nothing more is written."""
    if order.dry_run and not order.journal.exists():
        yield Sketch({})
        return
    with open_journal(order.journal, order.lane.id) as journal:
        yield Sketch(journal.steps()) if order.dry_run else journal
