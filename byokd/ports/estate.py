"""Estate: what there is in a lane, beyond the keys that byokd was told of. No renewal ever needs it.

It stands apart from `Kms` because it needs permissions that keeping keys alive does not: kms:ListKeys, kms:ListAliases,
kms:ListResourceTags; for new keys kms:CreateKey, kms:TagResource and kms:CreateAlias, for replicas kms:ReplicateKey
and kms:GetKeyPolicy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from byokd.facts.estate import Attributes, NewKey, Step
from byokd.facts.key import Absent, KeyArn, ObservedKey
from byokd.facts.policy import Lane

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    """A part of a listing."""

    rows: tuple[Row, ...]
    next: str | Absent
    """Where the next page begins; ABSENT at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasOf:
    """An alias and the id of the key that it names."""

    alias: str
    key_id: str


class Estate(Protocol):
    """One lane's keys, by the page. As with `Kms`, a method is one call and one attempt, and raises any `KmsError`."""

    async def list_keys(self, after: str | Absent) -> Page[KeyArn]:
        """ListKeys, up to 1000 keys of every Origin. `after` is a page's `next`, ABSENT for the first page."""
        ...

    async def list_aliases(self, after: str | Absent) -> Page[AliasOf]:
        """ListAliases, up to 100; aliases that name no key are left out."""
        ...

    async def tags(self, arn: KeyArn) -> Mapping[str, str]:
        """ListResourceTags; a key has at most 50, which is one page."""
        ...

    async def description(self, arn: KeyArn) -> str:
        """DescribeKey, of which only the description is wanted; empty where the key has none."""
        ...

    async def policy(self, arn: KeyArn) -> str:
        """GetKeyPolicy: the key policy, as the JSON that KMS keeps."""
        ...

    async def create_key(self, key: NewKey) -> KeyArn:
        """CreateKey with Origin EXTERNAL and the tag `CREATED_AS`. `AnswerLost` where it may have been made."""
        ...

    async def create_alias(self, alias: str, arn: KeyArn) -> None:
        """CreateAlias. Raises `AlreadyExists` where the alias is there, whatever it names; `AnswerLost` as above."""
        ...

    async def replicate(self, arn: KeyArn, region: str, *, attributes: Attributes) -> KeyArn:
        """ReplicateKey of an Enabled primary into another Region, with these attributes: KMS copies none by itself.

        The replica is Creating for a few seconds. Raises `AlreadyExists` where the Region has one; `AnswerLost` as
        above.
        """
        ...

    async def describe(self, key: str) -> ObservedKey:
        """DescribeKey by ARN or alias, as `Kms.describe`."""
        ...


class Journal(Protocol):
    """How far each key of a manifest is, durably: what `note` was told is on disk when it returns."""

    def steps(self) -> Mapping[str, Step]:
        """The newest step of each alias."""
        ...

    def note(self, step: Step) -> None:
        """Write one step down. Raises `StoreError`."""
        ...


OpenEstate = Callable[[Lane], AbstractAsyncContextManager[Estate]]
"""Opens the estate of one lane; opening makes no call."""
