"""Making keys that take imported material, in a KMS that is there to be tried out.

byokd creates keys only where the config switches it on, which it allows for the local KMS alone; a key that exists is
never touched.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiobotocore.session import AioSession

from byokd.errors import KeyNotFound
from byokd.facts.policy import Lane
from byokd.kms.client import LaneClient
from byokd.kms.identity import Identity
from byokd.ports import Clock


async def create_missing_keys(
    lane: Lane, aliases: Iterable[str], *, clock: Clock, session: AioSession, identity: Identity
) -> int:
    """Create a symmetric key with Origin EXTERNAL for each alias that names none; returns how many.

    Raises: KmsError.
    """
    client = LaneClient(lane, clock=clock, models_of=session, identity=identity)
    created = 0
    try:
        for alias in aliases:
            try:
                await client.call("DescribeKey", {"KeyId": alias})
            except KeyNotFound:
                answer = await client.call(
                    "CreateKey", {"Origin": "EXTERNAL", "Description": f"made for {alias}"}, changes=True
                )
                key_id = answer["KeyMetadata"]["KeyId"]
                await client.call("CreateAlias", {"AliasName": alias, "TargetKeyId": key_id}, changes=True)
                created += 1
    finally:
        await client.close()
    return created
