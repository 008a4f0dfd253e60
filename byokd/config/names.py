"""How KMS keys are named, and which lane a name belongs to.

A key is named by ARN, by key id (which needs a lane), or by alias (which needs a lane too, and is pinned to the ARN
found at the first look: that is not config's to do). ARN and id of one key give the same `ref`; an alias gives its own,
since only KMS knows what it stands for.

Sources: https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id and the API models of CreateAlias
(AliasName) and ReplicateKey (`mrk-` ids).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from byokd.config.problems import Unfit, quoted
from byokd.facts.key import ABSENT, Absent, KeyArn, KeyRef, LaneId
from byokd.facts.policy import Lane

ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII)
REGION: Final = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}", re.ASCII)

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32}", re.ASCII)
_ALIAS: Final = re.compile(r"alias/[A-Za-z0-9/_-]{1,250}", re.ASCII)
_ARN: Final = re.compile(
    r"arn:(?P<partition>[a-z-]+):kms:(?P<region>[^:]*):(?P<account>[^:]*):(?P<resource>.+)", re.ASCII
)

PARTITIONS: Final = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
)
"""First part of a Region's name → partition; every other Region is in `aws`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedName:
    """A well-formed name of a key."""

    name: str
    """As written."""
    resource: str
    """The key id, or `alias/...`."""
    lane: LaneId | Absent
    """The lane that the name itself tells: only an ARN does."""

    @property
    def is_alias(self) -> bool:
        """Whether the name is an alias."""
        return self.resource.startswith("alias/")

    @property
    def short(self) -> str:
        """The key id, or the alias without its prefix: what a material is called after unless the config says."""
        return self.resource.removeprefix("alias/")

    def in_lane(self, lane: Lane) -> tuple[KeyRef, KeyArn | Absent]:
        """byokd's name for the key for life, and its ARN: ABSENT for an alias, which only KMS can resolve."""
        if self.is_alias:
            return KeyRef(f"{lane.id}/{self.resource}"), ABSENT
        arn = f"arn:{partition(lane.region)}:kms:{lane.region}:{lane.account}:key/{self.resource}"
        return KeyRef(arn), KeyArn(arn)


@lru_cache(maxsize=128)
def partition(region: str) -> str:
    """The AWS partition of a Region, as ARNs spell it. Asked once for each key, of few Regions."""
    return next((name for prefix, name in PARTITIONS if region.startswith(prefix)), "aws")


def parse_name(name: str) -> ParsedName:
    """Read a key's name.

    Raises:
        Unfit: neither a key ARN, nor a key id, nor an alias that byokd may manage.
    """
    if name.startswith("arn:"):
        return _parse_arn(name)
    if name.startswith("alias/"):
        if name == "alias/aws" or name.startswith("alias/aws/"):
            raise Unfit(
                f"{quoted(name)} names a key that AWS manages", "only keys of your own can hold imported material"
            )
        if not _ALIAS.fullmatch(name):
            raise Unfit(f"{quoted(name)} is not an alias", "after alias/ come 1 to 250 letters, digits, / _ or -")
        return ParsedName(name=name, resource=name, lane=ABSENT)
    if _ID.fullmatch(name):
        return ParsedName(name=name, resource=name, lane=ABSENT)
    if _ALIAS.fullmatch(f"alias/{name}") and not _ID.fullmatch(name.lower()):
        raise Unfit(
            f"{quoted(name)} is not a key's name", f"did you mean alias/{name}? Else write the ARN or the key id"
        )
    raise Unfit(f"{quoted(name)} is not a key's name", "write an ARN, a key id in lower case, or alias/NAME")


def _parse_arn(name: str) -> ParsedName:
    match = _ARN.fullmatch(name)
    if not match:
        raise Unfit(f"{quoted(name)} is not the ARN of a KMS key", "arn:aws:kms:REGION:ACCOUNT:key/ID")
    region, account, resource = match["region"], match["account"], match["resource"]
    if resource.startswith("alias/"):
        raise Unfit(f"{quoted(name)} is the ARN of an alias", f'write key = "{resource}" and the lane')
    if not REGION.fullmatch(region) or not ACCOUNT.fullmatch(account):
        raise Unfit(f"{quoted(name)} has no valid Region and account", "arn:aws:kms:REGION:ACCOUNT:key/ID")
    if match["partition"] != partition(region):
        raise Unfit(
            f"{quoted(name)}: Region {region} is in partition {partition(region)}", "correct the ARN's second part"
        )
    key_id = resource.removeprefix("key/")
    if not resource.startswith("key/") or not _ID.fullmatch(key_id):
        raise Unfit(f"{quoted(name)} does not end in key/ and a key id", "arn:aws:kms:REGION:ACCOUNT:key/ID")
    return ParsedName(name=name, resource=key_id, lane=LaneId(f"{account}/{region}"))
