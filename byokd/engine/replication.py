"""Replication: the replicas that a config wants and KMS does not have yet.

    DescribeKey of the primary ─▶ ReplicateKey into each Region that it does not list ─▶ CreateAlias there
                                  with the primary's policy, description and tags

Nothing has to be written down: the primary lists its replicas, KMS refuses a second one in a Region, and an alias that
is there is compared. So it may be broken off anywhere and run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final

from byokd.engine.attributes import attributes
from byokd.engine.calls import PASSING, Calls
from byokd.engine.creation import name_key
from byokd.errors import (
    AccessDenied,
    AlreadyExists,
    AnswerLost,
    KeyNotFound,
    RequestRefused,
    WrongKeyState,
    WrongOrigin,
)
from byokd.facts.estate import Attributes
from byokd.facts.key import ABSENT, Absent, KeyArn, KeyState, LaneId, ObservedKey
from byokd.facts.policy import DesiredKey
from byokd.ports.estate import Estate

_OF_ONE_KEY: Final = (AccessDenied, KeyNotFound, WrongKeyState, WrongOrigin, RequestRefused)
"""What says something about one key; other errors would befall all of them."""


_DENIED: Final = (
    "a replica gets the primary's policy, description and tags; allow it, or take KMS's defaults with --bare, where"
    " --policy names another policy"
)


class Outcome(StrEnum):
    """What became of one replica."""

    MADE = "made"
    THERE = "there"
    """It was there already."""
    TO_MAKE = "to make"
    """Of a dry run."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """What came of one that is wanted."""

    primary: DesiredKey
    wanted: DesiredKey
    outcome: Outcome
    arn: KeyArn | Absent = ABSENT
    why: str = ""
    """Of one that failed."""


@dataclass(frozen=True, slots=True)
class Place:
    """A lane, as it is worked in."""

    estate: Estate
    calls: Calls


class Replication:
    """Makes replicas over several lanes."""

    def __init__(
        self,
        places: Mapping[LaneId, Place],
        *,
        policy: str | Absent = ABSENT,
        bare: bool = False,
        dry_run: bool = False,
    ) -> None:
        """`policy` is the key policy of the replicas, as JSON; ABSENT for that of the primary.

        `bare` replicas have nothing of the primary's attributes, and KMS's default where nothing else is said.
        """
        self._places = places
        self._policy = policy
        self._bare = bare
        self._dry_run = dry_run

    async def make(self, primary: DesiredKey, replicas: Sequence[DesiredKey]) -> list[Replica]:
        """What came of each replica of one primary.

        Raises: KmsError for what would befall every key.
        """
        place = self._places[primary.lane]
        try:
            seen = await place.calls.make("DescribeKey", partial(place.estate.describe, primary.name))
        except _OF_ONE_KEY as error:
            return [_failed(primary, wanted, f"{error} → {error.step}") for wanted in replicas]
        if obstacle := _obstacle(seen):
            return [_failed(primary, wanted, obstacle) for wanted in replicas]
        carried = Attributes()
        if not all(_there(seen, wanted) for wanted in replicas):
            carried = await self._attributes(place, seen.arn)
        return [await self._one(primary, seen, wanted, carried) for wanted in replicas]

    async def _attributes(self, place: Place, arn: KeyArn) -> Attributes:
        """What new replicas of a primary are to carry."""
        if self._bare:
            return Attributes(policy=self._policy)
        own = await attributes(place.estate, place.calls, arn, policy=isinstance(self._policy, Absent))
        tags = own.tags
        if not isinstance(tags, Absent):
            # Those of AWS nobody may set; by byokd's own a key is known that was made, not replicated.
            tags = {name: tags[name] for name in tags if not name.startswith(("aws:", "byokd:"))}
        return replace(own, tags=tags, policy=self._policy if isinstance(own.policy, Absent) else own.policy)

    async def _one(self, primary: DesiredKey, seen: ObservedKey, wanted: DesiredKey, carried: Attributes) -> Replica:
        region = wanted.lane.partition("/")[2]
        arn = _arn_in(seen, wanted)
        listed = _there(seen, wanted)
        outcome = Outcome.THERE if listed else Outcome.TO_MAKE if self._dry_run else Outcome.MADE
        if carried.denied and not listed:
            return _failed(primary, wanted, f"{', '.join(carried.denied)} is missing on the primary: {_DENIED}")
        try:
            if outcome is Outcome.MADE:
                await self._replicate(self._places[primary.lane], seen.arn, region, carried)
            if not self._dry_run and not isinstance(wanted.alias, Absent):
                there = self._places[wanted.lane]
                await name_key(there.estate, there.calls, wanted.alias, arn)
        except _OF_ONE_KEY as error:
            return _failed(primary, wanted, f"{error} → {error.step}")
        return Replica(primary=primary, wanted=wanted, outcome=outcome, arn=arn)

    async def _replicate(self, place: Place, arn: KeyArn, region: str, carried: Attributes) -> None:
        """Ask for a replica until it is answered: a second one is refused."""
        call = partial(place.estate.replicate, arn, region, attributes=carried)
        with suppress(AlreadyExists):
            await place.calls.make("ReplicateKey", call, passing=(*PASSING, AnswerLost))


def _arn_in(seen: ObservedKey, wanted: DesiredKey) -> KeyArn:
    """The ARN of a key's relative in the lane of a replica that is wanted."""
    parts = seen.arn.split(":")
    return KeyArn(":".join((*parts[:3], wanted.lane.partition("/")[2], *parts[4:])))


def _there(seen: ObservedKey, wanted: DesiredKey) -> bool:
    """Whether KMS lists a replica that is wanted."""
    return not isinstance(seen.family, Absent) and _arn_in(seen, wanted) in seen.family.members


def _obstacle(seen: ObservedKey) -> str:
    """Why a key cannot be replicated; empty where it can."""
    if isinstance(seen.family, Absent):
        return f"{seen.arn} is a key of a single Region, and stays one: make another as multi-Region"
    if seen.role == "replica":
        return f"is a replica itself: write the replicas at its primary, {seen.family.primary}"
    if seen.state is not KeyState.ENABLED:
        return f"is {seen.state.value}: a primary can be replicated once it is Enabled, with its material in"
    return ""


def _failed(primary: DesiredKey, wanted: DesiredKey, why: str) -> Replica:
    return Replica(primary=primary, wanted=wanted, outcome=Outcome.FAILED, why=why)
