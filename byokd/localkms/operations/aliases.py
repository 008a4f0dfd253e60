"""CreateAlias, UpdateAlias, DeleteAlias and ListAliases. Source: API reference of each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from byokd.localkms.aliases import Alias
from byokd.localkms.calls import Answer, Call, no_such_alias
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key, arn_of
from byokd.localkms.names import check_alias_name
from byokd.localkms.pages import page
from byokd.localkms.specs import SPECS, Kind

ALIASES_MAX: Final = 50
"""Aliases of one key (guide, page on resource quotas)."""


async def create_alias(call: Call) -> Answer:
    """Point a new name at a key.

    Raises: Refusal as names.check_alias_name and the key-state table say, or with AlreadyExistsException, or with
    LimitExceededException beyond ALIASES_MAX.
    """
    name = call.request["AliasName"]
    check_alias_name(name)
    if call.keyring.alias(arn := arn_of(call.caller, name)) is not None:
        raise Refusal(Fault.ALREADY_EXISTS, f"An alias with the name {arn} already exists")
    target = call.key("TargetKeyId")
    _check_room(call, target)
    now = round(call.now, 3)
    call.keyring.put_alias(Alias(name=name, owner=call.caller, target=target.id, created_at=now, updated_at=now))
    return None


async def update_alias(call: Call) -> Answer:
    """Point a name at another key; the state of the old one does not matter.

    Raises: Refusal with NotFoundException for an unknown name, or as the key-state table says for the new key, or with
    ValidationException for one of another type or use, or with LimitExceededException beyond ALIASES_MAX.
    """
    alias = _existing(call)
    target = call.key("TargetKeyId")
    old = call.keyring.key(alias.key_arn)
    if old is not None and _type(old) != _type(target):
        message = "The current and new KMS key of an alias must be the same type and have the same key usage."
        raise Refusal(Fault.VALIDATION, message)
    if target.id != alias.target:
        _check_room(call, target)
    call.keyring.put_alias(replace(alias, target=target.id, updated_at=round(call.now, 3)))
    return None


async def delete_alias(call: Call) -> Answer:
    """Forget a name. Raises: Refusal with NotFoundException for an unknown one."""
    call.keyring.drop_alias(_existing(call))
    return None


async def list_aliases(call: Call) -> Answer:
    """A page of the caller's aliases in this Region, of one key if KeyId is given (Limit 1 to 100, default 50).

    Raises: Refusal with NotFoundException for an unknown key, or InvalidMarkerException.
    """
    aliases = {}
    target = call.key().id if "KeyId" in call.request else None
    for name in call.keyring.alias_names(call.caller):
        alias = call.keyring.alias(arn_of(call.caller, name))
        if alias is not None and target in (None, alias.target):
            aliases[name] = alias
    names, closing = page(list(aliases), call.request, default=50, most=100)
    return {"Aliases": [_entry(aliases[name]) for name in names], **closing}


def _check_room(call: Call, target: Key) -> None:
    if len(call.keyring.aliases_of(target)) >= ALIASES_MAX:
        raise Refusal(Fault.LIMIT_EXCEEDED, f"A KMS key can have at most {ALIASES_MAX} aliases.")


def _type(key: Key) -> tuple[str, str]:
    """What the keys of one alias must have in common: symmetric, asymmetric or HMAC, and the use."""
    kind = SPECS[key.spec].kind
    return ("asymmetric" if kind in (Kind.RSA, Kind.ECC) else kind, key.usage)


def _existing(call: Call) -> Alias:
    name = call.request["AliasName"]
    check_alias_name(name)
    alias = call.keyring.alias(arn_of(call.caller, name))
    if alias is None:
        raise no_such_alias(call.caller, name)
    return alias


def _entry(alias: Alias) -> dict[str, Any]:
    return {
        "AliasName": alias.name,
        "AliasArn": alias.arn,
        "TargetKeyId": alias.target,
        "CreationDate": alias.created_at,
        "LastUpdatedDate": alias.updated_at,
    }
