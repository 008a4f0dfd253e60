"""Creation: new keys in bulk, each once, whatever comes in between.

    intended ─▶ CreateKey ─▶ made ─▶ CreateAlias ─▶ named
       │  └ a clear no ─▶ not made
       └ no answer: after a while, a search by tag ─▶ made, or not made and asked for again

Every stage is in the journal before the next call, so that a kill at any instruction leaves at most a key whose making
nobody heard of. Each key carries a tag with its alias from its first moment, by which such a one is found: KMS has no
CreateKey that may be repeated. It shows what was made with a delay, so the search waits that long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from byokd.decide.wrapping import importable, refusal, wrapping
from byokd.engine.calls import PASSING, Calls, each
from byokd.engine.discovery import Discovery
from byokd.errors import AlreadyExists, AnswerLost, KeyNotFound, KmsError, RequestRefused, SourceError, WrongKeyState
from byokd.facts.estate import CREATED_AS, Found, Managed, NewKey, Stage, Step, Wanted
from byokd.facts.key import ABSENT, Absent, KeyArn
from byokd.facts.kinds import misfit
from byokd.facts.policy import DesiredKey
from byokd.ports import Clock, Source
from byokd.ports.estate import Estate, Journal

SETTLE_FOR: Final = timedelta(minutes=2)
"""How long a key that was made may stay invisible (developer guide, "eventual consistency": seconds, or minutes)."""
ROUNDS: Final = 5
"""How often a key is asked for whose making is not answered."""
NOT_YET: Final = (*PASSING, AnswerLost, KeyNotFound, WrongKeyState)
"""What naming a new key meets and what passes; an alias may be asked for twice."""


@dataclass(slots=True)
class Created:
    """What came of it."""

    arns: dict[str, KeyArn] = field(default_factory=dict)
    """By alias: keys that are made and named."""
    failed: dict[str, str] = field(default_factory=dict)
    """By alias: what KMS refused, in its words."""
    surplus: list[KeyArn] = field(default_factory=list)
    """Keys that were made twice, because KMS showed the first one too late."""


class Creation:
    """Makes the keys of one lane that are not made yet."""

    def __init__(
        self,
        estate: Estate,
        calls: Calls,
        journal: Journal,
        clock: Clock,
        *,
        in_flight: int,
        settle_for: timedelta = SETTLE_FOR,
        named: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`in_flight` bounds the calls at the same time; `named` is told how many keys are done."""
        self._estate = estate
        self._calls = calls
        self._journal = journal
        self._clock = clock
        self._in_flight = in_flight
        self._settle_for = settle_for
        self._named = named
        self._created = Created()
        self._doubtful: list[str] = []
        """Aliases for which a search found no key, or several."""

    async def taken(self, keys: Sequence[NewKey]) -> dict[str, str]:
        """By alias: why a key cannot be made, because its alias names another one. Changes nothing in KMS.

        An alias that names a key made for it, by an earlier run whose journal is gone, is noted as done. Raises:
        KmsError, StoreError.
        """
        wanted = {key.alias for key in keys if not self._arn(key.alias)}
        if not wanted:
            return {}
        there = await Discovery(self._estate, self._calls, self._clock, in_flight=1).aliases()
        clashes: dict[str, str] = {}
        for key_id, alias in [(id_, alias) for id_, names in there.items() for alias in names if alias in wanted]:
            seen = await self._calls.make("DescribeKey", partial(self._estate.describe, alias), passing=NOT_YET)
            arn = seen.arn
            tags = await self._calls.make("ListResourceTags", partial(self._estate.tags, arn))
            if tags.get(CREATED_AS) == alias:
                self._note(alias, Stage.NAMED, arn)
            else:
                clashes[alias] = f"names key {key_id} already"
        return clashes

    def made(self, key: NewKey) -> bool:
        """Whether KMS has made the key, as far as the journal knows."""
        return self._arn(key.alias) is not None

    async def make(self, keys: Sequence[NewKey]) -> Created:
        """Make what is not made yet, and name it. May be broken off and begun again at any time.

        Raises: KmsError for what would befall every key; StoreError.
        """
        for _ in range(ROUNDS):
            await each(self._go_on, [key for key in keys if not self._unsure(key)], in_flight=self._in_flight)
            unsure = [key for key in keys if self._unsure(key) and key.alias not in self._created.failed]
            if not unsure:
                break
            await self._recognise(unsure)
        await self._tell_surplus()
        for key in keys:
            step = self._journal.steps().get(key.alias)
            if step is not None and step.stage is Stage.NAMED and not isinstance(step.arn, Absent):
                self._created.arns[key.alias] = step.arn
            else:
                self._created.failed.setdefault(key.alias, "KMS did not answer: run the command again")
        return self._created

    async def _go_on(self, key: NewKey) -> None:
        """Bring one key as far as it goes."""
        if key.alias in self._created.failed:
            return
        step = self._journal.steps().get(key.alias)
        try:
            if step is None or step.stage is Stage.NOT_MADE:
                arn = await self._calls.make("CreateKey", partial(self._create, key))
                self._note(key.alias, Stage.MADE, arn)
            if self._journal.steps()[key.alias].stage is Stage.MADE:
                await self._name(key.alias)
            self._named(sum(each.stage is Stage.NAMED for each in self._journal.steps().values()))
        except AnswerLost:
            return  # the intent is in the journal, and a search will tell
        except RequestRefused as error:
            self._created.failed[key.alias] = str(error)

    async def _create(self, key: NewKey) -> KeyArn:
        self._note(key.alias, Stage.INTENDED)
        try:
            return await self._estate.create_key(key)
        except AnswerLost:
            raise
        except KmsError:
            self._note(key.alias, Stage.NOT_MADE)
            raise

    async def _name(self, alias: str) -> None:
        arn = self._arn(alias)
        assert arn is not None, "a key that is made has an ARN"
        await name_key(self._estate, self._calls, alias, arn)
        self._note(alias, Stage.NAMED, arn)

    async def _recognise(self, unsure: Sequence[NewKey]) -> None:
        """Find out by their tags which of these keys were made."""
        steps = self._journal.steps()
        shown_at = max(steps[key.alias].at for key in unsure) + self._settle_for
        await self._clock.sleep(max(0.0, (shown_at - self._clock.now()).total_seconds()))
        found = await self._tagged()
        made = _by_alias(found)
        for key in unsure:
            arns = made.get(key.alias, [])
            if not arns and found.unseen:
                why = f"may have been made: {len(found.unseen)} keys may not be looked at, {found.unseen[0].arn} first"
                self._created.failed[key.alias] = why
                continue
            if arns:
                self._note(key.alias, Stage.MADE, arns[0])
            else:
                self._note(key.alias, Stage.NOT_MADE)
            if len(arns) != 1:
                self._doubtful.append(key.alias)

    async def _tell_surplus(self) -> None:
        """Find keys that were made twice: a search had not shown the first one when the second was asked for."""
        if not self._doubtful:
            return
        await self._clock.sleep(self._settle_for.total_seconds())
        made = _by_alias(await self._tagged())
        self._created.surplus = [
            arn for alias in self._doubtful for arn in made.get(alias, ()) if arn != self._arn(alias)
        ]

    async def _tagged(self) -> Found:
        """All keys of the lane that byokd made."""
        discovery = Discovery(self._estate, self._calls, self._clock, in_flight=self._in_flight)
        return await discovery.find(Wanted(tags={CREATED_AS: ABSENT}), Managed())

    def _unsure(self, key: NewKey) -> bool:
        step = self._journal.steps().get(key.alias)
        return step is not None and step.stage is Stage.INTENDED

    def _arn(self, alias: str) -> KeyArn | None:
        step = self._journal.steps().get(alias)
        return None if step is None or isinstance(step.arn, Absent) else step.arn

    def _note(self, alias: str, stage: Stage, arn: KeyArn | Absent = ABSENT) -> None:
        self._journal.note(Step(alias=alias, stage=stage, at=self._clock.now(), arn=arn))


