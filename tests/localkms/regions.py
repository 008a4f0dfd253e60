"""One server seen from several Regions, for the tests of multi-Region keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .kit import ACCOUNT, Kms

HOME, AWAY, THIRD = "eu-central-1", "us-east-1", "us-west-2"
AWAITED, PENDING = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION", "PENDING_ROTATION"
FAMILY = "Multi-Region keys"


@dataclass(frozen=True)
class Site:
    """Clients of one server in three Regions."""

    home: Kms
    away: Kms
    third: Kms

    def settle(self) -> None:
        """Let time pass until nothing is in transition any more."""
        self.home.clock.advance(60)

    async def family(self, *, replicas: int = 1, **members: Any) -> list[str]:
        """An EXTERNAL primary with its material, and replicas with it; the ARN in each Region."""
        primary = await self.home.create_key(MultiRegion=True, **members)
        await self.home.import_material(primary)
        arns = [primary]
        for kms in (self.away, self.third)[:replicas]:
            await self.home.call("replicate_key", KeyId=primary, ReplicaRegion=kms.region)
            arns.append(primary.replace(HOME, kms.region))
        self.settle()
        for kms, arn in zip((self.away, self.third), arns[1:], strict=False):
            await kms.import_material(arn)
        return arns


async def materials(kms: Kms, key: str) -> dict[str, tuple[str, str]]:
    """The state of each material of a key, and whether it is in, by its id."""
    answer = await kms.call("list_key_rotations", KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    return {each["KeyMaterialId"]: (each["KeyMaterialState"], each["ImportState"]) for each in answer["Rotations"]}


def told_family(metadata: dict[str, Any]) -> tuple[str, str, list[str]]:
    """What a key's metadata says of its family: its own type, the primary's Region, the replicas' Regions."""
    told = metadata["MultiRegionConfiguration"]
    for each in (told["PrimaryKey"], *told["ReplicaKeys"]):
        assert each["Arn"] == f"arn:aws:kms:{each['Region']}:{ACCOUNT}:key/{metadata['KeyId']}"
    return told["MultiRegionKeyType"], told["PrimaryKey"]["Region"], [each["Region"] for each in told["ReplicaKeys"]]
