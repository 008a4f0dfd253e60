"""Searches of lanes, put together for the command line: the config's lanes and quotas, AWS's answers, and no daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from byokd.clock import SystemClock
from byokd.config.lanes import LOCAL
from byokd.config.load import Config
from byokd.daemon.playground import identity_of
from byokd.engine.attributes import attributes
from byokd.engine.calls import Calls, each
from byokd.engine.discovery import Discovery
from byokd.engine.pace import Pace
from byokd.errors import ByokdError, OperatorError
from byokd.facts.estate import Attributes, Found, Wanted
from byokd.facts.key import KeyArn
from byokd.facts.policy import Lane
from byokd.kms.estate import open_estate
from byokd.kms.identity import Identity, Session, shared_session

Seen = Callable[[str, int], None]
"""Told how many keys of a lane were looked at so far."""


async def find(
    config: Config, wanted: Mapping[str, Wanted], *, tags: bool, seen: Seen
) -> dict[str, Found | ByokdError]:
    """Search lanes, all at the same time; by name of the lane, what was found there or why nothing could be."""
    session, clock = shared_session(), SystemClock()

    async def one(name: str) -> Found | ByokdError:
        try:
            lane, identity = reachable(config, config.lanes[name])
            return await _search(lane, identity, session, clock, config, wanted[name], tags=tags, seen=seen)
        except ByokdError as error:
            return error

    return dict(zip(wanted, await asyncio.gather(*(one(name) for name in wanted)), strict=True))


async def attributes_of(config: Config, name: str, keys: Mapping[KeyArn, bool]) -> Mapping[KeyArn, Attributes]:
    """What keys of a lane carry beside their material; of each, whether its policy is wanted too.

    Raises: OperatorError for a lane that cannot be reached from here; KmsError.
    """
    lane, identity = reachable(config, config.lanes[name])
    clock, found = SystemClock(), dict[KeyArn, Attributes]()
    async with open_estate(lane, clock=clock, session=shared_session(), identity=identity) as estate:
        calls = Calls(Pace(lane, clock), clock, hurried=True)

        async def one(arn: KeyArn) -> None:
            found[arn] = await attributes(estate, calls, arn, policy=keys[arn])

        await each(one, keys, in_flight=lane.max_in_flight)
    return found


async def _search(
    lane: Lane,
    identity: Identity | None,
    session: Session,
    clock: SystemClock,
    config: Config,
    wanted: Wanted,
    *,
    tags: bool,
    seen: Seen,
) -> Found:
    async with open_estate(lane, clock=clock, session=session, identity=identity) as estate:
        discovery = Discovery(
            estate,
            Calls(Pace(lane, clock), clock, hurried=True),
            clock,
            in_flight=lane.max_in_flight,
            seen=lambda count: seen(lane.name, count),
        )
        return await discovery.find(wanted, config.managed(lane.id), tags=tags)


def reachable(config: Config, lane: Lane) -> tuple[Lane, Identity | None]:
    """A lane as another process than the daemon reaches it, and the credentials that it takes; None for the usual ones.

    Raises: OperatorError where its KMS is embedded in the daemon, on a port that nobody knows beforehand.
    """
    if lane.endpoint != LOCAL:
        return lane, None
    settings = config.local_kms
    if settings is None or not settings.address[1]:
        raise OperatorError(
            f"lane {lane.name} is the KMS inside the daemon, which takes a free port: give local_kms.listen one"
        )
    url = f"http://{settings.listen}"
    lane = replace(lane, endpoint=url)
    return lane, identity_of(lane, url)
