"""GetKeyPolicy, PutKeyPolicy and ListKeyPolicies. Source: API reference of each.

Policies are checked for what would lock their owner out, stored and told; they permit and deny nothing here.
"""

from __future__ import annotations

from dataclasses import replace

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.pages import page
from byokd.localkms.policies import NAME, check_policy, policy_of


async def get_key_policy(call: Call) -> Answer:
    """The policy of a key, in any state. Raises: Refusal with NotFoundException for another name than `default`."""
    key = call.key()
    _check_name(call)
    return {"Policy": policy_of(key), "PolicyName": NAME}


async def put_key_policy(call: Call) -> Answer:
    """Replace the policy of a key, in any state.

    Raises: Refusal with NotFoundException for another name than `default`, or as policies.check_policy.
    """
    key = call.key()
    _check_name(call)
    call.keyring.put(replace(key, policy=check_policy(call.request, key.owner)))
    return None


async def list_key_policies(call: Call) -> Answer:
    """The one name that there is. Raises: Refusal with InvalidMarkerException."""
    call.key()
    names, closing = page([NAME], call.request, default=100, most=1000)
    return {"PolicyNames": list(names), **closing}


def _check_name(call: Call) -> None:
    if call.request.get("PolicyName", NAME) != NAME:
        raise Refusal(Fault.NOT_FOUND, "No such policy exists")
