"""`ports.Estate` on AWS KMS: listings, tags, and new keys. Answers are read as strictly as in `adapter`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from byokd.errors import AnswerLost, BadAnswer
from byokd.facts.estate import CREATED_AS, Attributes, NewKey
from byokd.facts.key import ABSENT, Absent, KeyArn, ObservedKey
from byokd.facts.policy import Lane
from byokd.kms.adapter import AwsKms
from byokd.kms.client import LaneClient
from byokd.kms.identity import Identity, Session
from byokd.ports import Clock
from byokd.ports.estate import AliasOf, Estate, Page

KEYS_PER_PAGE: Final = 1000
ALIASES_PER_PAGE: Final = 100
TAGS_PER_PAGE: Final = 50
"""The largest pages that KMS gives (API model, LimitType, and the text of each operation)."""


@asynccontextmanager
async def open_estate(
    lane: Lane, *, clock: Clock, session: Session, identity: Identity | None = None
) -> AsyncIterator[Estate]:
    """The lane's estate, until the block is left. Opening does no I/O and does not fail; see `open_kms`."""
    client = LaneClient(lane, clock=clock, shared=session, identity=identity or Identity())
    try:
        yield AwsEstate(client, clock)
    finally:
        await client.close()


class AwsEstate:
    """Implements `ports.Estate`; opened by `open_estate`."""

    def __init__(self, client: LaneClient, clock: Clock) -> None:
        self._client = client
        self._kms = AwsKms(client, clock)

    async def list_keys(self, after: str | Absent) -> Page[KeyArn]:
        """See `ports.Estate`."""
        answer = await self._client.call("ListKeys", _page(KEYS_PER_PAGE, after))
        arns = [KeyArn(_text("ListKeys", row, "KeyArn")) for row in _rows("ListKeys", answer, "Keys")]
        return Page(rows=tuple(arns), next=_next("ListKeys", answer))

    async def list_aliases(self, after: str | Absent) -> Page[AliasOf]:
        """See `ports.Estate`. AWS keeps aliases of its own that name no key yet: they come without TargetKeyId."""
        answer = await self._client.call("ListAliases", _page(ALIASES_PER_PAGE, after))
        rows = [
            AliasOf(alias=_text("ListAliases", row, "AliasName"), key_id=row["TargetKeyId"])
            for row in _rows("ListAliases", answer, "Aliases")
            if row.get("TargetKeyId")
        ]
        return Page(rows=tuple(rows), next=_next("ListAliases", answer))

    async def tags(self, arn: KeyArn) -> Mapping[str, str]:
        """See `ports.Estate`."""
        answer = await self._client.call("ListResourceTags", {"KeyId": arn, "Limit": TAGS_PER_PAGE})
        rows = _rows("ListResourceTags", answer, "Tags")
        return {_text("ListResourceTags", row, "TagKey"): str(row.get("TagValue", "")) for row in rows}

    async def description(self, arn: KeyArn) -> str:
        """See `ports.Estate`."""
        answer = await self._client.call("DescribeKey", {"KeyId": arn})
        return str(answer.get("KeyMetadata", {}).get("Description") or "")

    async def policy(self, arn: KeyArn) -> str:
        """See `ports.Estate`."""
        answer = await self._client.call("GetKeyPolicy", {"KeyId": arn, "PolicyName": "default"})
        return _text("GetKeyPolicy", answer, "Policy")

    async def create_key(self, key: NewKey) -> KeyArn:
        """See `ports.Estate`."""
        tags = {**key.tags, CREATED_AS: key.alias}
        request: dict[str, Any] = {
            "Origin": "EXTERNAL",
            "KeySpec": key.spec,
            "KeyUsage": key.usage.value,
            "Description": key.description,
            "MultiRegion": key.multi_region,
            "Tags": _tags(tags),
        }
        if not isinstance(key.policy, Absent):
            request["Policy"] = key.policy
        answer = await self._client.call("CreateKey", request, changes=True)
        arn = answer.get("KeyMetadata", {}).get("Arn")
        if not isinstance(arn, str) or not arn:
            raise AnswerLost("CreateKey: the answer does not name the key; it may have been made")
        return KeyArn(arn)

    async def create_alias(self, alias: str, arn: KeyArn) -> None:
        """See `ports.Estate`."""
        target = arn.rpartition("/")[2]
        await self._client.call("CreateAlias", {"AliasName": alias, "TargetKeyId": target}, changes=True)

    async def replicate(self, arn: KeyArn, region: str, *, attributes: Attributes) -> KeyArn:
        """See `ports.Estate`."""
        request: dict[str, Any] = {"KeyId": arn, "ReplicaRegion": region}
        if not isinstance(attributes.policy, Absent):
            request["Policy"] = attributes.policy
        if not isinstance(attributes.description, Absent):
            request["Description"] = attributes.description
        if not isinstance(attributes.tags, Absent) and attributes.tags:
            request["Tags"] = _tags(attributes.tags)
        answer = await self._client.call("ReplicateKey", request, changes=True)
        replica = answer.get("ReplicaKeyMetadata", {}).get("Arn")
        if not isinstance(replica, str) or not replica:
            raise AnswerLost("ReplicateKey: the answer does not name the replica; it may have been made")
        return KeyArn(replica)

    async def describe(self, key: str) -> ObservedKey:
        """See `ports.Estate`."""
        return await self._kms.describe(key)


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"TagKey": name, "TagValue": value} for name, value in tags.items()]


def _page(limit: int, after: str | Absent) -> dict[str, Any]:
    return {"Limit": limit} | ({} if isinstance(after, Absent) else {"Marker": after})


def _rows(operation: str, answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = answer.get(name, [])
    if isinstance(rows, list) and all(isinstance(row, Mapping) for row in rows):
        return rows
    raise BadAnswer(f"{operation}: the answer has no usable {name}")


def _next(operation: str, answer: Mapping[str, Any]) -> str | Absent:
    return _text(operation, answer, "NextMarker") if answer.get("Truncated") else ABSENT


def _text(operation: str, row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, str) and value:
        return value
    raise BadAnswer(f"{operation}: the answer has no usable {name}")
