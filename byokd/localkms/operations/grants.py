"""CreateGrant, ListGrants, ListRetirableGrants, RetireGrant and RevokeGrant. Source: API reference of each.

Grants are checked, stored and told; they permit and deny nothing here. A grant token is the grant's name, sealed: it is
another one each time, and all of them are good for as long as the grant is there.
"""

from __future__ import annotations

import json
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.grants import Grant
from byokd.localkms.keys import Key, arn_of
from byokd.localkms.pages import page
from byokd.localkms.policies import root_of
from byokd.localkms.seal import BrokenSealError
from byokd.localkms.specs import SPECS, KeyUsage, Kind

GRANTS_MAX: Final = 50_000
"""Grants on one key (guide, page on resource quotas)."""
PAIRS_MAX: Final = 8
CONTEXT_MAX_CHARS: Final = 384
GRANT_ID: Final = re.compile(r"[0-9a-f]{64}")
PRINCIPAL: Final = re.compile(r"arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:.+")
"""Accounts, users, roles, federated users and assumed roles, all by their ARN; whether they exist nobody here knows."""
TOKEN_PURPOSE: Final = "grant token"

ANY_KEY: Final = frozenset({"CreateGrant", "RetireGrant", "DescribeKey"})
ASYMMETRIC: Final = frozenset({"GetPublicKey"})
REENCRYPTION: Final = frozenset({"Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo"})
DATA_KEYS: Final = frozenset(
    f"GenerateDataKey{what}{told}" for what in ("", "Pair") for told in ("", "WithoutPlaintext")
)
OF_USAGE: Final = {
    KeyUsage.ENCRYPT_DECRYPT: REENCRYPTION,
    KeyUsage.SIGN_VERIFY: frozenset({"Sign", "Verify"}),
    KeyUsage.GENERATE_VERIFY_MAC: frozenset({"GenerateMac", "VerifyMac"}),
    KeyUsage.KEY_AGREEMENT: frozenset({"DeriveSharedSecret"}),
}


async def create_grant(call: Call) -> Answer:
    """Add a grant to a key. With a Name, the same request again finds the grant that is there.

    Raises: Refusal as the key-state table says; with ValidationException unless there is exactly one grantee, for two
    retiring principals, for operations that the key does not have and for constraints that it cannot have;
    InvalidArnException for a principal that is no ARN of one; LimitExceededException beyond GRANTS_MAX;
    DryRunOperationException.
    """
    key = call.key()
    _check(call.request, key)
    wanted = _wanted(call, key)
    grants = call.keyring.grants(key)
    known = next((each for each in grants.values() if wanted.name is not None and _same(each, wanted)), None)
    if known is None and len(grants) >= GRANTS_MAX:
        raise Refusal(Fault.LIMIT_EXCEEDED, f"A KMS key can have at most {GRANTS_MAX} grants.")
    call.finish_dry_run()
    if known is None:
        call.keyring.put_grant(wanted)
    grant = known or wanted
    token = call.seal.close(TOKEN_PURPOSE, json.dumps([grant.key, grant.id]).encode())
    return {"GrantToken": urlsafe_b64encode(token).decode(), "GrantId": grant.id}


async def list_grants(call: Call) -> Answer:
    """A page of a key's grants, of one id or grantee if given (Limit 1 to 100, default 50).

    Raises: Refusal with ValidationException for both kinds of grantee, InvalidGrantIdException for a malformed id,
    InvalidMarkerException.
    """
    key = call.key()
    _at_most_one(call.request, "GranteePrincipal", "GranteeServicePrincipal")
    if "GrantId" in call.request:
        _check_id(call.request["GrantId"])
    asked = ((name, call.request.get(name)) for name in ("GrantId", "GranteePrincipal", "GranteeServicePrincipal"))
    filters = {name: value for name, value in asked if value is not None}
    entries = {identity: _entry(grant) for identity, grant in call.keyring.grants(key).items()}
    return _listing(call, {i: entry for i, entry in entries.items() if filters.items() <= entry.items()})


async def list_retirable_grants(call: Call) -> Answer:
    """A page of the grants in this account and Region that a principal may retire (Limit 1 to 100, default 50).

    Raises: Refusal with ValidationException unless exactly one principal is given, InvalidMarkerException.
    """
    given = _exactly_one(call.request, "RetiringPrincipal", "RetiringServicePrincipal")
    mine = arn_of(call.caller, "key/")
    here = (grant for grant in call.keyring.all_grants() if grant.key.startswith(mine))
    entries = {grant.id: _entry(grant) for grant in here}
    wanted = call.request[given]
    return _listing(call, {i: entry for i, entry in entries.items() if entry.get(given) == wanted})


async def retire_grant(call: Call) -> Answer:
    """Delete a grant, named by one of its tokens or by its key and id; the key's state does not matter.

    Raises: Refusal with ValidationException unless it is named in exactly one way, InvalidGrantTokenException,
    InvalidGrantIdException, NotFoundException, DryRunOperationException.
    """
    by_token = "GrantToken" in call.request
    by_id = "KeyId" in call.request and "GrantId" in call.request
    if by_token == by_id:
        raise Refusal(Fault.VALIDATION, "Must specify either GrantToken or both KeyId and GrantId.")
    grant = _of_token(call) if by_token else _named(call)
    call.finish_dry_run()
    call.keyring.drop_grant(grant)
    return None


