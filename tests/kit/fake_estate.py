"""All that is in a lane, in memory: the listings of a `FakeKms`, in pages as AWS documents them, or as a test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from byokd.errors import AlreadyExists, WrongKeyState, WrongOrigin
from byokd.facts.estate import CREATED_AS, Attributes, NewKey
from byokd.facts.key import ABSENT, Absent, Family, KeyArn, KeyState, ObservedKey
from byokd.ports.estate import AliasOf, Page
from tests.kit.fake_kms import FakeKms

Row = TypeVar("Row")

DEFAULT_POLICY = '{"Version": "2012-10-17", "Statement": [{"Sid": "Enable IAM User Permissions"}]}'


class FakeEstate:
    """Implements `ports.Estate` over the keys of a `FakeKms`, whose faults and gates hold here too."""

    def __init__(self, kms: FakeKms, *, keys_per_page: int = 1000, aliases_per_page: int = 100) -> None:
        self.kms = kms
        self.keys_per_page = keys_per_page
        self.aliases_per_page = aliases_per_page
        self.tagged: dict[KeyArn, dict[str, str]] = {}
        self.described: dict[KeyArn, str] = {}
        self.policies: dict[KeyArn, str] = {}
        self.shown_after = timedelta()
        """How long a key that was made is not listed."""
        self.made_at: dict[KeyArn, datetime] = {}

    async def list_keys(self, after: str | Absent) -> Page[KeyArn]:
        """See `ports.Estate`."""
        await self.kms._called("ListKeys", "")
        now = self.kms._clock.now()
        shown = [
            arn for arn in self.kms._keys if arn not in self.made_at or self.made_at[arn] + self.shown_after <= now
        ]
        return _page(sorted(shown), after, self.keys_per_page)

    async def list_aliases(self, after: str | Absent) -> Page[AliasOf]:
        """See `ports.Estate`."""
        await self.kms._called("ListAliases", "")
        rows = [AliasOf(alias=name, key_id=arn.rpartition("/")[2]) for name, arn in sorted(self.kms.aliases.items())]
        return _page(rows, after, self.aliases_per_page)

    async def tags(self, arn: KeyArn) -> Mapping[str, str]:
        """See `ports.Estate`."""
        await self.kms._called("ListResourceTags", arn)
        return self.tagged.get(self.kms._resolved(arn), {})

    async def description(self, arn: KeyArn) -> str:
        """See `ports.Estate`."""
        await self.kms._called("DescribeKey", arn)
        return self.described.get(self.kms._resolved(arn), "")

    async def policy(self, arn: KeyArn) -> str:
        """See `ports.Estate`."""
        await self.kms._called("GetKeyPolicy", arn)
        return self.policies.get(self.kms._resolved(arn), DEFAULT_POLICY)

    async def create_key(self, key: NewKey) -> KeyArn:
        """See `ports.Estate`."""
        await self.kms._called("CreateKey", key.alias)
        number = len(self.made_at) + 1
        key_id = f"mrk-{number:032d}" if key.multi_region else f"{number:08d}-0000-4000-9000-000000000000"
        arn = self.kms.create(f"arn:aws:kms:eu-central-1:111122223333:key/{key_id}", spec=key.spec)
        if key.multi_region:
            self.kms.put(arn, family=Family(primary=arn))
        self.made_at[arn] = self.kms._clock.now()
        self.tagged[arn] = {**key.tags, CREATED_AS: key.alias}
        self.described[arn] = key.description
        if not isinstance(key.policy, Absent):
            self.policies[arn] = key.policy
        self.kms._raise_late("CreateKey")
        return arn

    async def create_alias(self, alias: str, arn: KeyArn) -> None:
        """See `ports.Estate`."""
        await self.kms._called("CreateAlias", alias)
        target = self.kms._resolved(arn)
        if alias in self.kms.aliases:
            raise AlreadyExists(f"CreateAlias: AlreadyExistsException: {alias}")
        self.kms.aliases[alias] = target
        self.kms._raise_late("CreateAlias")

    async def replicate(self, arn: KeyArn, region: str, *, attributes: Attributes) -> KeyArn:
        """See `ports.Estate`. The replica itself is in another lane, which is not here."""
        await self.kms._called("ReplicateKey", arn, attributes=attributes)
        family = self.kms.key(arn).family
        if isinstance(family, Absent) or arn != family.primary:
            raise WrongOrigin(f"ReplicateKey: UnsupportedOperationException: {arn} is not a multi-region primary key.")
        if self.kms.state(arn) is not KeyState.ENABLED:
            raise WrongKeyState(f"ReplicateKey: KMSInvalidStateException: {arn} is pending import.")
        replica = KeyArn(arn.replace("eu-central-1", region))
        if replica in family.members:
            raise AlreadyExists(f"ReplicateKey: AlreadyExistsException: Key '{replica}' already exists")
        self.kms.put(arn, family=Family(primary=arn, replicas=tuple(sorted((*family.replicas, replica)))))
        self.kms._raise_late("ReplicateKey")
        return replica

    async def describe(self, key: str) -> ObservedKey:
        """See `ports.Estate`."""
        return await self.kms.describe(key)


def _page(rows: Sequence[Row], after: str | Absent, size: int) -> Page[Row]:
    begin = 0 if isinstance(after, Absent) else int(after)
    end = begin + size
    return Page(rows=tuple(rows[begin:end]), next=ABSENT if end >= len(rows) else str(end))
