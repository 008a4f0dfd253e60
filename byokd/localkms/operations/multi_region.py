"""ReplicateKey and UpdatePrimaryRegion. Source: API reference of each; recorded answers.

The keys of all Regions live in this process, so both are done when they answer, but for a transient state that ends by
the clock: Creating, Updating. What becomes of the other keys of the family is in families.py.
"""

from __future__ import annotations

from typing import Any

from byokd.localkms import states
from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.families import move_primary, primary_only, replica_of, replicate
from byokd.localkms.keys import Key, KeyState, Transition, arn_of, partition_of
from byokd.localkms.operations.create_key import check_room
from byokd.localkms.operations.describe_key import metadata
from byokd.localkms.operations.tags import check_tags
from byokd.localkms.policies import check_policy, policy_of


async def replicate_key(call: Call) -> Answer:
    """Make a replica of a primary key in another Region, Creating at first and without imported material.

    Raises: Refusal with UnsupportedOperationException unless the key is a primary; as the key-state table says; with
    AlreadyExistsException when the Region has the key already, ValidationException for another partition's,
    TagException for bad tags, MalformedPolicyDocumentException or LimitExceededException for a bad policy.
    """
    request = call.request
    key = _primary(call)
    region = request["ReplicaRegion"]
    if partition_of(region) != partition_of(key.owner.region):
        raise Refusal(Fault.VALIDATION, f"Region {region} is not in the partition of {key.arn}.")
    tags = {tag["TagKey"]: tag["TagValue"] for tag in request.get("Tags", ())}
    check_tags(request.get("Tags", ()), tags)
    owner = replica_of(key, region)
    replica = Key(
        id=key.id,
        owner=owner,
        origin=key.origin,
        spec=key.spec,
        usage=key.usage,
        created_at=round(call.now, 3),
        description=request.get("Description", ""),
        tags=tuple(sorted(tags.items())),
        policy=check_policy(request, owner),
        transition=Transition(KeyState.CREATING, round(call.now, 3) + call.pace.creating_s),
    )
    changed = replicate(key, call.keyring.relatives(key), replica)
    check_room(call, owner)
    call.keyring.put(*changed)
    replica = changed[-1]
    answer: dict[str, Any] = {"ReplicaKeyMetadata": metadata(replica), "ReplicaPolicy": policy_of(replica)}
    if replica.tags:
        answer["ReplicaTags"] = [{"TagKey": name, "TagValue": value} for name, value in replica.tags]
    return answer


async def update_primary_region(call: Call) -> Answer:
    """Make the replica in a Region the primary, and the primary its replica.

    Raises: Refusal with UnsupportedOperationException unless the key is a primary; NotFoundException when that Region
    has no replica of it; as the key-state table says for either key.
    """
    key = _primary(call)
    region = call.request["PrimaryRegion"]
    relatives = call.keyring.relatives(key)
    replica = next((each for each in relatives if each.owner.region == region), None)
    if replica is None:
        arn = arn_of(replica_of(key, region), f"key/{key.id}")
        raise Refusal(Fault.NOT_FOUND, f"Replica key '{arn}' does not exist")
    states.admit(call.operation, replica)
    call.keyring.put(*move_primary(key, relatives, region, round(call.now, 3) + call.pace.updating_s))
    return None


def _primary(call: Call) -> Key:
    key = call.any_key(call.request["KeyId"])
    primary_only(key)
    states.admit(call.operation, key)
    return key
