"""Replicas that the config wants, put together for the command line; nothing of it needs the daemon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from byokd.clock import SystemClock
from byokd.config.load import Config
from byokd.daemon.estate import reachable
from byokd.engine.calls import Calls, each
from byokd.engine.pace import Pace
from byokd.engine.replication import Outcome, Place, Replica, Replication
from byokd.facts.key import Absent
from byokd.facts.policy import DesiredKey
from byokd.kms.estate import open_estate
from byokd.kms.identity import shared_session

__all__ = ["Outcome", "Replica", "replicate"]

Family = tuple[DesiredKey, Sequence[DesiredKey]]
"""A primary and the replicas that are wanted of it."""


async def replicate(
    config: Config,
    families: Sequence[Family],
    *,
    policy: str | Absent,
    bare: bool,
    dry_run: bool,
    done: Callable[[int], None],
) -> list[Replica]:
    """Make the replicas that are not there; `done` is told how many have been seen to.

    Raises: OperatorError for a lane that cannot be reached from here; KmsError for what would befall every key.
    """
    clock, session = SystemClock(), shared_session()
    wanted = {key.lane for primary, replicas in families for key in (primary, *replicas)}
    lanes = [lane for lane in config.lanes.values() if lane.id in wanted]
    found: list[Replica] = []
    async with AsyncExitStack() as stack:
        places = {}
        for lane, identity in [reachable(config, lane) for lane in lanes]:
            estate = await stack.enter_async_context(open_estate(lane, clock=clock, session=session, identity=identity))
            places[lane.id] = Place(estate, Calls(Pace(lane, clock), clock, hurried=True))
        replication = Replication(places, policy=policy, bare=bare, dry_run=dry_run)

        async def one(family: Family) -> None:
            found.extend(await replication.make(*family))
            done(len(found))

        if families:
            await each(one, families, in_flight=min(lane.max_in_flight for lane in lanes))
    return found
