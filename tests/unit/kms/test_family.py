"""The adapter on multi-Region keys."""

from __future__ import annotations

from byokd.facts.key import ABSENT, Family, KeyArn
from tests.kit.lanes import ACCOUNT, REGION
from tests.unit.kms.scripted import answer
from tests.unit.kms.test_adapter import ARN, METADATA, scripted


async def test_a_family_is_read() -> None:
    """MultiRegionConfiguration names the primary and every replica; without it the key is of a single Region."""
    arns = [KeyArn(f"arn:aws:kms:{region}:{ACCOUNT}:key/mrk-1") for region in ("eu-west-1", "us-east-1", REGION)]
    told = {
        "MultiRegion": True,
        "MultiRegionConfiguration": {
            "MultiRegionKeyType": "REPLICA",
            "PrimaryKey": {"Arn": arns[1], "Region": "us-east-1"},
            "ReplicaKeys": [{"Arn": arns[2], "Region": REGION}, {"Arn": arns[0], "Region": "eu-west-1"}],
        },
    }
    async with scripted(
        answer({"KeyMetadata": METADATA | told | {"Arn": arns[2]}}), answer({"KeyMetadata": METADATA})
    ) as (
        kms,
        _,
    ):
        replica, single = await kms.describe(arns[2]), await kms.describe(ARN)
    assert replica.family == Family(primary=arns[1], replicas=tuple(sorted((arns[0], arns[2]))))
    assert (replica.role, single.family, single.role) == ("replica", ABSENT, "")