async def name_key(estate: Estate, calls: Calls, alias: str, arn: KeyArn) -> None:
    """Give a new key its alias, which it may have already. Raises: AlreadyExists where that names another key."""
    try:
        await calls.make("CreateAlias", partial(estate.create_alias, alias, arn), passing=NOT_YET)
    except AlreadyExists:
        # By a call whose answer was lost, or by somebody else.
        seen = await calls.make("DescribeKey", partial(estate.describe, alias), passing=NOT_YET)
        if seen.arn != arn:
            raise


async def unfit(key: NewKey, desired: DesiredKey, source: Source, partition: str) -> str:
    """Why the material that the source has for a new key could not be imported into it; empty where it could.

    `partition` is where the key is to be. Costs no call to KMS.
    """
    kind = importable(key.spec, partition)
    if kind is None:
        return f"a key of spec {key.spec} cannot be imported into here"
    if wrapping(kind, desired.policy) is None:
        return refusal(key.spec, kind, desired.policy)
    try:
        proof = await source.prove(desired.locator)
    except SourceError as error:
        return str(error)
    return misfit(key.spec, kind, proof.kind, proof.length)


def _by_alias(found: Found) -> dict[str, list[KeyArn]]:
    """The keys that were made for each alias, in the order of their ARNs."""
    made: dict[str, list[KeyArn]] = {}
    for key in sorted(found.keys, key=lambda key: key.seen.arn):
        if not isinstance(key.tags, Absent):
            made.setdefault(key.tags[CREATED_AS], []).append(key.seen.arn)
    return made
