"""Key policies: the default one, and what a policy must have to be taken.

KMS evaluates policies; this server stores them. What it checks is what PutKeyPolicy and CreateKey refuse: a document
that is no policy, a statement for nobody, and one after which its owner could not replace it any more (the "lockout
safety check"). Callers here are accounts, not users, so any principal of the account counts for its owner.

Source: API reference of PutKeyPolicy; https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html;
quota "Key policy document size" in the guide's page on resource quotas.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key, partition_of
from byokd.localkms.signatures import Caller

NAME: Final = "default"
"""The only name that a key policy can have."""
POLICY_MAX_BYTES: Final = 32 * 1024
REPLACE: Final = "kms:putkeypolicy"

DEFAULT: Final = """\
{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "%s"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}"""


def root_of(owner: Caller) -> str:
    """The ARN that stands for an account as a whole."""
    return f"arn:{partition_of(owner.region)}:iam::{owner.account}:root"


def policy_of(key: Key) -> str:
    """The policy of a key, the default one unless it has its own."""
    return DEFAULT % root_of(key.owner) if key.policy is None else key.policy


def check_policy(request: Mapping[str, Any], owner: Caller) -> str | None:
    """The policy that a request sets, once it has been checked; None: it sets none.

    Raises: Refusal with LimitExceededException above 32 KiB, MalformedPolicyDocumentException for what is no policy or
    would lock its owner out, unless the request bypasses that check.
    """
    text: str | None = request.get("Policy")
    if text is None:
        return None
    if len(text.encode()) > POLICY_MAX_BYTES:
        raise Refusal(Fault.LIMIT_EXCEEDED, f"A key policy may have at most {POLICY_MAX_BYTES} bytes.")
    statements = list(_statements(text))
    keeps_owner = any(_lets_replace(statement, owner) for statement in statements)
    if not keeps_owner and not request.get("BypassPolicyLockoutSafetyCheck"):
        message = "The new key policy will not allow you to update the key policy in the future."
        raise Refusal(Fault.MALFORMED_POLICY, message)
    return text


def _statements(text: str) -> Iterator[dict[str, Any]]:
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal(Fault.MALFORMED_POLICY, "The policy is not valid JSON.") from None
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    for statement in [statements] if isinstance(statements, dict) else statements or [None]:
        if not isinstance(statement, dict):
            raise Refusal(Fault.MALFORMED_POLICY, "The policy has no statements.")
        if not statement.get("Principal") and not statement.get("NotPrincipal"):
            raise Refusal(Fault.MALFORMED_POLICY, "A statement in the policy has no principal.")
        yield statement


def _lets_replace(statement: Mapping[str, Any], owner: Caller) -> bool:
    if statement.get("Effect") != "Allow":
        return False
    principal = statement.get("Principal")
    principals = _listed(principal.get("AWS") if isinstance(principal, dict) else principal)
    own = f":{owner.account}:"
    mine = any(each in ("*", owner.account) or own in each for each in principals)
    return mine and any(fnmatchcase(REPLACE, action.lower()) for action in _listed(statement.get("Action")))


def _listed(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]
