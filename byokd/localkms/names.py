"""How requests name keys and aliases, and how this server names new ones.

A KeyId parameter takes a key id or a key ARN everywhere; an alias name or alias ARN in DescribeKey and in cryptographic
operations only. The caller's Region and account bound what can be named. Messages are those recorded from the service.
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.signatures import Caller

KEY_ID: Final = re.compile(r"mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ALIAS_PREFIX: Final = "alias/"


def new_key_id(*, multi_region: bool) -> str:
    """A fresh id: a UUID or, for a multi-Region primary, its digits behind `mrk-`."""
    return f"mrk-{uuid.uuid4().hex}" if multi_region else str(uuid.uuid4())


def resource_named(identifier: str, caller: Caller, *, aliases: bool) -> str:
    """What an identifier names for the caller: `key/<id>`, or `alias/<name>` where aliases may be used.

    Whether it exists is not looked at.

    Raises: Refusal with NotFoundException for a malformed identifier and another Region's ARN, InvalidArnException for
    an alias where none may be used, AccessDeniedException for another account's ARN: keys here have no policy that
    would let a stranger in.
    """
    resource = identifier if identifier.startswith(ALIAS_PREFIX) else f"key/{identifier}"
    if identifier.startswith("arn:"):
        resource = _within(identifier, caller)
    kind, _, name = resource.partition("/")
    if kind == "alias" and not aliases:
        raise Refusal(Fault.INVALID_ARN, "Key Aliases are not supported for this operation.")
    if kind == "alias" or (kind == "key" and KEY_ID.fullmatch(name)):
        return resource
    raise Refusal(Fault.NOT_FOUND, f"Invalid keyId '{identifier}'")


def _within(arn: str, caller: Caller) -> str:
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] != "kms":
        raise Refusal(Fault.NOT_FOUND, f"Invalid keyId '{arn}'")
    _, _, _, region, account, resource = parts
    if region != caller.region:
        raise Refusal(Fault.NOT_FOUND, f"Invalid arn {region}")
    if account != caller.account:
        raise Refusal(
            Fault.ACCESS_DENIED,
            f"User: arn:aws:iam::{caller.account}:root is not authorized to perform this operation on resource: {arn} "
            "because the resource does not exist in this Region, no resource-based policies allow access, "
            "or a resource-based policy explicitly denies access",
        )
    return resource


def check_alias_name(name: str) -> None:
    """Let a new alias's name pass; its characters and length are checked by the service model.

    Raises: Refusal with ValidationException without the prefix, InvalidAliasNameException for an empty rest or one kept
    for AWS. Source: API reference of CreateAlias.
    """
    if not name.startswith(ALIAS_PREFIX):
        raise Refusal(
            Fault.VALIDATION,
            'Alias must start with the prefix "alias/". '
            "Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
        )
    if name == ALIAS_PREFIX or name.startswith(f"{ALIAS_PREFIX}aws/"):
        raise Refusal(Fault.INVALID_ALIAS_NAME, f"{name} is not a valid name for an alias.")
