"""New keys in bulk, put together for the command line: manifest, journal and lane; nothing of it needs the daemon."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from byokd.clock import SystemClock
from byokd.config.load import Config
from byokd.config.manifest import ManifestRow, read_manifest
from byokd.config.names import partition
from byokd.config.problems import Problem, Problems
from byokd.daemon.build import open_source
from byokd.daemon.estate import reachable
from byokd.engine.calls import Calls, each
from byokd.engine.creation import Created, Creation, unfit
from byokd.engine.pace import Pace
from byokd.errors import ConfigError, ManifestInvalid
from byokd.facts.policy import DesiredKey, Lane
from byokd.kms.estate import open_estate
from byokd.kms.identity import shared_session
from byokd.material.fingerprint import FingerprintKey
from byokd.ports.estate import Journal
from byokd.store.journal import Sketch, open_journal

PROOFS_AT_ONCE: Final = 8
"""Sources may be commands, each a process."""

Fits = Callable[[Sequence[ManifestRow]], Sequence[DesiredKey]]
"""Gives the rows' keys. Raises: ConfigError where the config would not be valid with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody wants made."""

    manifest: Path
    journal: Path
    lane: Lane
    only_valid: bool = False
    """Whether wrong rows are left out; else one of them is enough to make nothing."""
    unseen_material: bool = False
    """Whether keys are made whose material is not there yet, or cannot be read from here."""
    dry_run: bool = False
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
    config: Config,
    order: Order,
    *,
    fits: Fits,
    named: Callable[[int], None],
) -> Outcome:
    """Make the keys of a manifest that are not made yet.

    `fits` gives each row's key as the config will have it, or refuses the rows before anything is done.

    Raises: ManifestInvalid with every wrong row, and with what the config says against the others; ConfigError where
    there is no wrong row, or they are left out; KmsError; StoreError.
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
                Calls(Pace(lane, clock), clock, hurried=True),
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
            rows = [row for row in rows if row.key.alias not in clashes]
            wanted = _wanted(order, rows, fits, problems) if rows else ()
            if not order.unseen_material:
                # What is made already is past this question.
                unmade = [each for each in zip(rows, wanted, strict=True) if not creation.made(each[0].key)]
                misfits = await _misfits(config, order.lane, unmade, problems)
                rows = [row for row in rows if row.key.alias not in misfits]
            if problems and not order.only_valid:
                raise ManifestInvalid(problems.by_place())
            outcome = Outcome(rows, problems.by_place())
            if not order.dry_run:
                outcome.created = await creation.make([row.key for row in outcome.rows])
            return outcome


def _wanted(order: Order, rows: Sequence[ManifestRow], fits: Fits, problems: Problems) -> Sequence[DesiredKey]:
    """Each row's key as the config will have it."""
    try:
        return fits(rows)
    except ConfigError as error:
        if order.only_valid or not problems:
            raise
        told = "with the other rows' keys the config would not be valid:"
        raise ManifestInvalid((*problems.by_place(), told, *error.problems)) from error


async def _misfits(
    config: Config, lane: Lane, rows: Sequence[tuple[ManifestRow, DesiredKey]], problems: Problems
) -> set[str]:
    """The aliases of rows whose material does not fit the key that is to be made; why not is noted."""
    # Proofs are not compared with any on record: a key for their fingerprints that nobody knows will do.
    known = FingerprintKey(os.urandom(32))
    sources = {name: open_source(name, settings, known) for name, settings in config.sources.items()}
    found, where = set[str](), partition(lane.region)

    async def one(pair: tuple[ManifestRow, DesiredKey]) -> None:
        row, key = pair
        if why := await unfit(row.key, key, sources[key.source], where):
            found.add(row.key.alias)
            problems.add(row.place, "material", why, f"source {key.source}: {key.locator}")

    await each(one, rows, in_flight=PROOFS_AT_ONCE)
    return found


@contextmanager
def _journal(order: Order) -> Iterator[Journal]:
    """The manifest's journal; for a dry run, what it says, and nothing more is written."""
    if order.dry_run and not order.journal.exists():
        yield Sketch({})
        return
    with open_journal(order.journal, order.lane.id) as journal:
        yield Sketch(journal.steps()) if order.dry_run else journal