async def revoke_grant(call: Call) -> Answer:
    """Delete a grant; the key's state does not matter.

    Raises: Refusal with InvalidGrantIdException, NotFoundException, DryRunOperationException.
    """
    grant = _named(call)
    call.finish_dry_run()
    call.keyring.drop_grant(grant)
    return None


def _check(request: Mapping[str, Any], key: Key) -> None:
    grantee = _exactly_one(request, "GranteePrincipal", "GranteeServicePrincipal")
    _at_most_one(request, "RetiringPrincipal", "RetiringServicePrincipal")
    for name in ("GranteePrincipal", "RetiringPrincipal"):
        if name in request and not PRINCIPAL.fullmatch(request[name]):
            raise Refusal(Fault.INVALID_ARN, f"ARN does not refer to a valid principal: {request[name]}")
    constraints = request.get("Constraints", {})
    if grantee == "GranteeServicePrincipal":
        retiring = "RetiringPrincipal" in request or "RetiringServicePrincipal" in request
        if not retiring or "SourceArn" not in constraints:
            message = "GranteeServicePrincipal requires a retiring principal and a SourceArn constraint."
            raise Refusal(Fault.VALIDATION, message)
    unheard = set(request["Operations"]) - _operations_of(key)
    if unheard:
        raise Refusal(Fault.VALIDATION, f"{key.arn} does not support the operations {sorted(unheard)}.")
    for name in ("EncryptionContextEquals", "EncryptionContextSubset"):
        _check_context(constraints.get(name), key)


def _operations_of(key: Key) -> frozenset[str]:
    """The operations that a grant on a key may permit."""
    symmetric, hmac = (SPECS[key.spec].kind is kind for kind in (Kind.SYMMETRIC, Kind.HMAC))
    extra = DATA_KEYS if symmetric else frozenset() if hmac else ASYMMETRIC
    return ANY_KEY | OF_USAGE[key.usage] | extra


def _check_context(context: Mapping[str, str] | None, key: Key) -> None:
    if context is None:
        return
    if SPECS[key.spec].kind is not Kind.SYMMETRIC:
        raise Refusal(Fault.VALIDATION, "Encryption context constraints are for symmetric encryption keys only.")
    if len(context) > PAIRS_MAX or any(len(value) > CONTEXT_MAX_CHARS for value in context.values()):
        message = f"A constraint may have at most {PAIRS_MAX} pairs, of at most {CONTEXT_MAX_CHARS} characters."
        raise Refusal(Fault.VALIDATION, message)


def _wanted(call: Call, key: Key) -> Grant:
    request = call.request
    return Grant(
        id=os.urandom(32).hex(),
        key=key.arn,
        created_at=round(call.now, 3),
        issuer=root_of(call.caller),
        operations=tuple(dict.fromkeys(request["Operations"])),
        name=request.get("Name"),
        grantee=request.get("GranteePrincipal"),
        grantee_service=request.get("GranteeServicePrincipal"),
        retiring=request.get("RetiringPrincipal"),
        retiring_service=request.get("RetiringServicePrincipal"),
        constraints=request.get("Constraints"),
    )


def _same(grant: Grant, wanted: Grant) -> bool:
    return replace(wanted, id=grant.id, created_at=grant.created_at) == grant


def _of_token(call: Call) -> Grant:
    try:
        sealed = urlsafe_b64decode(call.request["GrantToken"])
        arn, identity = json.loads(call.seal.open(TOKEN_PURPOSE, sealed))
    except (ValueError, BrokenSealError):
        raise Refusal(Fault.INVALID_GRANT_TOKEN, "The grant token is not valid.") from None
    return _existing(call, call.any_key(arn), identity)


def _named(call: Call) -> Grant:
    key = call.key()
    _check_id(call.request["GrantId"])
    return _existing(call, key, call.request["GrantId"])


def _existing(call: Call, key: Key, identity: str) -> Grant:
    grant = call.keyring.grants(key).get(identity)
    if grant is None:
        raise Refusal(Fault.NOT_FOUND, f"Grant ID {identity} not found")
    return grant


def _check_id(identity: str) -> None:
    if not GRANT_ID.fullmatch(identity):
        raise Refusal(Fault.INVALID_GRANT_ID, f"Invalid grant ID '{identity}'")


def _exactly_one(request: Mapping[str, Any], one: str, other: str) -> str:
    if (one in request) == (other in request):
        raise Refusal(Fault.VALIDATION, f"Must specify either {one} or {other}, but not both.")
    return one if one in request else other


def _at_most_one(request: Mapping[str, Any], one: str, other: str) -> None:
    if one in request and other in request:
        raise Refusal(Fault.VALIDATION, f"Must specify either {one} or {other}, but not both.")


def _listing(call: Call, entries: Mapping[str, dict[str, Any]]) -> Answer:
    ids, closing = page(sorted(entries), call.request, default=50, most=100)
    return {"Grants": [entries[identity] for identity in ids], **closing}


def _entry(grant: Grant) -> dict[str, Any]:
    told = {
        "KeyId": grant.key,
        "GrantId": grant.id,
        "Name": grant.name,
        "CreationDate": grant.created_at,
        "GranteePrincipal": grant.grantee,
        "GranteeServicePrincipal": grant.grantee_service,
        "RetiringPrincipal": grant.retiring,
        "RetiringServicePrincipal": grant.retiring_service,
        "IssuingAccount": grant.issuer,
        "Operations": list(grant.operations),
        "Constraints": grant.constraints,
    }
    return {name: value for name, value in told.items() if value is not None}
